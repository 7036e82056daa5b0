/* SPDX-License-Identifier: Apache-2.0 */
/* Mail that is tried again goes where it belongs by then. */
#include "tests/unit/qmgr/fixture.h"

static struct world w;
static struct agent *a, *other;

static void
up(void)
{
	world_init_routed(&w);
	w.route_to = "example.com";
	a = sched_agent_add(w.s, STR("smtp"), 10, &a);
}

static void
down(void)
{
	sched_agent_gone(w.s, &other);
	world_fini(&w, &a);
}

/* Mail 1 with so many recipients, r0@example.com …, tried once and deferred. */
static void
deferred_mail(size_t rcpts)
{
	struct sched_msg m = { .id = 1, .dir = SPOOL_INCOMING, .arrived = world_wall(&w), .sender = STR("s@example.org") };
	struct sched_rcpt r[4] = { { .addr = STR("r0@example.com") }, { .addr = STR("r1@example.com") },
		{ .addr = STR("r2@example.com") }, { .addr = STR("r3@example.com") } };

	for (size_t i = 0; i < rcpts; i++) {
		r[i].index = (uint32_t)i;
		r[i].transport = STR("smtp");
		r[i].nexthop = STR("example.com");
	}
	CHECK(sched_enter(w.s, &m, r, rcpts));
	world_run(&w);
	CHECK(w.nflights == 1 && w.flights[0].n == rcpts);
	world_end(&w, a, 0, SITE_OK, RCPT_DEFERRED);
	world_run(&w);
	CHECK(world_why(&w, 1) == WHY_DEFERRED);
}

static void
check_rcpt(uint32_t index, const char *nexthop, uint32_t attempts)
{
	struct sched_explained x = { .nexthop = STR("") };
	const struct message *m = sched_find(w.s, 1);

	for (uint32_t i = 0; m && i < sched_rcpts(m); i++) {
		sched_explain(w.s, m, i, &x);
		if (x.index == index)
			break;
	}
	CHECK_STR(x.nexthop, nexthop);
	CHECK(x.attempts == attempts);
	CHECK_STR(x.text, "said: no");
}

static void
a_retry_asks_for_the_route_again(void)
{
	up();
	deferred_mail(2);
	w.route_to = "relay.example";
	world_pass(&w, 400);
	CHECK(w.nflights == 1 && w.flights[0].n == 2 && strcmp(w.flights[0].nexthop, "relay.example") == 0);
	CHECK(w.reroutes == 0);
	world_end(&w, a, 0, SITE_OK, RCPT_SENT);
	CHECK(w.removed == 1);
	down();
}

static void
so_does_a_flush_even_of_mail_for_a_destination_that_is_dead(void)
{
	up();
	world_mail(&w, 1, "example.com");
	world_run(&w);
	world_end(&w, a, 0, SITE_DOWN, RCPT_DEFERRED);
	for (int i = 0; i < 10 && world_why(&w, 1) != WHY_SITE; i++) {
		world_pass(&w, 100);
		world_end_all(&w, a, SITE_DOWN, RCPT_DEFERRED);
	}
	CHECK(world_why(&w, 1) == WHY_SITE || world_why(&w, 1) == WHY_DEFERRED);
	w.route_to = "relay.example";
	CHECK(sched_op(w.s, sched_find(w.s, 1), QUEUE_FLUSH));
	world_run(&w);
	CHECK(w.nflights == 1 && strcmp(w.flights[0].nexthop, "relay.example") == 0);
	world_end(&w, a, 0, SITE_OK, RCPT_SENT);
	down();
}

static void
mail_for_a_transport_that_is_not_there_finds_its_way_when_the_table_is_mended(void)
{
	struct sched_msg m = { .id = 1, .dir = SPOOL_INCOMING, .arrived = world_wall(&w), .sender = STR("s@example.org") };
	struct sched_rcpt r = { .addr = STR("x@example.com"), .transport = STR("smpt"), .nexthop = STR("example.com") };

	up();
	m.arrived = world_wall(&w);
	CHECK(sched_enter(w.s, &m, &r, 1));
	world_pass(&w, 20);
	CHECK(world_why(&w, 1) == WHY_TRANSPORT && w.nflights == 0);
	world_pass(&w, 400);
	CHECK(w.nflights == 1);
	world_end(&w, a, 0, SITE_OK, RCPT_SENT);
	CHECK(w.removed == 1);
	down();
}

