/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the spool: all of it at the start, while mail is already taken and delivered, and from
 * time to time what nobody told us of (docs/SPOOL.md, rule 7). */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "qmgr/qmgr.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/proc.h"

enum {
	THREADS = 2,
	QUEUED_MAX = 4096,
	EACH_TURN = 256,
	SWEEP_AGE_SECONDS = 5,
	DEBRIS_AGE = 60,
	FIRST_SWEEP_SECONDS = 10
};

/* What helper threads read waits here for the logic thread; at most QUEUED_MAX, then they wait. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t room;
	struct spool_view *v;
	size_t n;
	bool stop;
	int fd; /* eventfd: something is there */
	struct spool_scan_stats stats[3];
} found = { .lock = PTHREAD_MUTEX_INITIALIZER, .room = PTHREAD_COND_INITIALIZER, .fd = -1 };

static const enum spool_dir dirs[3] = { SPOOL_INCOMING, SPOOL_DEFERRED, SPOOL_HOLD };

static bool
take(void *arg, struct spool_view *v)
{
	bool go_on;

	(void)arg;
	pthread_mutex_lock(&found.lock);
	while (found.n == QUEUED_MAX && !found.stop)
		pthread_cond_wait(&found.room, &found.lock);
	go_on = !found.stop;
	if (go_on) {
		found.v[found.n++] = *v;
		v->memory = NULL; /* ours now */
		if (found.n == 1)
			(void)!write(found.fd, &(uint64_t){ 1 }, 8);
	}
	pthread_mutex_unlock(&found.lock);
	return go_on;
}

static enum err
read_all(void *arg)
{
	struct spool_scan how = { .fn = take, .threads = THREADS, .debris_age = DEBRIS_AGE };

	(void)arg;
	for (size_t i = 0; i < countof(dirs); i++)
		TRY(spool_scan(qmgr.spool, dirs[i], &how, &found.stats[i]));
	return OK;
}

/* Enter what was found, some each turn, so that new mail does not wait for old. */
static size_t
enter_some(void)
{
	struct spool_view some[EACH_TURN];
	size_t n, left;

	pthread_mutex_lock(&found.lock);
	n = found.n < EACH_TURN ? found.n : EACH_TURN;
	memcpy(some, found.v + found.n - n, n * sizeof *some);
	found.n -= n;
	left = found.n;
	pthread_cond_broadcast(&found.room);
	pthread_mutex_unlock(&found.lock);
	if (n == 0)
		return 0;
	qmgr_event();
	for (size_t i = 0; i < n; i++) {
		enter_view(&some[i]);
		spool_view_fini(&some[i]);
	}
	qmgr_kick();
	return left;
}

static struct tasks entering;

static void
enter_found(void *arg)
{
	(void)arg;
	while (!task_stopping()) {
		uint64_t n;

		if (task_wait_fd(found.fd, FD_READ, TIME_NEVER) != OK)
			break;
		(void)!read(found.fd, &n, sizeof n);
		while (enter_some() > 0)
			task_yield();
	}
}

static void
report(void)
{
	struct spool_scan_stats sum = { 0 };

	for (size_t i = 0; i < countof(dirs); i++) {
		sum.messages += found.stats[i].messages;
		sum.corrupt += found.stats[i].corrupt;
		sum.debris += found.stats[i].debris;
		sum.errors += found.stats[i].errors;
	}
	if (sum.messages + sum.corrupt + sum.debris + sum.errors > 0)
		log_info("queue rebuilt: %llu messages, %llu set aside in corrupt, %llu unfinished "
			 "files removed, %llu errors",
		    (unsigned long long)sum.messages, (unsigned long long)sum.corrupt,
		    (unsigned long long)sum.debris, (unsigned long long)sum.errors);
}

static void
rebuild(void)
{
	enum err e = task_offload(read_all, NULL);

	while (enter_some() > 0)
		task_yield();
	if (e != OK)
		log_error("reading the queue: %s", err_why());
	report();
}

/* -- the sweep: ids in incoming that nobody told us of -- */
struct sweep {
	uint64_t *ids;
	size_t n, cap;
};

static void
collect(void *arg, uint64_t id)
{
	struct sweep *s = arg;

	if (s->n == s->cap) {
		s->cap = s->cap ? 2 * s->cap : 1024;
		s->ids = mem_grow(s->ids, s->cap * sizeof *s->ids);
	}
	s->ids[s->n++] = id;
}

static enum err
list_ids(void *arg)
{
	return spool_ids(qmgr.spool, SPOOL_INCOMING, collect, arg);
}

struct one {
	uint64_t id;
	struct spool_view v;
};

static enum err
read_one(void *arg)
{
	struct one *o = arg;

	return spool_read(qmgr.spool, SPOOL_INCOMING, o->id, false, &o->v);
}

/* Younger ones may have a notice under way. */
static bool
old_enough(uint64_t id)
{
	int64_t ms = (int64_t)(id >> 22);

	return wall_now().us / 1000 - ms > SWEEP_AGE_SECONDS * 1000 || ms > wall_now().us / 1000;
}

static void
sweep_once(void)
{
	struct sweep s = { 0 };
	size_t entered = 0;

	if (task_offload(list_ids, &s) != OK)
		log_warn("sweep: %s", err_why());
	for (size_t i = 0; i < s.n && !task_stopping(); i++) {
		struct one o = { .id = s.ids[i] };

		if (sched_find(qmgr.sched, o.id) || gone_recently(o.id) || !old_enough(o.id))
			continue;
		if (task_offload(read_one, &o) != OK)
			continue;
		qmgr_event();
		enter_view(&o.v);
		qmgr_kick();
		spool_view_fini(&o.v);
		entered++;
	}
	if (entered > 0)
		log_info("sweep: %zu messages that no notice came for", entered);
	free(s.ids);
}

static void
read_spool(void *arg)
{
	(void)arg;
	tasks_init(&entering);
	if (task_start(&entering, "enter", enter_found, NULL) == NULL)
		log_fatal("no memory for a task");
	qmgr.readers++;
	rebuild();
	qmgr.readers--;
	qmgr.rebuilt = true;
	wait_wake_all(&qmgr.rebuild_done);
	gone_clear();
	tasks_stop(&entering);
	mem_free(&found.v);
	qmgr.next_sweep = time_after(time_now(), FIRST_SWEEP_SECONDS);
	while (!task_stopping()) {
		if (wait_park(&qmgr.sweep, qmgr.next_sweep) == E_STOPPED)
			break;
		if (time_before(time_now(), qmgr.next_sweep))
			continue;
		qmgr.readers++;
		sweep_once();
		qmgr.readers--;
		gone_clear();
		qmgr.next_sweep = time_after(time_now(), qmgr.service->params.queue_run_delay);
	}
}

void
scan_start(void)
{
	found.v = mem_array(QUEUED_MAX, sizeof *found.v);
	if ((found.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0 || task_fd_add(found.fd) != OK)
		log_fatal("eventfd");
	wait_init(&qmgr.sweep);
	wait_init(&qmgr.rebuild_done);
	if (task_start(&qmgr.tasks, "read spool", read_spool, NULL) == NULL)
		log_fatal("no memory for a task");
}
