/* SPDX-License-Identifier: Apache-2.0 */
/* Tables that need no file.  What is expected is what Postfix 3.7's postmap -q says, but where a comment says otherwise. */
#include "mail/maps.h"

#include <stdio.h>

#include "tests/unit/check.h"
#include "util/mem.h"

struct question {
	const char *spec, *key, *want;                 /* want NULL: not found */
	unsigned    flags;
};

static void
check_question(const struct question *q, size_t i)
{
	struct buf value = { 0 };
	struct maps *m = NULL;
	bool found = false;

	CHECK(maps_open(str_of(q->spec), "test_maps", "/", &m) == OK);
	CHECK(maps_find(m, str_of(q->key), q->flags, &value, &found) == OK);
	if (found != (q->want != NULL) || (found && strcmp(buf_cstr(&value), q->want) != 0))
		printf("case %zu, %s: %s\n", i, q->key, found ? buf_cstr(&value) : "not found");
	CHECK(found == (q->want != NULL));
	if (q->want)
		CHECK_STR(buf_str(&value), q->want);
	maps_close(&m);
	CHECK(m == NULL);
	buf_free(&value);
}

static void
check_questions(const struct question *q, size_t n)
{
	for (size_t i = 0; i < n; i++)
		check_question(&q[i], i);
}

static void
tables_in_memory(void)
{
	static const struct question cases[] = {
		{ "inline:{a=b}", "a", "b", 0 },
		{ "inline:{X=Y, a=b}", "x", "Y", 0 },
		{ "inline:{x=y}", "X", "y", 0 },
		{ "inline:{x=y}", "X", NULL, MAPS_ASIS },
		{ "inline:{ { k = v w, z } , q=1}", "k", "v w, z", 0 },
		{ "inline:{ {k = v w, z}, k=2 }", "k", "2", 0 },
		{ "inline:{ {k = {v}} }", "k", "{v}", 0 },
		{ "inline:{k=}", "k", "", 0 },
		{ "inline:{a=b}", "c", NULL, 0 },
		{ "inline:{a=b}", "", NULL, 0 },
		{ "static:abc", "anything", "abc", 0 },
		{ "static:{ a b, c }", "x", "a b, c", 0 },
		{ "static:", "x", "", 0 },
		{ "unix:group.byname", "root", "root:x:0:", 0 },
		{ "unix:group.byname", "ROOT", "root:x:0:", 0 },
		{ "proxy:unix:group.byname", "root", "root:x:0:", 0 },
		{ "unix:passwd.byname", "no-such-user", NULL, 0 },
		{ "unix:passwd.byname", "root:x", NULL, 0 },
		{ "", "x", NULL, 0 },
		{ " , \t", "x", NULL, 0 },
	};

	check_questions(cases, countof(cases));
}

static void
tables_are_asked_in_order(void)
{
	static const struct question cases[] = {
		{ "inline:{a=1} inline:{a=2,b=3}", "a", "1", 0 },
		{ "inline:{a=1},inline:{a=2,b=3}", "b", "3", 0 },
		{ " inline:{ {a=1} , b=2 }, static:z", "c", "z", 0 },
		{ "inline:{a=1}, fail:x", "a", "1", 0 },
		{ "regexp:{{/a/ r}}, static:s", "a", "r", 0 },
		{ "regexp:{{/a/ r}}, static:s", "a", "s", MAPS_FIXED },
		{ "pcre:{{/a/ r}}, static:s", "a", "s", MAPS_FIXED },
		{ "cidr:{{10.0.0.0/8 r}}, static:s", "10.1.1.1", "s", MAPS_FIXED },
	};

	check_questions(cases, countof(cases));
}

/* The same for regexp and pcre. */
#define RULES \
	"{ {/^(a+)b$/ got $1 ${1}x $(1)y $$}, {if /x/}, {/xy(.)?/ opt<$1>}, {endif}, {/^B/i cs}, {/k v/}, {|alt|im  pipe}," \
	" {if !/foo/}, {/bar/ notfoo}, {if /b(a)z/}, {/q/ inner}, {endif}, {/baz/ outer}, {endif}, {/c{2}/ cc}," \
	" {!/@/ noat}, {/\\/slash/ sl}, {/(z)(y)?(x)?/ z=$1,$2,$3} }"

