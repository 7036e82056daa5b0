/* SPDX-License-Identifier: Apache-2.0 */
/* qmgr - schedules everything; the only one that changes or removes a committed message. */
#include <stdio.h>
#include <sys/random.h>

#include "qmgr/late.h"
#include "util/log.h"

enum { TEST_STEP_MS = 100, IDLE_SECONDS = 10, GRACE_MS = 300, LOCK_SECONDS = 3, LOCK_STEP_MS = 50 };

struct qmgr qmgr;

void
qmgr_event(void)
{
	sched_time(qmgr.sched, sched_now(), wall_now());
}

void
qmgr_kick(void)
{
	qmgr.kicked = true;
	wait_wake(&qmgr.kick);
}

static void
settings(struct sched_settings *s)
{
	const struct params *p = &qmgr.service->params;

	*s = (struct sched_settings){
		.minimal_backoff = p->minimal_backoff_time,
		.maximal_backoff = p->maximal_backoff_time,
		.lifetime = p->maximal_queue_lifetime,
		.bounce_lifetime = p->bounce_queue_lifetime,
		.warning = p->delay_warning_time,
		.confirm_delay = p->confirm_delay_cleared,
		.limits = qmgr_limits,
	};
	if (getrandom(&s->seed, sizeof s->seed, GRND_NONBLOCK) != sizeof s->seed)
		s->seed = (uint64_t)time_now().ns;
}

static void
reload(struct service *s, const struct params *former)
{
	struct sched_settings set;

	(void)s;
	(void)former;
	routes_reload();
	settings(&set);
	qmgr_event();
	sched_reload(qmgr.sched, &set);
	qmgr_kick();
}

/* The scheduler's time of its next timer, as a deadline of ours. */
static struct time
wake_at(struct time next)
{
	struct time now = time_now(), idle = time_after(now, IDLE_SECONDS);
	struct time at =
	    next.ns == INT64_MAX ? idle : (struct time){ now.ns + (next.ns - sched_now().ns) };

	/* A calendar that a test pushes forward is looked at often. */
	return clock_is_settable() ? time_min(at, time_after_ms(now, TEST_STEP_MS))
				   : time_min(at, idle);
}

static void
schedule(void *arg)
{
	(void)arg;
	while (!task_stopping()) {
		struct time next;

		qmgr.kicked = false;
		qmgr_event();
		next = sched_run(qmgr.sched);
		notice_timer(time_now());
		if (!qmgr.kicked && wait_park(&qmgr.kick, wake_at(next)) == E_STOPPED)
			break;
		if (qmgr.kicked)
			task_yield(); /* let the others say what else has happened */
	}
}

static uint64_t
under_way(void)
{
	struct sched_stats st;

	sched_stats(qmgr.sched, &st);
	return st.deliveries;
}

/* Let what is under way end, and be written down, as long as there is time. */
static void
wind_up(void)
{
	sched_pause(qmgr.sched, true);
	scan_stop();
	while (under_way() > 0 && time_before(time_now(), service_deadline()) &&
	       service_phase() != PHASE_RUN)
		if (task_sleep(time_min(service_deadline(), time_after_ms(time_now(), 20))) != OK)
			break;
	disk_wait(time_after_ms(
	    service_deadline().ns == INT64_MAX ? time_now() : service_deadline(), GRACE_MS));
}

/* Delivering is what frees a full disk, so that is no reason not to. */
static void
try_spool(void)
{
	enum err e = spool_self_test(qmgr.spool);

	if (e == E_NOSPACE)
		log_warn("the spool is used without having been tried: %s", err_why());
	else if (e != OK)
		log_fatal("%s", err_why());
}

/* A command that changes the queue while no qmgr is there has it for a moment. */
static enum err
lock_spool(void)
{
	struct time limit = time_after(time_now(), LOCK_SECONDS);
	enum err e = spool_lock(qmgr.spool);

	if (e == E_BUSY)
		log_info("%s; waiting for it", err_why());
	while (e == E_BUSY && time_before(time_now(), limit) &&
	       task_sleep(time_after_ms(time_now(), LOCK_STEP_MS)) == OK)
		e = spool_lock(qmgr.spool);
	return e;
}

static void
run(struct service *s)
{
	struct sched_settings set;

	qmgr.service = s;
	list_init(&qmgr.peers);
	list_init(&qmgr.notices);
	list_init(&qmgr.gone_list);
	tasks_init(&qmgr.tasks);
	wait_init(&qmgr.kick);
	settings(&set);
	qmgr.sched = sched_new(&set, &qmgr_verbs, NULL);
	qmgr_event();
	qid_setup((unsigned)s->params.queue_id_node, s->slot);
	if (spool_open(s->params.queue_directory, spool_sync_of(s->params.spool_sync), false,
		&qmgr.spool) != OK ||
	    lock_spool() != OK)
		log_fatal("%s", err_why());
	try_spool();
	disk_start();
	routes_open();
	routes_start();
	if (task_start(&qmgr.tasks, "schedule", schedule, NULL) == NULL)
		log_starved("no memory for a task");
	late_start();
	scan_start();
	channels_start();
	service_ready();
	service_wait(PHASE_RUN);
	wind_up();
	tasks_stop(&qmgr.tasks);
	disk_wait(time_after_ms(time_now(), GRACE_MS));
	sched_free(&qmgr.sched);
	routes_close();
}

int
main(int argc, char **argv)
{
	static const struct service_spec spec = {
		.prog = "qmgr",
		.helpers = 8,
		.run = run,
		.reload = reload,
		.promises = "spool-change tables accounts",
	};

	return service_main(argc, argv, &spec);
}
