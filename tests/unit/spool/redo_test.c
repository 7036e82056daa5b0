/* SPDX-License-Identifier: Apache-2.0 */
/* Rules 10 of docs/SPOOL.md: the redo log, and what it is there for. */
#include "tests/unit/spool/redo_fixture.h"

static void
r10_1_what_was_acknowledged_is_put_back_whatever_a_crash_made_of_it(void)
{
	struct spool *s = spool_up(SYNC_AUTO);
	struct crowd c = crowd(s);

	CHECK(was_logged(s));
	crash(&s);
	for (size_t i = 0; i < CROWD; i++)
		lose(c.m[i].id, SPOOL_INCOMING, (enum loss)(i % LOSSES));
	CHECK(spool_lock(s) == OK);
	for (size_t i = 0; i < CROWD; i++)
		CHECK(c.result[i] == OK && is_whole(s, SPOOL_INCOMING, c.m[i].id, SIZE));
	CHECK(scan_all(s, SPOOL_INCOMING, 0).messages == CROWD && logs_in(s) == 0);
	spool_down(&s);
}

static void
r10_1_it_is_put_back_where_it_was_moved_to(void)
{
	static const enum spool_dir places[] = { SPOOL_DEFERRED, SPOOL_HOLD };
	struct spool *s = spool_up(SYNC_AUTO);
	struct crowd c = crowd(s);

	for (size_t i = 0; i < countof(places); i++)
		CHECK(spool_move(s, c.m[i].id, SPOOL_INCOMING, places[i]) == OK);
	crash(&s);
	for (size_t i = 0; i < countof(places); i++)
		lose(c.m[i].id, places[i], ALL_BYTES);
	CHECK(spool_lock(s) == OK);
	for (size_t i = 0; i < countof(places); i++)
		CHECK(is_whole(s, places[i], c.m[i].id, SIZE));
	CHECK(scan_all(s, SPOOL_INCOMING, 0).messages == CROWD - countof(places));
	spool_down(&s);
}

static void
r10_1_what_root_puts_back_belongs_to_the_owner_of_the_spool(void)
{
	enum { NOBODY = 65534 };
	struct spool *s = spool_up(SYNC_AUTO);
	struct crowd c = crowd(s);
	char path[128], below[SPOOL_PATH];
	struct stat st;

	snprintf(path, sizeof path, "%s/incoming", scratch);
	if (geteuid() == 0)
		CHECK(chown(path, NOBODY, NOBODY) == 0);
	crash(&s);
	lose(c.m[0].id, SPOOL_INCOMING, NAME);
	CHECK(spool_lock(s) == OK && is_whole(s, SPOOL_INCOMING, c.m[0].id, SIZE));
	snprintf(path, sizeof path, "%s/%s", scratch, spool_path(SPOOL_INCOMING, c.m[0].id, below));
	CHECK(stat(path, &st) == 0 && st.st_uid == (geteuid() == 0 ? NOBODY : geteuid()));
	spool_down(&s);
}

static void
r10_2_after_a_checkpoint_the_log_stands_for_nothing(void)
{
	struct spool *s = spool_up(SYNC_AUTO);
	struct crowd before = crowd(s), after;

	for (int i = 0; i < 2 * LANES; i++)            /* twice: to the same file again */
		redo_checkpoint(s, &s->lanes[i / 2].redo);
	CHECK(!was_logged(s));
	after = (struct crowd){ .s = s, .size = SIZE };
	for (int i = 0; i < 5; i++)                    /* fewer: records of before stand behind them */
		commit_one(&after);
	CHECK(was_logged(s));
	crash(&s);
	for (size_t i = 0; i < CROWD; i++)
		lose(before.m[i].id, SPOOL_INCOMING, NAME);
	for (size_t i = 0; i < 5; i++)
		lose(after.m[i].id, SPOOL_INCOMING, NAME);
	CHECK(spool_lock(s) == OK);
	CHECK(files_in(s, SPOOL_INCOMING) == 5);
	for (size_t i = 0; i < 5; i++)
		CHECK(is_whole(s, SPOOL_INCOMING, after.m[i].id, SIZE));
	spool_down(&s);
}

static void
r10_2_nor_when_nothing_came_after_it(void)
{
	struct spool *s = spool_up(SYNC_AUTO);
	struct crowd c = crowd(s);

	for (int i = 0; i < LANES; i++)
		redo_checkpoint(s, &s->lanes[i].redo);
	crash(&s);
	for (size_t i = 0; i < CROWD; i++)
		lose(c.m[i].id, SPOOL_INCOMING, NAME);
	CHECK(spool_lock(s) == OK);
	CHECK(files_in(s, SPOOL_INCOMING) == 0);
	spool_down(&s);
}

static void
r10_2_the_end_of_the_process_is_a_checkpoint(void)
{
	struct spool *s = spool_up(SYNC_AUTO);

	crowd(s);
	CHECK(logs_in(s) == 1);
	spool_close(&s);
	CHECK(logs_in(s) == 0);
	s = open_again(SYNC_AUTO);
	CHECK(scan_all(s, SPOOL_INCOMING, 0).messages == CROWD);
	spool_down(&s);
}

