/* SPDX-License-Identifier: Apache-2.0 */
/* bounce - tells senders what became of their mail.  A job is answered only when its notice is durable. */
#include "agent/channel.h"
#include "bounce/notice.h"
#include "util/log.h"

enum { JOBS_AT_ONCE = 64 };

static struct {
	struct service *service;
	struct spool   *spool;
} bounce;

/* The notice itself is mail: qmgr hears of it before it forgets what it is about. */
static void
answer(const struct channel_job *j, const struct msg_bounce *b, const struct msg_entered *entered, enum err e)
{
	struct msg_bounced done = { .job = b->job, .err = e, .why = e == OK ? STR("") : str_of(err_why()),
		.notice = entered->id };
	struct buf *out;

	if (e == OK && (out = channel_begin(j, MSG_ENTERED_TAG)) != NULL) {
		msg_entered_put(out, entered);
		channel_end();
	}
	if ((out = channel_begin(j, MSG_BOUNCED_TAG)) != NULL) {
		msg_bounced_put(out, &done);
		channel_end();
	}
}

static void
run_job(const struct channel_job *j)
{
	struct msg_bounce b;
	struct msg_entered entered = { 0 };
	struct buf rcpts = BUF(0);
	char id[QID_TEXT], notice[QID_TEXT];
	enum err e = msg_bounce_get(buf_str(&j->frame), &b);

	if (e != OK) {
		log_warn("malformed job from qmgr: %s", err_why());
		return;
	}
	qid_text(b.id, id);
	e = notice_enter(&bounce.service->params, bounce.spool, &b, &entered, &rcpts);
	if (e == OK)
		log_info("%s: sender non-delivery notification: %s", id, qid_text(entered.id, notice));
	else
		log_warn("%s: no notice to <%.*s> yet: %s", id, STR_ARG(b.sender), err_why());
	answer(j, &b, &entered, e);
	buf_free(&rcpts);
}

static void
run(struct service *s)
{
	static const struct channel_spec spec = { .role = "bounce", .tag = MSG_BOUNCE_TAG, .capacity = JOBS_AT_ONCE,
		.run = run_job };

	bounce.service = s;
	qid_setup((unsigned)s->params.queue_id_node, s->slot);
	if (spool_open(s->params.queue_directory, spool_sync_of(s->params.spool_sync), false, &bounce.spool) != OK)
		log_fatal("%s", err_why());
	channel_start(s, &spec);
	service_ready();
	service_wait(PHASE_RUN);
	channel_wind_up();
	spool_close(&bounce.spool);
}

int
main(int argc, char **argv)
{
	static const struct service_spec spec = {
		.prog = "bounce",
		.helpers = 4,
		.run = run,
		.promises = "spool-read spool-create",
	};

	return service_main(argc, argv, &spec);
}
