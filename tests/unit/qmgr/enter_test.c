/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon makes of notices and of files, before the scheduler sees it. */
#include "qmgr/late.h"
#include "tests/unit/qmgr/fixture.h"
#include "tests/unit/settings.h"

struct qmgr qmgr;
void qmgr_event(void) {}
void qmgr_kick(void) {}

static struct world w;
static struct service service;
static struct board board;                             /* nobody is there */

static void
up(void)
{
	world_init(&w);
	settings_default(&service.params);
	service.config_dir = "/";
	service.params.myhostname = service.params.mydestination = service.params.myorigin = "here.example";
	service.params.relay_domains = "relay.example";
	service.params.virtual_alias_domains = "";
	service.params.qmgr_message_active_limit = 10;
	qmgr = (struct qmgr){ .service = &service, .sched = w.s };
	service.board = &board;
	list_init(&qmgr.gone_list);
	late_start();
	routes_open();
}

static void
down(void)
{
	routes_close();
	gone_clear();
	map_fini(&qmgr.gone);
	world_fini(&w, NULL);
}

static enum err
notice(uint64_t id, struct str rcpts)
{
	return enter_notice(&(struct msg_entered){ .id = id, .size = 100, .sender = STR("a@b.example"), .rcpts = rcpts });
}

static struct buf
two_rcpts(void)
{
	struct buf b = BUF(0);

	CHECK(msg_rcpt_put(&b, &(struct msg_rcpt){ .index = 0, .addr = STR("x@far.example"), .orig = STR("") }));
	CHECK(msg_rcpt_put(&b, &(struct msg_rcpt){ .index = 1, .addr = STR("y@Sub.Relay.Example"), .orig = STR("") }));
	return b;
}

static void
a_notice_is_routed_by_domain(void)
{
	static const char *const transports[] = { "smtp", "relay" }, *const hops[] = { "far.example", "sub.relay.example" };
	struct buf b = two_rcpts();
	struct sched_explained x;

	up();
	CHECK(notice(1, buf_str(&b)) == OK);
	for (uint32_t i = 0; i < 2; i++) {
		sched_explain(w.s, sched_find(w.s, 1), i, &x);
		CHECK_STR(x.transport, transports[x.index]);
		CHECK_STR(x.nexthop, hops[x.index]);
	}
	buf_free(&b);
	down();
}

static void
a_notice_that_is_cut_short_removes_nothing_and_loses_no_recipient(void)
{
	struct buf b = two_rcpts();

	up();
	for (size_t n = 0; n < b.n; n++) {
		enum err e = notice(1, str_sub(buf_str(&b), 0, n));

		/* One recipient alone is a notice too; anything else is none. */
		if (e == OK) {
			CHECK(n == b.n / 2 || sched_rcpts(sched_find(w.s, 1)) == 1);
			sched_forget(w.s, sched_find(w.s, 1));
		}
		CHECK(w.removed == 0 && sched_find(w.s, 1) == NULL);
	}
	buf_free(&b);
	down();
}

static void
what_there_is_no_room_for_waits_in_the_spool(void)
{
	struct buf b = two_rcpts();

	up();
	for (uint64_t id = 1; id <= 20; id++)
		CHECK(notice(id, buf_str(&b)) == OK);
	CHECK(sched_find(w.s, 10) != NULL && sched_find(w.s, 11) == NULL);
	CHECK(qmgr.overflow && w.removed == 0);
	buf_free(&b);
	down();
}

