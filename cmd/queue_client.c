/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/queue.h"
#include "mail/service.h"
#include "util/ipc.h"
#include "util/log.h"
#include "util/net.h"

enum { FRAME_MAX = 16 << 20, CONNECT_SECONDS = 5, ANSWER_SECONDS = 700, IDS_AT_ONCE = 4096 };

struct session {
	struct cmd *cmd;
	struct params params;
	const struct queue_request *request;
	const struct queue_answers *answers;
	struct queue_result *out;
	bool reached; /* qmgr took the channel */
	enum err result;
	char why[ERR_WHY_MAX]; /* words that go with it */
};

/* -- answers -- */

static enum err
got_item(struct session *s, struct str body)
{
	struct msg_item item;

	TRY(msg_item_get(body, &item));
	if (s->answers->item)
		s->answers->item(s->answers->arg, &item);
	return OK;
}

static enum err
got_site(struct session *s, struct str body)
{
	struct msg_site site;

	TRY(msg_site_get(body, &site));
	if (s->answers->site)
		s->answers->site(s->answers->arg, &site);
	return OK;
}

static enum err
got_events(struct session *s, struct str body)
{
	struct msg_events events;
	struct jrn_record r;

	TRY(msg_events_get(body, &events));
	while (jrn_record_take(&events.records, &r))
		if (s->answers->event)
			s->answers->event(s->answers->arg, &r);
	return OK;
}

static enum err
got_changed(struct session *s, struct str body)
{
	struct msg_changed changed;
	uint64_t id;

	TRY(msg_changed_get(body, &changed));
	while (wire_get_u64(&changed.ids, &id))
		if (s->answers->changed)
			s->answers->changed(s->answers->arg, id);
	return OK;
}

static enum err
got_counted(struct session *s, struct str body)
{
	struct msg_counted end;

	TRY(msg_counted_get(body, &end));
	s->out->matched += end.matched;
	s->out->partial |= end.partial != 0;
	(void)buf_add(&s->out->missing, end.missing);
	return end.err == OK ? OK : fail((enum err)(end.err % ERR_COUNT), "%.*s", STR_ARG(end.why));
}

static const struct {
	uint16_t tag;
	enum err (*got)(struct session *s, struct str body);
} kinds[] = {
	{MSG_ITEM_TAG,     got_item   },
	{ MSG_SITE_TAG,    got_site   },
	{ MSG_EVENTS_TAG,  got_events },
	{ MSG_CHANGED_TAG, got_changed},
	{ MSG_COUNTED_TAG, got_counted},
};

/* -- */

static enum err
put_request(struct ipc *c, const struct queue_request *r, struct str ids)
{
	struct buf select = BUF(FRAME_MAX), *out = ipc_begin(c, MSG_QUEUE_TAG);
	struct msg_select some = r->select;
	bool fits;

	if (out == NULL)
		return fail(E_EOF, "qmgr hung up");
	some.ids = ids;
	fits = msg_select_put(&select, &some) &&
	       msg_queue_put(
		   out, &(struct msg_queue){
			    .op = (uint8_t)r->op, .dry = r->dry, .select = buf_str(&select) });
	buf_free(&select);
	ipc_end(c);
	return fits ? OK : fail(E_TOOBIG, "too much to ask for at once");
}

static enum err
ask(struct session *s, struct ipc *c, struct str ids)
{
	struct str body;
	uint16_t tag;

	TRY(put_request(c, s->request, ids));
	for (;;) {
		size_t i = 0;

		TRY(ipc_recv(c, &tag, &body, time_after(time_now(), ANSWER_SECONDS)));
		while (i < countof(kinds) && kinds[i].tag != tag)
			i++;
		if (i == countof(kinds))
			return fail(E_IPC, "unexpected %s from qmgr", msg_name(tag));
		TRY(kinds[i].got(s, body));
		if (tag == MSG_COUNTED_TAG)
			return OK;
	}
}

static enum err
converse(struct session *s, struct ipc *c)
{
	struct msg_hello mine = {
		.role = STR("cmd"), .name = str_of(s->cmd->name), .pid = (uint32_t)getpid()
	};
	struct str ids = s->request->select.ids;
	struct msg_hello peer;

	TRY(msg_hello_exchange(c, &mine, &peer));
	s->reached = true;
	do {
		size_t n = IDS_AT_ONCE * sizeof(uint64_t);

		TRY(ask(s, c, str_sub(ids, 0, n)));
		ids = str_sub(ids, n, ids.n);
	} while (ids.n > 0);
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
		snprintf(s->why, sizeof s->why, "%s", err_why());
		ipc_free(&c);
	}
	task_exit();
}

static int
status_of(enum err e)
{
	return e == E_NOENT ? EX_NOT_DONE : e == E_PERM ? EX_NOT_ALLOWED : EX_LATER;
}

/* qmgr is not there. */
static int
do_without(struct session *s)
{
	bool looks =
	    s->request->op == QUEUE_LIST || s->request->op == QUEUE_HISTORY || s->request->dry;

	if (s->request->no_help)
		return EX_NO_SERVICE;
	if (access("incoming", looks ? R_OK | X_OK : R_OK | W_OK | X_OK) != 0) {
		cmd_warn(s->cmd, "fatal: Queue report unavailable - mail system is down");
		return EX_NO_SERVICE;
	}
	if (!s->request->quiet)
		cmd_warn(s->cmd, "warning: Mail system is down -- accessing queue directly");
	s->out->down = true;
	s->result = queue_offline(&s->params, s->request, s->answers, s->out);
	if (s->result == OK)
		return EX_DONE;
	cmd_warn(s->cmd, "%s", err_why());
	return status_of(s->result);
}

int
queue_do(struct cmd *c, const struct queue_request *r, const struct queue_answers *a,
    struct queue_result *out)
{
	static const struct queue_answers nothing;
	struct session s = { .cmd = c, .request = r, .answers = a ? a : &nothing, .out = out };
	int status = EX_DONE, here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	*out = (struct queue_result){ .missing = BUF(FRAME_MAX) };
	if (!cmd_params(c, &s.params)) {
		close(here);
		return EX_NOT_DONE;
	}
	if (chdir(s.params.queue_directory) != 0) {
		cmd_warn(c, "%s: no spool there", s.params.queue_directory);
		status = EX_NO_SERVICE;
	} else {
		task_run(run, &s, 1);
		if (s.result != OK && s.reached) {
			cmd_warn(c, "fatal: %s", s.why);
			status = status_of(s.result);
		} else if (s.result != OK) {
			status = do_without(&s);
		}
	}
	/* What the user names is relative to where he is. */
	if (here >= 0) {
		if (fchdir(here) != 0)
			cmd_warn(c, "warning: cannot go back to the working directory");
		close(here);
	}
	params_fini(&s.params);
	if (status == EX_DONE && out->partial)
		cmd_warn(c, "warning: there is more mail in the queue than "
			    "qmgr_message_active_limit; the rest was not looked at");
	return status;
}

void
queue_result_fini(struct queue_result *r)
{
	buf_free(&r->missing);
}

void
queue_say_missing(const struct cmd *c, const struct queue_result *r)
{
	struct str ids = buf_str(&r->missing);
	char text[QID_TEXT];
	uint64_t id;

	while (wire_get_u64(&ids, &id))
		cmd_warn(c, "%s: no such message", qid_text(id, text));
}
