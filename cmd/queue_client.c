/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/queue.h"
#include "cmd/reach.h"
#include "util/log.h"

enum { ANSWER_SECONDS = 700, SILENCE_SECONDS = 5, IDS_AT_ONCE = 4096 };

struct session {
	struct cmd *cmd;
	struct params params;
	const struct queue_request *request;
	const struct queue_answers *answers;
	struct queue_result *out;
	struct reach reach;
	bool reached; /* qmgr answered */
	enum err result;
	char why[ERR_WHY_MAX]; /* words that go with it */
	bool cut; /* the end of an answer is missing */
	struct queue_answers counted;
	struct progress progress;
	uint64_t seen;
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
	struct buf select = BUF(REACH_FRAME_MAX), *out = ipc_begin(c, MSG_QUEUE_TAG);
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

/* What follows next.  A qmgr may well be silent for long, as when it reads the queue; but it says hello to
 * whoever comes. */
static WAITS enum err
next_answer(struct session *s, uint16_t *tag, struct str *body)
{
	struct time limit = time_after(time_now(), ANSWER_SECONDS);

	for (;;) {
		struct reach another;
		enum err e = ipc_recv(s->reach.ipc, tag, body, time_after(time_now(), SILENCE_SECONDS));

		if (e != E_TIMEOUT || !time_before(time_now(), limit))
			return e;
		if (!reach_open(&another, s->cmd, &s->params))
			return fail(E_TIMEOUT, "in the middle of its answer, %s", another.why);
		reach_close(&another);
	}
}

static WAITS enum err
ask(struct session *s, struct str ids)
{
	struct str body;
	uint16_t tag;

	TRY(put_request(s->reach.ipc, s->request, ids));
	s->cut = true;
	for (;;) {
		size_t i = 0;

		TRY(next_answer(s, &tag, &body));
		while (i < countof(kinds) && kinds[i].tag != tag)
			i++;
		if (i == countof(kinds))
			return fail(E_IPC, "unexpected %s from qmgr", msg_name(tag));
		s->cut = tag != MSG_COUNTED_TAG;
		TRY(kinds[i].got(s, body));
		if (tag == MSG_COUNTED_TAG)
			return OK;
	}
}

static WAITS enum err
converse(struct session *s)
{
	struct str ids = s->request->select.ids;

	do {
		size_t n = IDS_AT_ONCE * sizeof(uint64_t);

		TRY(ask(s, str_sub(ids, 0, n)));
		ids = str_sub(ids, n, ids.n);
	} while (ids.n > 0);
	return OK;
}

static void
run(void *arg)
{
	struct session *s = arg;

	s->reached = reach_open(&s->reach, s->cmd, &s->params);
	if (s->reached) {
		s->result = converse(s);
		snprintf(s->why, sizeof s->why, "%s", err_why());
		reach_close(&s->reach);
	}
	task_exit();
}

static int
status_of(enum err e)
{
	return e == E_NOENT ? EX_NOT_DONE : e == E_PERM ? EX_NOT_ALLOWED : EX_LATER;
}

static bool
changes(const struct queue_request *r)
{
	return r->op == QUEUE_READ ||
	       (r->op != QUEUE_LIST && r->op != QUEUE_HISTORY && r->op != QUEUE_SITES && !r->dry);
}

/* "fatal: Queue report unavailable - mail system is down" */
static int
refuse(const struct session *s, int status)
{
	enum queue_op op = s->request->op;

	cmd_warn(s->cmd, "fatal: %s - %s",
	    op == QUEUE_FLUSH      ? "Cannot flush mail queue"
	    : changes(s->request) ? "Cannot change mail queue"
				  : "Queue report unavailable",
	    s->reach.why);
	return status;
}

/* qmgr is not there, or does not answer. */
static int
do_without(struct session *s)
{
	const struct queue_request *r = s->request;

	/* Its lock says that qmgr lives: then only it may change messages, when it moves again. */
	if (changes(r) && s->reach.locked)
		return refuse(s, EX_LATER);
	if (r->no_help)
		return EX_NO_SERVICE;
	if (r->op == QUEUE_FLUSH || access("incoming", changes(r) ? R_OK | W_OK | X_OK : R_OK | X_OK) != 0)
		return refuse(s, EX_NO_SERVICE);
	if (!s->cmd->without_qmgr)
		cmd_warn(s->cmd, "warning: %s -- accessing queue directly",
		    s->reach.down ? "Mail system is down" : s->reach.why);
	s->cmd->without_qmgr = true;
	s->cmd->down = s->reach.down;
	s->out->down = true;
	s->out->away = !s->reach.down;
	s->result = queue_offline(&s->params, r, s->answers, s->out);
	if (s->result == OK)
		return EX_DONE;
	cmd_warn(s->cmd, "fatal: %s", err_why());
	return status_of(s->result);
}

/* -- how far it is -- */

static void
count_item(void *arg, const struct msg_item *item)
{
	struct session *s = arg;

	progress_at(&s->progress, ++s->seen);
	s->counted.item(s->counted.arg, item);
}

static int
talk(struct session *s)
{
	if (!s->cmd->without_qmgr || s->request->no_help)
		task_run(run, s, 1);
	else
		s->reach.down = s->cmd->down;
	if (!s->reached)
		return do_without(s);
	if (s->result == OK)
		return EX_DONE;
	cmd_warn(s->cmd, "fatal: %s%s", s->why,
	    s->cut && changes(s->request) ? "; what was asked for may be done or not" : "");
	return status_of(s->result);
}

static int
talk_and_count(struct session *s)
{
	struct queue_answers counting = *s->answers;
	int status;

	if (!s->answers->whole)
		return talk(s);
	s->counted = *s->answers;
	counting.item = count_item;
	counting.arg = s;
	s->answers = &counting;
	progress_begin(&s->progress, "messages", 0);
	status = talk(s);
	progress_end(&s->progress);
	return status;
}

int
queue_do(struct cmd *c, const struct queue_request *r, const struct queue_answers *a,
    struct queue_result *out)
{
	static const struct queue_answers nothing;
	struct session s = { .cmd = c, .request = r, .answers = a ? a : &nothing, .out = out };
	int status = EX_DONE, here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	*out = (struct queue_result){ .missing = BUF(REACH_FRAME_MAX) };
	if (!cmd_params(c, &s.params)) {
		close(here);
		return EX_NOT_DONE;
	}
	if (chdir(s.params.queue_directory) != 0) {
		cmd_warn(c, "%s: no spool there", s.params.queue_directory);
		status = EX_NO_SERVICE;
	} else {
		status = talk_and_count(&s);
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
