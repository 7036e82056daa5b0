/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/qmgr/fixture.h"

static struct world w;
static struct agent *a;

static void
up(uint32_t capacity)
{
	world_init(&w);
	a = capacity ? sched_agent_add(w.s, STR("smtp"), capacity, &w) : NULL;
}

static void
down(void)
{
	world_fini(&w, a ? &a : NULL);
}

/* -- outcomes -- */

static void
delivered_at_once_is_removed_without_a_journal(void)
{
	up(10);
	world_mail(&w, 1, "example.com");
	world_run(&w);
	CHECK(w.nflights == 1 && w.active == 1);
	CHECK(world_why(&w, 1) == WHY_FLIGHT);
	world_end_all(&w, a, SITE_OK, RCPT_SENT);
	CHECK(w.removed == 1 && w.removed_ids[0] == 1);
	CHECK(w.records == 0 && w.moves == 0);
	CHECK(sched_find(w.s, 1) == NULL);
	down();
}

static void
a_message_is_entered_once(void)
{
	struct sched_msg m = { .id = 1, .sender = STR("a@b") };
	struct sched_rcpt r = { .addr = STR("c@d"), .transport = STR("smtp"), .nexthop = STR("d") };

	up(10);
	CHECK(sched_enter(w.s, &m, &r, 1));
	CHECK(!sched_enter(w.s, &m, &r, 1));
	down();
}

static void
a_message_with_nothing_left_to_do_is_removed(void)
{
	struct sched_msg m = { .id = 1, .sender = STR("a@b") };
	struct sched_rcpt r = { .addr = STR("c@d"), .transport = STR("smtp"), .nexthop = STR("d"), .state = JRN_SENT };

	up(10);
	CHECK(sched_enter(w.s, &m, &r, 1));
	CHECK(w.removed == 1 && sched_find(w.s, 1) == NULL);
	down();
}

static void
part_delivered_is_recorded_durably_when_the_rest_waits(void)
{
	struct msg_outcome o[2] = { { .index = 0, .status = RCPT_SENT }, { .index = 1, .status = RCPT_DEFERRED } };

	up(10);
	world_mail_from(&w, 1, "s@x", "example.com", 2);
	world_run(&w);
	CHECK(w.nflights == 1 && w.flights[0].n == 2);
	CHECK(sched_done(w.s, a, w.flights[0].delivery, SITE_OK, STR(""), o, 2));
	CHECK(w.records == 1 && w.durable == 1 && w.sent == 1 && w.deferred_records == 1);
	CHECK(w.nmoving == 1 && w.moving_to[0] == SPOOL_DEFERRED);
	w.nflights = 0;
	world_moved(&w);
	world_pass(&w, 400);
	CHECK(w.nflights == 1 && w.flights[0].n == 1 && w.flights[0].index[0] == 1);
	world_end_all(&w, a, SITE_OK, RCPT_SENT);
	CHECK(w.removed == 1);
	down();
}

static void
a_deferral_alone_is_not_synced(void)
{
	up(10);
	world_mail(&w, 1, "example.com");
	world_run(&w);
	world_end_all(&w, a, SITE_OK, RCPT_DEFERRED);
	CHECK(w.records == 1 && w.durable == 0 && w.moves == 1);
	CHECK(world_why(&w, 1) == WHY_DEFERRED);
	down();
}

static void
a_result_that_lists_one_recipient_twice_loses_none(void)
{
	struct msg_outcome o[2] = { { .index = 0, .status = RCPT_SENT }, { .index = 0, .status = RCPT_SENT } };

	up(10);
	world_mail_from(&w, 1, "s@x", "example.com", 2);
	world_run(&w);
	CHECK(sched_done(w.s, a, w.flights[0].delivery, SITE_OK, STR(""), o, 2));
	CHECK(w.removed == 0 && sched_find(w.s, 1) != NULL);
	down();
}

static void
only_the_agent_that_delivers_may_say_what_came_of_it(void)
{
	struct agent *other;

	up(1);
	world_mail(&w, 1, "example.com");
	world_run(&w);
	other = sched_agent_add(w.s, STR("smtp"), 1, &other);
	CHECK(!sched_done(w.s, other, w.flights[0].delivery, SITE_OK, STR(""), NULL, 0));
	CHECK(!sched_done(w.s, a, w.flights[0].delivery + 1, SITE_OK, STR(""), NULL, 0));
	world_end_all(&w, a, SITE_OK, RCPT_SENT);
	CHECK(!sched_done(w.s, a, 0, SITE_OK, STR(""), NULL, 0));
	sched_agent_gone(w.s, &other);
	down();
}