static void
a_file_read_just_before_its_removal_does_not_come_back(void)
{
	struct spool_rcpt to = { .addr = STR("x@far.example") };
	struct spool_progress p = { .state = JRN_PENDING };
	struct spool_view v = { .msg = { .id = 5, .dir = SPOOL_INCOMING, .rcpts = &to, .nrcpts = 1 }, .progress = &p };

	up();
	/* As long as its file is there, which may be for ever; whoever begins to read meanwhile would see it. */
	gone_note(5);
	gone_clear();
	enter_view(&v);
	CHECK(sched_find(w.s, 5) == NULL && w.removed == 0);
	/* Then as long as somebody who has read it before may come with it. */
	qmgr.readers++;
	gone_end(5);
	gone_clear();
	enter_view(&v);
	CHECK(sched_find(w.s, 5) == NULL);
	qmgr.readers--;
	gone_clear();
	enter_view(&v);
	CHECK(sched_find(w.s, 5) != NULL);
	/* When nobody reads, only until its file is gone. */
	sched_forget(w.s, sched_find(w.s, 5));
	gone_note(5);
	gone_end(5);
	enter_view(&v);
	CHECK(sched_find(w.s, 5) != NULL);
	down();
}

static void
failures_that_were_told_of_are_finished_and_others_are_not(void)
{
	struct spool_rcpt to[2] = { { .addr = STR("x@far.example") }, { .addr = STR("y@far.example") } };
	struct spool_progress p[2] = { { .state = JRN_BOUNCED, .noticed = true }, { .state = JRN_BOUNCED } };
	struct spool_view v = { .msg = { .id = 5, .dir = SPOOL_DEFERRED, .sender = STR("a@b.example"), .rcpts = to,
		.nrcpts = 2 }, .progress = p, .noticed = true };
	struct msg_failed f;

	up();
	enter_view(&v);
	CHECK(w.nbounces == 1 && sched_rcpts(sched_find(w.s, 5)) == 1);
	CHECK(sched_notice(sched_find(w.s, 5), 0, &f));
	CHECK_STR(f.addr, "y@far.example");
	sched_noticed(w.s, 5);
	CHECK(w.removed == 1);
	down();
}

/* Mail to the address that notices to postmasters come from ends here, wherever it says it comes from. */
static void
notices_about_notices_about_notices_are_dropped(void)
{
	static const struct { const char *addr; bool dropped; } cases[] = {
		{ "double-bounce@here.example", true }, { "Double-Bounce@HERE.example", true },
		{ "double-bounce@far.example", false }, { "double-bounce2@here.example", false },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct buf b = BUF(0);

		up();
		CHECK(msg_rcpt_put(&b, &(struct msg_rcpt){ .addr = str_of(cases[i].addr) }));
		CHECK(notice(1, buf_str(&b)) == OK);
		CHECK(w.removed == cases[i].dropped && (sched_find(w.s, 1) == NULL) == cases[i].dropped);
		buf_free(&b);
		down();
	}
}

/* An alias that became several recipients stays in the list for the sake of its notice alone. */
static void
what_was_expanded_is_told_and_not_delivered(void)
{
	struct buf b = BUF(0);
	struct msg_failed f;

	up();
	CHECK(msg_rcpt_put(&b, &(struct msg_rcpt){ .index = 0, .addr = STR("list@here.example"), .notify = NOTIFY_SUCCESS | SPOOL_EXPANDED }));
	CHECK(notice(1, buf_str(&b)) == OK);
	CHECK(w.nbounces == 1 && w.kinds[0] == NOTICE_SUCCESS && w.removed == 0);
	CHECK(sched_notice(sched_find(w.s, 1), 0, &f) && f.action == ACTION_EXPANDED);
	sched_noticed(w.s, 1);
	CHECK(w.removed == 1);
	buf_free(&b);
	down();
}

SUITE(enter, TEST(a_notice_is_routed_by_domain), TEST(a_notice_that_is_cut_short_removes_nothing_and_loses_no_recipient),
    TEST(what_there_is_no_room_for_waits_in_the_spool), TEST(a_file_read_just_before_its_removal_does_not_come_back),
    TEST(failures_that_were_told_of_are_finished_and_others_are_not), TEST(notices_about_notices_about_notices_are_dropped),
    TEST(what_was_expanded_is_told_and_not_delivered));