static void
released_mail_is_routed_again(void)
{
	up();
	deferred_mail(1);
	CHECK(sched_op(w.s, sched_find(w.s, 1), QUEUE_HOLD));
	world_run(&w);
	w.route_to = "relay.example";
	CHECK(sched_op(w.s, sched_find(w.s, 1), QUEUE_RELEASE));
	world_run(&w);
	CHECK(w.nflights == 1 && strcmp(w.flights[0].nexthop, "relay.example") == 0);
	world_end(&w, a, 0, SITE_OK, RCPT_SENT);
	down();
}

static void
requeued_mail_takes_its_new_way_and_keeps_its_words(void)
{
	up();
	deferred_mail(1);
	w.route_to = "relay.example";
	CHECK(sched_requeue(w.s, sched_find(w.s, 1)));
	check_rcpt(0, "relay.example", 0);
	world_run(&w);
	CHECK(w.nflights == 1);
	CHECK(!sched_requeue(w.s, sched_find(w.s, 1)));
	world_end(&w, a, 0, SITE_OK, RCPT_SENT);
	CHECK(w.removed == 1);
	down();
}

static void
note_place(void *arg, uint32_t index, struct str addr)
{
	unsigned *seen = arg;

	*seen |= 1U << index;
	CHECK(addr.n > 0 && addr.p[1] == (char)('0' + index));
}

static void
a_route_that_takes_time_is_waited_for(void)
{
	const struct sched_routed v = { .index = 0, .transport = STR("smtp"), .nexthop = STR("relay.example") };
	unsigned seen = 0;

	up();
	deferred_mail(1);
	w.route_to = NULL;
	world_pass(&w, 400);
	CHECK(w.nflights == 0 && w.reroutes == 1 && world_why(&w, 1) == WHY_ROUTE);
	sched_unrouted(sched_find(w.s, 1), note_place, &seen);
	CHECK(seen == 1);
	sched_routed(w.s, 99, &v, 1);
	sched_routed(w.s, 1, &v, 0);
	CHECK(world_why(&w, 1) == WHY_ROUTE && w.reroutes == 2);
	sched_routed(w.s, 1, &v, 1);
	world_run(&w);
	CHECK(w.nflights == 1 && strcmp(w.flights[0].nexthop, "relay.example") == 0);
	/* An answer that comes too late is none. */
	sched_routed(w.s, 1, &v, 1);
	world_end(&w, a, 0, SITE_OK, RCPT_SENT);
	CHECK(w.removed == 1);
	down();
}

static void
what_is_held_or_deleted_meanwhile_stays_so(void)
{
	const struct sched_routed v = { .index = 0, .transport = STR("smtp"), .nexthop = STR("relay.example") };

	up();
	deferred_mail(1);
	w.route_to = NULL;
	world_pass(&w, 400);
	CHECK(sched_op(w.s, sched_find(w.s, 1), QUEUE_HOLD));
	sched_routed(w.s, 1, &v, 1);
	world_run(&w);
	CHECK(w.nflights == 0 && world_why(&w, 1) == WHY_HELD);
	CHECK(sched_op(w.s, sched_find(w.s, 1), QUEUE_RELEASE));
	CHECK(world_why(&w, 1) == WHY_ROUTE);
	CHECK(sched_op(w.s, sched_find(w.s, 1), QUEUE_DELETE));
	sched_routed(w.s, 1, &v, 1);
	CHECK(w.removed == 1);
	down();
}

