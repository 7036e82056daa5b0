/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/addr.h"

#include "tests/unit/check.h"
#include "util/mem.h"

#define A64  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define L63  "lllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll"
#define D255 L63 "." L63 "." L63 "." L63

enum { STRICT = 1, UTF8 = 2 };

/* want NULL: E_SYNTAX, nothing taken. */
static const struct {
	const char *in;
	int how;
	const char *want, *rest;
} paths[] = {
	{ "<a@b>", STRICT, "a@b", "" },
	{ "<a@b> SIZE=10", STRICT, "a@b", " SIZE=10" },
	{ "<a@b>SIZE=10", STRICT, "a@b", "SIZE=10" },
	{ "<> \"", 0, "", " \"" },
	{ "<>", STRICT, "", "" },
	{ "<postmaster>", STRICT, "postmaster", "" },
	{ "<A.B+c=d@Example.COM>", STRICT, "A.B+c=d@Example.COM", "" },
	{ "<!#$%&'*+-/=?^_`{|}~@b>", STRICT, "!#$%&'*+-/=?^_`{|}~@b", "" },
	{ "<a..b@c>", STRICT, "a..b@c", "" },
	{ "<.a.@c>", 0, ".a.@c", "" },
	{ "<@x,@y.z:a@b>", STRICT, "a@b", "" },
	{ "<@[1.2.3.4]:a@b>", 0, "a@b", "" },
	/* quoting */
	{ "<\"a b\"@c>", STRICT, "\"a b\"@c", "" },
	{ "<\"ab\"@c>", 0, "ab@c", "" },
	{ "\"=\"", 0, "=", "" },
	{ "<\"a\\b\"@c>", 0, "ab@c", "" },
	{ "<\"a..b\"@c>", 0, "\"a..b\"@c", "" },
	{ "<\"\"@c>", 0, "\"\"@c", "" },
	{ "<\"a\\\"b\"@c>", 0, "\"a\\\"b\"@c", "" },
	{ "<\"a\\\\b\"@c>", 0, "\"a\\\\b\"@c", "" },
	{ "<\"a@b\"@c>", 0, "\"a@b\"@c", "" },
	{ "<\"a>b\"@c>", 0, "\"a>b\"@c", "" },
	/* domains */
	{ "<a@[1.2.3.4]>", STRICT, "a@[1.2.3.4]", "" },
	{ "<a@[IPv6:2001:db8::1]>", STRICT, "a@[IPv6:2001:db8::1]", "" },
	{ "<a@b.c.>", 0, "a@b.c", "" },
	{ "<a@b_c.d-e.f1>", STRICT, "a@b_c.d-e.f1", "" },
	{ "<a@1.x2>", STRICT, "a@1.x2", "" },
	/* without brackets */
	{ "a@b", 0, "a@b", "" },
	{ "a@b SIZE=1", 0, "a@b", " SIZE=1" },
	{ "\"a b\"@c BODY=7BIT", 0, "\"a b\"@c", " BODY=7BIT" },
	/* internationalised */
	{ "<\xc3\xbc@b>", UTF8, "\xc3\xbc@b", "" },
	{ "<a@\xc3\xbc.b>", UTF8 | STRICT, "a@\xc3\xbc.b", "" },
	{ "<\"\\\xc3\xbc x\"@b>", UTF8, "\"\xc3\xbc x\"@b", "" },
	/* limits */
	{ "<" A64 "@b>", STRICT, A64 "@b", "" },
	{ "<a@" D255 ">", STRICT, "a@" D255, "" },
	{ "<" A64 "a@b>", 0, NULL, NULL },
	{ "<\"" A64 "a\"@b>", 0, NULL, NULL },
	{ "<\"" A64 "\\a\"@b>", 0, NULL, NULL },
	{ "<a@" D255 "x>", 0, NULL, NULL },
	{ "<a@l" L63 ">", 0, NULL, NULL },
	/* bad */
	{ "", 0, NULL, NULL },
	{ " ", 0, NULL, NULL },
	{ "a@b", STRICT, NULL, NULL },
	{ "<a@b.c.>", STRICT, NULL, NULL },
	{ "<a@b", 0, NULL, NULL },
	{ "<a", 0, NULL, NULL },
	{ "<", 0, NULL, NULL },
	{ "a@b>", 0, NULL, NULL },
	{ "<a@b@c>", 0, NULL, NULL },
	{ "<a@b,c@d>", 0, NULL, NULL },
	{ "<<a@b>>", 0, NULL, NULL },
	{ "< a@b>", 0, NULL, NULL },
	{ "<a@b >", 0, NULL, NULL },
	{ "<a b@c>", 0, NULL, NULL },
	{ "<;sleep 66;>", 0, NULL, NULL },
	{ "<${run{\\x2Fbin\\x2Fsh}}@test.example>", 0, NULL, NULL },
	{ "<a(b)@c>", 0, NULL, NULL },
	{ "<a\"b\"@c>", 0, NULL, NULL },
	{ "<\"a\"b@c>", 0, NULL, NULL },
	{ "<\"a@b>", 0, NULL, NULL },
	{ "<\"a\\", 0, NULL, NULL },
	{ "<\"", 0, NULL, NULL },
	{ "<@b>", 0, NULL, NULL },
	{ "<a@>", 0, NULL, NULL },
	{ "<@>", 0, NULL, NULL },
	{ "<@x:>", 0, NULL, NULL },
	{ "<@x,y:a@b>", 0, NULL, NULL },
	{ "<@x,@y a@b>", 0, NULL, NULL },
	{ "<@,@y:a@b>", 0, NULL, NULL },
	{ "<@x", 0, NULL, NULL },
	{ "<a@-b>", 0, NULL, NULL },
	{ "<a@b->", 0, NULL, NULL },
	{ "<a@b..c>", 0, NULL, NULL },
	{ "<a@.b>", 0, NULL, NULL },
	{ "<a@b..>", 0, NULL, NULL },
	{ "<a@.>", 0, NULL, NULL },
	{ "<a@b/c>", 0, NULL, NULL },
	{ "<a@1.2.3.4>", 0, NULL, NULL },
	{ "<a@[1.2.3]>", 0, NULL, NULL },
	{ "<a@[1.2.3.4>", 0, NULL, NULL },
	{ "<a@[]>", 0, NULL, NULL },
	{ "<a@[IPv6:]>", 0, NULL, NULL },
	{ "<a@[2001:db8::1]>", 0, NULL, NULL },
	{ "<a@[1.2.3.4].b>", 0, NULL, NULL },
	{ "<a\x01@b>", UTF8, NULL, NULL },
	{ "<\"a\x7f\"@b>", UTF8, NULL, NULL },
	{ "<\"a\tb\"@c>", 0, NULL, NULL },
	{ "<\"a\\\nb\"@c>", 0, NULL, NULL },
	{ "<a\r@b>", 0, NULL, NULL },
	{ "<\xc3\xbc@b>", 0, NULL, NULL },
	{ "<a@\xc3\xbc.b>", 0, NULL, NULL },
	{ "<\xc3@b>", UTF8, NULL, NULL },
	{ "<\xc0\xaf@b>", UTF8, NULL, NULL },
	{ "<\xed\xa0\x80@b>", UTF8, NULL, NULL },
	{ "<\xf4\x90\x80\x80@b>", UTF8, NULL, NULL },
};