static void
results_wait_a_second_at_most_for_company(void)
{
	up(1);
	w.limits.recipients = 1;
	sched_reload(w.s, &w.settings);
	world_mail_from(&w, 1, "s@x", "example.com", 3);
	world_run(&w);
	world_end_all(&w, a, SITE_OK, RCPT_SENT);
	world_run(&w);
	CHECK(w.nflights == 1 && w.records == 0);
	world_pass(&w, 1.1);
	CHECK(w.records == 1 && w.durable == 1 && w.sent == 1);
	down();
}

/* -- notices -- */

static void
a_failure_is_told_and_the_message_removed_when_the_notice_is_durable(void)
{
	struct msg_failed f;

	up(10);
	world_mail(&w, 1, "example.com");
	world_run(&w);
	world_end_all(&w, a, SITE_OK, RCPT_BOUNCED);
	CHECK(w.nbounces == 1 && w.removed == 0 && w.records == 0);
	CHECK(sched_notice(sched_find(w.s, 1), 0, &f) && !f.expired);
	CHECK_STR(f.esc, "5.1.1");
	CHECK(world_why(&w, 1) == WHY_NOTICE);
	sched_noticed(w.s, 1);
	CHECK(w.removed == 1);
	down();
}

static void
a_failure_is_recorded_when_the_notice_takes_long(void)
{
	up(10);
	world_mail(&w, 1, "example.com");
	world_run(&w);
	world_end_all(&w, a, SITE_OK, RCPT_BOUNCED);
	world_pass(&w, 2);
	CHECK(w.bounced_records == 1 && w.nbounces == 1);
	sched_noticed(w.s, 1);
	CHECK(w.removed == 1);
	down();
}

static void
mail_from_nobody_that_fails_is_removed_without_notice(void)
{
	up(10);
	world_mail_from(&w, 1, "", "example.com", 1);
	world_run(&w);
	world_end_all(&w, a, SITE_OK, RCPT_BOUNCED);
	CHECK(w.nbounces == 0 && w.removed == 1);
	down();
}

static void
one_notice_tells_of_all_failures_of_a_round(void)
{
	struct msg_outcome o[3] = { { .index = 0, .status = RCPT_BOUNCED }, { .index = 1, .status = RCPT_BOUNCED },
		{ .index = 2, .status = RCPT_DEFERRED } };
	struct msg_failed f;

	up(10);
	world_mail_from(&w, 1, "s@x", "example.com", 3);
	world_run(&w);
	CHECK(sched_done(w.s, a, w.flights[0].delivery, SITE_OK, STR(""), o, 3));
	w.nflights = 0;
	CHECK(w.nbounces == 1);
	CHECK(sched_notice(sched_find(w.s, 1), 0, &f) && sched_notice(sched_find(w.s, 1), 1, &f));
	CHECK(!sched_notice(sched_find(w.s, 1), 2, &f));
	sched_noticed(w.s, 1);
	CHECK(w.noticed == 2 && w.removed == 0);
	world_moved(&w);
	world_pass(&w, 400);
	world_end_all(&w, a, SITE_OK, RCPT_BOUNCED);
	/* The second round tells of its own failure only. */
	CHECK(w.nbounces == 2 && !sched_notice(sched_find(w.s, 1), 0, &f) && sched_notice(sched_find(w.s, 1), 2, &f));
	sched_noticed(w.s, 1);
	CHECK(w.removed == 1);
	down();
}

static void
failures_found_in_the_journal_are_told_after_a_restart(void)
{
	struct sched_msg m = { .id = 1, .sender = STR("a@b"), .dir = SPOOL_DEFERRED };
	struct sched_rcpt r = { .addr = STR("c@d"), .transport = STR("smtp"), .nexthop = STR("d"), .state = JRN_BOUNCED,
		.esc = STR("5.7.1"), .text = STR("no") };
	struct msg_failed f;

	up(10);
	CHECK(sched_enter(w.s, &m, &r, 1));
	CHECK(w.nbounces == 1 && sched_notice(sched_find(w.s, 1), 0, &f));
	CHECK_STR(f.text, "no");
	sched_noticed(w.s, 1);
	CHECK(w.removed == 1);
	down();
}

/* -- retries -- */

