/* SPDX-License-Identifier: Apache-2.0 */
/* Who is told what, and when: NOTIFY of RFC 3461, warnings of delay, reports. */
#include "tests/unit/qmgr/fixture.h"

static struct world w;
static struct agent *a;

static void
up(void)
{
	world_init(&w);
	a = sched_agent_add(w.s, STR("smtp"), 10, &w);
}

static void down(void) { world_fini(&w, &a); }

static struct sched_rcpt
rcpt(uint32_t index, uint8_t notify)
{
	return (struct sched_rcpt){ .index = index, .addr = STR("someone@example.com"), .notify = notify, .transport = STR("smtp"),
		.nexthop = STR("example.com") };
}

static void
enter(uint64_t id, uint32_t flags, const struct sched_rcpt *r, size_t n)
{
	struct sched_msg m = { .id = id, .dir = SPOOL_INCOMING, .arrived = world_wall(&w), .sender = STR("s@example.org"), .flags = flags };

	CHECK(sched_enter(w.s, &m, r, n));
	world_run(&w);
}

static void
end(size_t i, enum rcpt_status status, enum rcpt_action action)
{
	struct flight f = w.flights[i];
	struct msg_outcome o[WORLD_RCPTS];

	memmove(&w.flights[i], &w.flights[i + 1], (--w.nflights - i) * sizeof f);
	for (size_t k = 0; k < f.n; k++)
		o[k] = (struct msg_outcome){ .index = f.index[k], .status = (uint8_t)status, .action = (uint8_t)action,
			.esc = STR("2.0.0"), .text = STR("words") };
	CHECK(sched_done(w.s, a, f.delivery, SITE_OK, STR(""), o, f.n));
	world_moved(&w);
}

/* Every NOTIFY with every end: which notice is asked for, if any; without one the message is gone at once. */
static void
what_is_told_is_what_was_asked_for(void)
{
	enum { NONE = NOTICE_KINDS };
	static const struct {
		uint8_t notify;
		enum rcpt_status status;
		enum rcpt_action action;
		unsigned kind;
	} cases[] = {
		{ 0, RCPT_SENT, ACTION_DELIVERED, NONE },
		{ 0, RCPT_BOUNCED, 0, NOTICE_FAILURE },
		{ NOTIFY_NEVER, RCPT_SENT, ACTION_DELIVERED, NONE },
		{ NOTIFY_NEVER, RCPT_BOUNCED, 0, NONE },
		{ NOTIFY_SUCCESS, RCPT_SENT, ACTION_DELIVERED, NOTICE_SUCCESS },
		{ NOTIFY_SUCCESS, RCPT_SENT, ACTION_RELAYED, NOTICE_SUCCESS },
		{ NOTIFY_SUCCESS, RCPT_SENT, ACTION_EXPANDED, NOTICE_SUCCESS },
		{ NOTIFY_SUCCESS, RCPT_SENT, ACTION_PASSED, NONE },
		{ NOTIFY_SUCCESS, RCPT_BOUNCED, 0, NONE },
		{ NOTIFY_FAILURE, RCPT_SENT, ACTION_DELIVERED, NONE },
		{ NOTIFY_FAILURE, RCPT_BOUNCED, 0, NOTICE_FAILURE },
		{ NOTIFY_DELAY, RCPT_SENT, ACTION_DELIVERED, NONE },
		{ NOTIFY_DELAY, RCPT_BOUNCED, 0, NONE },
		{ NOTIFY_SUCCESS | NOTIFY_FAILURE, RCPT_BOUNCED, 0, NOTICE_FAILURE },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct sched_rcpt r = rcpt(0, cases[i].notify);
		struct msg_failed f;

		up();
		enter(1, 0, &r, 1);
		end(0, cases[i].status, cases[i].action);
		CHECK(w.nbounces == (cases[i].kind != NONE) && w.removed == (cases[i].kind == NONE));
		if (cases[i].kind != NONE) {
			CHECK(w.kinds[0] == cases[i].kind);
			CHECK(sched_notice(sched_find(w.s, 1), 0, &f));
			CHECK(f.action == (cases[i].status == RCPT_SENT ? cases[i].action : ACTION_FAILED));
			sched_noticed(w.s, 1);
			CHECK(w.removed == 1 && w.nbounces == 1);
		}
		down();
	}
}

