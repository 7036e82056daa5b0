/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/select.h"

#include "tests/unit/check.h"
#include "util/mem.h"

static void
a_star_stands_for_anything_and_case_does_not_matter(void)
{
	static const struct { const char *pattern, *text; bool matches; } cases[] = {
		{ "", "", true },                   { "", "a", false },
		{ "*", "", true },                  { "*", "anything", true },
		{ "abc", "ABC", true },             { "abc", "abcd", false },
		{ "a*c", "abbbc", true },           { "a*c", "abbbcd", false },
		{ "*@example.com", "x@EXAMPLE.com", true }, { "*@example.com", "x@example.com.evil", false },
		{ "*a*b*", "xxaxxbxx", true },      { "*a*b*", "xxbxxaxx", false },
		{ "**", "x", true },                { "*ab", "aab", true },
		{ "*aab", "aaaab", true },          { "a*b*c", "abcbc", true },
		{ "a?", "a?", true },               { "a?", "ab", false },
	};

	for (size_t i = 0; i < countof(cases); i++)
		CHECK(pattern_matches(str_of(cases[i].pattern), str_of(cases[i].text)) == cases[i].matches);
}

static struct buf
list(const char *one, const char *two)
{
	struct buf b = BUF(0);

	if (one)
		(void)wire_put_str(&b, str_of(one));
	if (two)
		(void)wire_put_str(&b, str_of(two));
	return b;
}

static void
senders_are_addresses_domains_or_nobody(void)
{
	static const struct { const char *one, *two, *sender; bool matches; } cases[] = {
		{ NULL, NULL, "a@b.test", true },
		{ "a@b.test", NULL, "a@B.TEST", true },
		{ "a@b.test", NULL, "A@b.test", false },
		{ "a@b.test", "c@d.test", "c@d.test", true },
		{ "@b.test", NULL, "anyone@B.test", true },
		{ "@b.test", NULL, "anyone@sub.b.test", false },
		{ "*@*b.test", NULL, "anyone@sub.b.test", true },
		{ "<>", NULL, "", true },
		{ "MAILER-DAEMON", NULL, "", true },
		{ "<>", NULL, "a@b.test", false },
		{ "a@b.test", NULL, "", false },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct buf senders = list(cases[i].one, cases[i].two);
		struct msg_select s = { .senders = buf_str(&senders) };

		CHECK(select_check(&s) == OK);
		CHECK(select_message(&s, &(struct select_message){ .sender = str_of(cases[i].sender), .state = STATE_ACTIVE }) ==
		      cases[i].matches);
		buf_free(&senders);
	}
}

static void
age_and_state_must_both_hold(void)
{
	static const struct { int64_t before, after; unsigned states; int64_t arrived; unsigned state; bool matches; } cases[] = {
		{ 0, 0, 0, 100, STATE_HOLD, true },
		{ 100, 0, 0, 100, STATE_HOLD, true },
		{ 100, 0, 0, 101, STATE_HOLD, false },
		{ 0, 100, 0, 99, STATE_HOLD, false },
		{ 200, 100, 0, 150, STATE_HOLD, true },
		{ 200, 100, STATE_HOLD | STATE_DEFERRED, 150, STATE_DEFERRED, true },
		{ 200, 100, STATE_HOLD | STATE_DEFERRED, 150, STATE_ACTIVE, false },
		{ 200, 100, STATE_HOLD, 250, STATE_HOLD, false },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct msg_select s = { .before = cases[i].before, .after = cases[i].after, .states = (uint8_t)cases[i].states };
		struct select_message m = { .arrived = cases[i].arrived, .state = cases[i].state };

		CHECK(select_message(&s, &m) == cases[i].matches);
	}
}

