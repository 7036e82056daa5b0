/* SPDX-License-Identifier: Apache-2.0 */
/* Rules 1, 3 and 4 of docs/SPOOL.md. */
#include <errno.h>

#include "tests/unit/spool/fixture.h"

static void
r1_1_what_was_committed_reads_back_byte_for_byte(void)
{
	static const size_t sizes[] = { 0, 1, 2048, 16000, 16384, (128 << 10) - 1, 128 << 10, (128 << 10) + 1, 300000, 5 << 20 };
	struct spool *s = spool_up(SYNC_AUTO);
	struct spool_view v;
	struct spool_msg m;

	for (size_t i = 0; i < countof(sizes); i++) {
		CHECK(put(s, sizes[i], &m) == OK);
		CHECK(m.size == sizes[i] && m.flags == (MF_DOTS | MF_DSN) && m.dir == SPOOL_INCOMING);
		CHECK(is_whole(s, SPOOL_INCOMING, m.id, sizes[i]));
	}
	CHECK(spool_read(s, SPOOL_INCOMING, m.id, false, &v) == OK);
	CHECK(v.msg.id == m.id && v.msg.content_at == m.content_at && v.msg.flags == (MF_DOTS | MF_DSN));
	CHECK(v.msg.arrived.us == 1234567890123456 && v.msg.size == 5 << 20 && v.msg.dir == SPOOL_INCOMING);
	CHECK_STR(v.msg.sender, "from@example.com");
	CHECK_STR(v.msg.client_name, "client.example.com");
	CHECK_STR(v.msg.client_addr, "192.0.2.1");
	CHECK_STR(v.msg.client_helo, "helo");
	CHECK_STR(v.msg.protocol, "ESMTP");
	CHECK_STR(v.msg.login, "me");
	CHECK(v.msg.ret == RET_HDRS);
	CHECK_STR(v.msg.envid, "envelope=1");
	CHECK(v.msg.rcpts[0].notify == (NOTIFY_SUCCESS | NOTIFY_FAILURE) && v.msg.rcpts[1].notify == NOTIFY_NEVER);
	CHECK_STR(v.msg.rcpts[0].orcpt, "rfc822;A@example.org");
	CHECK_STR(v.msg.rcpts[0].addr, "a@example.org");
	CHECK_STR(v.msg.rcpts[0].orig, "");
	CHECK_STR(v.msg.rcpts[2].addr, "c@example.org");
	CHECK(!v.noticed && v.requeued.us == 0 && v.progress[2].state == JRN_PENDING);
	spool_view_fini(&v);
	spool_down(&s);
}

static void
a_message_may_have_many_recipients(void)
{
	enum { MANY = 50000 };
	struct spool *s = spool_up(SYNC_NONE);
	struct spool_msg m = a_message();
	struct spool_rcpt *to = mem_array(MANY, sizeof *to);
	struct spool_view v;
	struct entry *e;

	for (size_t i = 0; i < MANY; i++)
		to[i] = (struct spool_rcpt){ .addr = STR("somebody@example.org") };
	to[MANY - 1].addr = STR("last@example.org");
	m.rcpts = to;
	m.nrcpts = MANY;
	e = entry_new(s, &m);
	free(to);                                      /* it was copied */
	CHECK(entry_add(e, STR("text\r\n")) == OK);
	CHECK(entry_size(e) == 6);
	CHECK(entry_commit(&e, 0, &m) == OK && e == NULL);
	CHECK(spool_read(s, SPOOL_INCOMING, m.id, true, &v) == OK);
	CHECK(v.msg.nrcpts == MANY);
	CHECK_STR(v.msg.rcpts[MANY - 1].addr, "last@example.org");
	spool_view_fini(&v);
	spool_down(&s);
}

static void
an_envelope_without_bound_is_refused(void)
{
	enum { HUGE = 1 << 20, MANY = 70 };
	struct spool *s = spool_up(SYNC_NONE);
	struct spool_msg m = a_message();
	struct spool_rcpt to[MANY];
	char *text = bytes(HUGE);
	struct entry *e;

	for (size_t i = 0; i < MANY; i++)
		to[i] = (struct spool_rcpt){ .addr = { text, HUGE } };
	m.rcpts = to;
	m.nrcpts = MANY;
	e = entry_new(s, &m);
	CHECK(entry_add(e, STR("x")) == E_TOOBIG);
	CHECK(entry_commit(&e, 0, &m) == E_TOOBIG && e == NULL);
	CHECK(files_in(s, SPOOL_INCOMING) == 0);
	free(text);
	spool_down(&s);
}

static void
an_id_that_came_twice_does_not_cost_the_first_message(void)
{
	struct spool *s = spool_up(SYNC_AUTO);
	struct spool_msg first, m;
	struct entry *e;

	CHECK(put(s, 500, &first) == OK);
	m = a_message();
	m.id = first.id;
	e = entry_new(s, &m);
	CHECK(entry_add(e, STR("other")) == OK);
	CHECK(entry_commit(&e, 0, &m) == E_EXISTS);
	CHECK(is_whole(s, SPOOL_INCOMING, first.id, 500));
	spool_down(&s);
}