static void
rules_match_as_in_postfix(void)
{
	static const struct {
		const char *key, *want;
	} cases[] = {
		{ "aab", "got aa aax aay $" },
		{ "AAB", "got AA AAx AAy $" },
		{ "xy@", "opt<@>" },
		{ "xyz@", "opt<z>" },
		{ "xy", "opt<>" },
		{ "b@", NULL },
		{ "B@", "cs" },
		{ "bar@", "notfoo" },
		{ "foobar@", NULL },
		{ "baz@", "outer" },
		{ "bazq@", "inner" },
		{ "foobazq@", "z=z,," },
		{ "k v@", "" },
		{ "cc@", "cc" },
		{ "alt@", "pipe" },
		{ "ALT@", NULL },
		{ "a/slash@", "sl" },
		{ "z@", "z=z,," },
		{ "zy@", "z=z,y," },
		{ "zyx@", "z=z,y,x" },
		{ "foo\nalt@", "pipe" },
		{ "plain", "noat" },
	};
	static const char *const types[] = { "regexp:" RULES, "pcre:" RULES };

	for (size_t t = 0; t < countof(types); t++)
		for (size_t i = 0; i < countof(cases); i++)
			check_question(&(struct question){ types[t], cases[i].key, cases[i].want, 0 }, i);
}

static void
flags_of_patterns(void)
{
	static const struct question cases[] = {
		{ "pcre:{{/a.b/ x}}", "a\nb", "x", 0 },
		{ "pcre:{{/a.b/s x}}", "a\nb", NULL, 0 },
		{ "pcre:{{/^q$/ x}}", "p\nq\nr", NULL, 0 },
		{ "pcre:{{/^q$/m x}}", "p\nq\nr", "x", 0 },
		{ "pcre:{{/u u/x x}}", "uu", "x", 0 },
		{ "pcre:{{/anch/A x}}", "xanch", NULL, 0 },
		{ "pcre:{{/q$/ x}}", "q\n", "x", 0 },
		{ "pcre:{{/q$/E x}}", "q\n", NULL, 0 },
		{ "pcre:{{/(a+)(b*)/U $1-$2}}", "aaabbb", "a-", 0 },
		{ "pcre:{{/\xc3\x84/ x}}", "\xc3\xa4", "x", 0 },           /* a letter: in any case */
		{ "pcre:{{/\xc3\x84/ x}}", "\xff\xc3\xa4", "x", 0 },       /* whatever else is there */
		{ "pcre:{{/\xe4/ x}}", "\xe4", "x", 0 },                   /* not UTF-8: bytes */
		{ "pcre:{{/[\\x80-\\xff]/ x}}", "\xe4", "x", 0 },
		{ "regexp:{{/^q$/ x}}", "p\nq\nr", NULL, 0 },
		{ "regexp:{{/^q$/m x}}", "p\nq\nr", "x", 0 },
		{ "regexp:{{/a+/x x}}", "aa", NULL, 0 },
		{ "regexp:{{/a+/x x}}", "a+", "x", 0 },
		{ "regexp:{{/A/i x}}", "a", NULL, 0 },
	};

	check_questions(cases, countof(cases));
}

#define NETWORKS \
	"cidr:{ {1.2.3.4 one}, {1.2.3.0/24 net}, {[2001:db8::]/32 v6}, {2001:db9:8000::/33 v6b}, {!192.168.0.0/16 notpriv}," \
	" {if 192.168.1.0/24}, {192.168.1.5 five}, {endif}, {if !192.168.3.0/24}, {192.168.2.2 two}, {2001::/16 never}, {endif}," \
	" {192.168.0.0/16 priv} }"

