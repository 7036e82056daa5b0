/* SPDX-License-Identifier: Apache-2.0 */
#include "master/throttle.h"

#include "tests/unit/check.h"

enum { CEILING = 10 };

static struct time
at(int64_t seconds)
{
	return time_after((struct time){ 0 }, seconds);
}

static void
delays_grow_up_to_the_ceiling(void)
{
	static const int expected[] = { 0, 1, 2, 4, 8, 10, 10, 10 };
	struct throttle t = { 0 };
	int64_t now = 1000;

	for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
		struct time started = at(now);

		now += 1;
		CHECK(throttle_died(&t, started, at(now), CEILING) == (expected[i] > 0));
		CHECK(t.delay == expected[i]);
		CHECK(throttle_is_open(&t, at(now)) == (expected[i] == 0));
		now += expected[i];
		CHECK(throttle_is_open(&t, at(now)));
	}
}

static void
the_ceiling_holds_for_any_number_of_crashes(void)
{
	struct throttle t = { 0 };
	int64_t now = 0;

	for (int i = 0; i < 100; i++) {
		throttle_died(&t, at(now), at(now + 1), CEILING);
		CHECK(t.delay <= CEILING);
		now += 1 + t.delay;
	}
	CHECK(t.delay == CEILING);
}

static void
workers_that_fall_together_are_one_crash(void)
{
	struct throttle t = { 0 };

	for (int i = 0; i < 8; i++)
		CHECK(!throttle_died(&t, at(10), at(100), CEILING));
	CHECK(t.level == 1);
	/* One that was started after that is the next. */
	CHECK(throttle_died(&t, at(100), at(101), CEILING));
	CHECK(t.delay == 1);
}

static void
one_that_stayed_up_is_forgiven(void)
{
	struct throttle t = { 0 };

	throttle_died(&t, at(0), at(1), CEILING);
	throttle_died(&t, at(1), at(2), CEILING);
	throttle_died(&t, at(4), at(5), CEILING);
	CHECK(t.delay == 2);
	CHECK(!throttle_died(&t, at(10), at(100), CEILING));
	CHECK(t.level == 1 && t.delay == 0);
}

static void
having_served_does_not_help_a_crasher(void)
{
	/* Each lives a few seconds, long enough to take a message: the rate counts. */
	struct throttle t = { 0 };
	int64_t now = 0;

	for (int i = 0; i < 6; i++) {
		throttle_died(&t, at(now), at(now + 5), CEILING);
		now += 5 + t.delay;
	}
	CHECK(t.delay == CEILING);
}

SUITE(throttle, TEST(delays_grow_up_to_the_ceiling), TEST(the_ceiling_holds_for_any_number_of_crashes),
    TEST(workers_that_fall_together_are_one_crash), TEST(one_that_stayed_up_is_forgiven),
    TEST(having_served_does_not_help_a_crasher));