static void
failure_and_success_are_told_one_after_the_other(void)
{
	struct sched_rcpt r[] = { rcpt(0, NOTIFY_SUCCESS), rcpt(1, 0) };
	struct msg_outcome o[] = { { .index = 0, .status = RCPT_SENT }, { .index = 1, .status = RCPT_BOUNCED } };
	struct msg_failed f;

	up();
	enter(1, 0, r, 2);
	CHECK(sched_done(w.s, a, w.flights[0].delivery, SITE_OK, STR(""), o, 2));
	w.nflights = 0;
	CHECK(w.nbounces == 1 && w.kinds[0] == NOTICE_FAILURE);
	CHECK(!sched_notice(sched_find(w.s, 1), 0, &f) && sched_notice(sched_find(w.s, 1), 1, &f));
	sched_noticed(w.s, 1);
	CHECK(w.nbounces == 2 && w.kinds[1] == NOTICE_SUCCESS && w.removed == 0 && w.noticed == 1);
	CHECK(sched_notice(sched_find(w.s, 1), 0, &f) && !sched_notice(sched_find(w.s, 1), 1, &f));
	sched_noticed(w.s, 1);
	CHECK(w.removed == 1);
	down();
}

/* What the journal says after a crash decides what is still to be told. */
static void
after_a_restart_only_what_is_not_durable_is_told(void)
{
	static const struct {
		enum jrn_state state;
		uint8_t notify, action;
		bool noticed;
		bool told;
	} cases[] = {
		{ JRN_SENT, NOTIFY_SUCCESS, ACTION_DELIVERED, false, true },
		{ JRN_SENT, NOTIFY_SUCCESS, ACTION_DELIVERED, true, false },
		{ JRN_SENT, NOTIFY_SUCCESS, ACTION_PASSED, false, false },
		{ JRN_SENT, 0, ACTION_DELIVERED, false, false },
		{ JRN_BOUNCED, 0, 0, false, true },
		{ JRN_BOUNCED, 0, 0, true, false },
		{ JRN_BOUNCED, NOTIFY_NEVER, 0, false, false },
		{ JRN_EXPIRED, NOTIFY_SUCCESS, 0, false, false },
		{ JRN_EXPIRED, NOTIFY_FAILURE, 0, false, true },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct sched_rcpt r = rcpt(0, cases[i].notify);

		up();
		r.state = cases[i].state;
		r.action = cases[i].action;
		r.noticed = cases[i].noticed;
		enter(1, 0, &r, 1);
		CHECK(w.nbounces == cases[i].told && w.removed == !cases[i].told && w.nflights == 0);
		if (cases[i].told)
			sched_noticed(w.s, 1);
		CHECK(w.removed == 1);
		down();
	}
}

/* -- delay -- */

static void
up_with_warning(void)
{
	up();
	w.settings.warning = 4 * 3600;
	sched_reload(w.s, &w.settings);
}

/* Deferred at each try for so long. */
static void
defer_for(int64_t seconds)
{
	for (int64_t t = 0; t < seconds; t += 100) {
		world_pass(&w, 100);
		while (w.nflights > 0)
			end(0, RCPT_DEFERRED, 0);
	}
}

static void
a_delay_is_told_once_and_written_down(void)
{
	struct sched_rcpt r = rcpt(0, 0);
	struct msg_failed f;

	up_with_warning();
	enter(1, 0, &r, 1);
	defer_for(4 * 3600 - 300);
	CHECK(w.nbounces == 0);
	defer_for(600);
	CHECK(w.nbounces == 1 && w.kinds[0] == NOTICE_DELAY && w.warned == 0);
	CHECK(sched_notice(sched_find(w.s, 1), 0, &f) && f.action == ACTION_DELAYED);
	CHECK_STR(f.text, "words");
	sched_noticed(w.s, 1);
	CHECK(w.warned == 1 && w.removed == 0);
	defer_for(100000);
	CHECK(w.nbounces == 1 && w.warned == 1);
	down();
}

