/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "qmgr/qmgr.h"
#include "util/fifo.h"
#include "util/log.h"
#include "util/mem.h"

enum {
	BATCH = 256,
	RETRY_SECONDS = 10,
	GATHER_MS = 5,
	GATHER_MAX = 64,
	TIDY_SECONDS = 10,
	UNDER_WAY_MAX = 1024, /* moves, and removals, at a time */
};

enum work { WORK_RECORD, WORK_CHECK, WORK_MOVE, WORK_REMOVE, WORK_NOTHING, WORK_KINDS };

struct job {
	struct batch_item item;
	enum work work;
	uint64_t id;
	enum spool_dir from, to;
	bool durable;
	struct buf records;
};

/* E_CORRUPT: it was damaged, and is out of the way. */
static enum err
set_aside_if_damaged(struct spool *s, uint64_t id, enum spool_dir d)
{
	struct spool_view v;
	char why[ERR_WHY_MAX], text[QID_TEXT];
	enum err e = spool_read(s, d, id, true, &v);

	spool_view_fini(&v);
	if (e != E_CORRUPT)
		return e;
	snprintf(why, sizeof why, "%s", err_why());
	TRY(spool_move(s, id, d, SPOOL_CORRUPT));
	log_error("%s: damaged, set aside in %s: %s", qid_text(id, text), spool_dir_name(SPOOL_CORRUPT), why);
	return fail(E_CORRUPT, "%s", why);
}

static enum err
work(struct spool *s, struct job *j, enum spool_dir d)
{
	switch (j->work) {
	case WORK_RECORD:
		return spool_append(s, d, j->id, buf_str(&j->records), j->durable);
	case WORK_CHECK:
		return set_aside_if_damaged(s, j->id, d);
	case WORK_MOVE:
		return d == j->to ? OK : spool_move(s, j->id, d, j->to);
	case WORK_REMOVE:
		return spool_remove(s, d, j->id);
	case WORK_NOTHING:
	case WORK_KINDS:
		break;
	}
	return OK;
}

/* R10.6, all with one write. */
static void
note_finished(struct list *items, struct spool *s)
{
	uint64_t ids[BATCH];
	size_t n = 0;

	LIST_EACH (items, j, struct job, item.link)
		if (j->work == WORK_REMOVE && n < BATCH)
			ids[n++] = j->id;
	if (n > 0)
		spool_removing(s, ids, n);
}

/* On a helper thread.  A file may have been moved by what came before it in this lane: then it is
 * looked for.  E_NOENT: it is nowhere, or set aside as damaged, which is not ours to change. */
static void
run(struct list *items, void *spool)
{
	note_finished(items, spool);
	LIST_EACH (items, j, struct job, item.link) {
		enum spool_dir d = j->from;

		j->item.result = work(spool, j, d);
		if (j->item.result == E_NOENT) {
			enum err found = spool_find(spool, j->id, &d);

			if (found != OK)
				j->item.result = found;
			else if (d != SPOOL_CORRUPT)
				j->item.result = work(spool, j, d);
		}
		if (j->item.result != OK)
			snprintf(j->item.why, sizeof j->item.why, "%s", err_why());
	}
}

/* Jobs that the disk has been asked for, by kind. */
static size_t under_way[WORK_KINDS];

static uint64_t failures; /* of jobs, so far */

/* What is finished waits here until it is handed over; only operators wait for it (disk_settle). */
static struct {
	struct fifo ids[SPOOL_DIR_COUNT];
	uint64_t asked[SPOOL_DIR_COUNT], handed[SPOOL_DIR_COUNT]; /* so far */
	size_t n;
	struct wait some, many, gone;
} finished;

/* A job takes memory: a queue that is emptied at one word, or finds a transport gone, is not asked for all at once. */
static bool
has_room(enum work w)
{
	return under_way[w] < UNDER_WAY_MAX;
}

static void hand_over_finished(void);
static void post(struct job *j);

