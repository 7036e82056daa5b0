/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/trace.h"

#include <stdio.h>

#include "tests/unit/check.h"
#include "util/mem.h"

static void
delays_have_two_digits_that_mean_something(void)
{
	static const struct { int64_t us; const char *text; } cases[] = {
		{ 0, "0" },              { -1, "0" },           { INT64_MIN, "0" },     { 1, "0" },
		{ 4999, "0" },           { 5000, "0.01" },      { 14999, "0.01" },      { 15000, "0.02" },
		{ 50000, "0.05" },       { 94999, "0.09" },     { 95000, "0.1" },       { 100000, "0.1" },
		{ 104999, "0.1" },       { 105000, "0.11" },    { 500000, "0.5" },      { 994999, "0.99" },
		{ 995000, "1" },         { 999999, "1" },       { 1000000, "1" },       { 1049999, "1" },
		{ 1050000, "1.1" },      { 1250000, "1.3" },    { 1949999, "1.9" },     { 9949999, "9.9" },
		{ 9950000, "10" },       { 9999999, "10" },     { 10000000, "10" },     { 10499999, "10" },
		{ 10500000, "11" },      { 12345678, "12" },    { 123456789, "123" },   { 86400000000, "86400" },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct buf out = BUF(100);

		trace_delay(&out, cases[i].us);
		CHECK_STR(buf_str(&out), cases[i].text);
		buf_free(&out);
	}
}

static struct trace
usual(void)
{
	return (struct trace){ .id = "4C", .to = STR("u@here.test"), .relay = STR("mx.test[192.0.2.1]:25"), .uses = 1,
		.arrived = { 1000000 }, .queued = { 1100000 }, .begun = { 1110000 }, .ready = { 1610000 },
		.ended = { 2210000 }, .dsn = "2.0.0", .status = "sent", .text = STR("250 Ok") };
}

static bool
reads(const struct trace *t, const char *expected)
{
	struct buf out = BUF(0);
	bool same;

	trace_format(&out, t);
	same = str_eq(buf_str(&out), str_of(expected));
	if (!same)
		printf("\n    expected %s\n    found    %s\n", expected, buf_cstr(&out));
	buf_free(&out);
	return same;
}

static void
a_line_is_in_the_grammar_that_log_tools_read(void)
{
	struct trace t = usual();

	CHECK(reads(&t, "4C: to=<u@here.test>, relay=mx.test[192.0.2.1]:25, delay=1.2, delays=0.1/0.01/0.5/0.6, "
			"dsn=2.0.0, status=sent (250 Ok)"));
	t.orig = STR("alias@here.test");
	t.uses = 2;
	CHECK(reads(&t, "4C: to=<u@here.test>, orig_to=<alias@here.test>, relay=mx.test[192.0.2.1]:25, conn_use=2, "
			"delay=1.2, delays=0.1/0.01/0.5/0.6, dsn=2.0.0, status=sent (250 Ok)"));
}

static void
an_original_address_that_is_the_same_is_left_out(void)
{
	struct trace t = usual();

	t.orig = STR("u@here.test");
	CHECK(reads(&t, "4C: to=<u@here.test>, relay=mx.test[192.0.2.1]:25, delay=1.2, delays=0.1/0.01/0.5/0.6, "
			"dsn=2.0.0, status=sent (250 Ok)"));
}

static void
a_delivery_that_never_got_ready_spent_its_time_setting_up(void)
{
	struct trace t = usual();

	t.relay = STR("none");
	t.ready = (struct wall){ 0 };
	t.uses = 0;
	t.dsn = "4.4.1";
	t.status = "deferred";
	t.text = STR("connect to mx.test[192.0.2.1]:25: Connection refused");
	CHECK(reads(&t, "4C: to=<u@here.test>, relay=none, delay=1.2, delays=0.1/0.01/1.1/0, dsn=4.4.1, "
			"status=deferred (connect to mx.test[192.0.2.1]:25: Connection refused)"));
}

static void
outside_bytes_cannot_make_a_line_of_their_own(void)
{
	struct trace t = usual();

	t.to = STR("u\n@here.test");
	t.orig = STR("\"a\rb\"@here.test");
	t.relay = STR("mx\0test");
	t.text = STR("250 a\nb\\\377");
	CHECK(reads(&t, "4C: to=<u?@here.test>, orig_to=<\"a?b\"@here.test>, relay=mx?test, delay=1.2, "
			"delays=0.1/0.01/0.5/0.6, dsn=2.0.0, status=sent (250 a?b?" "?)"));
}

SUITE(trace, TEST(delays_have_two_digits_that_mean_something), TEST(a_line_is_in_the_grammar_that_log_tools_read),
    TEST(an_original_address_that_is_the_same_is_left_out),
    TEST(a_delivery_that_never_got_ready_spent_its_time_setting_up),
    TEST(outside_bytes_cannot_make_a_line_of_their_own));
