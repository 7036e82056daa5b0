/* SPDX-License-Identifier: Apache-2.0 */
/* Which failures the sender has been told of. */
#include "tests/unit/spool/fixture.h"

static void
append_record(struct spool *s, uint64_t id, enum jrn_type type, uint32_t index)
{
	struct jrn_record r = { .type = (uint8_t)type, .index = index };
	struct buf b = BUF(0);

	CHECK(jrn_record_put(&b, &r));
	CHECK(spool_append(s, SPOOL_INCOMING, id, buf_str(&b), true) == OK);
	buf_free(&b);
}

static void
a_notice_covers_what_had_failed_before_it_only(void)
{
	struct spool *s = spool_up(SYNC_NONE);
	struct spool_msg m;
	struct spool_view v;

	need(put(s, 100, &m));
	append_record(s, m.id, JRN_T_BOUNCED, 0);
	append_record(s, m.id, JRN_T_NOTICED, JRN_ALL);
	append_record(s, m.id, JRN_T_BOUNCED, 1);
	need(spool_read(s, SPOOL_INCOMING, m.id, true, &v));
	CHECK(v.noticed && v.progress[0].noticed && !v.progress[1].noticed && !v.progress[2].noticed);
	spool_view_fini(&v);
	spool_down(&s);
}

static void
a_notice_of_one_recipient_leaves_the_others_to_be_told(void)
{
	struct spool *s = spool_up(SYNC_NONE);
	struct spool_msg m;
	struct spool_view v;

	need(put(s, 100, &m));
	append_record(s, m.id, JRN_T_BOUNCED, 0);
	append_record(s, m.id, JRN_T_EXPIRED, 1);
	append_record(s, m.id, JRN_T_NOTICED, 1);
	need(spool_read(s, SPOOL_INCOMING, m.id, true, &v));
	CHECK(!v.progress[0].noticed && v.progress[1].noticed);
	spool_view_fini(&v);
	spool_down(&s);
}

SUITE(notice, TASK_TEST(a_notice_covers_what_had_failed_before_it_only),
    TASK_TEST(a_notice_of_one_recipient_leaves_the_others_to_be_told));