static void
networks_match_as_in_postfix(void)
{
	static const struct question cases[] = {
		{ NETWORKS, "1.2.3.4", "one", 0 },
		{ NETWORKS, "1.2.3.5", "net", 0 },
		{ NETWORKS, "::ffff:1.2.3.5", "net", 0 },           /* Postfix never asks for these */
		{ NETWORKS, "10.2.2.2", "notpriv", 0 },
		{ NETWORKS, "2001:db8::5", "v6", 0 },
		{ NETWORKS, "2001:0DB8:0:0::5", "v6", 0 },
		{ NETWORKS, "2001:db9:8000::1", "v6b", 0 },
		{ NETWORKS, "2001:db9::1", NULL, 0 },               /* ! is about the same family alone, and so is if */
		{ NETWORKS, "192.168.1.5", "five", 0 },
		{ NETWORKS, "192.168.1.6", "priv", 0 },
		{ NETWORKS, "192.168.2.2", "two", 0 },
		{ NETWORKS, "192.168.300.1", NULL, 0 },
		{ NETWORKS, "foo", NULL, 0 },
	};

	check_questions(cases, countof(cases));
}

static void
what_cannot_be_right_is_refused(void)
{
	static const struct {
		const char *spec, *words;
	} cases[] = {
		{ "hsh:/x", "unknown type of table \"hsh\"; did you mean \"hash\"?" },
		{ "ldap:/x", "unknown type" },
		{ "/etc/aliases", "expected type:name" },
		{ "hash:", "no file is named" },
		{ "inline:{a=b", "without" },
		{ "inline:a=b}", "without" },
		{ "inline:{a=b}}", "without" },
		{ "inline:{}", "no entry" },
		{ "inline:{k}", "key=value" },
		{ "inline:{ {=v} }", "key=value" },
		{ "inline:x", "expected {" },
		{ "unix:passwd", "passwd.byname" },
		{ "static:{abc", "without" },
		{ "static:{abc}d", "text after" },
		{ "regexp:{ /a/ b }", "expected {" },
		{ "regexp:{{/a b}}", ":1:1: no closing \"/\"" },
		{ "regexp:{{a b}}", ":1:1: a pattern stands between" },
		{ "regexp:{{/a/q b}}", ":1:4: unknown flag \"q\"" },
		{ "regexp:{{/a(/ b}}", ":1:2: " },
		{ "regexp:{{/a/ b}, {/(a)/ x $2}}", ":2:9: the pattern has no part 2" },
		{ "regexp:{{/(a)/ $1z}}", "followed by a number" },
		{ "regexp:{{/(a)/ ${1}, {/b/ x}}", "without" },
		{ "regexp:{{/(a)/ $(1}}", "followed by a number" },
		{ "regexp:{{/(a)/ $0}}", "followed by a number" },
		{ "regexp:{{/(a)/ $}}", "followed by a number" },
		{ "regexp:{{!/(a)/ $1}}", "no parts" },
		{ "regexp:{{endif}}", "endif without if" },
		{ "regexp:{{if /a/}, {/b/ c}}", ":1:1: if without endif" },
		{ "regexp:{{if /a/ b}, {endif}}", "text after" },
		{ "pcre:{{/a(/ b}}", ":1:4: missing closing parenthesis" },
		{ "pcre:{{/a/q b}}", "unknown flag" },
		{ "pcre:{{/\\C/ b}}", "\\C" },
		{ "cidr:{{10.0.0.1/8 x}}", "bits set past" },
		{ "cidr:{{1.2.3.4/33 x}}", "bad network size" },
		{ "cidr:{{junk x}}", "bad network" },
		{ "cidr:{{1.2.3.4,1.2.3.5 x}}", "bad network" },
		{ "cidr:{{1.2.3.4}}", "no result" },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct maps *m = NULL;

		CHECK(maps_open(str_of(cases[i].spec), "test_maps", "/", &m) == E_SYNTAX);
		CHECK(m == NULL);
		if (strstr(err_why(), cases[i].words) == NULL)
			printf("case %zu: %s\n", i, err_why());
		CHECK(strstr(err_why(), cases[i].words) != NULL);
		CHECK(str_starts(str_of(err_why()), STR("test_maps: ")));
	}
}

static void
a_table_that_cannot_answer_stops_the_search(void)
{
	struct buf value = { 0 };
	struct maps *m = NULL;
	bool found = true;

	CHECK(maps_open(STR("inline:{a=b}, fail:now, static:s"), "test_maps", "/", &m) == OK);
	CHECK(maps_find(m, STR("c"), 0, &value, &found) == E_IO);
	CHECK(!found && value.n == 0);
	CHECK(maps_find(m, STR("a"), 0, &value, &found) == OK && found);
	/* value holds the answer alone, whatever was in it */
	CHECK(maps_find(m, STR("a"), 0, &value, &found) == OK && found);
	CHECK_STR(buf_str(&value), "b");
	maps_close(&m);
	buf_free(&value);
}