static void
paths_are_taken_whole_or_refused(void)
{
	for (size_t i = 0; i < countof(paths); i++) {
		struct buf out = BUF(1024);
		struct str in = str_of(paths[i].in);
		enum err e = path_take(&in, paths[i].how & STRICT, paths[i].how & UTF8, &out);

		CHECK(e == (paths[i].want ? OK : E_SYNTAX));
		CHECK_STR(buf_str(&out), paths[i].want ? paths[i].want : "");
		if (paths[i].want && paths[i].rest)
			CHECK_STR(in, paths[i].rest);
		if (!paths[i].want)
			CHECK_STR(in, paths[i].in);
		if (e == OK)
			CHECK(address_valid(buf_str(&out)));
		buf_free(&out);
	}
}

static void
a_nul_byte_never_passes(void)
{
	static const struct str in[] = {
		{ "<a\0b@c>", 7 }, { "<a@b\0>", 6 }, { "<\"a\0\"@c>", 8 }, { "<a@[1.2.3.4\0]>", 14 }, { "a\0", 2 },
	};

	for (size_t i = 0; i < countof(in); i++) {
		struct buf out = { 0 };
		struct str s = in[i];

		CHECK(path_take(&s, false, true, &out) == E_SYNTAX);
		buf_free(&out);
	}
}

static void
out_is_appended_to_and_restored_on_error(void)
{
	struct buf out = { 0 };
	struct str good = STR("<b@c>"), bad = STR("<b@c@d>");

	buf_adds(&out, "x:");
	CHECK(path_take(&bad, false, false, &out) == E_SYNTAX);
	CHECK_STR(buf_str(&out), "x:");
	CHECK(path_take(&good, false, false, &out) == OK);
	CHECK_STR(buf_str(&out), "x:b@c");
	buf_free(&out);
}

static void
an_address_is_split_at_its_own_at_sign(void)
{
	static const struct {
		const char *address, *local, *domain;
	} cases[] = {
		{ "a@b",         "a",         "b"         },
		{ "a",           "a",         ""          },
		{ "",            "",          ""          },
		{ "\"a@b\"@c",   "\"a@b\"",   "c"         },
		{ "\"a@b\"",     "\"a@b\"",   ""          },
		{ "a@[1.2.3.4]", "a",         "[1.2.3.4]" },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		CHECK_STR(address_local(str_of(cases[i].address)), cases[i].local);
		CHECK_STR(address_domain(str_of(cases[i].address)), cases[i].domain);
	}
}

static void
the_case_of_the_domain_alone_does_not_matter(void)
{
	CHECK(address_same(STR("a@B.c"), STR("a@b.C")));
	CHECK(!address_same(STR("A@b"), STR("a@b")));
	CHECK(!address_same(STR("a@b"), STR("a@c")));
	CHECK(address_same(STR(""), STR("")));
	CHECK(!address_same(STR("a"), STR("a@b")));
}

static void
domains_and_addresses_are_checked_alone_too(void)
{
	static const struct {
		const char *text;
		bool domain, address;
	} cases[] = {
		{ "example.com", true,  true  },
		{ "localhost",   true,  true  },
		{ "[127.0.0.1]", true,  false },
		{ "",            false, true  },
		{ "a@b",         false, true  },
		{ "<a@b>",       false, false },
		{ "\"ab\"@c",    false, false }, /* not in its least form */
		{ "a@b.",        false, false },
		{ "10.0.0.1",    false, true  },
		{ "a b",         false, false },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		CHECK(domain_valid(str_of(cases[i].text)) == cases[i].domain);
		CHECK(address_valid(str_of(cases[i].text)) == cases[i].address);
	}
}

SUITE(addr, TEST(paths_are_taken_whole_or_refused), TEST(a_nul_byte_never_passes),
    TEST(out_is_appended_to_and_restored_on_error), TEST(an_address_is_split_at_its_own_at_sign),
    TEST(the_case_of_the_domain_alone_does_not_matter), TEST(domains_and_addresses_are_checked_alone_too));
