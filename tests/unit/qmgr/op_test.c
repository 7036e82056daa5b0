/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/qmgr/fixture.h"

static struct world w;
static struct agent *a;

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

static enum spool_dir
dir_of(uint64_t id)
{
	struct sched_msg v;

	sched_view(sched_find(w.s, id), &v);
	return v.dir;
}

static bool
op(uint64_t id, enum queue_op what)
{
	bool did = sched_op(w.s, sched_find(w.s, id), what);

	if (!w.slow_disk)
		world_moved(&w);
	return did;
}

/* Capacity 1: message 1 is being delivered, 2 is ready. */
static void
two(void)
{
	up(1);
	world_mail(&w, 1, "example.com");
	world_mail(&w, 2, "example.com");
	world_run(&w);
	CHECK(w.nflights == 1 && w.flights[0].id == 1);
}

static void
held_mail_stays_until_it_is_released(void)
{
	two();
	CHECK(op(2, QUEUE_HOLD));
	CHECK(dir_of(2) == SPOOL_HOLD && world_why(&w, 2) == WHY_HELD);
	CHECK(!op(2, QUEUE_HOLD) && !op(2, QUEUE_FLUSH));
	world_end(&w, a, 0, SITE_OK, RCPT_SENT);
	world_pass(&w, 10 * 86400);
	CHECK(w.nflights == 0 && w.expired == 0);
	CHECK(op(2, QUEUE_RELEASE));
	CHECK(dir_of(2) == SPOOL_DEFERRED && !op(2, QUEUE_RELEASE));
	world_run(&w);
	CHECK(w.nflights == 1 && w.flights[0].id == 2);
	down();
}

static void
hold_during_a_delivery_takes_effect_after_it(void)
{
	static const struct { enum rcpt_status status; bool stays; } cases[] = {
		{ RCPT_SENT, false }, { RCPT_DEFERRED, true },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		two();
		CHECK(op(1, QUEUE_HOLD));
		CHECK(dir_of(1) == SPOOL_INCOMING && world_why(&w, 1) == WHY_FLIGHT);
		world_end(&w, a, 0, SITE_OK, cases[i].status);
		CHECK((sched_find(w.s, 1) != NULL) == cases[i].stays);
		if (cases[i].stays)
			CHECK(dir_of(1) == SPOOL_HOLD && world_why(&w, 1) == WHY_HELD);
		down();
	}
}

static void
released_during_the_delivery_it_was_held_in_goes_on_as_ever(void)
{
	two();
	CHECK(op(1, QUEUE_HOLD) && op(1, QUEUE_RELEASE));
	world_end(&w, a, 0, SITE_OK, RCPT_DEFERRED);
	CHECK(world_why(&w, 1) == WHY_DEFERRED && dir_of(1) == SPOOL_DEFERRED);
	down();
}

static void
mail_found_on_hold_is_held(void)
{
	struct sched_msg m = { .id = 1, .sender = STR("a@b"), .dir = SPOOL_HOLD };
	struct sched_rcpt r = { .addr = STR("c@d"), .transport = STR("smtp"), .nexthop = STR("d") };

	up(1);
	CHECK(sched_enter(w.s, &m, &r, 1));
	world_pass(&w, 1000);
	CHECK(w.nflights == 0 && world_why(&w, 1) == WHY_HELD && w.moves == 0);
	CHECK(op(1, QUEUE_RELEASE));
	world_run(&w);
	CHECK(w.nflights == 1);
	down();
}

static void
deleted_mail_is_removed_and_nobody_told(void)
{
	two();
	CHECK(op(2, QUEUE_DELETE));
	CHECK(w.removed == 1 && w.removed_ids[0] == 2 && sched_find(w.s, 2) == NULL);
	down();
}

static void
delete_during_a_delivery_waits_for_its_end(void)
{
	static const enum rcpt_status cases[] = { RCPT_SENT, RCPT_DEFERRED, RCPT_BOUNCED };

	for (size_t i = 0; i < countof(cases); i++) {
		two();
		CHECK(op(1, QUEUE_DELETE) && !op(1, QUEUE_DELETE));
		CHECK(w.removed == 0);
		world_end(&w, a, 0, SITE_OK, cases[i]);
		CHECK(w.removed == 1 && w.nbounces == 0);
		down();
	}
}