static void
a_value_beyond_the_ceiling_is_temporary(void)
{
	struct buf value = BUF(4);
	struct maps *m = NULL;
	bool found = true;

	CHECK(maps_open(STR("static:much-too-long"), "test_maps", "/", &m) == OK);
	CHECK(maps_find(m, STR("c"), 0, &value, &found) == E_IO && !found);
	maps_close(&m);
	buf_free(&value);
}

static void
substitution_can_be_forbidden(void)
{
	static const char *const specs[] = { "regexp:{{/^p/ plain $$}, {/^(s)/ sub $1}}", "pcre:{{/^p/ plain $$}, {/^(s)/ sub $1}}" };
	struct buf value = { 0 };
	bool found;

	for (size_t i = 0; i < countof(specs); i++) {
		struct maps *m = NULL;

		CHECK(maps_open(str_of(specs[i]), "test_maps", "/", &m) == OK);
		CHECK(maps_find(m, STR("p"), MAPS_NOSUB, &value, &found) == OK && found);
		CHECK_STR(buf_str(&value), "plain $");
		CHECK(maps_find(m, STR("s"), MAPS_NOSUB, &value, &found) == E_SYNTAX && !found);
		CHECK(maps_find(m, STR("s"), 0, &value, &found) == OK && found);
		maps_close(&m);
	}
	buf_free(&value);
}

static void
instant_is_what_never_waits(void)
{
	static const struct {
		const char *spec;
		bool        instant;
	} cases[] = {
		{ "", true }, { "inline:{a=b}, static:x, fail:y", true }, { "inline:{a=b}, hash:/x", false },
		{ "texthash:/x", false }, { "unix:passwd.byname", false }, { "regexp:{{/a/ b}}", false },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct maps *m = NULL;

		CHECK(maps_open(str_of(cases[i].spec), "test_maps", "/", &m) == OK);
		CHECK(maps_instant(m) == cases[i].instant);
		maps_close(&m);
	}
}

static void
addresses_are_looked_up_in_postfix_order(void)
{
	static const struct {
		const char *table, *addr, *delimiters;
		bool        own;
		const char *want, *ext;                /* want NULL: not found */
	} cases[] = {
		{ "u+e@d=1, u@d=2, u+e=3, u=4, @d=5", "u+e@d", "+", true, "1", "" },
		{ "u@d=2, u+e=3, u=4, @d=5", "u+e@d", "+", true, "2", "e" },
		{ "u+e=3, u=4, @d=5", "u+e@d", "+", true, "3", "" },
		{ "u=4, @d=5", "u+e@d", "+", true, "4", "e" },
		{ "@d=5", "u+e@d", "+", true, "5", "" },
		{ "u+e=3, u=4, @d=5", "u+e@d", "+", false, "5", "" },
		{ "u=4", "u@d", "+", false, NULL, "" },
		{ "u@d=2", "U+E@D", "+", false, "2", "E" },
		{ "u@d=2", "u+e@d", "", false, NULL, "" },
		{ "u@d=2", "u-e+f@d", "+-", false, "2", "e+f" },
		{ "u@d=2", "u-e+f@d", "+", false, NULL, "" },
		{ "u-e@d=2", "u-e+f@d", "+", false, "2", "f" },
		{ "u@d=2", "u+@d", "+", false, "2", "" },
		{ "@d=5", "+e@d", "+", false, "5", "" },
		{ "owner@d=2, @d=5", "owner-l@d", "-", false, "5", "" },
		{ "l@d=2, @d=5", "l-request@d", "-", false, "5", "" },
		{ "double@d=2, @d=5", "double-bounce@d", "-", false, "5", "" },
		{ "mailer@d=2, @d=5", "MAILER-DAEMON@d", "-", false, "5", "" },
		{ "\"a@d=2, @d=5", "\"a+b\"@d", "+", false, "5", "" },
		{ "u=4", "u+e", "+", false, "4", "e" },
		{ "u=4", "u", "+", false, "4", "" },
		{ "@d=5", "@d", "+", true, "5", "" },
		{ "u@d=2", "", "+", true, NULL, "" },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct buf spec = { 0 }, value = { 0 }, ext = { 0 };
		struct maps *m = NULL;
		bool found = false;

		buf_printf(&spec, "inline:{%s}", cases[i].table);
		CHECK(maps_open(buf_str(&spec), "test_maps", "/", &m) == OK);
		buf_adds(&ext, "rest of something");
		CHECK(maps_find_address(m, str_of(cases[i].addr), cases[i].delimiters, cases[i].own, &value, &ext, &found) == OK);
		if (found != (cases[i].want != NULL) || strcmp(buf_cstr(&ext), cases[i].ext) != 0)
			printf("case %zu: %s, %s\n", i, buf_cstr(&value), buf_cstr(&ext));
		CHECK(found == (cases[i].want != NULL));
		if (found)
			CHECK_STR(buf_str(&value), cases[i].want);
		CHECK_STR(buf_str(&ext), cases[i].ext);
		maps_close(&m);
		buf_free(&spec);
		buf_free(&value);
		buf_free(&ext);
	}
}

