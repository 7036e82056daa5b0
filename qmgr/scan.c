/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the spool: all of it at the start, while mail is already taken and delivered, and from
 * time to time what nobody told us of (docs/SPOOL.md, rule 7). */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "qmgr/late.h"
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
	bool all; /* nothing more comes */
	bool unread; /* something could not be read: the next sweep looks in all directories */
	int fd;   /* eventfd: something is there, or that was all */
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
			task_raise(found.fd);
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
static WAITS size_t
enter_some(void)
{
	struct spool_view *some = mem_array(EACH_TURN, sizeof *some); /* too much for a task's stack */
	size_t n, left;

	pthread_mutex_lock(&found.lock);
	n = found.n < EACH_TURN ? found.n : EACH_TURN;
	memcpy(some, found.v + found.n - n, n * sizeof *some);
	found.n -= n;
	left = found.n;
	pthread_cond_broadcast(&found.room);
	pthread_mutex_unlock(&found.lock);
	for (size_t i = 0; i < n; i++) {
		enter_view(&some[i]);
		spool_view_fini(&some[i]);
	}
	free(some);
	wait_wake_all(&qmgr.more_read);
	return left;
}

static bool
found_all(void)
{
	bool all;

	pthread_mutex_lock(&found.lock);
	all = found.all && found.n == 0;
	pthread_mutex_unlock(&found.lock);
	return all;
}

static struct tasks entering;

static void
enter_found(void *arg)
{
	(void)arg;
	while (!task_stopping() && !found_all()) {
		uint64_t n;

		if (task_listen_fd(found.fd) != OK)
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

/* Have a helper read, while what it finds is entered.  WAITS. */
static void
read_with(enum err (*read_some)(void *arg), void *arg)
{
	enum err e;

	tasks_init(&entering);
	found.v = mem_array(QUEUED_MAX, sizeof *found.v);
	found.all = false;
	qmgr.readers++;
	if (task_start(&entering, "enter", enter_found, NULL) == NULL)
		log_starved("no memory for a task");
	memset(found.stats, 0, sizeof found.stats);
	e = task_offload(read_some, arg);
	if (e != OK)
		log_error("reading the queue: %s", err_why());
	for (size_t i = 0; i < countof(dirs); i++)
		found.unread |= e != OK || found.stats[i].errors > 0;
	pthread_mutex_lock(&found.lock);
	found.all = true;
	task_raise(found.fd);
	pthread_mutex_unlock(&found.lock);
	/* It may be waiting for a table, with messages that nobody else has; no matter at the end of the process. */
	if (task_stopping())
		tasks_stop(&entering);
	else
		tasks_wait(&entering);
	mem_free(&found.v);
	qmgr.readers--;
	gone_clear();
}

/* -- the sweep: files in incoming that nobody told us of, and anywhere those that could not be read before -- */
struct sweep {
	enum spool_dir dir;
	uint64_t *ids; /* rising */
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
	const struct sweep *s = arg;

	return spool_ids(qmgr.spool, s->dir, collect, arg);
}

static bool
not_wanted(void *arg, uint64_t id)
{
	const struct sweep *s = arg;
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->ids[mid] < id)
			low = mid + 1;
		else
			high = mid;
	}
	return low == s->n || s->ids[low] != id;
}

/* Damaged and unfinished files are dealt with on the way. */
static enum err
read_wanted(void *arg)
{
	const struct sweep *s = arg;
	struct spool_scan how = {
		.fn = take, .known = not_wanted, .arg = arg, .threads = 1, .debris_age = DEBRIS_AGE
	};

	return spool_scan(qmgr.spool, s->dir, &how, &found.stats[0]);
}

/* Younger ones may have a notice under way. */
static bool
old_enough(uint64_t id)
{
	int64_t ms = (int64_t)(id >> 22);

	return wall_now().us / 1000 - ms > SWEEP_AGE_SECONDS * 1000 || ms > wall_now().us / 1000;
}

static void
sweep_one(enum spool_dir dir)
{
	struct sweep s = { .dir = dir };
	size_t wanted = 0;

	qmgr.readers++; /* what is removed from here on is remembered */
	if (task_offload(list_ids, &s) != OK) {
		log_warn("sweep: %s", err_why());
		found.unread = true;
	}
	for (size_t i = 0; i < s.n; i++)
		if (!sched_find(qmgr.sched, s.ids[i]) && !gone_recently(s.ids[i]) &&
		    old_enough(s.ids[i]))
			s.ids[wanted++] = s.ids[i];
	s.n = wanted;
	if (wanted > 0 && !task_stopping()) {
		read_with(read_wanted, &s);
		if (found.stats[0].messages > 0)
			log_info("sweep: %llu messages that %s", (unsigned long long)found.stats[0].messages,
			    dir == SPOOL_INCOMING ? "no notice came for" : "could not be read before");
	}
	qmgr.readers--;
	gone_clear();
	free(s.ids);
}

static void
sweep_once(void)
{
	bool unread = found.unread;

	found.unread = false;
	for (size_t i = 0; i < countof(dirs); i++)
		if (unread || dirs[i] == SPOOL_INCOMING)
			sweep_one(dirs[i]);
}

/* Those for which there was no room can be anywhere. */
static void
fetch_overflow(void)
{
	struct sched_stats st;

	sched_stats(qmgr.sched, &st);
	/* Whoever loaded files died before he could say which. */
	if (!time_before(time_now(), qmgr.loaded_by)) {
		qmgr.loaded_by = TIME_NEVER;
		qmgr.overflow = true;
	}
	if (!qmgr.overflow ||
	    (long long)st.messages > qmgr.service->params.qmgr_message_active_limit * 9 / 10)
		return;
	qmgr.overflow = false;
	read_with(read_all, NULL);
	if (!qmgr.overflow)
		late_all_known();
}

static void
read_spool(void *arg)
{
	(void)arg;
	read_with(read_all, NULL);
	report();
	qmgr.rebuilt = true;
	sched_may_move(qmgr.sched);
	if (!qmgr.overflow)
		late_all_known();
	wait_wake_all(&qmgr.more_read);
	qmgr.next_sweep = time_after(time_now(), FIRST_SWEEP_SECONDS);
	while (!task_stopping()) {
		struct time next = time_min(qmgr.next_sweep, qmgr.loaded_by);

		if (wait_park(&qmgr.sweep, next) == E_STOPPED)
			break;
		if (time_before(time_now(), time_min(qmgr.next_sweep, qmgr.loaded_by)))
			continue;
		sweep_once();
		fetch_overflow();
		qmgr.next_sweep = time_after(time_now(), qmgr.service->params.queue_run_delay);
	}
}

void
scan_stop(void)
{
	pthread_mutex_lock(&found.lock);
	found.stop = true;
	pthread_cond_broadcast(&found.room);
	pthread_mutex_unlock(&found.lock);
}

void
scan_start(void)
{
	if ((found.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0 || task_fd_add(found.fd) != OK)
		log_starved("eventfd: %s", strerror(errno));
	wait_init(&qmgr.sweep);
	qmgr.loaded_by = TIME_NEVER;
	wait_init(&qmgr.more_read);
	if (task_start(&qmgr.tasks, "read spool", read_spool, NULL) == NULL)
		log_starved("no memory for a task");
}