static void
recipients_that_no_longer_belong_together_part(void)
{
	const struct sched_routed v[3] = { { 0, STR("smtp"), STR("relay.example") }, { 1, STR("smtp"), STR("example.com") },
		{ 2, STR("smtp"), STR("relay.example") } };

	up();
	deferred_mail(3);
	w.route_to = NULL;
	world_pass(&w, 400);
	sched_routed(w.s, 1, v, 3);
	check_rcpt(0, "relay.example", 1);
	check_rcpt(1, "example.com", 1);
	check_rcpt(2, "relay.example", 1);
	world_run(&w);
	CHECK(w.nflights == 2 && w.flights[0].n + w.flights[1].n == 3);
	world_end_all(&w, a, SITE_OK, RCPT_SENT);
	CHECK(w.removed == 1);
	down();
}

/* They shall part: the first two recipients of what one_is_under_way() enters. */
static const struct sched_routed parted[2] = { { 0, STR("smtp"), STR("relay.example") }, { 1, STR("smtp"), STR("example.com") } };

/* A message of two parcels, by their transports; the first has been tried, the other is under way. */
static void
one_is_under_way(void)
{
	struct sched_rcpt r[3] = { { .index = 0, .addr = STR("r0@example.com"), .transport = STR("smtp"), .nexthop = STR("example.com") },
		{ .index = 1, .addr = STR("r1@example.com"), .transport = STR("smtp"), .nexthop = STR("example.com") },
		{ .index = 2, .addr = STR("r2@example.com"), .transport = STR("slow"), .nexthop = STR("example.com") } };
	struct sched_msg m = { .id = 1, .dir = SPOOL_INCOMING, .sender = STR("s@example.org") };

	up();
	other = sched_agent_add(w.s, STR("slow"), 10, &other);
	m.arrived = world_wall(&w);
	CHECK(sched_enter(w.s, &m, r, 3));
	world_run(&w);
	CHECK(w.nflights == 2);
	world_end(&w, a, w.flights[0].n == 2 ? 0 : 1, SITE_OK, RCPT_DEFERRED);
}

/* Asked again then, they are delivered apart. */
static void
they_part_when_it_ends(void)
{
	world_end(&w, other, 0, SITE_OK, RCPT_SENT);
	world_pass(&w, 10);
	CHECK(w.reroutes == 2);
	sched_routed(w.s, 1, parted, 2);
	world_run(&w);
	CHECK(w.nflights == 2);
	world_end_all(&w, a, SITE_OK, RCPT_SENT);
	CHECK(w.removed == 1);
	down();
}

static void
they_wait_for_what_is_under_way(void)
{
	one_is_under_way();
	w.route_to = NULL;
	world_pass(&w, 400);
	CHECK(w.nflights == 1 && w.reroutes == 1);
	sched_routed(w.s, 1, parted, 2);
	world_run(&w);
	CHECK(w.nflights == 1 && sched_in_flight(sched_find(w.s, 1)) == 1);
	they_part_when_it_ends();
}

/* From now on mail waits for a flush. */
static void
defer_transports(void)
{
	w.limits.deferred = true;
	sched_reload(w.s, &w.settings);
	w.route_to = NULL;
}

static void
a_flush_of_a_deferred_transport_is_kept_when_they_part(void)
{
	const struct sched_routed v[3] = { { 0, STR("smtp"), STR("relay.example") }, { 1, STR("smtp"), STR("example.com") },
		{ 2, STR("smtp"), STR("relay.example") } };

	for (int flushed = 0; flushed < 2; flushed++) {
		up();
		deferred_mail(3);
		defer_transports();
		if (flushed)
			CHECK(sched_op(w.s, sched_find(w.s, 1), QUEUE_FLUSH));
		world_pass(&w, 400);
		CHECK(w.reroutes == 1);
		sched_routed(w.s, 1, v, 3);
		world_run(&w);
		CHECK(w.nflights == (flushed ? 2 : 0));
		check_rcpt(0, "relay.example", 1);
		if (flushed)
			world_end_all(&w, a, SITE_OK, RCPT_DEFERRED);
		world_pass(&w, 5000);
		CHECK(w.nflights == 0);                /* it was for that time only */
		down();
	}
}