static void
who_was_warned_before_a_restart_is_not_warned_again(void)
{
	for (int warned = 0; warned < 2; warned++) {
		struct sched_rcpt r = rcpt(0, 0);

		up_with_warning();
		r.warned = warned;
		r.state = JRN_DEFERRED;
		enter(1, 0, &r, 1);
		defer_for(6 * 3600);
		CHECK(w.nbounces == (warned ? 0 : 1));
		down();
	}
}

/* Mail that waited while the whole system was down has a chance to go out first. */
static void
old_mail_is_not_warned_of_before_it_is_tried(void)
{
	struct sched_rcpt r = rcpt(0, 0);
	struct sched_msg m = { .id = 1, .dir = SPOOL_DEFERRED, .sender = STR("s@x"),
		.arrived = { world_wall(&w).us - INT64_C(10) * 3600 * 1000000 } };

	up_with_warning();
	m.arrived.us = world_wall(&w).us - INT64_C(10) * 3600 * 1000000;
	CHECK(sched_enter(w.s, &m, &r, 1));
	world_run(&w);
	CHECK(w.nbounces == 0 && w.nflights == 1);
	end(0, RCPT_SENT, ACTION_DELIVERED);
	CHECK(w.removed == 1);
	world_pass(&w, 1000);
	CHECK(w.nbounces == 0);
	down();
}

static void
who_wants_no_warnings_gets_none(void)
{
	static const struct { uint8_t notify; bool warned; } cases[] = {
		{ NOTIFY_NEVER, false }, { NOTIFY_FAILURE, false }, { NOTIFY_SUCCESS, false }, { NOTIFY_DELAY, true }, { 0, true },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct sched_rcpt r = rcpt(0, cases[i].notify);

		up_with_warning();
		enter(1, 0, &r, 1);
		defer_for(5 * 3600);
		CHECK(w.nbounces == cases[i].warned);
		down();
	}
}

static void
mail_that_waits_for_a_dead_destination_is_warned_of_too(void)
{
	struct sched_rcpt r = rcpt(0, 0);
	struct msg_failed f;

	up_with_warning();
	enter(1, 0, &r, 1);
	for (int i = 0; i < 5 * 36; i++) {
		world_pass(&w, 100);
		while (w.nflights > 0)
			world_end(&w, a, 0, SITE_DOWN, RCPT_DEFERRED);
	}
	CHECK(w.nbounces == 1 && sched_notice(sched_find(w.s, 1), 0, &f));
	CHECK_STR(f.text, "connect: refused");
	down();
}

static void
a_warning_keeps_no_message_that_is_delivered(void)
{
	struct sched_rcpt r = rcpt(0, 0);

	up_with_warning();
	enter(1, 0, &r, 1);
	defer_for(4 * 3600 + 300);
	CHECK(w.nbounces == 1);
	while (w.nflights == 0)
		world_pass(&w, 100);
	end(0, RCPT_SENT, ACTION_DELIVERED);
	CHECK(w.removed == 1);
	sched_noticed(w.s, 1);
	down();
}

static void
the_end_of_a_delay_is_told_where_that_is_wanted(void)
{
	/* Also where the next host has taken over to tell of success: it knows nothing of our warning. */
	for (int i = 0; i < 4; i++) {
		enum rcpt_action action = i & 2 ? ACTION_PASSED : ACTION_DELIVERED;
		bool confirm = i & 1;
		struct sched_rcpt r = rcpt(0, 0);

		up();
		w.settings.confirm_delay = confirm;
		sched_reload(w.s, &w.settings);
		r.warned = true;
		enter(1, 0, &r, 1);
		end(0, RCPT_SENT, action);
		CHECK(w.nbounces == (confirm ? 1 : 0) && w.removed == !confirm);
		if (confirm)
			CHECK(w.kinds[0] == NOTICE_SUCCESS);
		down();
	}
}

/* -- reports -- */