static void
try_later(void *arg)
{
	struct job *j = arg;

	/* While it waits the job counts as busy, and is not lost to a stop: the next start finds
	 * the file. */
	if (task_sleep(time_after(time_now(), RETRY_SECONDS)) == OK) {
		post(j);
		return;
	}
	buf_free(&j->records);
	free(j);
}

/* Its file is nowhere, or was just set aside: nothing can be delivered, nor anything written down.  Only what is just
 * being told to the sender is left alone. */
static void
is_lost(uint64_t id, bool set_aside)
{
	struct message *m = sched_find(qmgr.sched, id);
	char text[QID_TEXT];

	if (m == NULL || sched_in_flight(m) > 0 || (sched_noticing(m) && !set_aside))
		return;
	if (!set_aside)
		log_error("%s: its file has vanished from the queue; it is given up", qid_text(id, text));
	sched_forget(qmgr.sched, m);
}

static void
done(struct batch_item *item)
{
	struct job *j = container_of(item, struct job, item);
	char id[QID_TEXT];
	bool set_aside = j->work == WORK_CHECK && item->result == E_CORRUPT;
	bool failed = item->result != OK && item->result != E_NOENT && !set_aside;

	qid_text(j->id, id);
	under_way[j->work]--;
	if (j->work == WORK_REMOVE && under_way[WORK_REMOVE] == UNDER_WAY_MAX / 2)
		hand_over_finished();
	if (--qmgr.disk_busy == 0)
		wait_wake_all(&qmgr.disk_idle);
	failures += failed;
	if (failed)
		log_warn("%s: %s", id, item->why);
	if (set_aside || (j->work != WORK_REMOVE && item->result == E_NOENT)) {
		is_lost(j->id, set_aside);
	} else if (j->work == WORK_MOVE) {
		qmgr_event();
		sched_moved(qmgr.sched, j->id, failed ? j->from : j->to);
		qmgr_kick();
		if (!failed && j->to == SPOOL_HOLD)
			log_info_as("postsuper", "%s: placed on hold", id);
		if (!failed && j->from == SPOOL_HOLD)
			log_info_as("postsuper", "%s: released from hold", id);
	} else if (j->work == WORK_REMOVE && !failed) {
		gone_end(j->id);
		log_info("%s: removed", id);
	} else if (j->work == WORK_REMOVE) {
		/* What was delivered must not be found again by a sweep, nor stay for ever. */
		if (task_start(&qmgr.tasks, "remove again", try_later, j))
			return;
	}
	if (j->work == WORK_MOVE)
		sched_may_move(qmgr.sched);
	buf_free(&j->records);
	free(j);
}

static void
hand_over(struct job *j)
{
	under_way[j->work]++;
	/* One after the other for one message, and spread for those of one sender. */
	batch_post(qmgr.disk[j->id * UINT64_C(0x9E3779B97F4A7C15) >> 32 & (DISK_LANES - 1)],
	    &j->item, done);
}

static void
post(struct job *j)
{
	qmgr.disk_busy++;
	hand_over(j);
}

static struct job *
job(enum work w, uint64_t id, enum spool_dir d)
{
	struct job *j = mem_new(sizeof *j);

	j->work = w;
	j->id = id;
	j->from = d;
	return j;
}

static void
hand_over_finished(void)
{
	uint64_t id;

	for (size_t d = 0; d < SPOOL_DIR_COUNT; d++)
		while (has_room(WORK_REMOVE) && fifo_pop(&finished.ids[d], &id)) {
			finished.n--;
			finished.handed[d]++;
			hand_over(job(WORK_REMOVE, id, (enum spool_dir)d));
		}
	wait_wake_all(&finished.gone);
}

/* Waking a helper costs more than unlinking a file: what is finished in GATHER_MS goes together.  Where
 * there is no room done() goes on. */