static void
patterns_are_asked_for_the_whole_address_only(void)
{
	struct buf value = { 0 }, ext = { 0 };
	struct maps *m = NULL;
	bool found = true;

	CHECK(maps_open(STR("regexp:{ {/^u@d$/ part}, {/^u$/ part}, {/^@d$/ part} }"), "test_maps", "/", &m) == OK);
	CHECK(maps_find_address(m, STR("u+e@d"), "+", true, &value, &ext, &found) == OK && !found);
	CHECK(maps_find_address(m, STR("u@d"), "+", true, &value, &ext, &found) == OK && found);
	maps_close(&m);
	buf_free(&value);
	buf_free(&ext);
}

struct ticking {
	bool     over;
	unsigned ticks;
};

static void
tick(void *arg)
{
	struct ticking *t = arg;

	for (; !t->over; t->ticks++)
		CHECK(task_sleep(time_after_ms(time_now(), 1)) == OK);
}

/* Backtracks for ever, but for the limit; and the others go on meanwhile. */
static void
a_malicious_subject_costs_little(void)
{
	static const char key[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab";
	struct ticking t = { false, 0 };
	struct buf value = { 0 };
	struct time began = time_now();
	struct maps *m = NULL;
	struct tasks g;
	bool found;

	tasks_init(&g);
	if (task_self())
		CHECK(task_start(&g, "tick", tick, &t) != NULL);
	CHECK(maps_open(STR("pcre:{ {/^(a|aa)+$/ x} }"), "test_maps", "/", &m) == OK);
	for (int i = 0; i < 10; i++) {
		CHECK(maps_find(m, STR("aaa"), 0, &value, &found) == OK && found);
		CHECK(maps_find(m, str_of(key), 0, &value, &found) == E_BUSY && !found);
		CHECK(strstr(err_why(), "backtracks too much") != NULL);
	}
	CHECK(time_seconds(began, time_now()) < 10);
	t.over = true;
	if (task_self()) {
		CHECK(t.ticks >= 3);
		tasks_wait(&g);
	}
	maps_close(&m);
	buf_free(&value);
}

SUITE(maps, TEST(tables_in_memory), TASK_TEST(tables_in_memory), TEST(tables_are_asked_in_order),
    TASK_TEST(tables_are_asked_in_order), TEST(rules_match_as_in_postfix), TASK_TEST(rules_match_as_in_postfix),
    TEST(flags_of_patterns), TASK_TEST(flags_of_patterns), TEST(networks_match_as_in_postfix),
    TEST(what_cannot_be_right_is_refused), TASK_TEST(what_cannot_be_right_is_refused),
    TEST(a_table_that_cannot_answer_stops_the_search), TEST(a_value_beyond_the_ceiling_is_temporary),
    TEST(substitution_can_be_forbidden), TASK_TEST(substitution_can_be_forbidden), TEST(instant_is_what_never_waits),
    TEST(addresses_are_looked_up_in_postfix_order), TASK_TEST(addresses_are_looked_up_in_postfix_order),
    TEST(patterns_are_asked_for_the_whole_address_only), TEST(a_malicious_subject_costs_little),
    TASK_TEST(a_malicious_subject_costs_little));
