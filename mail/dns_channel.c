/* SPDX-License-Identifier: Apache-2.0 */
/* One task, the keeper, connects and receives for all that ask.  It lives while there is a channel
 * or somebody waits. */
#include "mail/dns_channel.h"

#include <stdio.h>
#include <unistd.h>

#include "util/ipc.h"
#include "util/log.h"
#include "util/mem.h"

enum {
	FRAME_MAX = 1 << 20,
	QUEUED_MAX = 1 << 20,
	CONNECT_SECONDS = 5,
	SENDS_MAX = 2, /* one more time when the resolver went away */
};

static struct {
	char        path[108];
	struct ipc *ipc;                               /* NULL: not connected */
	bool        keeping;                           /* the keeper runs */
	struct map  asked;
	uint64_t    last_id;
} channel;

void
dns_channel_setup(const char *socket_path)
{
	snprintf(channel.path, sizeof channel.path, "%s", socket_path);
}

static void
finish(struct dns_question *q, enum err e)
{
	map_del(&channel.asked, &q->node);
	q->err = e;
	q->done = true;
	wait_wake_all(&q->waiting);
}

/* Those that have been sent often enough, or all. */
static void
finish_failed(bool all)
{
	struct map_iter it = { 0 };
	struct map_node *n;

	while ((n = map_next(&channel.asked, &it)) != NULL) {
		struct dns_question *q = container_of(n, struct dns_question, node);

		if (all || q->sent >= SENDS_MAX)
			finish(q, E_DNS_TEMP);
	}
}

static void
send_question(struct dns_question *q)
{
	struct msg_query m = { .query = q->id, .type = q->type, .name = str_of(q->name) };
	struct buf *b = ipc_begin(channel.ipc, MSG_QUERY_TAG);

	/* A channel that is full or dead: the resolver does not read, so the deadline will answer, or the
	 * keeper sends it again on the next channel. */
	if (b == NULL)
		return;
	ENSURE(msg_query_put(b, &m));
	ipc_end(channel.ipc);
	q->sent++;
}

static void
send_all(void)
{
	struct map_iter it = { 0 };
	struct map_node *n;

	while ((n = map_next(&channel.asked, &it)) != NULL)
		send_question(container_of(n, struct dns_question, node));
}

static enum err
copy_answer(const struct msg_answer *m, struct dns_answer *a)
{
	struct str rest = m->records;
	struct msg_record r;
	size_t n = 0, text = 0, used;
	char *p;

	for (; rest.n > 0; n++) {
		if (!msg_record_take(&rest, &r))
			return fail(E_IPC, "malformed msg_record");
		text += r.text.n;
	}
	p = mem_new(n * sizeof r + text + m->canonical.n + 1);
	*a = (struct dns_answer){ .secure = m->secure == 1, .ttl = m->ttl, .n = n, .memory = p };
	a->records = (struct msg_record *)(void *)p;
	used = n * sizeof r;
	rest = m->records;
	for (size_t i = 0; i < n && msg_record_take(&rest, &r); i++) {
		memcpy(p + used, r.text.p, r.text.n);
		a->records[i] = (struct msg_record){ r.pref, { p + used, r.text.n } };
		used += r.text.n;
	}
	memcpy(p + used, m->canonical.p, m->canonical.n);
	a->canonical = (struct str){ p + used, m->canonical.n };
	return OK;
}

static enum err
take_answer(struct str body)
{
	struct dns_question *q;
	struct map_node *n;
	struct msg_answer m;

	TRY(msg_answer_get(body, &m));
	n = map_get(&channel.asked, (struct str){ (char *)&m.query, sizeof m.query });
	if (n == NULL)
		return OK;                             /* whoever asked has given up */
	q = container_of(n, struct dns_question, node);
	switch (m.err) {
	case OK:
		TRY(copy_answer(&m, &q->answer));
		finish(q, OK);
		return OK;
	case E_DNS_NONE:
	case E_TIMEOUT:
		finish(q, (enum err)m.err);
		return OK;
	default:
		snprintf(q->why, sizeof q->why, ": %.*s", STR_ARG(m.why));
		finish(q, E_DNS_TEMP);
		return OK;
	}
}

/* reached: a resolver was there. */
static WAITS enum err
converse(bool *reached)
{
	struct msg_hello mine = { .role = STR("client"), .pid = (uint32_t)getpid() }, theirs;
	int fd;
	enum err e;
	struct ipc *ipc;

	TRY(net_connect_unix(channel.path, time_after(time_now(), CONNECT_SECONDS), &fd));
	ipc = ipc_new(fd, FRAME_MAX, QUEUED_MAX);
	e = msg_hello_exchange(ipc, &mine, &theirs);
	if (e == OK && !str_eq(theirs.role, STR("resolver")))
		e = fail(E_IPC, "that is no resolver");
	*reached = e == OK;
	if (*reached) {
		channel.ipc = ipc;
		send_all();
	}
	while (e == OK) {
		uint16_t tag;
		struct str body;

		e = ipc_recv(ipc, &tag, &body, TIME_NEVER);
		if (e == OK && tag != MSG_ANSWER_TAG)
			e = fail(E_IPC, "%s instead of ANSWER", msg_name(tag));
		if (e == OK)
			e = take_answer(body);
	}
	channel.ipc = NULL;
	ipc_free(&ipc);
	return e;
}

/* An end of file is a resolver that was replaced; all else is worth a word, but not one for every
 * question. */
static void
complain(void)
{
	static struct time not_before;
	struct time now = time_now();

	if (time_before(now, not_before))
		return;
	not_before = time_after(now, 1);
	log_warn("resolver: %s", err_why());
}

static void
keeper(void *arg)
{
	(void)arg;
	do {
		bool reached = false;
		enum err e = converse(&reached);

		if (e != E_EOF && e != E_STOPPED)
			complain();
		finish_failed(!reached || e == E_STOPPED);
	} while (channel.asked.n > 0);
	channel.keeping = false;
}

void
dns_question_ask(struct dns_question *q, struct str name, enum dns_type type)
{
	*q = (struct dns_question){ .type = (uint16_t)type };
	wait_init(&q->waiting);
	if (name.n > 0 && name.p[name.n - 1] == '.')
		name.n--;
	if (name.n == 0 || name.n > DNS_NAME_MAX || memchr(name.p, '\0', name.n)) {
		q->done = true;
		q->err = fail(E_DNS_NONE, "not a domain name");
		return;
	}
	memcpy(q->name, name.p, name.n);
	q->id = ++channel.last_id;
	map_put(&channel.asked, (struct str){ (char *)&q->id, sizeof q->id }, &q->node);
	if (channel.ipc) {
		send_question(q);
	} else if (!channel.keeping) {
		channel.keeping = task_start(NULL, "dns", keeper, NULL) != NULL;
		if (!channel.keeping)
			finish(q, E_DNS_TEMP);
	}
}

enum err
dns_question_await(struct dns_question *q, struct time deadline, struct dns_answer *a)
{
	*a = (struct dns_answer){ 0 };
	while (!q->done) {
		enum err e = wait_park(&q->waiting, deadline);

		if (e != OK && !q->done) {
			map_del(&channel.asked, &q->node);
			return e == E_TIMEOUT ? fail(e, "no answer from the resolver in time") : e;
		}
	}
	*a = q->answer;
	switch (q->err) {
	case E_DNS_NONE: return fail(E_DNS_NONE, "no such name");
	case E_DNS_TEMP: return fail(E_DNS_TEMP, "name service failure%s", q->why);
	default:         return q->err;
	}
}