static void
retries_come_after_the_age_within_bounds_and_jitter(void)
{
	static const struct { double age, low, high; } rounds[] = {
		{ 0,     255, 345 },
		{ 100,   255, 345 },
		{ 1000,  850, 1150 },
		{ 20000, 3400, 4600 },
	};

	for (size_t i = 0; i < countof(rounds); i++) {
		struct sched_explained x;
		struct sched_msg m = { .id = 1, .sender = STR("a@b") };
		struct sched_rcpt r = { .addr = STR("c@d"), .transport = STR("smtp"), .nexthop = STR("d") };
		double wait;

		up(1);
		m.arrived.us = world_wall(&w).us - (int64_t)(rounds[i].age * 1e6);
		CHECK(sched_enter(w.s, &m, &r, 1));
		world_run(&w);
		world_end_all(&w, a, SITE_OK, RCPT_DEFERRED);
		sched_explain(w.s, sched_find(w.s, 1), 0, &x);
		wait = (double)(x.next_try.us - world_wall(&w).us) / 1e6;
		CHECK(wait >= rounds[i].low && wait <= rounds[i].high);
		CHECK(x.attempts == 1 && x.why == WHY_DEFERRED);
		CHECK_STR(x.text, "said: no");
		world_pass(&w, wait - 1);
		CHECK(w.nflights == 0);
		world_pass(&w, 1.001);
		CHECK(w.nflights == 1);
		down();
	}
}

static void
a_retry_time_in_the_journal_holds(void)
{
	struct sched_msg m = { .id = 1, .sender = STR("a@b"), .dir = SPOOL_DEFERRED };
	struct sched_rcpt r = { .addr = STR("c@d"), .transport = STR("smtp"), .nexthop = STR("d"), .state = JRN_DEFERRED,
		.attempts = 3 };
	struct sched_explained x;

	up(1);
	m.arrived = world_wall(&w);
	r.next_try.us = world_wall(&w).us + 50 * 1000000;
	CHECK(sched_enter(w.s, &m, &r, 1));
	sched_explain(w.s, sched_find(w.s, 1), 0, &x);
	CHECK(x.attempts == 3 && x.next_try.us == r.next_try.us);
	world_pass(&w, 49);
	CHECK(w.nflights == 0);
	world_pass(&w, 2);
	CHECK(w.nflights == 1 && w.active == 1);
	down();
}

static void
old_mail_expires_when_an_attempt_fails(void)
{
	struct msg_failed f;

	up(1);
	world_mail(&w, 1, "example.com");
	world_run(&w);
	w.now += INT64_C(432001) * 1000000;
	world_run(&w);
	world_end_all(&w, a, SITE_OK, RCPT_DEFERRED);
	CHECK(w.expired == 1 && w.nbounces == 1);
	CHECK(sched_notice(sched_find(w.s, 1), 0, &f) && f.expired);
	CHECK_STR(f.text, "said: no");
	sched_noticed(w.s, 1);
	CHECK(w.removed == 1);
	down();
}

static void
a_lifetime_of_nothing_allows_one_attempt(void)
{
	up(1);
	w.settings.lifetime = 0;
	sched_reload(w.s, &w.settings);
	world_mail(&w, 1, "example.com");
	world_pass(&w, 0.001);
	CHECK(w.nflights == 1);
	world_end_all(&w, a, SITE_OK, RCPT_DEFERRED);
	CHECK(w.expired == 1 && w.nbounces == 1);
	down();
}

static void
mail_that_waits_for_a_transport_expires_too(void)
{
	up(0);
	world_mail(&w, 1, "example.com");
	world_pass(&w, 11);
	CHECK(w.suspended == 1);
	for (int hours = 0; hours < 5 * 24 + 2; hours++)
		world_pass(&w, 3600);
	CHECK(w.expired == 1 && w.nbounces == 1);
	down();
}

/* -- transports and agents -- */

static void
a_missing_transport_is_said_after_a_grace_and_mail_goes_when_it_comes(void)
{
	up(0);
	world_mail(&w, 1, "example.com");
	world_pass(&w, 5);
	CHECK(w.suspended == 0 && world_why(&w, 1) == WHY_TRANSPORT);
	world_pass(&w, 6);
	CHECK(w.suspended == 1 && w.moves == 1);
	CHECK_STR(str_of(w.why), "4.3.0 mail transport unavailable");
	world_pass(&w, 100);
	CHECK(w.suspended == 1);
	a = sched_agent_add(w.s, STR("smtp"), 1, &w);
	world_run(&w);
	CHECK(w.nflights == 1);
	down();
}

static void
a_transport_of_defer_transports_waits_for_a_flush(void)
{
	up(1);
	w.limits.deferred = true;
	sched_reload(w.s, &w.settings);
	world_mail(&w, 1, "example.com");
	world_run(&w);
	CHECK(w.nflights == 0 && world_why(&w, 1) == WHY_DEFER && w.suspended == 1);
	world_pass(&w, 1000);
	CHECK(w.nflights == 0);
	CHECK(sched_op(w.s, sched_find(w.s, 1), QUEUE_FLUSH));
	world_run(&w);
	CHECK(w.nflights == 1);
	world_end_all(&w, a, SITE_OK, RCPT_DEFERRED);
	world_pass(&w, 5000);
	CHECK(w.nflights == 0);
	w.limits.deferred = false;
	sched_reload(w.s, &w.settings);
	world_run(&w);
	CHECK(w.nflights == 1);
	down();
}

