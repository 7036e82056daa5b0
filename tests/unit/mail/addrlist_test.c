/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/addrlist.h"

#include "tests/unit/check.h"
#include "util/mem.h"

/* What a list comes to, address by address: "address|name|where it stood". */
static void
list_is(const char *text, const char *const *want)
{
	struct addrlist l = { .text = str_of(text) };
	struct buf out = BUF(0), got = BUF(0);
	size_t from, to;

	for (; *want && addrlist_next(&l, &out, &from, &to); want++) {
		buf_clear(&got);
		CHECK(to <= l.text.n && from <= to);
		CHECK(buf_printf(&got, "%.*s|%.*s|%.*s", STR_ARG(buf_str(&out)), STR_ARG(l.name),
		    STR_ARG(str_sub(l.text, from, to - from))));
		CHECK_STR(buf_str(&got), *want);
	}
	CHECK(*want == NULL && !addrlist_next(&l, &out, &from, &to));
	buf_free(&out);
	buf_free(&got);
}

#define LIST_IS(text, ...) list_is(text, (const char *const[]){ __VA_ARGS__ __VA_OPT__(,) NULL })

static void
plain_lists_come_apart(void)
{
	LIST_IS("a@b", "a@b||a@b");
	LIST_IS("a@b, c@d", "a@b||a@b", "c@d||c@d");
	LIST_IS(" A B <a@b> ,\r\n\tc@d (Joe)", "a@b|A B|a@b", "c@d|Joe|c@d");
	LIST_IS("root", "root||root");
	LIST_IS("");
	LIST_IS(" , ,, ");
	LIST_IS("(only words)");
}

static void
quotes_and_comments_protect(void)
{
	LIST_IS("\"a, b\" <x@y>, \"c@d\"@e", "x@y|a, b|x@y", "\"c@d\"@e||\"c@d\"@e");
	LIST_IS("a (b, c <d>) @ e", "a@e|b, c <d>|a (b, c <d>) @ e");
	LIST_IS("a@[192.0.2.1]", "a@[192.0.2.1]||a@[192.0.2.1]");
	LIST_IS("\"never closed, x@y", "\"never closed, x@y ||\"never closed, x@y");
	LIST_IS("x@[never closed, y", "x@[never closed, y ||x@[never closed, y");
	LIST_IS("(nested (twice) x) a@b", "a@b|nested (twice) x|a@b");
}

static void
groups_and_routes_are_taken_off(void)
{
	LIST_IS("Friends: a@b, C <c@d>;, e@f", "a@b||a@b", "c@d|C|c@d", "e@f||e@f");
	LIST_IS("undisclosed-recipients:;");
	LIST_IS("<@one,@two:a@b>", "a@b||a@b");
	LIST_IS("<>", "||");
	LIST_IS("Nobody <>", "|Nobody|");
}

static void
what_is_no_address_shows(void)
{
	LIST_IS("two words, a@b", "two words||two words", "a@b||a@b");
	LIST_IS("<a@b> trailing", "a@b||a@b");
	LIST_IS("J <a@b> \"", "a@b|J|a@b");
	LIST_IS("<a@b", "a@b||a@b");
	LIST_IS("a@b>", "a@b||a@b");
	LIST_IS("\\", "\\ ||\\");
	LIST_IS("a\\\r\n", "a\\ ||a\\");               /* a line end cannot be quoted, or it would end up in the address */
	LIST_IS("a\\\n, b", "a\\ ||a\\", "b||b");
	LIST_IS("a\\,b@c", "a\\,b@c||a\\,b@c");
}

SUITE(addrlist, TEST(plain_lists_come_apart), TEST(quotes_and_comments_protect), TEST(groups_and_routes_are_taken_off),
    TEST(what_is_no_address_shows));
