/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/dsnparam.h"

#include "tests/unit/check.h"
#include "util/mem.h"

static void
xtext_says_what_it_stood_for(void)
{
	static const struct { const char *plain, *coded; } cases[] = {
		{ "", "" }, { "abc!~", "abc!~" }, { "a b", "a+20b" }, { "a+b=c", "a+2Bb+3Dc" }, { "<a@b>", "<a@b>" },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct buf out = BUF(0), back = BUF(0);

		CHECK(xtext_encode(str_of(cases[i].plain), &out));
		CHECK_STR(buf_str(&out), cases[i].coded);
		CHECK(xtext_decode(buf_str(&out), &back));
		CHECK_STR(buf_str(&back), cases[i].plain);
		buf_free(&out);
		buf_free(&back);
	}
}

/* Every byte, as itself and as "+XX" in either case: what comes through is printable ASCII. */
static void
only_printable_ascii_comes_through(void)
{
	for (int c = 0; c < 256; c++) {
		bool printable = c >= ' ' && c <= '~';
		struct buf coded = BUF(0), out = BUF(0);
		char raw = (char)c;

		CHECK(xtext_decode((struct str){ &raw, 1 }, &out) == (c > ' ' && c <= '~' && c != '+' && c != '='));
		buf_clear(&out);
		CHECK(buf_printf(&coded, "+%02X", c));
		CHECK(xtext_decode(buf_str(&coded), &out) == printable);
		buf_free(&coded);
		buf_free(&out);
	}
}

static void
an_identifier_has_at_most_a_hundred_bytes(void)
{
	struct buf text = BUF(0), out = BUF(0);

	for (int i = 0; i < ENVID_MAX; i++)
		CHECK(buf_adds(&text, "+41"));
	CHECK(envid_decode(buf_str(&text), &out) && out.n == ENVID_MAX);
	buf_clear(&out);
	CHECK(buf_addc(&text, 'x'));
	CHECK(!envid_decode(buf_str(&text), &out));
	buf_free(&text);
	buf_free(&out);
}

static void
original_recipients_go_there_and_back(void)
{
	static const struct { const char *plain; bool utf8; const char *coded; } cases[] = {
		{ "rfc822;user+tag@example.com", false, "rfc822;user+2Btag@example.com" },
		{ "RFC822;\"a b\"@example.com", false, "RFC822;\"a+20b\"@example.com" },
		{ "utf-8;\303\204b+c@\344\276\213.test", false, "utf-8;\\x{C4}b\\x{2B}c@\\x{4F8B}.test" },
		{ "utf-8;\303\204b\\@\360\237\223\247.test", true, "utf-8;\303\204b\\x{5C}@\360\237\223\247.test" },
		{ "utf-8;\360\237\223\247", false, "utf-8;\\x{1F4E7}" },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct buf out = BUF(0), back = BUF(0);

		CHECK(orcpt_encode(str_of(cases[i].plain), cases[i].utf8, &out));
		CHECK_STR(buf_str(&out), cases[i].coded);
		CHECK(orcpt_decode(buf_str(&out), cases[i].utf8, &back));
		CHECK_STR(buf_str(&back), cases[i].plain);
		buf_free(&out);
		buf_free(&back);
	}
}

static void
what_is_no_original_recipient_is_refused(void)
{
	static const char *const cases[] = {
		"", ";", "rfc822", "rfc822;", ";a@b", "rfc 822;a", "rfc822;a b", "rfc822;a+0D", "rfc822;a+", "rfc822;a+4", "rfc822;a+4g",
		"utf-8;\\x{}", "utf-8;\\x{D800}", "utf-8;\\x{110000}", "utf-8;\\x{7F}", "utf-8;\\x{85}", "utf-8;\\x{0}", "utf-8;\\x{41",
		"utf-8;\\y{41}", "utf-8;a\\", "utf-8;a+41", "utf-8;\303\204",
	};
	struct buf out = BUF(0), text = BUF(0);

	for (size_t i = 0; i < countof(cases); i++)
		CHECK(!orcpt_decode(str_of(cases[i]), false, &out));
	CHECK(buf_adds(&text, "rfc822;"));
	while (text.n < ORCPT_MAX)
		CHECK(buf_addc(&text, 'x'));
	buf_clear(&out);
	CHECK(orcpt_decode(buf_str(&text), false, &out));
	CHECK(buf_addc(&text, 'x'));
	CHECK(!orcpt_decode(buf_str(&text), false, &out));
	buf_free(&text);
	buf_free(&out);
}

static void
after_an_expansion_success_is_not_asked_for_again(void)
{
	CHECK(notify_less_success(0) == 0);
	CHECK(notify_less_success(NOTIFY_SUCCESS) == NOTIFY_NEVER);
	CHECK(notify_less_success(NOTIFY_SUCCESS | NOTIFY_DELAY) == NOTIFY_DELAY);
	CHECK(notify_less_success(NOTIFY_NEVER) == NOTIFY_NEVER);
	CHECK(notify_less_success(NOTIFY_FAILURE) == NOTIFY_FAILURE);
}

SUITE(dsnparam, TEST(xtext_says_what_it_stood_for), TEST(only_printable_ascii_comes_through),
    TEST(an_identifier_has_at_most_a_hundred_bytes), TEST(original_recipients_go_there_and_back),
    TEST(what_is_no_original_recipient_is_refused), TEST(after_an_expansion_success_is_not_asked_for_again));