/* The first parcel is flushed while the second is under way, so that they cannot part at once. */
static void
nor_is_it_lost_while_they_wait_for_what_is_under_way(void)
{
	one_is_under_way();
	defer_transports();
	CHECK(sched_op(w.s, sched_find(w.s, 1), QUEUE_FLUSH));
	sched_routed(w.s, 1, parted, 2);
	world_run(&w);
	CHECK(w.nflights == 1 && w.reroutes == 1);
	they_part_when_it_ends();
}

/* The second parcel waits for its turn behind the first, which leaves for another destination. */
static void
a_parcel_that_leaves_gives_its_turn_to_the_next(void)
{
	const struct sched_routed v[2] = { { 0, STR("smtp"), STR("relay.example") }, { 1, STR("smtp"), STR("relay.example") } };

	for (int slowly = 0; slowly < 2; slowly++) {
		world_init_routed(&w);
		w.route_to = "example.com";
		w.limits.recipients = w.limits.initial = 1;
		a = sched_agent_add(w.s, STR("smtp"), 10, &a);
		world_mail(&w, 9, "example.com");
		world_run(&w);
		world_end(&w, a, 0, SITE_DOWN, RCPT_DEFERRED);
		world_mail_from(&w, 1, "s@example.org", "example.com", 2);
		w.route_to = slowly ? NULL : "relay.example";
		CHECK(sched_op(w.s, sched_find(w.s, 1), QUEUE_FLUSH));
		if (slowly)
			sched_routed(w.s, 1, v, 2);
		world_run(&w);
		for (int i = 0; i < 2; i++) {
			CHECK(w.nflights == 1 && strcmp(w.flights[0].nexthop, "relay.example") == 0 && w.flights[0].n == 1);
			world_end(&w, a, 0, SITE_OK, RCPT_SENT);
			world_run(&w);
		}
		CHECK(w.removed == 1 && sched_find(w.s, 1) == NULL);
		down();
	}
}

static void
what_an_agent_passed_on_is_not_asked_of_the_first_one_again(void)
{
	struct msg_outcome passed = { .index = 0, .status = RCPT_PASSED, .text = STR("other:box") };

	up();
	other = sched_agent_add(w.s, STR("other"), 10, &other);
	world_mail(&w, 1, "example.com");
	world_run(&w);
	CHECK(sched_done(w.s, a, w.flights[0].delivery, SITE_OK, STR(""), &passed, 1));
	w.nflights = 0;
	world_run(&w);
	CHECK(w.nflights == 1 && w.flights[0].agent == &other);
	world_end(&w, other, 0, SITE_OK, RCPT_DEFERRED);
	w.route_to = "relay.example";
	world_pass(&w, 400);
	CHECK(w.nflights == 1 && w.flights[0].agent == &other && strcmp(w.flights[0].nexthop, "box") == 0);
	world_end(&w, other, 0, SITE_OK, RCPT_DEFERRED);
	/* Somebody wants it routed from the beginning. */
	CHECK(sched_requeue(w.s, sched_find(w.s, 1)));
	world_run(&w);
	CHECK(w.nflights == 1 && w.flights[0].agent == &a);
	world_end(&w, a, 0, SITE_OK, RCPT_SENT);
	down();
}

SUITE(sched_route, TEST(a_retry_asks_for_the_route_again), TEST(so_does_a_flush_even_of_mail_for_a_destination_that_is_dead),
    TEST(mail_for_a_transport_that_is_not_there_finds_its_way_when_the_table_is_mended), TEST(released_mail_is_routed_again),
    TEST(requeued_mail_takes_its_new_way_and_keeps_its_words), TEST(a_route_that_takes_time_is_waited_for),
    TEST(what_is_held_or_deleted_meanwhile_stays_so), TEST(recipients_that_no_longer_belong_together_part),
    TEST(they_wait_for_what_is_under_way),
    TEST(a_flush_of_a_deferred_transport_is_kept_when_they_part), TEST(nor_is_it_lost_while_they_wait_for_what_is_under_way), TEST(a_parcel_that_leaves_gives_its_turn_to_the_next), TEST(what_an_agent_passed_on_is_not_asked_of_the_first_one_again));
