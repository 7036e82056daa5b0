/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/match.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "mail/maps_table.h"
#include "tests/unit/check.h"
#include "util/mem.h"
#include "util/proc.h"

static bool
matches(const char *list, const char *name, bool below)
{
	struct match *m;
	bool yes = false;

	CHECK(match_open(str_of(list), "test", "/", below, &m) == OK);
	CHECK(match_find(m, str_of(name), &yes) == OK);
	match_close(&m);
	return yes;
}

static void
the_first_pattern_that_fits_decides(void)
{
	static const struct {
		const char *list, *name;
		bool exact, below;
	} cases[] = {
		{ "a.b, c.d",                       "C.D",       true,  true  },
		{ "a.b\tc.d",                       "x.c.d",     false, true  },
		{ "a.b",                            "xa.b",      false, false },
		{ ".a.b",                           "x.a.b",     true,  true  },
		{ ".a.b",                           "a.b",       false, false },
		{ "",                               "a",         false, false },
		{ " , ,",                           "a",         false, false },
		{ "a.b",                            "",          false, false },
		{ "!x.a.b .a.b",                    "x.a.b",     false, false },
		{ "!x.a.b .a.b",                    "y.a.b",     true,  true  },
		{ ".a.b !x.a.b",                    "x.a.b",     true,  true  },
		{ "!!a.b",                          "a.b",       true,  true  },
		{ "!a.b",                           "c.d",       false, false },
		{ "[192.0.2.1]",                    "[192.0.2.1]", true, true },
		{ "[IPv6:2001:db8::1]",             "[ipv6:2001:DB8::1]", true, true },
		{ "inline:{a.b=x}",                 "A.B",       true,  true  },
		{ "inline:{a.b=x}",                 "x.y.a.b",   false, true  },
		{ "inline:{.a.b=x}",                "x.y.a.b",   true,  false },
		{ "inline:{.a.b=x}",                "a.b",       false, false },
		{ "!inline:{x.a.b=1} inline:{.a.b=1 a.b=1}", "x.a.b", false, false },
		{ "inline:{ {a.b = x, y} } c.d",    "c.d",       true,  true  },
		{ "regexp:{ {/^a\\.b$/ x} }",       "x.a.b",     false, false },
		{ "regexp:{ {/^a\\.b$/ x} }",       "a.b",       true,  true  },
		{ "a.b fail:no",                    "a.b",       true,  true  },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		CHECK(matches(cases[i].list, cases[i].name, false) == cases[i].exact);
		CHECK(matches(cases[i].list, cases[i].name, true) == cases[i].below);
	}
}

static void
a_table_that_cannot_be_asked_is_an_error_unless_it_need_not_be(void)
{
	struct match *m;
	bool yes;

	CHECK(match_open(STR("a.b fail:no c.d"), "test", "/", false, &m) == OK && !match_fixed(m));
	CHECK(match_find(m, STR("a.b"), &yes) == OK && yes);
	CHECK(match_find(m, STR("c.d"), &yes) != OK && !yes);
	match_close(&m);
	CHECK(match_open(STR("a.b, .c !d"), "test", "/", true, &m) == OK && match_fixed(m));
	match_close(&m);
	CHECK(match_open(STR(" "), "test", "/", true, &m) == OK && m == NULL && match_fixed(m));
}

static void
what_is_malformed_is_said(void)
{
	struct match *m;

	CHECK(match_open(STR("a.b hsah:/etc/x"), "mydestination", "/", false, &m) == E_SYNTAX && m == NULL);
	CHECK(strstr(err_why(), "mydestination") != NULL && strstr(err_why(), "hash") != NULL);
	CHECK(match_open(STR("a.b {"), "mydestination", "/", false, &m) == E_SYNTAX && m == NULL);
	CHECK(match_open(STR("ok.example .ok.example !no.example a..b"), "", "/", false, &m) == OK);
	CHECK_STR(match_bad_domain(m), "a..b");
	match_close(&m);
}

static void
a_file_of_names_is_followed(void)
{
	char dir[] = "/tmp/match-XXXXXX", file[64], list[96];
	int64_t look = file_table_look_ms;
	struct match *m;
	bool yes;

	CHECK(mkdtemp(dir) != NULL);
	file_table_look_ms = 0;
	snprintf(file, sizeof file, "%s/domains", dir);
	snprintf(list, sizeof list, "first.example %s last.example", file);
	CHECK(match_open(str_of(list), "mydestination", "/", false, &m) == OK && !match_fixed(m));
	/* It is not there yet: only what comes before it can be told. */
	CHECK(match_find(m, STR("first.example"), &yes) == OK && yes);
	CHECK(match_find(m, STR("last.example"), &yes) != OK);
	CHECK(proc_write_file(file, STR("# ours\none.example, .two.example\n!three.example\n"), 0600) == OK);
	CHECK(match_find(m, STR("ONE.example"), &yes) == OK && yes);
	CHECK(match_find(m, STR("x.two.example"), &yes) == OK && yes);
	CHECK(match_find(m, STR("two.example"), &yes) == OK && !yes);
	CHECK(match_find(m, STR("last.example"), &yes) == OK && yes);
	match_close(&m);
	/* Tables within are not read, and that is said; all of it negated: what it negates is on the list. */
	snprintf(list, sizeof list, "!%s .example", file);
	CHECK(match_open(str_of(list), "mydestination", "/", false, &m) == OK);
	CHECK(match_find(m, STR("one.example"), &yes) == OK && !yes);
	CHECK(match_find(m, STR("three.example"), &yes) == OK && yes);
	match_close(&m);
	CHECK(proc_write_file(file, STR("one.example hash:/x\n"), 0600) == OK);
	CHECK(match_open(str_of(list), "mydestination", "/", false, &m) == OK);
	CHECK(match_find(m, STR("one.example"), &yes) != OK && strstr(err_why(), "hash:/x") != NULL);
	match_close(&m);
	file_table_look_ms = look;
	unlink(file);
	rmdir(dir);
}

SUITE(match, TEST(the_first_pattern_that_fits_decides), TEST(a_table_that_cannot_be_asked_is_an_error_unless_it_need_not_be),
    TEST(what_is_malformed_is_said), TEST(a_file_of_names_is_followed));
