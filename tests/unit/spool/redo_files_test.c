/* SPDX-License-Identifier: Apache-2.0 */
/* The same: when there is one, and its files. */
#include "tests/unit/spool/redo_fixture.h"

static void
r10_7_a_quiet_spool_keeps_no_log(void)
{
	struct spool *s = spool_up(SYNC_AUTO);
	struct spool_msg m;

	for (int i = 0; i < REDO_BUSY - 1; i++)
		CHECK(put(s, SIZE, &m) == OK);
	CHECK(logs_in(s) == 0);
	spool_down(&s);
}

static off_t
size_of_log(const struct spool *s)
{
	struct stat st = { 0 };

	for (int i = 0; i < LANES; i++)
		if (s->lanes[i].redo.log[0].fd >= 0)
			CHECK(fstat(s->lanes[i].redo.log[0].fd, &st) == 0);
	return st.st_size;
}

/* Each time it grows the file system's journal is committed. */
static void
r10_8_the_log_grows_rarely(void)
{
	enum { CROWDS = 30 };                          /* 1.2 MB */
	struct spool *s = spool_up(SYNC_AUTO);
	off_t last = 0;
	unsigned grew = 0;

	for (int i = 0; i < CROWDS; i++) {
		struct crowd c = crowd(s);
		off_t size = size_of_log(s);

		CHECK(c.result[0] == OK && was_logged(s));
		grew += size != last;
		last = size;
	}
	CHECK(grew >= 1 && grew <= 2 && last > REDO_STEP);
	spool_down(&s);
}

/* On a full disk the record itself may still find room. */
static void
r10_8_a_log_that_cannot_grow_ahead_is_written_to_all_the_same(void)
{
	struct spool *s = spool_up(SYNC_AUTO);
	struct crowd c;

	faults("unit:pwrite:2+:ENOSPC");
	c = crowd(s);
	faults(NULL);
	CHECK(c.result[0] == OK && was_logged(s) && size_of_log(s) < REDO_STEP);
	spool_down(&s);
}

static struct redo *
redo_in_use(struct spool *s)
{
	for (int i = 0; i < LANES; i++)
		if (redo_is_dirty(&s->lanes[i].redo))
			return &s->lanes[i].redo;
	return NULL;
}

/* Its checkpoint waits for the disk, with its lock held: mail goes to the other one.  Both stand for what they hold. */
static void
r10_9_a_checkpoint_holds_nobody_up(void)
{
	struct spool *s = spool_up(SYNC_AUTO);
	struct crowd c[2] = { crowd(s) };
	struct redo *r = redo_in_use(s);

	pthread_mutex_lock(&r->log[0].lock);
	r->turn = 1;
	c[1] = crowd(s);
	CHECK(r->log[0].dirty && r->log[1].dirty && logs_in(s) == 2);
	pthread_mutex_unlock(&r->log[0].lock);
	crash(&s);
	for (size_t i = 0; i < 2 * CROWD; i++)
		lose(c[i / CROWD].m[i % CROWD].id, SPOOL_INCOMING, (enum loss)(i % LOSSES));
	CHECK(spool_lock(s) == OK);
	for (size_t i = 0; i < 2 * CROWD; i++)
		CHECK(is_whole(s, SPOOL_INCOMING, c[i / CROWD].m[i % CROWD].id, SIZE));
	CHECK(logs_in(s) == 0);
	spool_down(&s);
}

static void
r10_9_the_files_take_turns(void)
{
	enum { LARGE = 100000 };                       /* three crowds make half of REDO_FILE_MAX */
	struct spool *s = spool_up(SYNC_AUTO);
	struct crowd c = crowd_of(s, LARGE);
	struct redo *r = redo_in_use(s);
	unsigned was = r->turn;

	redo_checkpoint(s, r);
	CHECK(r->turn != was && !redo_is_dirty(r) && c.result[0] == OK);
	was = r->turn;
	for (int i = 0; i < 3; i++)
		c = crowd_of(s, LARGE);
	CHECK(r->turn != was && r->log[was].dirty && c.result[0] == OK);
	redo_checkpoint(s, r);
	CHECK(!redo_is_dirty(r));
	spool_down(&s);
}

SUITE(redo_files, TASK_TEST(r10_7_a_quiet_spool_keeps_no_log), TASK_TEST(r10_8_the_log_grows_rarely),
    TASK_TEST(r10_8_a_log_that_cannot_grow_ahead_is_written_to_all_the_same), TASK_TEST(r10_9_a_checkpoint_holds_nobody_up),
    TASK_TEST(r10_9_the_files_take_turns));
