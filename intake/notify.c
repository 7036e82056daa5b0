/* SPDX-License-Identifier: Apache-2.0 */
#include "intake/notify.h"

#include <unistd.h>

#include "mail/msgs.h"
#include "util/ipc.h"
#include "util/log.h"

enum {
	AT_ONCE_MS = 50,                               /* a channel that lasted as long is made again without delay */
	RECONNECT_MS = 200,                            /* mail taken meanwhile waits for qmgr's sweep */
	CONNECT_SECONDS = 10,
	FRAME_MAX = 64 << 10,                          /* qmgr has nothing to say but HELLO */
	NOTICE_MAX = 16 << 20,
	NOTICE_KEPT = 64 << 10,                        /* memory kept between notices */
};

struct notify {
	const struct service *service;
	const char           *role;
	struct ipc           *channel;                 /* NULL: no qmgr to talk to */
	struct buf            rcpts, body;
	uint64_t              dropped;
};

static WAITS enum err
connect_qmgr(struct notify *n)
{
	struct msg_hello peer, mine = {
		.schema = msg_schema(),
		.role = str_of(n->role),
		.name = str_of(n->service->name),
		.pid = (uint32_t)getpid(),
	};
	char path[108];
	struct ipc *c;
	int fd;
	enum err e;

	TRY(net_connect_unix(service_path(&n->service->params, "qmgr", path),
	    time_after(time_now(), CONNECT_SECONDS), &fd));
	c = ipc_new(fd, FRAME_MAX, 0);
	e = msg_hello_exchange(c, &mine, &peer);
	if (e != OK) {
		ipc_free(&c);
		return e;
	}
	n->channel = c;
	return OK;
}

/* Nothing is expected to come; waiting for it shows when the channel breaks. */
static WAITS enum err
watch(struct notify *n)
{
	struct str body;
	uint16_t tag;
	enum err e;

	do
		e = ipc_recv(n->channel, &tag, &body, TIME_NEVER);
	while (e == OK);
	return e;
}

static void
keep_channel(void *arg)
{
	struct notify *n = arg;
	enum err e = OK;

	while (e != E_STOPPED && !task_stopping()) {
		struct time at_once = time_after_ms(time_now(), AT_ONCE_MS);

		e = connect_qmgr(n);
		if (e == OK) {
			if (n->dropped > 0)
				log_debug("%llu notices to qmgr were dropped", (unsigned long long)n->dropped);
			n->dropped = 0;
			e = watch(n);
			/* On a stop the channel stays for those who still finish. */
			if (e != E_STOPPED)
				ipc_free(&n->channel);
		} else {
			log_debug("qmgr: %s", err_why());
		}
		/* The next qmgr, as soon as it is there, finds us waiting: master keeps the socket. */
		if (e != E_STOPPED && time_before(time_now(), at_once))
			e = task_sleep(time_after_ms(time_now(), RECONNECT_MS));
	}
}

struct notify *
notify_start(const struct service *s, const char *role, struct tasks *g)
{
	struct notify *n = mem_new(sizeof *n);

	n->service = s;
	n->role = role;
	n->rcpts = BUF(NOTICE_MAX);
	n->body = BUF(NOTICE_MAX);
	if (task_start(g, "notify", keep_channel, n) == NULL)
		log_starved("no memory for a task");
	return n;
}

void
notify_free(struct notify **pn)
{
	struct notify *n = *pn;

	if (n == NULL)
		return;
	ipc_free(&n->channel);
	buf_free(&n->rcpts);
	buf_free(&n->body);
	mem_free(pn);
}

static bool
encode(struct notify *n, const struct spool_msg *m)
{
	struct msg_entered e = {
		.id = m->id,
		.arrived = m->arrived.us,
		.size = m->size,
		.flags = m->flags,
		.content_at = m->content_at,
		.sender = m->sender,
	};

	for (size_t i = 0; i < m->nrcpts; i++) {
		struct msg_rcpt r = { .index = (uint32_t)i, .addr = m->rcpts[i].addr, .orig = m->rcpts[i].orig,
			.notify = m->rcpts[i].notify };

		if (!msg_rcpt_put(&n->rcpts, &r))
			return false;
	}
	e.rcpts = buf_str(&n->rcpts);
	return msg_entered_put(&n->body, &e);
}

static void
forget(struct buf *b)
{
	if (b->cap > NOTICE_KEPT)
		buf_free(b);
	else
		buf_clear(b);
}

void
notify_entered(struct notify *n, const struct spool_msg *m)
{
	if (n->channel == NULL || !encode(n, m) || ipc_send(n->channel, MSG_ENTERED_TAG, buf_str(&n->body)) != OK)
		n->dropped++;
	forget(&n->rcpts);
	forget(&n->body);
}

void
notify_flush(struct notify *n, struct time deadline)
{
	if (n->channel && ipc_flush(n->channel, deadline) != OK)
		log_debug("qmgr: %s", err_why());
}
