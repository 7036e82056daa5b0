/* SPDX-License-Identifier: Apache-2.0 */
/* Rules 1 to 3 of docs/SPOOL.md when the disk says no, or the process dies. */
#include <sys/wait.h>

#include "tests/unit/spool/fixture.h"

enum { SMALL = 1000, LARGE = 400000 };

/* In a fresh spool, so that each try takes the same steps. */
static enum err
put_with(const char *fault, enum spool_sync sync, size_t size, struct spool_msg *m, struct spool **s)
{
	enum err e;

	*s = spool_up(sync);
	faults(fault);
	e = put(*s, size, m);
	until_removed(*s);
	faults(NULL);
	return e;
}

static void
r3_1_a_full_disk_is_told_from_a_broken_one(void)
{
	static const struct { const char *fault; size_t size; enum err e; } cases[] = {
		{ "unit:open:1:ENOSPC", SMALL, E_NOSPACE },
		{ "unit:write:1:ENOSPC", SMALL, E_NOSPACE },
		{ "unit:write:1:EDQUOT", SMALL, E_NOSPACE },
		{ "unit:write:1:EFBIG", SMALL, E_NOSPACE },
		{ "unit:write:1:EIO", SMALL, E_IO },
		{ "unit:mkdir:1:ENOSPC", SMALL, E_NOSPACE },
		{ "unit:fsync:1:ENOSPC", SMALL, E_NOSPACE },
		{ "unit:pwrite:1:ENOSPC", LARGE, E_NOSPACE },
		{ "unit:pwrite:2:EDQUOT", LARGE, E_NOSPACE },
		{ "unit:pwrite:2:EIO", LARGE, E_IO },
	};
	struct spool_msg m;
	struct spool *s;

	for (size_t i = 0; i < countof(cases); i++) {
		CHECK(put_with(cases[i].fault, SYNC_AUTO, cases[i].size, &m, &s) == cases[i].e);
		CHECK(files_in(s, SPOOL_INCOMING) == 0);
		spool_down(&s);
	}
}

static void
r3_1_a_short_write_goes_on(void)
{
	static const struct { const char *fault; size_t size; } cases[] = {
		{ "unit:write:1:SHORT", SMALL }, { "unit:write:1:SHORT,unit:write:2:SHORT", SMALL }, { "unit:write:1:EINTR", SMALL },
		{ "unit:pwrite:1:SHORT", LARGE }, { "unit:pwrite:3:SHORT", LARGE }, { "unit:pwrite:4:SHORT", LARGE },
		{ "unit:pwrite:5:SHORT", LARGE }, { "unit:pwrite:2:EINTR", LARGE },
	};
	struct spool_msg m;
	struct spool *s;

	for (size_t i = 0; i < countof(cases); i++) {
		CHECK(put_with(cases[i].fault, SYNC_AUTO, cases[i].size, &m, &s) == OK);
		CHECK(is_whole(s, SPOOL_INCOMING, m.id, cases[i].size));
		spool_down(&s);
	}
}

static void
r3_2_after_any_failed_call_there_is_a_refusal_and_no_file(void)
{
	static const char *const calls[] = { "open", "write", "pwrite", "mkdir", "fsync", "syncfs", "fstat", "close" };
	static const enum spool_sync modes[] = { SYNC_FSYNC, SYNC_SYNCFS };
	static const size_t sizes[] = { SMALL, LARGE };
	struct spool_msg m;
	struct spool *s;
	char fault[64];
	int hits = 0;

	for (size_t i = 0; i < countof(calls) * countof(modes) * countof(sizes); i++) {
		const char *call = calls[i / 4];
		size_t size = sizes[i & 1];

		for (int n = 1;; n++) {
			enum err e;

			snprintf(fault, sizeof fault, "unit:%s:%d:EIO", call, n);
			e = put_with(fault, modes[i >> 1 & 1], size, &m, &s);
			if (e == OK) {
				CHECK(is_whole(s, SPOOL_INCOMING, m.id, size));
				/* What remains after the n-th call may not matter (closing a directory). */
				if (strcmp(call, "close") != 0 || n > 4) {
					spool_down(&s);
					break;
				}
			} else {
				hits++;
				CHECK(e == E_IO && strlen(err_why()) > 0);
				CHECK(files_in(s, SPOOL_INCOMING) == 0);
				CHECK(scan_all(s, SPOOL_INCOMING, 0).messages == 0);
			}
			spool_down(&s);
		}
	}
	CHECK(hits >= 30);
}

struct crowd { struct spool *s; size_t ok, refused; };

static void
commit_one(void *arg)
{
	struct crowd *c = arg;
	struct spool_msg m;
	enum err e = put(c->s, SMALL, &m);

	c->ok += e == OK;
	c->refused += e == E_IO;
}

static void
r3_2_a_failed_syncfs_refuses_its_whole_batch(void)
{
	struct spool *s = spool_up(SYNC_SYNCFS);
	struct crowd c = { .s = s };
	struct tasks g;

	faults("unit:syncfs:1:EIO");
	tasks_init(&g);
	for (int i = 0; i < 20; i++)                   /* one turn of the loop: one batch */
		task_start(&g, "commit", commit_one, &c);
	tasks_wait(&g);
	faults(NULL);
	CHECK(c.ok == 0 && c.refused == 20);
	CHECK(files_in(s, SPOOL_INCOMING) == 0);
	commit_one(&c);
	CHECK(c.ok == 1);
	spool_down(&s);
}

