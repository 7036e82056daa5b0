/* SPDX-License-Identifier: Apache-2.0 */
/* bounce - tells senders what could not be delivered.  It asks qmgr for work over one channel, does
 * each job in a task of its own, and answers only when the notice is durable; what it does not
 * answer, qmgr asks again. */
#include <stdio.h>

#include "bounce/notice.h"
#include "mail/service.h"
#include "util/ipc.h"
#include "util/log.h"
#include "util/net.h"

enum { JOBS_AT_ONCE = 64, FRAME_MAX = 16 << 20, RECONNECT_MS = 500, HELLO_SECONDS = 10 };

static struct {
	struct service *service;
	struct spool *spool;
	struct ipc *qmgr; /* NULL while there is none */
	uint64_t channel; /* counts channels, so that no job answers on another one */
	struct tasks jobs;
} bounce;

struct job {
	uint64_t channel;
	struct buf frame; /* owns what the message borrows */
};

static void
answer(const struct msg_bounce *b, const struct msg_entered *entered, enum err e)
{
	struct msg_bounced done = { .job = b->job,
		.err = e,
		.why = e == OK ? STR("") : str_of(err_why()),
		.notice = entered->id };
	struct buf *out;

	if (e == OK && (out = ipc_begin(bounce.qmgr, MSG_ENTERED_TAG)) != NULL) {
		msg_entered_put(out, entered);
		ipc_end(bounce.qmgr);
	}
	if ((out = ipc_begin(bounce.qmgr, MSG_BOUNCED_TAG)) != NULL) {
		msg_bounced_put(out, &done);
		ipc_end(bounce.qmgr);
	}
}

static void
run_job(void *arg)
{
	struct job *j = arg;
	struct msg_bounce b;
	struct msg_entered entered = { 0 };
	struct buf rcpts = BUF(0);
	char id[QID_TEXT], notice[QID_TEXT];
	enum err e = msg_bounce_get(buf_str(&j->frame), &b);

	if (e == OK) {
		qid_text(b.id, id);
		e = notice_enter(&bounce.service->params, bounce.spool, &b, &entered, &rcpts);
		if (e == OK)
			log_info("%s: sender non-delivery notification: %s", id,
			    qid_text(entered.id, notice));
		else
			log_warn(
			    "%s: no notice to <%.*s> yet: %s", id, STR_ARG(b.sender), err_why());
		if (bounce.qmgr && bounce.channel == j->channel)
			answer(&b, &entered, e);
	} else {
		log_warn("malformed job from qmgr: %s", err_why());
	}
	buf_free(&rcpts);
	buf_free(&j->frame);
	free(j);
}

/* Serve one channel until it ends. */
static void
serve(struct ipc *c)
{
	struct msg_hello mine = { .role = STR("bounce"),
		.name = STR("bounce"),
		.capacity = JOBS_AT_ONCE },
			 peer;
	struct str body;
	uint16_t tag;
	enum err e = msg_hello_exchange(c, &mine, &peer);

	if (e != OK) {
		if (e != E_EOF && e != E_STOPPED)
			log_warn("qmgr: %s", err_why());
		return;
	}
	bounce.qmgr = c;
	bounce.channel++;
	while (ipc_recv(c, &tag, &body, TIME_NEVER) == OK) {
		struct job *j;

		if (tag != MSG_BOUNCE_TAG) {
			log_warn("qmgr sent %s, which is not for me", msg_name(tag));
			break;
		}
		j = mem_new(sizeof *j);
		*j = (struct job){ .channel = bounce.channel, .frame = BUF(FRAME_MAX) };
		if (!buf_add(&j->frame, body) ||
		    task_start(&bounce.jobs, "job", run_job, j) == NULL) {
			buf_free(&j->frame);
			free(j);
			break; /* the channel closes, and qmgr asks again */
		}
	}
	bounce.qmgr = NULL;
}

static void
keep_channel(void *arg)
{
	char path[108];
	int fd;

	(void)arg;
	while (!task_stopping()) {
		struct time limit = time_after(time_now(), HELLO_SECONDS);

		if (net_connect_unix(
			service_path(&bounce.service->params, "qmgr", path), limit, &fd) == OK) {
			struct ipc *c;

			if (task_fd_add(fd) != OK)
				return;
			c = ipc_new(fd, FRAME_MAX, 0);
			serve(c);
			ipc_free(&c);
		}
		if (task_sleep(time_after_ms(time_now(), RECONNECT_MS)) != OK)
			return;
	}
}

static void
run(struct service *s)
{
	struct tasks channel;

	bounce.service = s;
	tasks_init(&bounce.jobs);
	tasks_init(&channel);
	qid_setup((unsigned)s->params.queue_id_node, s->slot);
	if (spool_open(s->params.queue_directory, spool_sync_of(s->params.spool_sync), false,
		&bounce.spool) != OK)
		log_fatal("%s", err_why());
	task_start(&channel, "qmgr channel", keep_channel, NULL);
	service_ready();
	service_wait(PHASE_RUN);
	tasks_wait(&bounce.jobs);
	if (bounce.qmgr && ipc_flush(bounce.qmgr, time_after(time_now(), 1)) != OK)
		log_warn("qmgr did not take the last answers: %s", err_why());
	tasks_stop(&channel);
	spool_close(&bounce.spool);
}

int
main(int argc, char **argv)
{
	static const struct service_spec spec = {
		.prog = "bounce",
		.helpers = 4,
		.run = run,
		.promises = "reads message files, makes new ones; talks to qmgr",
	};

	return service_main(argc, argv, &spec);
}