static void
a_report_tells_of_the_first_attempt_whatever_came_of_it(void)
{
	struct sched_rcpt r[] = { rcpt(0, 0), rcpt(1, 0), rcpt(2, 0) };
	struct msg_outcome o[] = { { .index = 0, .status = RCPT_SENT }, { .index = 1, .status = RCPT_BOUNCED },
		{ .index = 2, .status = RCPT_DEFERRED } };
	static const uint8_t actions[] = { ACTION_DELIVERED, ACTION_FAILED, ACTION_DELAYED };
	struct msg_failed f;

	up();
	enter(1, MF_REPORT, r, 3);
	CHECK(sched_done(w.s, a, w.flights[0].delivery, SITE_OK, STR(""), o, 3));
	w.nflights = 0;
	world_moved(&w);
	CHECK(w.kinds[0] == NOTICE_FAILURE);
	sched_noticed(w.s, 1);
	CHECK(w.nbounces == 2 && w.kinds[1] == NOTICE_REPORT);
	for (uint32_t i = 0; i < 3; i++)
		CHECK(sched_notice(sched_find(w.s, 1), i, &f) && f.action == actions[i]);
	sched_noticed(w.s, 1);
	CHECK(w.reported == 3 && w.removed == 0);
	defer_for(2000);
	CHECK(w.nbounces == 2);
	down();
}

static void
a_trial_ends_with_one_report_and_no_mail(void)
{
	struct sched_rcpt r[] = { rcpt(0, 0), rcpt(1, NOTIFY_SUCCESS), rcpt(2, NOTIFY_NEVER) };
	struct msg_outcome o[] = { { .index = 0, .status = RCPT_SENT }, { .index = 1, .status = RCPT_BOUNCED },
		{ .index = 2, .status = RCPT_DEFERRED } };
	struct msg_failed f;

	up();
	enter(1, MF_VERIFY, r, 3);
	CHECK(sched_done(w.s, a, w.flights[0].delivery, SITE_OK, STR(""), o, 3));
	w.nflights = 0;
	CHECK(w.nbounces == 1 && w.kinds[0] == NOTICE_REPORT);
	for (uint32_t i = 0; i < 3; i++)
		CHECK(sched_notice(sched_find(w.s, 1), i, &f) && f.action == (i ? ACTION_UNDELIVERABLE : ACTION_DELIVERABLE));
	sched_noticed(w.s, 1);
	CHECK(w.removed == 1 && w.records == 0);
	down();
}

static void
a_trial_of_a_dead_destination_ends_too(void)
{
	struct sched_rcpt r = rcpt(0, 0);

	world_init(&w);
	w.limits.initial = 1;
	a = sched_agent_add(w.s, STR("smtp"), 10, &w);
	world_mail(&w, 7, "example.com");
	world_run(&w);
	world_end_all(&w, a, SITE_DOWN, RCPT_DEFERRED);
	enter(1, MF_VERIFY, &r, 1);
	world_pass(&w, 1);
	CHECK(w.nbounces == 1 && w.kinds[0] == NOTICE_REPORT && w.bounces[0] == 1);
	sched_noticed(w.s, 1);
	CHECK(sched_find(w.s, 1) == NULL);
	down();
}

SUITE(sched_notice, TEST(what_is_told_is_what_was_asked_for), TEST(failure_and_success_are_told_one_after_the_other),
    TEST(after_a_restart_only_what_is_not_durable_is_told), TEST(a_delay_is_told_once_and_written_down),
    TEST(who_was_warned_before_a_restart_is_not_warned_again), TEST(old_mail_is_not_warned_of_before_it_is_tried),
    TEST(who_wants_no_warnings_gets_none), TEST(mail_that_waits_for_a_dead_destination_is_warned_of_too),
    TEST(a_warning_keeps_no_message_that_is_delivered), TEST(the_end_of_a_delay_is_told_where_that_is_wanted),
    TEST(a_report_tells_of_the_first_attempt_whatever_came_of_it), TEST(a_trial_ends_with_one_report_and_no_mail),
    TEST(a_trial_of_a_dead_destination_ends_too));