static void
flush_brings_the_next_try_forward(void)
{
	two();
	world_end(&w, a, 0, SITE_OK, RCPT_DEFERRED);
	world_run(&w);
	world_end(&w, a, 0, SITE_OK, RCPT_SENT);
	CHECK(op(1, QUEUE_FLUSH));
	world_run(&w);
	CHECK(w.nflights == 1 && w.flights[0].id == 1);
	down();
}

static void
no_delivery_begins_while_the_file_is_being_moved(void)
{
	up(1);
	w.slow_disk = true;
	world_mail(&w, 1, "example.com");
	world_run(&w);
	world_end(&w, a, 0, SITE_OK, RCPT_DEFERRED);
	CHECK(w.nmoving == 1);
	CHECK(op(1, QUEUE_FLUSH));
	world_run(&w);
	CHECK(w.nflights == 0 && world_why(&w, 1) == WHY_MOVING);
	world_moved(&w);
	world_run(&w);
	CHECK(w.nflights == 1 && dir_of(1) == SPOOL_DEFERRED);
	down();
}

static void
mail_that_cannot_be_moved_now_is_moved_later_and_may_go_meanwhile(void)
{
	up(1);
	w.no_moves = true;
	for (uint64_t id = 1; id <= 3; id++) {
		world_mail(&w, id, "example.com");
		world_run(&w);
		world_end(&w, a, 0, SITE_OK, RCPT_DEFERRED);
	}
	CHECK(w.moves == 0 && dir_of(1) == SPOOL_INCOMING && sched_deferred(sched_find(w.s, 1)));
	CHECK(op(1, QUEUE_FLUSH));
	world_run(&w);
	CHECK(w.nflights == 1 && w.flights[0].id == 1);
	CHECK(op(2, QUEUE_HOLD));
	CHECK(dir_of(2) == SPOOL_HOLD);
	w.no_moves = false;
	w.moves = 0;
	sched_may_move(w.s);
	world_moved(&w);
	/* 1 is being delivered, 2 is where it shall be. */
	CHECK(w.moves == 1 && dir_of(3) == SPOOL_DEFERRED && dir_of(2) == SPOOL_HOLD && dir_of(1) == SPOOL_INCOMING);
	world_end(&w, a, 0, SITE_OK, RCPT_DEFERRED);
	world_moved(&w);
	CHECK(w.moves == 2 && dir_of(1) == SPOOL_DEFERRED);
	down();
}

static void
what_is_said_while_the_file_is_being_moved_is_done_after(void)
{
	up(1);
	w.slow_disk = true;
	world_mail(&w, 1, "example.com");
	world_run(&w);
	world_end(&w, a, 0, SITE_OK, RCPT_DEFERRED);
	CHECK(w.nmoving == 1 && w.moving_to[0] == SPOOL_DEFERRED);
	CHECK(op(1, QUEUE_HOLD));
	w.nmoving = 0;
	sched_moved(w.s, 1, SPOOL_DEFERRED);
	CHECK(w.nmoving == 1 && w.moving_to[0] == SPOOL_HOLD);
	CHECK(op(1, QUEUE_RELEASE));
	w.nmoving = 0;
	sched_moved(w.s, 1, SPOOL_HOLD);
	CHECK(w.nmoving == 1 && w.moving_to[0] == SPOOL_DEFERRED);
	CHECK(op(1, QUEUE_HOLD));
	w.nmoving = 0;
	sched_moved(w.s, 1, SPOOL_DEFERRED);
	CHECK(w.nmoving == 1 && w.moving_to[0] == SPOOL_HOLD);
	w.nmoving = 0;
	sched_moved(w.s, 1, SPOOL_DEFERRED);           /* it could not be moved: once is enough */
	CHECK(w.nmoving == 0);
	down();
}

static void
a_move_that_failed_is_tried_again_next_time(void)
{
	up(1);
	w.slow_disk = true;
	world_mail(&w, 1, "example.com");
	world_run(&w);
	world_end(&w, a, 0, SITE_OK, RCPT_DEFERRED);
	w.nmoving = 0;
	sched_moved(w.s, 1, SPOOL_INCOMING);
	world_pass(&w, 400);
	CHECK(w.nflights == 1);
	world_end(&w, a, 0, SITE_OK, RCPT_DEFERRED);
	CHECK(w.nmoving == 1 && dir_of(1) == SPOOL_INCOMING);
	down();
}

