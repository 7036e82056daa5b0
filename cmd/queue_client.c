/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <unistd.h>

#include "cmd/queue.h"
#include "mail/service.h"
#include "util/ipc.h"
#include "util/log.h"
#include "util/net.h"

enum { FRAME_MAX = 16 << 20, CONNECT_SECONDS = 5, ANSWER_SECONDS = 600 };

struct session {
	struct cmd *cmd;
	struct params params;
	const struct queue_request *requests;
	size_t n;
	queue_item_fn *fn;
	void *arg;
	uint32_t *counted;
	bool reached; /* qmgr took the channel */
	enum err result;
};

/* One request: its items, then the count that ends it. */
static enum err
ask(struct session *s, struct ipc *c, uint32_t number, const struct queue_request *r)
{
	struct msg_queue q = { .request = number,
		.op = (uint8_t)r->op,
		.by = (uint8_t)r->by,
		.dry = r->dry,
		.what = r->what };
	struct msg_item item;
	struct msg_counted end;
	struct str body;
	struct buf *out = ipc_begin(c, MSG_QUEUE_TAG);
	uint16_t tag;

	if (out == NULL)
		return fail(E_EOF, "qmgr hung up");
	msg_queue_put(out, &q);
	ipc_end(c);
	for (;;) {
		TRY(ipc_recv(c, &tag, &body, time_after(time_now(), ANSWER_SECONDS)));
		if (tag == MSG_ITEM_TAG) {
			TRY(msg_item_get(body, &item));
			if (s->fn)
				s->fn(s->arg, &item);
		} else if (tag == MSG_COUNTED_TAG) {
			TRY(msg_counted_get(body, &end));
			s->counted[number] = end.matched;
			return end.err == OK ? OK
					     : fail((enum err)(end.err % ERR_COUNT), "%.*s",
						   STR_ARG(end.why));
		} else {
			return fail(E_IPC, "unexpected %s from qmgr", msg_name(tag));
		}
	}
}

static enum err
converse(struct session *s, struct ipc *c)
{
	struct msg_hello mine = {
		.role = STR("cmd"), .name = str_of(s->cmd->name), .pid = (uint32_t)getpid()
	};
	struct msg_hello peer;

	TRY(msg_hello_exchange(c, &mine, &peer));
	s->reached = true;
	for (size_t i = 0; i < s->n; i++)
		TRY(ask(s, c, (uint32_t)i, &s->requests[i]));
	return OK;
}

static void
run(void *arg)
{
	struct session *s = arg;
	char path[108];
	struct ipc *c;
	int fd;

	s->result = net_connect_unix(
	    service_path(&s->params, "qmgr", path), time_after(time_now(), CONNECT_SECONDS), &fd);
	if (s->result == OK && (s->result = task_fd_add(fd)) == OK) {
		c = ipc_new(fd, FRAME_MAX, 0);
		s->result = converse(s, c);
		ipc_free(&c);
	}
	task_exit();
}

int
queue_do(struct cmd *c, const struct queue_request *requests, size_t n, queue_item_fn *fn,
    void *arg, uint32_t *counted)
{
	struct session s = {
		.cmd = c, .requests = requests, .n = n, .fn = fn, .arg = arg, .counted = counted
	};
	int status = 0;

	if (!cmd_params(c, &s.params))
		return 1;
	if (chdir(s.params.queue_directory) != 0) {
		cmd_warn(c, "%s: no spool there", s.params.queue_directory);
		params_fini(&s.params);
		return 69;
	}
	task_run(run, &s, 1);
	if (s.result != OK && s.reached) {
		cmd_warn(c, "%s", err_why());
		status = s.result == E_NOENT ? 1 : 75;
	} else if (s.result != OK && access("incoming", R_OK | W_OK | X_OK) != 0) {
		cmd_warn(c, "Queue report unavailable - mail system is down");
		status = 69;
	} else if (s.result != OK) {
		cmd_warn(c, "warning: Mail system is down -- accessing queue directly");
		for (size_t i = 0; i < n && status == 0; i++)
			if (queue_offline(&s.params, &requests[i], fn, arg, &counted[i]) != OK) {
				cmd_warn(c, "%s", err_why());
				status = 75;
			}
	}
	params_fini(&s.params);
	return status;
}
