/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/template.h"

#include "tests/unit/check.h"
#include "util/mem.h"

#define HEAD "Charset: us-ascii\nFrom: a\nSubject: s\n"

static void
the_built_in_ones_are_whole(void)
{
	struct templates t;

	templates_init(&t);
	for (size_t i = 0; i < TEMPLATE_COUNT; i++)
		CHECK(t.v[i].charset.n > 0 && t.v[i].from.n > 0 && t.v[i].subject.n > 0 && t.v[i].text.n > 0);
	CHECK_STR(buf_str(&t.v[TEMPLATE_failure].subject), "Undelivered Mail Returned to Sender");
	CHECK_STR(buf_str(&t.v[TEMPLATE_failure].postmaster_subject), "Postmaster Copy: Undelivered Mail");
	CHECK_STR(buf_str(&t.v[TEMPLATE_delay].subject), "Delayed Mail (still being retried)");
	CHECK_STR(buf_str(&t.v[TEMPLATE_delay].postmaster_subject), "Postmaster Warning: Delayed Mail");
	CHECK_STR(buf_str(&t.v[TEMPLATE_success].subject), "Successful Mail Delivery Report");
	CHECK_STR(buf_str(&t.v[TEMPLATE_verify].subject), "Mail Delivery Status Report");
	templates_fini(&t);
}

static void
what_is_printed_can_be_read_again(void)
{
	struct templates t, again;
	struct buf one = BUF(0), two = BUF(0);

	templates_init(&t);
	CHECK(templates_print(&t, &one));
	again = (struct templates){ 0 };
	CHECK(templates_parse(&again, "F", buf_str(&one)) == OK);
	CHECK(templates_print(&again, &two));
	CHECK(str_eq(buf_str(&one), buf_str(&two)));
	templates_fini(&t);
	templates_fini(&again);
	buf_free(&one);
	buf_free(&two);
}

static void
a_file_replaces_what_it_has(void)
{
	struct templates t;

	templates_init(&t);
	CHECK(templates_parse(&t, "F", STR("# a comment\n\nsuccess_template = <<END\ncharset: utf-8\nFrom: me\nSUBJECT: well\n\n"
		"gr\303\274\303\237e\nEOF\n\nmore\nEND\n\ndelay_template=<<EOF\r\n" HEAD "\r\nx\r\nEOF\r\n")) == OK);
	CHECK_STR(buf_str(&t.v[TEMPLATE_success].charset), "utf-8");
	CHECK_STR(buf_str(&t.v[TEMPLATE_success].subject), "well");
	CHECK_STR(buf_str(&t.v[TEMPLATE_success].text), "gr\303\274\303\237e\nEOF\n\nmore\n");
	CHECK_STR(buf_str(&t.v[TEMPLATE_delay].text), "x\n");
	CHECK(t.v[TEMPLATE_delay].postmaster_subject.n == 0);
	CHECK_STR(buf_str(&t.v[TEMPLATE_failure].subject), "Undelivered Mail Returned to Sender");
	templates_fini(&t);
}

static void
what_is_no_template_is_refused_with_its_place(void)
{
	static const struct { const char *text, *why; } cases[] = {
		{ "failure_template\n", "F:1: \"= <<EOF\" is missing after the name" },
		{ "failure_template = EOF\n", "F:1: \"= <<EOF\" is missing after the name" },
		{ "failure_template = <<\n", "F:1: no word after <<" },
		{ "\nother_template = <<EOF\n", "F:2: not the name of a template" },
		{ "failure_template = <<EOF\n" HEAD "\nx\n", "F:6: the end of the template is missing" },
		{ "failure_template = <<EOF\nEOF\n", "F:2: Charset, From or Subject is missing" },
		{ "failure_template = <<EOF\nCharset: us-ascii\nSubject: x\nEOF\n", "F:4: Charset, From or Subject is missing" },
		{ "failure_template = <<EOF\nTo: x\n", "F:2: not one of the fields Charset, From, Subject and Postmaster-Subject" },
		{ "failure_template = <<EOF\nx\n", "F:2: not one of the fields Charset, From, Subject and Postmaster-Subject" },
		{ "failure_template = <<EOF\nFrom:\n", "F:2: a field without text" },
		{ "failure_template = <<EOF\nFrom: a\nFrom: b\n", "F:3: the same field again" },
		{ "failure_template = <<EOF\n" HEAD "\n\303\244\nEOF\n", "F:7: text that is not in the charset us-ascii" },
		{ "failure_template = <<EOF\nSubject: \303\244\nCharset: utf-8\nFrom: a\n\nEOF\n",
		    "F:6: From and Subject must be ASCII; others are encoded as in RFC 2047" },
		{ "failure_template = <<EOF\n" HEAD "\n\001\nEOF\n", "F:6: control character" },
		{ "failure_template = <<EOF\nCharset: a b\nFrom: a\nSubject: s\nEOF\n", "F:5: Charset is not the name of one" },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct templates t;
		struct buf before = BUF(0), after = BUF(0);

		templates_init(&t);
		CHECK(templates_print(&t, &before));
		CHECK(templates_parse(&t, "F", str_of(cases[i].text)) == E_SYNTAX);
		CHECK_STR(str_of(err_why()), cases[i].why);
		CHECK(templates_print(&t, &after) && str_eq(buf_str(&before), buf_str(&after)));
		templates_fini(&t);
		buf_free(&before);
		buf_free(&after);
	}
}

SUITE(template, TEST(the_built_in_ones_are_whole), TEST(what_is_printed_can_be_read_again), TEST(a_file_replaces_what_it_has),
    TEST(what_is_no_template_is_refused_with_its_place));