static void
expiry_by_hand_ends_what_is_not_being_delivered_now_and_the_rest_after(void)
{
	struct msg_failed f;

	two();
	CHECK(op(2, QUEUE_EXPIRE));
	CHECK(w.nbounces == 1 && w.bounces[0] == 2);
	CHECK(sched_notice(sched_find(w.s, 2), 0, &f) && f.expired);
	CHECK(op(1, QUEUE_EXPIRE));
	CHECK(w.nbounces == 1);
	world_end(&w, a, 0, SITE_OK, RCPT_DEFERRED);
	CHECK(w.nbounces == 2 && w.expired == 2);
	down();
}

static void
a_walk_survives_the_going_of_any_message(void)
{
	struct sched_cursor c, other;
	struct message *m;
	unsigned n = 0;

	up(1);
	for (uint64_t id = 1; id <= 100; id++)
		world_mail(&w, id, "example.com");
	sched_walk(w.s, &c, false);
	sched_walk(w.s, &other, false);
	while ((m = sched_walk_next(w.s, &c)) != NULL) {
		n++;
		CHECK(sched_op(w.s, m, QUEUE_DELETE));
	}
	CHECK(n == 100 && sched_walk_next(w.s, &other) == NULL);
	sched_walk_end(&c);
	sched_walk_end(&other);
	CHECK(w.removed == 100);
	down();
}

static void
expiry_of_held_mail_waits_for_its_release_unless_told_otherwise(void)
{
	struct sched_msg v;

	two();
	CHECK(op(2, QUEUE_HOLD) && op(2, QUEUE_EXPIRE));
	CHECK(w.nbounces == 0 && sched_forced(sched_find(w.s, 2)) && world_why(&w, 2) == WHY_HELD);
	CHECK(w.durable == 1 && !op(2, QUEUE_EXPIRE));
	CHECK(op(2, QUEUE_RELEASE));
	CHECK(w.nbounces == 1 && w.bounces[0] == 2);
	down();
	two();
	CHECK(op(2, QUEUE_HOLD) && op(2, QUEUE_EXPIRE_HELD));
	CHECK(w.nbounces == 1);
	sched_view(sched_find(w.s, 2), &v);
	CHECK(v.forced);
	down();
}

/* As it is found on disk after a restart. */
static void
mail_that_was_told_to_expire_is_returned_when_it_enters(void)
{
	struct sched_msg m = { .id = 1, .sender = STR("a@b"), .dir = SPOOL_DEFERRED, .forced = true };
	struct sched_rcpt r = { .addr = STR("c@d"), .transport = STR("smtp"), .nexthop = STR("d") };
	struct msg_failed f;

	up(1);
	CHECK(sched_enter(w.s, &m, &r, 1));
	CHECK(w.nbounces == 1 && w.nflights == 0);
	CHECK(sched_notice(sched_find(w.s, 1), 0, &f) && f.expired);
	CHECK_STR(f.text, "message expired by the administrator");
	m = (struct sched_msg){ .id = 2, .sender = STR("a@b"), .dir = SPOOL_HOLD, .forced = true };
	CHECK(sched_enter(w.s, &m, &r, 1));
	CHECK(w.nbounces == 1 && world_why(&w, 2) == WHY_HELD);
	down();
}

static void
requeued_mail_leaves_hold(void)
{
	two();
	CHECK(op(2, QUEUE_HOLD) && dir_of(2) == SPOOL_HOLD);
	CHECK(sched_requeue(w.s, sched_find(w.s, 2)));
	world_moved(&w);
	CHECK(dir_of(2) == SPOOL_DEFERRED);
	world_end(&w, a, 0, SITE_OK, RCPT_SENT);
	world_run(&w);
	CHECK(w.nflights == 1 && w.flights[0].id == 2);
	down();
}

