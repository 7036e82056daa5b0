/* SPDX-License-Identifier: Apache-2.0 */
/* Rules 5 and 6 of docs/SPOOL.md. */
#include "tests/unit/spool/fixture.h"

static struct spool_view
view_of(struct spool *s, uint64_t id)
{
	struct spool_view v;

	need(spool_read(s, SPOOL_INCOMING, id, true, &v));
	return v;
}

static void
r6_1_the_last_word_on_each_recipient_counts(void)
{
	struct spool *s = spool_up(SYNC_AUTO);
	struct spool_msg m;
	struct spool_view v;

	need(put(s, 100, &m));
	CHECK(note(s, m.id, JRN_T_DEFERRED, 0, "busy") == OK);
	CHECK(note(s, m.id, JRN_T_DEFERRED, 1, "busy, too") == OK);
	CHECK(note(s, m.id, JRN_T_SENT, 0, "taken") == OK);
	v = view_of(s, m.id);
	CHECK(v.progress[0].state == JRN_SENT && v.progress[1].state == JRN_DEFERRED && v.progress[2].state == JRN_PENDING);
	CHECK_STR(v.progress[0].text, "taken");
	CHECK_STR(v.progress[1].text, "busy, too");
	CHECK_STR(v.progress[1].esc, "4.0.0");
	CHECK_STR(v.progress[1].mta, "mx.example.org");
	CHECK_STR(v.progress[1].diag, "450 no");
	CHECK(v.progress[1].attempts == 2 && v.progress[1].next_try.us == 99 && v.progress[2].attempts == 0);
	spool_view_fini(&v);
	spool_down(&s);
}

static void
r6_1_a_final_outcome_stays(void)
{
	static const enum jrn_type finals[] = { JRN_T_SENT, JRN_T_BOUNCED, JRN_T_EXPIRED };
	static const enum jrn_state states[] = { JRN_SENT, JRN_BOUNCED, JRN_EXPIRED };
	struct spool *s = spool_up(SYNC_NONE);
	struct spool_msg m;
	struct spool_view v;

	need(put(s, 100, &m));
	for (uint32_t i = 0; i < 3; i++)
		CHECK(note(s, m.id, finals[i], i, "final") == OK);
	for (uint32_t i = 0; i < 3; i++)
		CHECK(note(s, m.id, JRN_T_DEFERRED, i, "late") == OK);
	CHECK(note(s, m.id, JRN_T_REQUEUED, JRN_ALL, "") == OK);
	CHECK(note(s, m.id, JRN_T_NOTICED, JRN_ALL, "") == OK);
	v = view_of(s, m.id);
	for (int i = 0; i < 3; i++) {
		CHECK(v.progress[i].state == states[i]);
		CHECK_STR(v.progress[i].text, "final");
	}
	CHECK(v.noticed && v.requeued.us == 17);
	spool_view_fini(&v);
	spool_down(&s);
}

static void
r6_1_a_requeue_makes_the_deferred_pending(void)
{
	struct spool *s = spool_up(SYNC_NONE);
	struct spool_msg m;
	struct spool_view v;

	need(put(s, 100, &m));
	CHECK(note(s, m.id, JRN_T_SENT, 0, "") == OK);
	CHECK(note(s, m.id, JRN_T_DEFERRED, 1, "") == OK);
	CHECK(note(s, m.id, JRN_T_REQUEUED, JRN_ALL, "") == OK);
	v = view_of(s, m.id);
	CHECK(v.progress[0].state == JRN_SENT && v.progress[1].state == JRN_PENDING && v.progress[2].state == JRN_PENDING);
	spool_view_fini(&v);
	spool_down(&s);
}

static void
an_entry_may_hold_many_records(void)
{
	struct spool *s = spool_up(SYNC_NONE);
	struct buf b = BUF(0);
	struct spool_msg m;
	struct spool_view v;

	need(put(s, 100, &m));
	for (uint32_t i = 0; i < 3; i++)
		jrn_record_put(&b, &(struct jrn_record){ .type = JRN_T_BOUNCED, .index = i, .text = STR("no such user") });
	CHECK(spool_append(s, SPOOL_INCOMING, m.id, buf_str(&b), false) == OK);
	v = view_of(s, m.id);
	for (int i = 0; i < 3; i++)
		CHECK(v.progress[i].state == JRN_BOUNCED);
	spool_view_fini(&v);
	buf_free(&b);
	spool_down(&s);
}

static void
records_that_make_no_sense_are_not_written(void)
{
	struct spool *s = spool_up(SYNC_NONE);
	struct spool_msg m;
	struct buf before, after;

	need(put(s, 100, &m));
	before = slurp(file_of(SPOOL_INCOMING, m.id));
	CHECK(spool_append(s, SPOOL_INCOMING, m.id, STR(""), true) == E_IPC);
	CHECK(spool_append(s, SPOOL_INCOMING, m.id, STR("nonsense"), true) == E_IPC);
	CHECK(note(s, m.id, (enum jrn_type)0, 0, "") == E_IPC);
	CHECK(note(s, m.id, (enum jrn_type)77, 0, "") == E_IPC);
	CHECK(note(s, m.id, JRN_T_SENT, 3, "") == E_IPC);
	after = slurp(file_of(SPOOL_INCOMING, m.id));
	CHECK(str_eq(buf_str(&before), buf_str(&after)));
	buf_free(&before);
	buf_free(&after);
	CHECK(note(s, m.id + 1, JRN_T_SENT, 0, "") == E_NOENT);
	spool_down(&s);
}

