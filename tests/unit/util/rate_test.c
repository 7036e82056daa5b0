/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"
#include "util/mem.h"
#include "util/rate.h"

static void
a_burst_passes_and_then_the_steady_rate(void)
{
	struct time now = { 1000 };
	struct rate r;
	int taken = 0;

	rate_init(&r, 60, 60, 3, now);
	while (rate_take(&r, 1, now))
		taken++;
	CHECK(taken == 3);
	CHECK(!rate_take(&r, 1, time_after_ms(now, 990)));
	CHECK(rate_take(&r, 1, time_after_ms(now, 1000)));
	CHECK(!rate_take(&r, 1, time_after_ms(now, 1010)));
	now = time_after(now, 3600);                   /* a long rest saves up no more than a burst */
	for (taken = 0; rate_take(&r, 1, now);)
		taken++;
	CHECK(taken == 3);
}

static void
the_time_foretold_is_the_time_it_succeeds(void)
{
	static const struct { double per, seconds, n; } cases[] = {
		{ 1, 1, 1 }, { 10, 3, 1 }, { 1, 7, 2 }, { 100, 60, 5 }, { 3, 86400, 1 },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct time now = { 0 }, when;
		struct rate r;

		rate_init(&r, cases[i].per, cases[i].seconds, 5, now);
		CHECK(rate_when(&r, 1, now).ns == now.ns);
		CHECK(rate_take(&r, 5, now));
		when = rate_when(&r, cases[i].n, now);
		CHECK(time_before(now, when) && !rate_take(&r, cases[i].n, (struct time){ when.ns - 1000000 }));
		CHECK(rate_take(&r, cases[i].n, when));
	}
}

static void
what_can_never_be_is_never(void)
{
	struct time now = { 0 };
	struct rate r;

	rate_init(&r, 1, 1, 2, now);
	CHECK(!rate_take(&r, 3, now) && rate_when(&r, 3, now).ns == TIME_NEVER.ns);
	rate_init(&r, 0, 1, 0, now);
	CHECK(!rate_take(&r, 1, time_after(now, 100000)) && rate_when(&r, 1, now).ns == TIME_NEVER.ns);
}

static void
a_clock_that_steps_back_gives_nothing_away(void)
{
	struct time now = time_after((struct time){ 0 }, 100);
	struct rate r;

	rate_init(&r, 1, 1, 1, now);
	CHECK(rate_take(&r, 1, now));
	CHECK(!rate_take(&r, 1, time_after(now, -50)));
	CHECK(!rate_take(&r, 1, now));
	CHECK(rate_take(&r, 1, time_after(now, 1)));
}

SUITE(rate, TEST(a_burst_passes_and_then_the_steady_rate), TEST(the_time_foretold_is_the_time_it_succeeds),
    TEST(what_can_never_be_is_never), TEST(a_clock_that_steps_back_gives_nothing_away));