/* Requeued mail is made anew: a walk must not find it again behind those that it has still to see. */
static void
a_walk_that_requeues_everything_ends(void)
{
	static const bool follows[] = { false, true };
	struct sched_cursor c;
	struct message *m;

	for (size_t i = 0; i < countof(follows); i++)
		for (uint64_t n = 1; n <= 3; n++) {
			uint64_t seen = 0;

			world_init(&w);
			for (uint64_t id = 1; id <= n; id++)
				world_mail(&w, id, "example.com");
			sched_walk(w.s, &c, follows[i]);
			while (seen < 10 && (m = sched_walk_next(w.s, &c)) != NULL) {
				CHECK(sched_requeue(w.s, m));
				seen++;
			}
			CHECK(seen == n);
			sched_walk_end(&c);
			sched_free(&w.s);
		}
}

static void
a_walk_sees_what_was_there_and_one_that_follows_what_comes(void)
{
	static const bool follows[] = { false, true };
	struct sched_cursor c;

	for (size_t i = 0; i < countof(follows); i++) {
		unsigned n = 0;

		world_init(&w);
		world_mail(&w, 1, "example.com");
		world_mail(&w, 2, "example.com");
		sched_walk(w.s, &c, follows[i]);
		CHECK(sched_walk_next(w.s, &c) == sched_find(w.s, 1));
		world_mail(&w, 3, "example.com");
		CHECK(sched_op(w.s, sched_find(w.s, 2), QUEUE_DELETE));
		while (sched_walk_next(w.s, &c) != NULL)
			n++;
		world_mail(&w, 4, "example.com");
		while (sched_walk_next(w.s, &c) != NULL)
			n++;
		CHECK(n == (follows[i] ? 2 : 0));
		/* The last one goes before it was seen. */
		world_mail(&w, 5, "example.com");
		CHECK(sched_op(w.s, sched_find(w.s, 5), QUEUE_DELETE));
		CHECK(sched_walk_next(w.s, &c) == NULL);
		world_mail(&w, 6, "example.com");
		CHECK(sched_walk_next(w.s, &c) == (follows[i] ? sched_find(w.s, 6) : NULL));
		sched_walk_end(&c);
		sched_free(&w.s);
	}
}

static void
count_sites(void *arg, const struct sched_site *site)
{
	struct sched_site *last = arg;

	if (str_eq(site->nexthop, STR("down.example")))
		*last = *site;
}

static void
a_destination_can_be_seen_to_be_dead(void)
{
	struct sched_site site = { 0 };

	up(1);
	world_mail(&w, 1, "down.example");
	world_run(&w);
	for (int i = 0; i < 5 && w.nflights > 0; i++) {
		world_end(&w, a, 0, SITE_DOWN, RCPT_DEFERRED);
		world_pass(&w, 1);
		if (w.nflights == 0)
			CHECK(op(1, QUEUE_FLUSH));
		world_run(&w);
	}
	sched_sites(w.s, count_sites, &site);
	CHECK_STR(site.nexthop, "down.example");
	CHECK_STR(site.transport, "smtp");
	CHECK_STR(site.reason, "connect: refused");
	CHECK(site.dead_since.us > WORLD_START && site.agents == 1 && site.waiting == 1);
	world_end_all(&w, a, SITE_DOWN, RCPT_DEFERRED);
	down();
}

SUITE(op, TEST(held_mail_stays_until_it_is_released), TEST(hold_during_a_delivery_takes_effect_after_it),
    TEST(released_during_the_delivery_it_was_held_in_goes_on_as_ever), TEST(mail_found_on_hold_is_held),
    TEST(deleted_mail_is_removed_and_nobody_told), TEST(delete_during_a_delivery_waits_for_its_end),
    TEST(flush_brings_the_next_try_forward), TEST(no_delivery_begins_while_the_file_is_being_moved),
    TEST(mail_that_cannot_be_moved_now_is_moved_later_and_may_go_meanwhile),
    TEST(a_move_that_failed_is_tried_again_next_time), TEST(what_is_said_while_the_file_is_being_moved_is_done_after),
    TEST(expiry_by_hand_ends_what_is_not_being_delivered_now_and_the_rest_after),
    TEST(a_walk_survives_the_going_of_any_message),
    TEST(expiry_of_held_mail_waits_for_its_release_unless_told_otherwise),
    TEST(mail_that_was_told_to_expire_is_returned_when_it_enters), TEST(requeued_mail_leaves_hold),
    TEST(a_walk_that_requeues_everything_ends), TEST(a_walk_sees_what_was_there_and_one_that_follows_what_comes),
    TEST(a_destination_can_be_seen_to_be_dead));
