/* SPDX-License-Identifier: Apache-2.0 */
/* bounce - tells senders, and postmasters, what became of mail.  A job is answered only when its
 * notice is durable. */
#include <unistd.h>

#include "agent/channel.h"
#include "intake/notice.h"
#include "util/log.h"

enum { JOBS_AT_ONCE = 64 };

static struct {
	struct service *service;
	struct spool *spool;
	struct intake *intake;
	struct notices *notices;
} bounce;

/* A message that is being told of. */
struct told {
	struct msg_bounce what;
	struct spool_view view; /* when it has options of RFC 3461 */
	bool viewed;
	int fd;
};

/* For a helper thread.  It may have been moved since qmgr asked. */
static enum err
open_message(void *arg)
{
	struct told *t = arg;
	enum spool_dir dir = (enum spool_dir)t->what.dir;
	enum err e = spool_open_content(bounce.spool, dir, t->what.id, &t->fd);

	if (e == E_NOENT && spool_find(bounce.spool, t->what.id, &dir) == OK)
		e = spool_open_content(bounce.spool, dir, t->what.id, &t->fd);
	if (e == OK)
		e = spool_check_content(t->fd, t->what.id);
	if (e == OK && (t->what.flags & MF_DSN)) {
		e = spool_read(bounce.spool, dir, t->what.id, false, &t->view);
		t->viewed = e == OK;
	}
	return e;
}

static WAITS enum err
tell(struct told *t, uint64_t *id)
{
	struct notice_job job = { .what = &t->what, .fd = -1 };
	enum err e = task_offload(open_message, t);

	if (e == OK) {
		job.envelope = t->viewed ? &t->view.msg : NULL;
		job.fd = t->fd;
		e = notice_send(bounce.notices, &job, id);
	}
	if (t->viewed)
		spool_view_fini(&t->view);
	if (t->fd >= 0)
		close(t->fd);
	return e;
}

static void
answer(const struct channel_job *j, const struct msg_bounce *b, uint64_t notice, enum err e)
{
	struct msg_bounced done = { .job = b->job,
		.err = e,
		.why = e == OK ? STR("") : str_of(err_why()),
		.notice = notice };
	struct buf *out = channel_begin(j, MSG_BOUNCED_TAG);

	if (out) {
		msg_bounced_put(out, &done);
		channel_end();
	}
}

static void
run_job(struct channel_job *j)
{
	struct told t = { .fd = -1 };
	char id[QID_TEXT];
	uint64_t notice = 0;
	enum err e = msg_bounce_get(buf_str(&j->frame), &t.what);

	if (e != OK) {
		log_warn("malformed job from qmgr: %s", err_why());
		return;
	}
	e = tell(&t, &notice);
	if (e != OK)
		log_warn("%s: no notice to <%.*s> yet: %s", qid_text(t.what.id, id),
		    STR_ARG(t.what.sender), err_why());
	answer(j, &t.what, notice, e);
}

static void
run(struct service *s)
{
	static const struct channel_spec spec = {
		.role = "bounce", .tag = MSG_BOUNCE_TAG, .capacity = JOBS_AT_ONCE, .run = run_job
	};
	struct tasks own;

	bounce.service = s;
	tasks_init(&own);
	qid_setup((unsigned)s->params.queue_id_node, s->slot);
	if (spool_open(s->params.queue_directory, spool_sync_of(s->params.spool_sync), false,
		&bounce.spool) != OK ||
	    intake_start(s, "bounce", bounce.spool, &own, &bounce.intake) != OK)
		log_fatal("%s", err_why());
	bounce.notices = notices_start(bounce.intake);
	channel_start(s, &spec);
	service_ready();
	service_wait(PHASE_RUN);
	channel_wind_up();
	notify_flush(intake_notify(bounce.intake), time_after(time_now(), 1));
	tasks_stop(&own);
	notices_free(&bounce.notices);
	intake_free(&bounce.intake);
	spool_close(&bounce.spool);
}

int
main(int argc, char **argv)
{
	static const struct service_spec spec = {
		.prog = "bounce",
		.helpers = 4,
		.run = run,
		.promises = "spool-read spool-create tables accounts",
	};

	return service_main(argc, argv, &spec);
}