static void
r10_3_a_log_whose_writer_lives_is_left_alone(void)
{
	struct spool *s = spool_up(SYNC_AUTO);

	crowd(s);
	CHECK(spool_lock(s) == OK && logs_in(s) == 1);
	spool_tidy(s);
	CHECK(logs_in(s) == 1 && was_logged(s));
	spool_down(&s);
}

static void
r10_3_what_a_process_leaves_behind_is_tidied_up_by_who_has_the_lock(void)
{
	struct spool *s = spool_up(SYNC_AUTO);
	struct crowd c = crowd(s);
	char path[128];

	snprintf(path, sizeof path, "%s/redo/left", scratch);
	crash(&s);
	spool_tidy(s);
	CHECK(access(path, F_OK) == 0);
	CHECK(spool_lock(s) == OK);
	CHECK(access(path, F_OK) != 0 && files_in(s, SPOOL_INCOMING) == CROWD);
	CHECK(is_whole(s, SPOOL_INCOMING, c.m[0].id, SIZE));
	spool_down(&s);
}

static void
r10_6_what_was_finished_is_not_put_back(void)
{
	struct spool *s = spool_up(SYNC_AUTO);
	struct crowd c = crowd(s);
	uint64_t ids[CROWD];

	for (size_t i = 0; i < CROWD; i++)
		ids[i] = c.m[i].id;
	spool_removing(s, ids, CROWD / 2);
	for (size_t i = 0; i < CROWD / 2; i++)
		CHECK(spool_remove(s, SPOOL_INCOMING, ids[i]) == OK);
	crash(&s);
	for (size_t i = CROWD / 2; i < CROWD; i++)
		lose(c.m[i].id, SPOOL_INCOMING, NAME);
	CHECK(spool_lock(s) == OK);
	CHECK(files_in(s, SPOOL_INCOMING) == CROWD - CROWD / 2);
	for (size_t i = CROWD / 2; i < CROWD; i++)
		CHECK(is_whole(s, SPOOL_INCOMING, c.m[i].id, SIZE));
	spool_down(&s);
}

static void
age(const char *name, int seconds)
{
	struct timespec t[2] = { { .tv_sec = time(NULL) - seconds }, { .tv_sec = time(NULL) - seconds } };
	char path[128];

	snprintf(path, sizeof path, "%s/redo/%s", scratch, name);
	CHECK(utimensat(AT_FDCWD, path, t, 0) == 0);
}

/* Each time as a process of its own. */
static void
finish(const uint64_t *ids, size_t n)
{
	struct spool *s = open_again(SYNC_AUTO);

	spool_removing(s, ids, n);
	spool_close(&s);
}

static void
r10_6_notes_last_for_two_minutes_and_not_for_ever(void)
{
	struct spool *s = spool_up(SYNC_AUTO);
	struct removed_ids got;
	uint64_t ids[6];

	for (size_t i = 0; i < countof(ids); i++)
		ids[i] = qid_new();
	finish(&ids[0], 1);
	finish(&ids[1], 1);                              /* a first file is there: the other is begun */
	finish(&ids[2], 1);
	removed_load(s, &got);
	CHECK(got.n == 3 && removed_has(&got, ids[0]) && removed_has(&got, ids[2]) && !removed_has(&got, ids[3]));
	removed_free(&got);
	age("removed.0", REMOVED_SECONDS + 5);
	age("removed.1", 3);
	finish(&ids[3], 1);                              /* the one of old is begun anew */
	removed_load(s, &got);
	CHECK(got.n == 2 && !removed_has(&got, ids[0]) && removed_has(&got, ids[1]) && removed_has(&got, ids[3]));
	removed_free(&got);
	spool_down(&s);
}

static void
r10_6_half_a_note_is_none_and_old_messages_need_none(void)
{
	struct spool *s = spool_up(SYNC_AUTO);
	struct removed_ids got;
	uint64_t ids[] = { qid_new(), qid_new(), 1 };  /* the last one of 1970 */
	char path[128];
	int fd;

	spool_removing(s, ids, countof(ids));
	snprintf(path, sizeof path, "%s/redo/removed.0", scratch);
	CHECK((fd = open(path, O_WRONLY | O_APPEND)) >= 0 && write(fd, "half", 4) == 4);
	close(fd);
	CHECK((fd = open(path, O_WRONLY)) >= 0 && pwrite(fd, "\377", 1, REMOVED_NOTE + 3) == 1);
	close(fd);
	removed_load(s, &got);
	CHECK(got.n == 1 && removed_has(&got, ids[0]));
	removed_free(&got);
	spool_down(&s);
}

