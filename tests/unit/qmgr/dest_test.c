/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/qmgr/fixture.h"

static struct world w;
static struct agent *a;
static double window;
static uint32_t busy;
static bool dead;

static void
up(uint32_t capacity)
{
	world_init(&w);
	a = sched_agent_add(w.s, STR("smtp"), capacity, &w);
}

static void
down(void)
{
	world_fini(&w, &a);
}

static void
look(const char *nexthop)
{
	CHECK(sched_destination(w.s, STR("smtp"), str_of(nexthop), &window, &busy, &dead));
}

static void
mails(uint64_t first, uint64_t n, const char *nexthop)
{
	for (uint64_t id = first; id < first + n; id++)
		world_mail(&w, id, nexthop);
	world_run(&w);
}

/* Five refusals kill a destination that nothing is known of. */
static void
kill_it(void)
{
	mails(1, 5, "example.com");
	CHECK(w.nflights == 5);
	world_end_all(&w, a, SITE_DOWN, RCPT_DEFERRED);
	look("example.com");
	CHECK(dead);
}

static void
a_window_starts_small_and_opens_with_success_up_to_the_limit(void)
{
	up(100);
	mails(1, 200, "example.com");
	CHECK(w.nflights == 5);
	for (int round = 0; round < 100; round++) {
		size_t before = w.nflights;

		world_end(&w, a, 0, SITE_OK, RCPT_SENT);
		world_run(&w);
		CHECK(w.nflights == (before < 20 ? before + 1 : 20));
		/* Never more than one above, never above the limit. */
		CHECK(w.nflights <= 20);
	}
	look("example.com");
	CHECK(window == 20 && busy == 20 && !dead);
	CHECK(world_why(&w, 200) == WHY_WINDOW);
	down();
}

static void
a_window_that_is_not_used_does_not_open(void)
{
	up(100);
	for (uint64_t id = 1; id <= 50; id++) {
		mails(id, 1, "example.com");
		world_end_all(&w, a, SITE_OK, RCPT_SENT);
	}
	look("example.com");
	CHECK(window <= 7);
	down();
}

static void
a_window_closes_with_refusals_and_recovers(void)
{
	up(100);
	w.limits.cohorts = 100;
	sched_reload(w.s, &w.settings);
	mails(1, 100, "example.com");
	world_end(&w, a, 0, SITE_DOWN, RCPT_DEFERRED);
	look("example.com");
	CHECK(window == 4);
	for (int i = 0; i < 10; i++) {
		if (w.nflights == 0)
			world_run(&w);
		world_end(&w, a, 0, SITE_DOWN, RCPT_DEFERRED);
	}
	look("example.com");
	CHECK(window == 1 && !dead);
	world_run(&w);
	CHECK(w.nflights == 1);
	world_end(&w, a, 0, SITE_OK, RCPT_SENT);
	look("example.com");
	CHECK(window == 2);
	down();
}

static void
a_recipient_refused_for_now_says_nothing_about_the_site(void)
{
	up(100);
	mails(1, 5, "example.com");
	world_end_all(&w, a, SITE_OK, RCPT_DEFERRED);
	look("example.com");
	CHECK(!dead && window >= 5);
	mails(10, 1, "example.com");
	CHECK(w.nflights == 1);
	down();
}

static void
the_dead_get_no_mail_and_new_mail_is_told_why(void)
{
	up(100);
	kill_it();
	w.suspended = 0;
	mails(10, 20, "example.com");
	CHECK(w.nflights == 0);
	CHECK(w.suspended == 20);
	CHECK_STR(str_of(w.why), "4.4.1 delivery temporarily suspended: connect: refused");
	CHECK(world_why(&w, 10) == WHY_SITE && world_why(&w, 1) == WHY_SITE);
	/* Not again within the retry interval. */
	world_pass(&w, 100);
	CHECK(w.suspended == 20);
	down();
}

static void
a_dead_destination_is_probed_with_one_delivery_ever_more_rarely(void)
{
	double last = 0, start;

	up(100);
	kill_it();
	mails(10, 100, "example.com");
	start = (double)w.now / 1e6;
	for (int probe = 0; probe < 8; probe++) {
		double at = (double)w.now / 1e6, wait;

		while (w.nflights == 0)
			world_pass(&w, 1);
		wait = (double)w.now / 1e6 - at;
		CHECK(w.nflights == 1);
		CHECK(wait >= 254 && wait <= 4602);
		/* As long again as it has been dead, within jitter. */
		CHECK(wait >= 0.8 * (at - start < 4000 ? at - start : 4000));
		CHECK(wait > 0.7 * last);
		last = wait;
		world_pass(&w, 30);
		CHECK(w.nflights == 1);
		world_end(&w, a, 0, SITE_DOWN, RCPT_DEFERRED);
		world_run(&w);
		CHECK(w.nflights == 0);
	}
	CHECK(last > 3000);
	down();
}

static void
when_it_answers_again_all_its_mail_goes_through_the_window(void)
{
	up(100);
	kill_it();
	mails(10, 300, "example.com");
	while (w.nflights == 0)
		world_pass(&w, 1);
	CHECK(w.nflights == 1);
	world_end(&w, a, 0, SITE_OK, RCPT_SENT);
	world_run(&w);
	CHECK(w.nflights == 5);
	for (int i = 0; i < 400 && w.nflights > 0; i++) {
		CHECK(w.nflights <= 20);
		world_end(&w, a, 0, SITE_OK, RCPT_SENT);
		world_run(&w);
	}
	/* No time has passed, and none of 305 was left to its own timer. */
	CHECK(w.removed == 305);
	down();
}