/* One recipient has to meet all that is said of recipients. */
static void
recipients_destinations_and_reasons_must_all_hold(void)
{
	static const struct select_rcpt r = { .addr = { "bob@example.org", 15 }, .orig = { "robert@old.test", 15 },
		.transport = { "smtp", 4 }, .nexthop = { "[mx.test]:25", 12 }, .reason = { "host said: 450 4.2.0 Later", 26 } };
	static const struct { const char *rcpt, *destination, *reason; bool matches; } cases[] = {
		{ NULL, NULL, NULL, true },
		{ "bob@EXAMPLE.org", NULL, NULL, true },
		{ "robert@old.test", NULL, NULL, true },
		{ "@example.org", NULL, NULL, true },
		{ "@old.test", NULL, NULL, true },
		{ "rob*", NULL, NULL, true },
		{ "eve@example.org", NULL, NULL, false },
		{ NULL, "example.org", NULL, true },
		{ NULL, "EXAMPLE.*", NULL, true },
		{ NULL, "[mx.test]:25", NULL, true },
		{ NULL, "smtp:[mx.test]:25", NULL, true },
		{ NULL, "lmtp:[mx.test]:25", NULL, false },
		{ NULL, "smtp:*", NULL, true },
		{ NULL, "old.test", NULL, false },
		{ NULL, NULL, "*450*later*", true },
		{ NULL, NULL, "*550*", false },
		{ "bob@example.org", "example.org", "*450*", true },
		{ "bob@example.org", "other.org", "*450*", false },
		{ "eve@example.org", "example.org", "*450*", false },
		{ "bob@example.org", "example.org", "*550*", false },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct buf rcpts = list(cases[i].rcpt, NULL), destinations = list(cases[i].destination, NULL),
			   reasons = list(cases[i].reason, NULL);
		struct msg_select s = { .rcpts = buf_str(&rcpts), .destinations = buf_str(&destinations),
			.reasons = buf_str(&reasons) };

		CHECK(select_rcpt(&s, &r) == cases[i].matches);
		CHECK(select_asks_rcpts(&s) == (cases[i].rcpt || cases[i].destination || cases[i].reason));
		CHECK(select_is_all(&s) == !select_asks_rcpts(&s));
		buf_free(&rcpts);
		buf_free(&destinations);
		buf_free(&reasons);
	}
}

static void
nothing_said_means_all_and_anything_said_does_not(void)
{
	struct buf one = list("x", NULL), none = list("", NULL);
	const struct { struct msg_select s; bool all; } cases[] = {
		{ { .states = 0 }, true },
		{ { .ids = STR("12345678") }, false },
		{ { .senders = buf_str(&one) }, false },
		{ { .senders = buf_str(&none) }, false },
		{ { .reasons = buf_str(&one) }, false },
		{ { .before = 1 }, false },
		{ { .after = 1 }, false },
		{ { .states = STATE_HOLD }, false },
	};

	for (size_t i = 0; i < countof(cases); i++)
		CHECK(select_is_all(&cases[i].s) == cases[i].all);
	buf_free(&one);
	buf_free(&none);
}

static void
malformed_lists_are_refused(void)
{
	struct buf good = list("x", "y");
	struct str cut = str_sub(buf_str(&good), 0, good.n - 1);
	const struct { struct msg_select s; enum err e; } cases[] = {
		{ { .ids = STR("12345678") }, OK },
		{ { .ids = STR("1234567") }, E_IPC },
		{ { .senders = buf_str(&good), .rcpts = buf_str(&good), .destinations = buf_str(&good), .reasons = buf_str(&good) }, OK },
		{ { .senders = cut }, E_IPC }, { { .rcpts = cut }, E_IPC },
		{ { .destinations = cut }, E_IPC }, { { .reasons = cut }, E_IPC },
	};

	for (size_t i = 0; i < countof(cases); i++)
		CHECK(select_check(&cases[i].s) == cases[i].e);
	buf_free(&good);
}

static void
ages_have_units(void)
{
	static const struct { const char *text; int64_t seconds; } cases[] = {
		{ "0", 0 }, { "90", 90 }, { "90s", 90 }, { "5m", 300 }, { "2H", 7200 }, { "3d", 259200 }, { "1w", 604800 },
		{ "", -1 }, { "m", -1 }, { "-5m", -1 }, { "5x", -1 }, { "1.5h", -1 }, { "5 m", -1 }, { "99999999999999999w", -1 },
		{ "9000000000000w", -1 },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		int64_t s = 0;
		bool good = select_age(str_of(cases[i].text), &s);

		CHECK(good == (cases[i].seconds >= 0));
		CHECK(!good || s == cases[i].seconds);
	}
}

static void
states_have_the_names_of_the_queues(void)
{
	CHECK(select_state(STR("incoming")) == STATE_INCOMING && select_state(STR("active")) == STATE_ACTIVE);
	CHECK(select_state(STR("Deferred")) == STATE_DEFERRED && select_state(STR("hold")) == STATE_HOLD);
	CHECK(select_state(STR("held")) == 0 && select_state(STR("")) == 0 && select_state(STR("corrupt")) == 0);
}

SUITE(select, TEST(a_star_stands_for_anything_and_case_does_not_matter), TEST(senders_are_addresses_domains_or_nobody),
    TEST(age_and_state_must_both_hold), TEST(recipients_destinations_and_reasons_must_all_hold),
    TEST(nothing_said_means_all_and_anything_said_does_not), TEST(malformed_lists_are_refused), TEST(ages_have_units),
    TEST(states_have_the_names_of_the_queues));