static void
gather(void *arg)
{
	enum err e = OK;

	(void)arg;
	while (e != E_STOPPED) {
		if (finished.n == 0 || !has_room(WORK_REMOVE))
			e = wait_park(&finished.some, TIME_NEVER);
		if (e == OK && finished.n < GATHER_MAX)
			e = wait_park(&finished.many, time_after_ms(time_now(), GATHER_MS));
		hand_over_finished();
		e = e == E_TIMEOUT ? OK : e;
	}
}

static enum err
tidy(void *spool)
{
	spool_tidy(spool);
	return OK;
}

/* A process that died left its redo log behind: R10.3. */
static void
keep_tidy(void *arg)
{
	(void)arg;
	while (task_sleep(time_after(time_now(), TIDY_SECONDS)) == OK)
		if (task_offload(tidy, qmgr.spool) != OK)
			log_warn("%s", err_why());
}

void
disk_record(uint64_t id, enum spool_dir d, struct str records, bool durable)
{
	struct job *j = job(WORK_RECORD, id, d);

	j->durable = durable;
	j->records = BUF(records.n + 1);
	ENSURE(buf_add(&j->records, records));
	post(j);
}

void
disk_check(uint64_t id, enum spool_dir d)
{
	post(job(WORK_CHECK, id, d));
}

/* While the spool is still being read what moved to a directory that is read later would be read twice; and the
 * end of the process does not wait for what the next one finds in either place. */
static bool
may_move(void)
{
	return qmgr.rebuilt && service_phase() == PHASE_RUN && has_room(WORK_MOVE);
}

bool
disk_move(uint64_t id, enum spool_dir from, enum spool_dir to)
{
	struct job *j;

	if (from != SPOOL_HOLD && to != SPOOL_HOLD && !may_move())
		return false;
	j = job(WORK_MOVE, id, from);
	j->to = to;
	post(j);
	return true;
}

void
disk_remove(uint64_t id, enum spool_dir d)
{
	gone_note(id);
	qmgr.disk_busy++;
	fifo_push(&finished.ids[d], id);
	finished.asked[d]++;
	if (finished.n++ == 0)
		wait_wake(&finished.some);
	else if (finished.n == GATHER_MAX)
		wait_wake(&finished.many);
}

void
disk_start(void)
{
	wait_init(&qmgr.disk_idle);
	wait_init(&finished.some);
	wait_init(&finished.many);
	wait_init(&finished.gone);
	if (task_start(&qmgr.tasks, "remove", gather, NULL) == NULL ||
	    task_start(&qmgr.tasks, "tidy", keep_tidy, NULL) == NULL)
		log_starved("no memory for a task");
	for (int i = 0; i < DISK_LANES; i++)
		qmgr.disk[i] = batch_new(run, qmgr.spool, 1, BATCH);
}

void
disk_wait(struct time deadline)
{
	hand_over_finished();
	while (qmgr.disk_busy > 0)
		if (wait_park(&qmgr.disk_idle, deadline) != OK)
			return;
}

/* All that a lane was asked for before is done when it has done nothing. */
static WAITS enum err
pass_lanes(void)
{
	for (int i = 0; i < DISK_LANES; i++) {
		struct job nothing = { .work = WORK_NOTHING };

		TRY(task_batch(qmgr.disk[i], &nothing.item));
	}
	return OK;
}

enum err
disk_settle(void)
{
	uint64_t before = failures, asked[SPOOL_DIR_COUNT];

	memcpy(asked, finished.asked, sizeof asked);
	for (size_t d = 0; d < SPOOL_DIR_COUNT; d++)
		while (finished.handed[d] < asked[d]) {
			hand_over_finished();
			if (finished.handed[d] < asked[d])
				TRY(wait_park(&finished.gone, TIME_NEVER));
		}
	TRY(pass_lanes());
	/* What was just being moved is moved on after that. */
	TRY(pass_lanes());
	return failures == before ? OK : fail(E_IO, "not all could be written to the disk: see the log");
}

void
disk_stop(void)
{
	for (int i = 0; i < DISK_LANES; i++)
		batch_free(&qmgr.disk[i]);
}