static void
r6_2_an_unfinished_entry_is_ignored_and_overwritten(void)
{
	struct spool *s = spool_up(SYNC_NONE);
	struct spool_msg m;
	struct spool_view v;
	struct buf file;
	size_t first;

	need(put(s, 100, &m));
	need(note(s, m.id, JRN_T_DEFERRED, 0, "kept"));
	file = slurp(file_of(SPOOL_INCOMING, m.id));
	first = file.n;
	buf_free(&file);
	need(note(s, m.id, JRN_T_SENT, 0, "a rather long text that the next entry will not cover"));
	file = slurp(file_of(SPOOL_INCOMING, m.id));
	for (size_t n = first; n < file.n; n++) {
		spew(file_of(SPOOL_INCOMING, m.id), str_sub(buf_str(&file), 0, n));
		v = view_of(s, m.id);
		CHECK(v.progress[0].state == JRN_DEFERRED);
		spool_view_fini(&v);
		CHECK(note(s, m.id, JRN_T_DEFERRED, 1, "n") == OK);
		CHECK(note(s, m.id, JRN_T_SENT, 2, "x") == OK);
		v = view_of(s, m.id);
		CHECK(v.progress[0].state == JRN_DEFERRED && v.progress[1].state == JRN_DEFERRED);
		CHECK(v.progress[2].state == JRN_SENT);
		CHECK_STR(v.progress[0].text, "kept");
		spool_view_fini(&v);
	}
	buf_free(&file);
	spool_down(&s);
}

static void
r6_2_nothing_is_appended_to_a_damaged_journal(void)
{
	struct spool *s = spool_up(SYNC_NONE);
	struct spool_msg m;
	struct buf file, after;

	need(put(s, 100, &m));
	need(note(s, m.id, JRN_T_DEFERRED, 0, "one"));
	need(note(s, m.id, JRN_T_DEFERRED, 1, "two"));
	file = slurp(file_of(SPOOL_INCOMING, m.id));
	file.p[m.content_at + m.size + LAYOUT_MARK + 20] ^= 1;
	spew(file_of(SPOOL_INCOMING, m.id), buf_str(&file));
	CHECK(note(s, m.id, JRN_T_SENT, 2, "") == E_CORRUPT);
	after = slurp(file_of(SPOOL_INCOMING, m.id));
	CHECK(str_eq(buf_str(&file), buf_str(&after)));
	buf_free(&file);
	buf_free(&after);
	spool_down(&s);
}

static void
r3_4_an_entry_that_failed_is_not_there(void)
{
	static const struct { const char *fault; enum err e; } cases[] = {
		{ "unit:pwrite:1:ENOSPC", E_NOSPACE }, { "unit:pwrite:1:EIO", E_IO }, { "unit:fdatasync:1:EIO", E_IO },
		{ "unit:pwrite:1:SHORT,unit:pwrite:2:ENOSPC", E_NOSPACE }, { "unit:open:1:EIO", E_IO }, { "unit:read:1:EIO", E_IO },
	};
	struct spool *s = spool_up(SYNC_AUTO);
	struct spool_msg m;
	struct buf before, after;

	need(put(s, 100, &m));
	need(note(s, m.id, JRN_T_DEFERRED, 0, "one"));
	before = slurp(file_of(SPOOL_INCOMING, m.id));
	for (size_t i = 0; i < countof(cases); i++) {
		faults(cases[i].fault);
		CHECK(note(s, m.id, JRN_T_SENT, 0, "two") == cases[i].e);
		faults(NULL);
		after = slurp(file_of(SPOOL_INCOMING, m.id));
		CHECK(str_eq(buf_str(&before), buf_str(&after)));
		buf_free(&after);
	}
	faults("unit:pwrite:1:SHORT");
	CHECK(note(s, m.id, JRN_T_SENT, 0, "two") == OK);
	faults(NULL);
	buf_free(&before);
	spool_down(&s);
}

SUITE(journal, TASK_TEST(r6_1_the_last_word_on_each_recipient_counts), TASK_TEST(r6_1_a_final_outcome_stays),
    TASK_TEST(r6_1_a_requeue_makes_the_deferred_pending), TASK_TEST(an_entry_may_hold_many_records),
    TASK_TEST(records_that_make_no_sense_are_not_written), TASK_TEST(r6_2_an_unfinished_entry_is_ignored_and_overwritten),
    TASK_TEST(r6_2_nothing_is_appended_to_a_damaged_journal), TASK_TEST(r3_4_an_entry_that_failed_is_not_there));