static void
a_lost_agent_has_its_deliveries_made_again_later(void)
{
	up(5);
	world_mail(&w, 1, "example.com");
	world_mail(&w, 2, "example.net");
	world_run(&w);
	CHECK(w.nflights == 2);
	sched_agent_gone(w.s, &a);
	CHECK(w.lost == 2 && w.removed == 0);
	w.nflights = 0;
	a = sched_agent_add(w.s, STR("smtp"), 5, &w);
	world_pass(&w, 250);
	CHECK(w.nflights == 0);
	world_pass(&w, 100);
	CHECK(w.nflights == 2);
	world_end_all(&w, a, SITE_OK, RCPT_SENT);
	CHECK(w.removed == 2);
	down();
}

static void
the_least_loaded_agent_is_chosen_and_none_gets_more_than_it_takes(void)
{
	struct agent *big;
	int n_big = 0;

	up(2);
	w.limits.initial = 20;
	sched_reload(w.s, &w.settings);
	big = sched_agent_add(w.s, STR("smtp"), 6, &big);
	for (uint64_t id = 1; id <= 12; id++) {
		char hop[32];

		snprintf(hop, sizeof hop, "d%d.example", (int)id);
		world_mail(&w, id, hop);
		world_run(&w);
	}
	for (size_t i = 0; i < w.nflights; i++)
		n_big += w.flights[i].agent == &big;
	/* Unknown destinations take seven eighths of the eight. */
	CHECK(w.nflights == 7 && n_big == 5);
	sched_agent_gone(w.s, &big);
	down();
}

static void
a_pause_begins_no_delivery(void)
{
	up(1);
	sched_pause(w.s, true);
	world_mail(&w, 1, "example.com");
	world_run(&w);
	CHECK(w.nflights == 0);
	sched_pause(w.s, false);
	world_run(&w);
	CHECK(w.nflights == 1);
	down();
}

/* A file from elsewhere may say anything. */
static void
mail_that_arrived_at_no_possible_time_is_delivered_or_returned(void)
{
	static const int64_t times[] = { INT64_MIN, -1, 0, INT64_MAX };

	for (size_t i = 0; i < countof(times); i++) {
		struct sched_msg m = { .id = 1, .dir = SPOOL_INCOMING, .arrived = { times[i] }, .sender = STR("s@example.org") };
		struct sched_rcpt r = { .addr = STR("x@example.com"), .transport = STR("smtp"), .nexthop = STR("example.com") };

		up(1);
		w.settings.warning = 4 * 3600;
		sched_reload(w.s, &w.settings);
		CHECK(sched_enter(w.s, &m, &r, 1));
		world_run(&w);
		CHECK(w.nflights == 1);
		world_end(&w, a, 0, SITE_OK, RCPT_DEFERRED);
		world_pass(&w, 5000);
		CHECK(w.nflights + w.expired == 1);
		down();
	}
}

SUITE(sched, TEST(mail_that_arrived_at_no_possible_time_is_delivered_or_returned),
    TEST(delivered_at_once_is_removed_without_a_journal), TEST(a_message_is_entered_once),
    TEST(a_message_with_nothing_left_to_do_is_removed), TEST(part_delivered_is_recorded_durably_when_the_rest_waits),
    TEST(a_deferral_alone_is_not_synced), TEST(a_result_that_lists_one_recipient_twice_loses_none),
    TEST(only_the_agent_that_delivers_may_say_what_came_of_it), TEST(results_wait_a_second_at_most_for_company),
    TEST(a_failure_is_told_and_the_message_removed_when_the_notice_is_durable),
    TEST(a_failure_is_recorded_when_the_notice_takes_long), TEST(mail_from_nobody_that_fails_is_removed_without_notice),
    TEST(one_notice_tells_of_all_failures_of_a_round), TEST(failures_found_in_the_journal_are_told_after_a_restart),
    TEST(retries_come_after_the_age_within_bounds_and_jitter), TEST(a_retry_time_in_the_journal_holds),
    TEST(old_mail_expires_when_an_attempt_fails), TEST(a_lifetime_of_nothing_allows_one_attempt),
    TEST(mail_that_waits_for_a_transport_expires_too),
    TEST(a_missing_transport_is_said_after_a_grace_and_mail_goes_when_it_comes),
    TEST(a_transport_of_defer_transports_waits_for_a_flush), TEST(a_lost_agent_has_its_deliveries_made_again_later),
    TEST(the_least_loaded_agent_is_chosen_and_none_gets_more_than_it_takes), TEST(a_pause_begins_no_delivery));