static WAITS void
until_no_file(struct spool *s)
{
	for (int i = 0; i < 5000 && files_in(s, SPOOL_INCOMING) > 0; i++)
		CHECK(task_sleep(time_after_ms(time_now(), 1)) == OK);
	CHECK(files_in(s, SPOOL_INCOMING) == 0);
}

static void
an_aborted_entry_leaves_nothing(void)
{
	struct spool *s = spool_up(SYNC_AUTO);
	struct spool_msg m = a_message();
	struct entry *e = entry_new(s, &m);
	char *content = bytes(1 << 20);

	entry_abort(&e);
	CHECK(e == NULL);
	entry_abort(&e);
	e = entry_new(s, &m);
	CHECK(entry_add(e, (struct str){ content, 1 << 20 }) == OK);
	CHECK(files_in(s, SPOOL_INCOMING) == 1);
	entry_abort(&e);
	until_removed(s);
	CHECK(files_in(s, SPOOL_INCOMING) == 0);
	free(content);
	spool_down(&s);
}

static void
closing_the_spool_waits_for_entries_being_removed(void)
{
	struct spool *s = spool_up(SYNC_AUTO);
	struct spool_msg m = a_message();
	struct entry *e = entry_new(s, &m);
	char *content = bytes(1 << 20);

	CHECK(entry_add(e, (struct str){ content, 1 << 20 }) == OK);
	entry_abort(&e);
	spool_close(&s);
	s = open_again(SYNC_AUTO);
	until_no_file(s);
	free(content);
	spool_down(&s);
}

struct crowd { struct spool *s; uint64_t *ids; size_t n, failed; };

static void
commit_two(void *arg)
{
	struct crowd *c = arg;
	struct spool_msg m;

	for (int i = 0; i < 2; i++) {
		if (put(c->s, 700, &m) == OK)
			c->ids[c->n++] = m.id;
		else
			c->failed++;
	}
}

static void
r4_1_five_hundred_tasks_commit_together(void)
{
	enum { TASKS = 500 };
	static const enum spool_sync modes[] = { SYNC_AUTO, SYNC_SYNCFS, SYNC_NONE };
	struct tasks g;

	for (size_t i = 0; i < countof(modes); i++) {
		struct spool *s = spool_up(modes[i]);
		struct crowd c = { .s = s, .ids = mem_array(2 * TASKS, sizeof *c.ids) };

		tasks_init(&g);
		for (int t = 0; t < TASKS; t++)
			task_start(&g, "commit", commit_two, &c);
		tasks_wait(&g);
		CHECK(c.n == 2 * TASKS && c.failed == 0);
		CHECK(files_in(s, SPOOL_INCOMING) == 2 * TASKS);
		for (size_t k = 0; k < c.n; k++)
			CHECK(is_whole(s, SPOOL_INCOMING, c.ids[k], 700));
		CHECK(scan_all(s, SPOOL_INCOMING, 0).messages == 2 * TASKS);
		free(c.ids);
		spool_down(&s);
	}
}

static void
a_hash_directory_that_was_removed_is_made_again(void)
{
	struct spool *s = spool_up(SYNC_AUTO);
	struct spool_msg m;
	char path[SPOOL_PATH];

	for (int i = 0; i < 10; i++) {
		CHECK(put(s, 100, &m) == OK);
		CHECK(spool_remove(s, SPOOL_INCOMING, m.id) == OK);
		unlinkat(s->root, spool_hash_path(SPOOL_INCOMING, spool_hash(m.id), path), AT_REMOVEDIR);
	}
	spool_down(&s);
}

static void
a_spool_open_for_reading_takes_nothing(void)
{
	struct spool *s = spool_up(SYNC_AUTO), *r;
	struct spool_msg m;

	CHECK(put(s, 100, &m) == OK);
	CHECK(spool_open(scratch, SYNC_AUTO, true, &r) == OK);
	CHECK(is_whole(r, SPOOL_INCOMING, m.id, 100));
	CHECK(put(r, 100, &m) == E_PERM);
	CHECK(spool_remove(r, SPOOL_INCOMING, m.id) == E_PERM);
	CHECK(files_in(r, SPOOL_INCOMING) == 1);
	spool_close(&r);
	spool_down(&s);
}

SUITE(enter, TASK_TEST(r1_1_what_was_committed_reads_back_byte_for_byte), TASK_TEST(a_message_may_have_many_recipients),
    TASK_TEST(an_envelope_without_bound_is_refused), TASK_TEST(an_id_that_came_twice_does_not_cost_the_first_message),
    TASK_TEST(an_aborted_entry_leaves_nothing), TASK_TEST(closing_the_spool_waits_for_entries_being_removed),
    TASK_TEST(r4_1_five_hundred_tasks_commit_together), TASK_TEST(a_hash_directory_that_was_removed_is_made_again),
    TASK_TEST(a_spool_open_for_reading_takes_nothing));