static void
a_probe_whose_agent_dies_decides_nothing(void)
{
	up(100);
	kill_it();
	while (w.nflights == 0)
		world_pass(&w, 1);
	sched_agent_gone(w.s, &a);
	w.nflights = 0;
	a = sched_agent_add(w.s, STR("smtp"), 100, &w);
	look("example.com");
	CHECK(dead && busy == 0);
	for (int i = 0; i < 400 && w.nflights == 0; i++)
		world_pass(&w, 1);
	CHECK(w.nflights == 1);
	down();
}

static void
a_flush_makes_the_dead_be_tried_at_once(void)
{
	up(100);
	kill_it();
	CHECK(sched_op(w.s, sched_find(w.s, 3), QUEUE_FLUSH));
	world_run(&w);
	CHECK(w.nflights == 1 && w.flights[0].id == 3);
	world_end(&w, a, 0, SITE_DOWN, RCPT_DEFERRED);
	sched_revive(w.s, STR("example.com"));
	world_run(&w);
	CHECK(w.nflights == 5);
	down();
}

static void
a_pause_between_deliveries_holds(void)
{
	up(100);
	w.limits.rate_delay = 2;
	sched_reload(w.s, &w.settings);
	mails(1, 10, "example.com");
	for (unsigned n = 1; n <= 5; n++) {
		CHECK(w.nflights == n);
		CHECK(world_why(&w, 10) == WHY_RATE);
		world_pass(&w, 1.9);
		CHECK(w.nflights == n);
		world_pass(&w, 0.2);
	}
	down();
}

static void
destinations_without_mail_are_not_kept_for_ever(void)
{
	struct sched_stats st;

	up(10);
	for (uint64_t id = 1; id <= 10000; id++) {
		char hop[32];

		snprintf(hop, sizeof hop, "d%d.example", (int)id);
		mails(id, 1, hop);
		world_end_all(&w, a, SITE_OK, RCPT_SENT);
	}
	sched_stats(w.s, &st);
	CHECK(st.destinations <= 4096 + 1 && st.messages == 0 && st.bytes == 0);
	down();
}

/* -- fairness within a destination -- */

static void
senders_take_turns(void)
{
	unsigned small = 0;

	up(1);
	for (uint64_t id = 1; id <= 500; id++)
		world_mail_from(&w, id, "bulk@example.org", "example.com", 1);
	for (uint64_t id = 1001; id <= 1010; id++)
		world_mail_from(&w, id, "person@example.net", "example.com", 1);
	world_run(&w);
	for (int i = 0; i < 21; i++) {
		small += w.flights[0].id > 1000;
		world_end(&w, a, 0, SITE_OK, RCPT_SENT);
		world_run(&w);
	}
	CHECK(small == 10);
	down();
}

static void
small_mail_goes_before_the_rest_of_a_large_mailing(void)
{
	int after = 0;

	up(1);
	w.limits.recipients = 2;
	sched_reload(w.s, &w.settings);
	world_mail_from(&w, 1, "s@x", "example.com", 64);
	world_run(&w);
	world_mail_from(&w, 2, "s@x", "example.com", 1);
	while (w.flights[0].id == 1 && after < 40) {
		world_end(&w, a, 0, SITE_OK, RCPT_SENT);
		world_run(&w);
		after++;
	}
	CHECK(w.flights[0].id == 2 && after <= 2);
	down();
}

static void
no_recipient_of_a_large_mailing_is_left_out_or_served_twice(void)
{
	bool seen[64] = { false };
	unsigned n = 0;

	up(3);
	w.limits.recipients = 5;
	sched_reload(w.s, &w.settings);
	world_mail_from(&w, 1, "s@x", "example.com", 64);
	world_run(&w);
	while (w.nflights > 0) {
		CHECK(w.flights[0].n <= 5);
		for (size_t i = 0; i < w.flights[0].n; i++) {
			CHECK(!seen[w.flights[0].index[i]]);
			seen[w.flights[0].index[i]] = true;
			n++;
		}
		world_end(&w, a, 0, SITE_OK, RCPT_SENT);
		world_run(&w);
	}
	CHECK(n == 64 && w.removed == 1);
	down();
}

SUITE(dest, TEST(a_window_starts_small_and_opens_with_success_up_to_the_limit), TEST(a_window_that_is_not_used_does_not_open),
    TEST(a_window_closes_with_refusals_and_recovers), TEST(a_recipient_refused_for_now_says_nothing_about_the_site),
    TEST(the_dead_get_no_mail_and_new_mail_is_told_why),
    TEST(a_dead_destination_is_probed_with_one_delivery_ever_more_rarely),
    TEST(when_it_answers_again_all_its_mail_goes_through_the_window), TEST(a_probe_whose_agent_dies_decides_nothing),
    TEST(a_flush_makes_the_dead_be_tried_at_once), TEST(a_pause_between_deliveries_holds),
    TEST(destinations_without_mail_are_not_kept_for_ever), TEST(senders_take_turns),
    TEST(small_mail_goes_before_the_rest_of_a_large_mailing),
    TEST(no_recipient_of_a_large_mailing_is_left_out_or_served_twice));
