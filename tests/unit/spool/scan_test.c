/* SPDX-License-Identifier: Apache-2.0 */
/* Rules 2, 7 and 8 of docs/SPOOL.md: scanning, moving, the spool as a whole. */
#include <pthread.h>
#include <sys/file.h>

#include "tests/unit/spool/fixture.h"

struct seen {
	pthread_mutex_t lock;
	uint64_t        ids[2000];
	size_t          n, stop_at, known_below;
};

static bool
see(void *arg, struct spool_view *v)
{
	struct seen *x = arg;
	bool more;

	pthread_mutex_lock(&x->lock);
	CHECK(v->msg.nrcpts == 3 && str_eq(v->msg.sender, STR("from@example.com")));
	x->ids[x->n++] = v->msg.id;
	more = x->n != x->stop_at;
	pthread_mutex_unlock(&x->lock);
	return more;
}

static bool
is_known(void *arg, uint64_t id)
{
	return id < ((struct seen *)arg)->known_below;
}

static int
by_id(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Ids spread over many hash directories. */
static WAITS void
fill(struct spool *s, size_t n, uint64_t *ids)
{
	for (size_t i = 0; i < n; i++) {
		struct spool_msg m = a_message();
		struct entry *e;

		m.id += (uint64_t)(i * 7) << HASH_SHIFT;
		ids[i] = m.id;
		e = entry_new(s, &m);
		need(entry_add(e, STR("content\r\n")));
		need(entry_commit(&e, 0, &m));
	}
	qsort(ids, n, sizeof *ids, by_id);
}

static void
r7_1_a_scan_calls_for_each_message_once(void)
{
	enum { N = 1000 };
	struct spool *s = spool_up(SYNC_NONE);
	static uint64_t ids[N];

	fill(s, N, ids);
	for (int threads = 0; threads <= 4; threads++) {
		struct seen *x = mem_new(sizeof *x);
		struct spool_scan how = { .fn = see, .arg = x, .threads = threads, .debris_age = 100 };
		struct spool_scan_stats stats;

		pthread_mutex_init(&x->lock, NULL);
		CHECK(spool_scan(s, SPOOL_INCOMING, &how, &stats) == OK);
		CHECK(stats.messages == N && stats.files == N && x->n == N);
		CHECK(stats.corrupt + stats.debris + stats.busy + stats.errors == 0);
		qsort(x->ids, x->n, sizeof *x->ids, by_id);
		CHECK(memcmp(x->ids, ids, sizeof ids) == 0);
		x->n = 0;
		x->known_below = ids[N / 2];
		how.known = is_known;
		CHECK(spool_scan(s, SPOOL_INCOMING, &how, &stats) == OK && x->n == N - N / 2 && stats.files == N - N / 2);
		x->n = 0;
		x->stop_at = 10;
		CHECK(spool_scan(s, SPOOL_INCOMING, &how, &stats) == OK && x->n >= 10 && x->n <= 10 + 4);
		free(x);
	}
	spool_down(&s);
}

static void
expect_next(void *arg, uint64_t id)
{
	uint64_t **next = arg;

	CHECK(**next == id);
	++*next;
}

static void
ids_come_in_order_of_arrival(void)
{
	enum { N = 600 };
	struct spool *s = spool_up(SYNC_NONE);
	static uint64_t ids[N];
	uint64_t *next = ids;

	fill(s, N, ids);
	CHECK(spool_ids(s, SPOOL_INCOMING, expect_next, &next) == OK && next == ids + N);
	CHECK(files_in(s, SPOOL_HOLD) == 0);
	spool_down(&s);
}

static void
r2_2_a_scan_sets_the_damaged_aside_and_goes_on(void)
{
	struct spool *s = spool_up(SYNC_AUTO), *reader;
	struct spool_scan_stats stats;
	struct spool_msg good, bad, unfinished;
	char foreign[160];
	enum spool_dir d;
	struct buf b;

	need(put(s, 100, &good));
	need(put(s, 100, &bad));
	need(put(s, 100, &unfinished));
	b = slurp(file_of(SPOOL_INCOMING, bad.id));
	b.p[70] ^= 1;
	spew(file_of(SPOOL_INCOMING, bad.id), buf_str(&b));
	buf_free(&b);
	CHECK(truncate(file_of(SPOOL_INCOMING, unfinished.id), 90) == 0);
	spew(file_of(SPOOL_INCOMING, good.id + ((uint64_t)1 << 40)), STR("x"));
	/* Other names are none of our business. */
	snprintf(foreign, sizeof foreign, "%s.bak", file_of(SPOOL_INCOMING, good.id));
	spew(foreign, STR("x"));

	need(spool_open(scratch, SYNC_AUTO, true, &reader));
	stats = scan_all(reader, SPOOL_INCOMING, 0);
	CHECK(stats.messages == 1 && stats.corrupt == 1 && stats.debris == 2 && stats.busy == 0);
	CHECK(files_in(s, SPOOL_INCOMING) == 4 && files_in(s, SPOOL_CORRUPT) == 0);
	spool_close(&reader);

	stats = scan_all(s, SPOOL_INCOMING, 1000);
	CHECK(stats.messages == 1 && stats.corrupt == 1 && stats.debris == 0 && stats.busy == 2);
	CHECK(spool_find(s, bad.id, &d) == OK && d == SPOOL_CORRUPT);
	stats = scan_all(s, SPOOL_INCOMING, 0);
	CHECK(stats.messages == 1 && stats.corrupt == 0 && stats.debris == 2 && stats.busy == 0);
	CHECK(files_in(s, SPOOL_INCOMING) == 1 && files_in(s, SPOOL_CORRUPT) == 1);
	CHECK(scan_all(s, SPOOL_CORRUPT, 0).corrupt == 1);
	CHECK(files_in(s, SPOOL_CORRUPT) == 1);
	spool_down(&s);
}

static void
r2_4_a_scan_keeps_off_what_is_being_written(void)
{
	struct spool *s = spool_up(SYNC_AUTO);
	struct spool_msg m = a_message();
	struct spool_scan_stats stats;
	char *content = bytes(1 << 20);
	struct entry *e = entry_new(s, &m);
	int fd;

	CHECK(entry_add(e, (struct str){ content, 1 << 20 }) == OK);
	stats = scan_all(s, SPOOL_INCOMING, 0);
	CHECK(stats.busy == 1 && stats.debris == 0 && files_in(s, SPOOL_INCOMING) == 1);
	CHECK(entry_commit(&e, MF_DOTS, &m) == OK);
	CHECK(is_whole(s, SPOOL_INCOMING, m.id, 1 << 20));
	CHECK(scan_all(s, SPOOL_INCOMING, 0).messages == 1);

	/* Whole, but its writer has not let go of it: not yet durable. */
	CHECK(spool_open_content(s, SPOOL_INCOMING, m.id, &fd) == OK);
	CHECK(flock(fd, LOCK_EX | LOCK_NB) == 0);
	stats = scan_all(s, SPOOL_INCOMING, 0);
	CHECK(stats.busy == 1 && stats.messages == 0);
	close(fd);

	/* Whether it has one cannot be told now. */
	faults("unit:flock:1:ENOLCK");
	stats = scan_all(s, SPOOL_INCOMING, 0);
	CHECK(stats.errors == 1 && stats.messages == 0);
	faults(NULL);
	CHECK(scan_all(s, SPOOL_INCOMING, 0).messages == 1);
	free(content);
	spool_down(&s);
}

static void
r8_3_a_message_is_in_one_place_after_each_move(void)
{
	static const enum spool_dir tour[] = {
		SPOOL_INCOMING, SPOOL_DEFERRED, SPOOL_HOLD, SPOOL_INCOMING, SPOOL_HOLD, SPOOL_DEFERRED, SPOOL_INCOMING, SPOOL_CORRUPT,
	};
	struct spool *s = spool_up(SYNC_AUTO);
	struct spool_msg m, other;
	enum spool_dir d;

	need(put(s, 100, &m));
	for (size_t i = 1; i < countof(tour); i++) {
		CHECK(spool_move(s, m.id, tour[i - 1], tour[i]) == OK);
		CHECK(spool_find(s, m.id, &d) == OK && d == tour[i]);
		CHECK(is_whole(s, d, m.id, 100));
		CHECK(spool_move(s, m.id, tour[i - 1], SPOOL_ACTIVE) == E_NOENT);
	}
	need(put(s, 50, &other));
	CHECK(spool_move(s, other.id, SPOOL_INCOMING, SPOOL_HOLD) == OK);
	CHECK(spool_remove(s, SPOOL_HOLD, other.id) == OK);
	CHECK(spool_remove(s, SPOOL_HOLD, other.id) == E_NOENT);
	CHECK(spool_find(s, other.id, &d) == E_NOENT);
	spool_down(&s);
}

static void
r8_3_a_move_never_replaces_a_message(void)
{
	struct spool *s = spool_up(SYNC_AUTO);
	struct spool_msg m, again;
	struct entry *e;

	need(put(s, 100, &m));
	need(spool_move(s, m.id, SPOOL_INCOMING, SPOOL_DEFERRED));
	again = a_message();
	again.id = m.id;
	e = entry_new(s, &again);
	need(entry_add(e, STR("the clock was set back")));
	need(entry_commit(&e, 0, &again));
	CHECK(spool_move(s, m.id, SPOOL_INCOMING, SPOOL_DEFERRED) == E_EXISTS);
	CHECK(is_whole(s, SPOOL_DEFERRED, m.id, 100));
	CHECK(files_in(s, SPOOL_INCOMING) == 1);
	spool_down(&s);
}

static void
r8_3_a_move_that_fails_leaves_the_message_where_it_was(void)
{
	struct spool *s = spool_up(SYNC_AUTO);
	struct spool_msg m;

	need(put(s, 100, &m));
	faults("unit:rename:1:EIO");
	CHECK(spool_move(s, m.id, SPOOL_INCOMING, SPOOL_HOLD) == E_IO);
	faults("unit:mkdir:1:ENOSPC");
	CHECK(spool_move(s, m.id, SPOOL_INCOMING, SPOOL_HOLD) == E_NOSPACE);
	faults(NULL);
	CHECK(is_whole(s, SPOOL_INCOMING, m.id, 100));
	faults("unit:unlink:1:EIO");
	CHECK(spool_remove(s, SPOOL_INCOMING, m.id) == E_IO);
	faults(NULL);
	CHECK(is_whole(s, SPOOL_INCOMING, m.id, 100));
	spool_down(&s);
}

static void
r8_1_one_process_has_the_lock(void)
{
	struct spool *s = spool_up(SYNC_AUTO), *other = open_again(SYNC_AUTO);

	CHECK(spool_lock(s) == OK);
	CHECK(spool_lock(s) == OK);
	CHECK(spool_lock(other) == E_BUSY);
	spool_close(&s);
	CHECK(spool_lock(other) == OK);
	spool_down(&other);
}

static void
r8_2_a_spool_that_fails_its_self_test_is_refused_with_the_reason(void)
{
	static const char *const calls[] = { "open", "write", "pwrite", "read", "mkdir", "fsync", "fdatasync", "syncfs", "rename", "unlink", "close" };
	struct spool *s = spool_up(SYNC_AUTO);
	char fault[64];

	CHECK(spool_self_test(s) == OK);
	for (size_t i = 0; i < countof(calls); i++) {
		snprintf(fault, sizeof fault, "unit:%s:1:EIO", calls[i]);
		faults(fault);
		CHECK(spool_self_test(s) == E_IO);
		faults(NULL);
		CHECK(strstr(err_why(), scratch) && strstr(err_why(), "Input/output error"));
	}
	faults("unit:mkdir:1:ENOSPC");
	CHECK(spool_self_test(s) == E_NOSPACE && strstr(err_why(), "does not do") == NULL);
	faults(NULL);
	CHECK(spool_self_test(s) == OK);
	spool_down(&s);
}

static void
r3_5_room_is_asked_for_before_it_is_needed(void)
{
	struct spool *s = spool_up(SYNC_AUTO);

	CHECK(spool_space(s, 1000, 1000, 10) == OK);
	CHECK(spool_space(s, 1000, UINT64_MAX, 0) == E_NOSPACE);
	CHECK(spool_space(s, 1000, (uint64_t)1 << 62, 0) == E_NOSPACE);
	CHECK(spool_space(s, UINT64_MAX, 0, 0) == E_NOSPACE);
	CHECK(s->space.f_files == 0 || spool_space(s, 0, 0, UINT64_MAX) == E_NOSPACE);
	spool_down(&s);
}

/* With little left what was seen a moment ago tells nothing. */
static void
r3_5_the_less_there_is_the_more_often_it_is_looked_at(void)
{
	struct spool *s = spool_up(SYNC_AUTO);

	CHECK(spool_space(s, 0, (uint64_t)1 << 62, 0) == E_NOSPACE);
	s->space.f_bavail = 0;
	CHECK(spool_space(s, 1000, 1000, 0) == OK);
	spool_down(&s);
}

static void
opening_makes_what_is_missing(void)
{
	struct spool *s = spool_up(SYNC_AUTO), *other;
	char path[160];
	struct stat st;

	snprintf(path, sizeof path, "%s/deep/er", scratch);
	CHECK(spool_open(path, SYNC_AUTO, true, &other) == E_NOENT);
	CHECK(spool_open(path, SYNC_AUTO, false, &other) == OK);
	for (int d = 0; d < SPOOL_DIR_COUNT; d++)
		CHECK(fstatat(other->root, spool_dir_name((enum spool_dir)d), &st, 0) == 0 && (st.st_mode & 07777) == 0700);
	spool_close(&other);

	if (geteuid() == 0) {
		struct spool_owners o = { .uid = 1234, .gid = 1235, .readers = 1236, .shared = true };

		CHECK(spool_open(path, SYNC_AUTO, false, &other) == OK);
		CHECK(spool_share(other, &o) == OK);
		CHECK(fstatat(other->root, "hold", &st, 0) == 0 && st.st_uid == 1234 && st.st_gid == 1236);
		CHECK((st.st_mode & 07777) == 0750);
		CHECK(fstatat(other->root, "incoming/FF", &st, 0) == 0 && st.st_uid == 1234 && st.st_gid == 1235);
		CHECK((st.st_mode & 07777) == 03777);
		spool_close(&other);
	}
	spool_down(&s);
}

SUITE(scan, TASK_TEST(r7_1_a_scan_calls_for_each_message_once), TASK_TEST(ids_come_in_order_of_arrival),
    TASK_TEST(r2_2_a_scan_sets_the_damaged_aside_and_goes_on), TASK_TEST(r2_4_a_scan_keeps_off_what_is_being_written),
    TASK_TEST(r8_3_a_message_is_in_one_place_after_each_move), TASK_TEST(r8_3_a_move_never_replaces_a_message),
    TASK_TEST(r8_3_a_move_that_fails_leaves_the_message_where_it_was), TEST(r8_1_one_process_has_the_lock),
    TEST(r8_2_a_spool_that_fails_its_self_test_is_refused_with_the_reason),
    TEST(r3_5_the_less_there_is_the_more_often_it_is_looked_at),
    TEST(r3_5_room_is_asked_for_before_it_is_needed), TEST(opening_makes_what_is_missing));
