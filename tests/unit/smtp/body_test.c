/* SPDX-License-Identifier: Apache-2.0 */
#include "smtp/body.h"
#include "tests/unit/check.h"

enum { CEILING = 1 << 20, PLENTY = 998 };

static void
wrap_in_two(struct str in, size_t split, size_t limit, struct wrap *w, struct buf *out)
{
	*w = (struct wrap){ 0 };
	buf_clear(out);
	body_wrap(w, str_sub(in, 0, split), limit, out);
	body_wrap(w, str_sub(in, split, in.n), limit, out);
}

static void
dots_and_long_lines_become_what_a_server_undoes_wherever_the_pieces_are_cut(void)
{
	static const struct {
		const char *in;
		size_t limit;
		const char *out;
		bool open;                             /* the last line lacks its end */
	} cases[] = {
		{ "", PLENTY, "", false },
		{ "a\r\nb\r\n", PLENTY, "a\r\nb\r\n", false },
		{ ".\r\n", PLENTY, "..\r\n", false },
		{ "a\r\n.\r\n..b\r\n.", PLENTY, "a\r\n..\r\n...b\r\n..", true },
		{ "a.b\r\n\r\n.\r\n", PLENTY, "a.b\r\n\r\n..\r\n", false },
		{ "no end", PLENTY, "no end", true },
		{ "half an end\r", PLENTY, "half an end", true },
		/* Whatever came in, a server must not find an end of data that is not ours. */
		{ "a\n.\nb\r\n", PLENTY, "a\r\n..\r\nb\r\n", false },
		{ "a\r.\r\n", PLENTY, "a\r.\r\n", false },
		{ "a\r\r\n.\r\n", PLENTY, "a\r\r\n..\r\n", false },
		{ "0123456789abcdef\r\n", 16, "0123456789abcdef\r\n", false },
		{ "0123456789abcdefg\r\n", 16, "0123456789abcdef\r\n g\r\n", false },
		{ "0123456789abcdef0123456789abcde.\r\n", 16, "0123456789abcdef\r\n 0123456789abcde\r\n .\r\n", false },
		{ ".0123456789abcdef\r\n", 16, "..0123456789abcde\r\n f\r\n", false },
		{ "0123456789abcdefghijk\r\n", 0, "0123456789abcdefghijk\r\n", false },
		/* A limit that would never come to an end is taken as the smallest that does. */
		{ "0123456789abcdefg\r\n", 1, "0123456789abcdef\r\n g\r\n", false },
	};
	struct buf out = BUF(CEILING);
	struct wrap w;

	for (size_t i = 0; i < countof(cases); i++) {
		struct str in = str_of(cases[i].in);

		for (size_t split = 0; split <= in.n; split++) {
			wrap_in_two(in, split, cases[i].limit, &w, &out);
			CHECK_STR(buf_str(&out), cases[i].out);
			CHECK((w.inside || w.cr) == cases[i].open);
		}
	}
	buf_free(&out);
}

/* What the header promises, for all texts of these bytes up to some length. */
static void
no_text_grows_by_more_than_twice_or_has_a_lone_dot(void)
{
	static const char bytes[] = ".\r\nx";
	char text[8];
	struct buf out = BUF(CEILING);

	for (unsigned n = 0; n < 1u << (2 * sizeof text); n++) {
		struct wrap w = { 0 };
		struct str rest, line;

		for (size_t i = 0; i < sizeof text; i++)
			text[i] = bytes[(n >> (2 * i)) & 3];
		buf_clear(&out);
		body_wrap(&w, (struct str){ text, sizeof text }, PLENTY, &out);
		if (out.n > 2 * sizeof text)
			CHECK(out.n <= 2 * sizeof text);
		rest = buf_str(&out);
		while (str_cut(&rest, '\n', &line)) {
			bool dot = line.n > 0 && line.p[0] == '.';

			if (dot && (line.n < 2 || line.p[1] != '.'))
				CHECK(!dot);
		}
	}
	buf_free(&out);
}

SUITE(smtp_body, TEST(dots_and_long_lines_become_what_a_server_undoes_wherever_the_pieces_are_cut),
    TEST(no_text_grows_by_more_than_twice_or_has_a_lone_dot));