static void
r10_4_no_record_is_believed_behind_a_damaged_one(void)
{
	struct spool *s = spool_up(SYNC_AUTO);
	struct crowd c = crowd(s);
	char path[128], byte = '!';
	size_t whole = 0;
	int fd;

	crash(&s);
	snprintf(path, sizeof path, "%s/redo/left", scratch);
	CHECK((fd = open(path, O_WRONLY)) >= 0 && pwrite(fd, &byte, 1, REDO_HEAD + 10 * 1400) == 1);
	close(fd);
	for (size_t i = 0; i < CROWD; i++)
		lose(c.m[i].id, SPOOL_INCOMING, NAME);
	CHECK(spool_lock(s) == OK);
	for (size_t i = 0; i < CROWD; i++)
		whole += is_whole(s, SPOOL_INCOMING, c.m[i].id, SIZE);
	CHECK(whole > 5 && whole < 15 && files_in(s, SPOOL_INCOMING) == whole);
	spool_down(&s);
}

/* Whatever fails: who was told 250 has his message, who was not has none, also after a crash. */
static void
r10_5_a_disk_that_fails_costs_nothing_that_was_acknowledged(void)
{
	static const char *const calls[] = { "open", "write", "fsync", "fdatasync", "syncfs", "unlink", "close" };
	char fault[64];
	int refused = 0;

	for (size_t k = 0; k < countof(calls); k++)
		for (int n = 1; n <= 6; n++) {
			struct spool *s = spool_up(SYNC_AUTO);
			struct crowd c;

			snprintf(fault, sizeof fault, "unit:%s:%d:EIO", calls[k], n);
			faults(fault);
			c = crowd(s);
			for (int i = 0; i < LANES; i++)
				redo_checkpoint(s, &s->lanes[i].redo);
			faults(NULL);
			crash(&s);
			CHECK(spool_lock(s) == OK);
			for (size_t i = 0; i < CROWD; i++) {
				refused += c.result[i] != OK;
				CHECK(is_whole(s, SPOOL_INCOMING, c.m[i].id, SIZE) == (c.result[i] == OK));
			}
			spool_down(&s);
		}
	CHECK(refused > 0);
}

/* A disk that was full keeps a log again, once some time has passed. */
static void
r10_5_a_log_that_was_given_up_is_taken_up_again(void)
{
	struct spool *s = spool_up(SYNC_AUTO);

	faults("unit:fdatasync:1:ENOSPC");
	(void)crowd(s);
	faults(NULL);
	CHECK(logs_in(s) == 0);
	(void)crowd(s);
	CHECK(logs_in(s) == 0);
	for (int i = 0; i < LANES; i++)
		s->lanes[i].redo.off_until = time_now();
	(void)crowd(s);
	CHECK(was_logged(s) && logs_in(s) > 0);
	spool_down(&s);
}

/* The checkpoint fails, and so does writing again: the log outlives its process, and is believed by whoever comes next. */
static void
r10_5_a_log_whose_files_could_not_be_made_durable_is_kept(void)
{
	struct spool *s = spool_up(SYNC_AUTO);
	struct crowd c = crowd(s);

	faults("unit:syncfs:1+:EIO,unit:fsync:1+:EIO");
	for (int i = 0; i < LANES; i++)
		redo_checkpoint(s, &s->lanes[i].redo);
	faults(NULL);
	CHECK(logs_in(s) == 1);
	spool_close(&s);
	CHECK(logs_in(s) == 1);
	lose(c.m[0].id, SPOOL_INCOMING, NAME);
	lose(c.m[1].id, SPOOL_INCOMING, BYTES_BUT_SIZE);
	s = open_again(SYNC_AUTO);
	CHECK(spool_lock(s) == OK);
	for (size_t i = 0; i < CROWD; i++)
		CHECK(is_whole(s, SPOOL_INCOMING, c.m[i].id, SIZE));
	CHECK(logs_in(s) == 0);
	spool_down(&s);
}

SUITE(redo, TASK_TEST(r10_1_what_was_acknowledged_is_put_back_whatever_a_crash_made_of_it),
    TASK_TEST(r10_1_it_is_put_back_where_it_was_moved_to),
    TASK_TEST(r10_1_what_root_puts_back_belongs_to_the_owner_of_the_spool),
    TASK_TEST(r10_2_after_a_checkpoint_the_log_stands_for_nothing),
    TASK_TEST(r10_2_nor_when_nothing_came_after_it),
    TASK_TEST(r10_2_the_end_of_the_process_is_a_checkpoint),
    TASK_TEST(r10_3_a_log_whose_writer_lives_is_left_alone),
    TASK_TEST(r10_3_what_a_process_leaves_behind_is_tidied_up_by_who_has_the_lock),
    TASK_TEST(r10_6_what_was_finished_is_not_put_back),
    TASK_TEST(r10_6_notes_last_for_two_minutes_and_not_for_ever),
    TASK_TEST(r10_6_half_a_note_is_none_and_old_messages_need_none),
    TASK_TEST(r10_4_no_record_is_believed_behind_a_damaged_one),
    TASK_TEST(r10_5_a_disk_that_fails_costs_nothing_that_was_acknowledged),
    TASK_TEST(r10_5_a_log_that_was_given_up_is_taken_up_again), TASK_TEST(r10_5_a_log_whose_files_could_not_be_made_durable_is_kept));
