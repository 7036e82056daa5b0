/* SPDX-License-Identifier: Apache-2.0 */
#include "smtpd/overload.h"

#include "tests/unit/check.h"

enum { MB = 1 << 20 };

static const struct params settings = { .smtpd_stress_limit = 10000, .smtpd_stress_time = 300 };

static void
the_mark_is_three_quarters_or_what_is_set(void)
{
	static const struct {
		size_t most;
		long long limit;
		size_t want;
	} cases[] = {
		{ 1, 0, 0 }, { 1, 1, 0 }, { 2, 0, 2 }, { 3, 0, 3 }, { 4, 0, 3 }, { 5, 0, 4 }, { 100, 0, 75 },
		{ 100, 74, 74 }, { 100, 76, 75 }, { 1000000, 0, 750000 }, { 1000000, 10000, 10000 },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct params p = { .smtpd_stress_limit = cases[i].limit };

		CHECK(overload_mark(&p, cases[i].most) == cases[i].want);
	}
}

/* A story of one process: what it sees at which second, and what it takes it for. */
static void
it_begins_at_the_mark_and_ends_when_the_load_has_long_been_low(void)
{
	static const struct {
		int second;
		struct load load;
		bool changed, on, full;
	} cases[] = {
		{ 0,   { 74, 100, 0, 0, 0 },              false, false, false },
		{ 1,   { 75, 100, 0, 0, 0 },              true,  true,  false },
		{ 2,   { 100, 100, 0, 0, 0 },             false, true,  true  },
		{ 3,   { 51, 100, 0, 0, 0 },              false, true,  false },
		{ 4,   { 49, 100, 0, 0, 0 },              false, true,  false },
		{ 302, { 49, 100, 0, 0, 0 },              false, true,  false },
		{ 303, { 49, 100, 0, 0, 0 },              true,  false, false },
		{ 304, { 74, 100, 0, 0, 0 },              false, false, false },
		{ 400, { 1, 100, MB - 1, MB, 0 },         false, false, false },
		{ 401, { 1, 100, MB, MB, 0 },             true,  true,  true  },
		{ 402, { 1, 100, MB / 2, MB, 0 },         false, true,  false },
		{ 701, { 1, 100, MB / 2 - 1, MB, 0 },     false, true,  false },
		{ 702, { 1, 100, 0, MB, 0 },              true,  false, false },
		{ 703, { 1, 100, MB, 0, 0 },              false, false, false },
		{ 800, { 100, 100, 0, 0, 0 },             true,  true,  true  },
	};
	struct overload o = { 0 };

	for (size_t i = 0; i < countof(cases); i++) {
		struct time now = { (cases[i].second + 1000) * 1000000000LL };

		CHECK(overload_judge(&o, &settings, &cases[i].load, now) == cases[i].changed);
		CHECK(o.on == cases[i].on && o.full == cases[i].full);
	}
}

static void
who_can_have_one_session_only_is_never_overloaded_by_it(void)
{
	struct overload o = { 0 };

	CHECK(!overload_judge(&o, &settings, &(struct load){ .sessions = 1, .most = 1 }, time_now()));
	CHECK(!o.on && !o.full);
}

/* What one of them has seen holds for all, and nobody keeps it up for the other's sake alone. */
static void
siblings_are_of_one_mind(void)
{
	struct overload a = { 0 }, b = { 0 };
	struct time now = { 1000000000000 }, end;

	CHECK(overload_judge(&a, &settings, &(struct load){ .sessions = 75, .most = 100 }, now));
	end = (struct time){ a.until };
	now = time_after(now, 1);
	CHECK(overload_judge(&b, &settings, &(struct load){ .sessions = 3, .most = 100, .until = a.until }, now));
	CHECK(a.until == b.until);
	for (; time_before(now, end); now = time_after(now, 1)) {
		CHECK(!overload_judge(&a, &settings, &(struct load){ .sessions = 3, .most = 100, .until = b.until }, now));
		CHECK(!overload_judge(&b, &settings, &(struct load){ .sessions = 3, .most = 100, .until = a.until }, now));
	}
	CHECK(overload_judge(&a, &settings, &(struct load){ .sessions = 3, .most = 100, .until = b.until }, now) && !a.on);
	CHECK(overload_judge(&b, &settings, &(struct load){ .sessions = 3, .most = 100, .until = a.until }, now) && !b.on);
}

SUITE(overload, TEST(the_mark_is_three_quarters_or_what_is_set),
    TEST(it_begins_at_the_mark_and_ends_when_the_load_has_long_been_low),
    TEST(who_can_have_one_session_only_is_never_overloaded_by_it), TEST(siblings_are_of_one_mind));
