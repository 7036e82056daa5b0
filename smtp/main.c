/* SPDX-License-Identifier: Apache-2.0 */
/* smtp - the client.  One channel to qmgr; each DELIVER is a task of its own; results go back over the same channel. */
#include <stdio.h>

#include "mail/dns.h"
#include "smtp/delivery.h"
#include "smtp/own.h"
#include "util/ipc.h"
#include "util/log.h"
#include "util/net.h"

enum { FRAME_MAX = 16 << 20, RECONNECT_MS = 200, HELLO_SECONDS = 10, RETIRE_SECONDS = 5, STEP_MS = 20 };

static struct {
	struct service *service;
	struct spool   *spool;
	struct ipc     *qmgr;                          /* NULL while there is none */
	uint64_t channel; /* counts channels: a result goes to the one that asked, or nowhere */
	struct tasks    deliveries;
	struct wait     retired;                       /* qmgr will send no more, or is gone */
	bool            retiring;
	size_t          busy;
} smtp;

struct job { uint64_t channel; struct delivery d; };

static void
report(struct job *j)
{
	struct buf *out;
	char id[QID_TEXT];

	if (smtp.qmgr && smtp.channel == j->channel && (out = ipc_begin(smtp.qmgr, MSG_DONE_TAG)) != NULL) {
		delivery_report(&j->d, out);
		ipc_end(smtp.qmgr);
	} else {
		log_warn(
		    "%s: qmgr is gone and will not know of this delivery; it may be made again",
		    qid_text(j->d.m.id, id));
	}
}

static void
count(int change)
{
	struct board_slot *b = &smtp.service->board->slot[smtp.service->slot];

	smtp.busy += (size_t)change;
	b->sessions = (uint32_t)smtp.busy;
	b->served += change > 0;
}

static void
run_job(void *arg)
{
	struct job *j = arg;

	count(1);
	delivery_run(&j->d);
	report(j);
	count(-1);
	delivery_fini(&j->d);
	free(j);
}

static bool
begin(struct str body)
{
	struct job *j = mem_new(sizeof *j);

	j->channel = smtp.channel;
	if (delivery_init(&j->d, &smtp.service->params, smtp.spool, body) == OK &&
	    task_start(&smtp.deliveries, "delivery", run_job, j))
		return true;
	log_warn("cannot begin a delivery: %s", err_why());
	delivery_fini(&j->d);
	free(j);
	return false;
}

/* Ask for no more work. */
static void
retire(struct ipc *c)
{
	struct msg_retire r = { 0 };
	struct buf *out = ipc_begin(c, MSG_RETIRE_TAG);

	if (out) {
		msg_retire_put(out, &r);
		ipc_end(c);
	}
}

/* Serve one channel until it ends. */
static WAITS void
serve(struct ipc *c)
{
	struct msg_hello mine = { .schema = msg_schema(), .role = STR("smtp"), .name = str_of(smtp.service->name),
		.capacity = (uint32_t)smtp.service->params.smtp_client_limit }, peer;
	struct str body;
	uint16_t tag;
	enum err e = msg_hello_exchange(c, &mine, &peer);

	if (e != OK) {
		if (e != E_EOF && e != E_STOPPED)
			log_warn("qmgr: %s", err_why());
		return;
	}
	smtp.qmgr = c;
	smtp.channel++;
	if (smtp.retiring)
		retire(c);
	while (ipc_recv(c, &tag, &body, TIME_NEVER) == OK) {
		if (tag == MSG_RETIRE_TAG) {
			wait_wake_all(&smtp.retired);
		} else if (tag != MSG_DELIVER_TAG || !begin(body)) {
			log_warn("qmgr: unexpected %s", msg_name(tag));
			break;                         /* the channel closes, and qmgr tries again */
		}
	}
	smtp.qmgr = NULL;
	wait_wake_all(&smtp.retired);
}

static void
keep_channel(void *arg)
{
	char path[108];
	int fd;

	(void)arg;
	while (!task_stopping()) {
		if (net_connect_unix(service_path(&smtp.service->params, "qmgr", path),
			time_after(time_now(), HELLO_SECONDS), &fd) == OK) {
			struct ipc *c = ipc_new(fd, FRAME_MAX, 0);

			serve(c);
			ipc_free(&c);
		}
		if (task_sleep(time_after_ms(time_now(), RECONNECT_MS)) != OK)
			return;
	}
}

/* What is under way is finished, in a hurry only until the deadline; what qmgr still sends before
 * it knows is done as well. */
static WAITS void
wind_up(void)
{
	smtp.retiring = true;
	if (smtp.qmgr) {
		retire(smtp.qmgr);
		(void)!wait_park(&smtp.retired, time_after(time_now(), RETIRE_SECONDS));
	}
	while (!tasks_empty(&smtp.deliveries) && time_before(time_now(), service_deadline()))
		if (task_sleep(time_after_ms(time_now(), STEP_MS)) != OK)
			break;
	tasks_stop(&smtp.deliveries);
}

static void
run(struct service *s)
{
	struct tasks channel;

	smtp.service = s;
	tasks_init(&smtp.deliveries);
	tasks_init(&channel);
	wait_init(&smtp.retired);
	dns_setup(&s->params);
	own_setup(&s->params, s->config_dir);
	if (spool_open(s->params.queue_directory, spool_sync_of(s->params.spool_sync), true, &smtp.spool) != OK)
		log_fatal("%s", err_why());
	conn_cache_init(&s->params, &channel);
	if (task_start(&channel, "qmgr channel", keep_channel, NULL) == NULL)
		log_fatal("no memory for a task");
	service_ready();
	service_wait(PHASE_RUN);
	wind_up();
	if (smtp.qmgr && ipc_flush(smtp.qmgr, time_after(time_now(), 1)) != OK)
		log_warn("qmgr did not take the last results: %s", err_why());
	tasks_stop(&channel);
	conn_cache_flush();
	spool_close(&smtp.spool);
}

int
main(int argc, char **argv)
{
	static const struct service_spec spec = {
		.prog = "smtp", .helpers = 4, .run = run,
		.promises = "connects to mail servers, reads message files; talks to qmgr and resolver",
	};

	return service_main(argc, argv, &spec);
}