static void
r3_2_a_failed_directory_sync_refuses_all_in_it(void)
{
	struct spool *s = spool_up(SYNC_FSYNC);
	struct crowd c = { .s = s };
	struct tasks g;

	faults("unit:fsync:1+:EIO");
	tasks_init(&g);
	for (int i = 0; i < 5; i++)
		task_start(&g, "commit", commit_one, &c);
	tasks_wait(&g);
	faults(NULL);
	CHECK(c.ok == 0 && c.refused == 5);
	CHECK(files_in(s, SPOOL_INCOMING) == 0);
	spool_down(&s);
}

static void
r3_3_a_refused_file_that_cannot_be_removed_is_emptied(void)
{
	static const size_t sizes[] = { SMALL, LARGE };
	struct spool_msg m;
	struct spool_view v;
	struct spool *s;

	for (size_t i = 0; i < countof(sizes); i++) {
		s = spool_up(SYNC_FSYNC);
		faults("unit:fsync:2:EIO,unit:unlink:1+:EIO");
		CHECK(put(s, sizes[i], &m) == E_IO);
		faults(NULL);
		CHECK(spool_read(s, SPOOL_INCOMING, m.id, true, &v) == E_EOF);
		CHECK(scan_all(s, SPOOL_INCOMING, 0).debris == 1);
		CHECK(files_in(s, SPOOL_INCOMING) == 0);
		spool_down(&s);
	}
}

/* -- death -- */

struct victim { struct spool *s; size_t size; int say; };

static void
die_somewhere(void *arg)
{
	struct victim *v = arg;
	struct spool_msg m;

	/* What is said here is the 250. */
	if (put(v->s, v->size, &m) == OK && write(v->say, &m.id, sizeof m.id) != sizeof m.id)
		_exit(9);
	task_exit();
}

/* The child is killed at the fault.  Returns the id it acknowledged, or 0; *killed: it did not live to the end. */
static uint64_t
run_victim(const char *fault, enum spool_sync sync, size_t size, bool *killed)
{
	uint64_t id = 0;
	int pipes[2], status = 0;
	pid_t child;

	if (pipe(pipes) != 0 || (child = fork()) < 0)
		log_fatal("fork");
	if (child == 0) {
		struct victim v = { .s = open_again(sync), .size = size, .say = pipes[1] };

		faults(fault);
		task_run(die_somewhere, &v, 2);
		_exit(0);
	}
	close(pipes[1]);
	waitpid(child, &status, 0);
	if (read(pipes[0], &id, sizeof id) != sizeof id)
		id = 0;
	close(pipes[0]);
	*killed = WIFSIGNALED(status);
	CHECK(*killed || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
	return id;
}

/* The thread sanitizer does not let a child of a process with threads have threads. */
#ifdef __SANITIZE_THREAD__
enum { MAY_FORK = false };
#else
enum { MAY_FORK = true };
#endif

static void
r1_2_a_writer_killed_at_any_call_leaves_a_whole_message_or_debris(void)
{
	static const char *const calls[] = { "open", "write", "pwrite", "mkdir", "fsync", "syncfs", "fstat", "close" };
	static const enum spool_sync modes[] = { SYNC_FSYNC, SYNC_SYNCFS };
	static const size_t sizes[] = { SMALL, LARGE };
	int deaths = 0;

	for (size_t i = 0; i < countof(calls) * countof(modes) * countof(sizes); i++) {
		bool killed = MAY_FORK;

		for (int n = 1; killed; n++) {
			struct spool *s = spool_up(SYNC_NONE);
			struct spool_scan_stats stats;
			char fault[64];
			uint64_t id;

			snprintf(fault, sizeof fault, "unit:%s:%d:KILL", calls[i / 4], n);
			id = run_victim(fault, modes[i >> 1 & 1], sizes[i & 1], &killed);
			stats = scan_all(s, SPOOL_INCOMING, 0);
			CHECK(stats.corrupt == 0 && stats.busy == 0 && stats.errors == 0);
			CHECK(stats.messages + stats.debris <= 1);
			CHECK(files_in(s, SPOOL_INCOMING) == stats.messages);
			if (!killed || id)
				CHECK(id && is_whole(s, SPOOL_INCOMING, id, sizes[i & 1]));
			deaths += killed;
			spool_down(&s);
		}
	}
	CHECK(deaths >= 30 || !MAY_FORK);
}

SUITE(fault, TASK_TEST(r3_1_a_full_disk_is_told_from_a_broken_one), TASK_TEST(r3_1_a_short_write_goes_on),
    TASK_TEST(r3_2_after_any_failed_call_there_is_a_refusal_and_no_file),
    TASK_TEST(r3_2_a_failed_syncfs_refuses_its_whole_batch), TASK_TEST(r3_2_a_failed_directory_sync_refuses_all_in_it),
    TASK_TEST(r3_3_a_refused_file_that_cannot_be_removed_is_emptied),
    TEST(r1_2_a_writer_killed_at_any_call_leaves_a_whole_message_or_debris));
