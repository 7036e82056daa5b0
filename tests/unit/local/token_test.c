/* SPDX-License-Identifier: Apache-2.0 */
#include "local/token.h"
#include "tests/unit/check.h"
#include "util/mem.h"

enum { MOST = 1000 };

/* What was parsed, in letters: A address, M mailbox, C command, F file, I include. */
static void
render(const struct tokens *t, struct buf *out)
{
	for (size_t i = 0; i < t->n; i++)
		(void)buf_printf(out, "%s%c(%.*s)", i > 0 ? " " : "", "AMCFI"[t->v[i].kind], STR_ARG(t->v[i].text));
}

static void
each_form_is_told_by_how_it_begins(void)
{
	static const struct { const char *text, *want; } cases[] = {
		{ "alice", "A(alice)" },
		{ "alice, bob@example.org", "A(alice) A(bob@example.org)" },
		{ " ,, alice ,\t", "A(alice)" },
		{ "alice bob", NULL },
		{ "Joe User <joe@example.org>, x@y.z (Joe, the other)", "A(joe@example.org) A(x@y.z)" },
		{ "\"Joe, User\" <joe@example.org>", "A(joe@example.org)" },
		{ "\"a b\"@example.org", "A(\"a b\"@example.org)" },
		{ "\"|id\"@example.org", "A(|id@example.org)" },
		{ "<|id>", "A(|id)" },
		{ "</etc/passwd>", "A(/etc/passwd)" },
		{ "<>", "" },
		{ "\\alice", "M(alice)" },
		{ "\\alice, bob", "M(alice) A(bob)" },
		{ "\\ali ce", NULL },
		{ "\\../x", NULL },
		{ "|/bin/cat", "C(/bin/cat)" },
		{ "\"|/bin/cat a, b\"", "C(/bin/cat a, b)" },
		{ "|\"/bin/cat a, b\", alice", "C(/bin/cat a, b) A(alice)" },
		{ "|/bin/echo \"a, b\", alice", "C(/bin/echo \"a, b\") A(alice)" },
		{ "\"|sh -c \\\"exit 1\\\"\"", "C(sh -c \"exit 1\")" },
		{ "\"|exec /usr/bin/procmail -f- || exit 75 #alice\"", "C(exec /usr/bin/procmail -f- || exit 75 #alice)" },
		{ "|", NULL },
		{ "\"|unclosed", NULL },
		{ "/var/mail/x", "F(/var/mail/x)" },
		{ "\"/home/a/My Mail/\"", "F(/home/a/My Mail/)" },
		{ "/dev/null, alice", "F(/dev/null) A(alice)" },
		{ ":include:/etc/list", "I(/etc/list)" },
		{ ":INCLUDE: /etc/list , alice", "I(/etc/list) A(alice)" },
		{ "\":include:/etc/a list\"", "I(/etc/a list)" },
		{ ":include:\"/etc/a list\"", "I(/etc/a list)" },
		{ ":include:etc/list", NULL },
		{ ":include:|id", NULL },
		{ "a@b@c", NULL },
		{ "alice\x01", NULL },
		{ "alice@exa\x7fmple.org", NULL },
		{ "|a\x01", NULL },
		{ "", "" },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct tokens t;
		struct buf got = { 0 };
		enum err e = tokens_parse(str_of(cases[i].text), false, MOST, &t);

		render(&t, &got);
		CHECK(e == (cases[i].want ? OK : E_SYNTAX));
		CHECK_STR(buf_str(&got), cases[i].want ? cases[i].want : "");
		if (!str_eq(buf_str(&got), str_of(cases[i].want ? cases[i].want : "")) || (e == OK) != (cases[i].want != NULL))
			printf("\n  <%s> gave <%s> %s\n", cases[i].text, buf_cstr(&got), err_name(e));
		tokens_fini(&t);
		buf_free(&got);
	}
}

static void
a_file_has_lines_and_comments(void)
{
	struct tokens t;
	struct buf got = { 0 };

	CHECK(tokens_parse(STR("# mine\n\\alice\r\nbob, carol\n#x\n\n|\"cat >>a,b\"\n /tmp/x\n"), true, MOST, &t) == OK);
	render(&t, &got);
	CHECK_STR(buf_str(&got), "M(alice) A(bob) A(carol) C(cat >>a,b) F(/tmp/x)");
	tokens_fini(&t);
	buf_clear(&got);
	CHECK(tokens_parse(STR("a, #b"), false, MOST, &t) == OK);      /* an ordinary byte elsewhere */
	render(&t, &got);
	CHECK_STR(buf_str(&got), "A(a) A(#b)");
	tokens_fini(&t);
	buf_free(&got);
}

static void
what_users_write_is_bounded(void)
{
	struct tokens t;
	struct buf text = BUF(4 << 20);

	for (int i = 0; i < 100; i++)
		(void)buf_adds(&text, "a,");
	CHECK(tokens_parse(buf_str(&text), true, 100, &t) == OK && t.n == 100);
	tokens_fini(&t);
	CHECK(tokens_parse(buf_str(&text), true, 99, &t) == E_TOOBIG && t.n == 0 && t.v == NULL);
	buf_clear(&text);
	for (int i = 0; i < 1 << 20; i++)
		(void)buf_addc(&text, 'a');
	CHECK(tokens_parse(buf_str(&text), true, MOST, &t) == E_SYNTAX);
	text.p[0] = '|';
	CHECK(tokens_parse(buf_str(&text), true, MOST, &t) == E_SYNTAX);
	text.p[0] = '"';
	CHECK(tokens_parse(buf_str(&text), true, MOST, &t) == E_SYNTAX);
	for (size_t i = 0; i < text.n; i++)
		text.p[i] = '(';
	CHECK(tokens_parse(buf_str(&text), true, MOST, &t) == OK && t.n == 0);
	tokens_fini(&t);
	buf_free(&text);
}

SUITE(token, TEST(each_form_is_told_by_how_it_begins), TEST(a_file_has_lines_and_comments), TEST(what_users_write_is_bounded));
