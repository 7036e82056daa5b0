/* SPDX-License-Identifier: Apache-2.0 */
#include "smtpd/content.h"

#include "spool/spool.h"
#include "tests/unit/check.h"
#include "util/mem.h"

struct result {
	struct buf out;
	size_t     used;
	bool       ended, bare_lf;
	unsigned   flags;
};

static void
collect(void *arg, struct str run)
{
	CHECK(buf_add(arg, run));
}

/* Fed in pieces of `step` bytes, the first one of `first`. */
static struct result
scan(enum newlines mode, struct str in, size_t first, size_t step)
{
	struct result r = { .out = BUF(1 << 20) };
	struct content c;

	content_init(&c, mode, collect, &r.out);
	for (size_t n = first; r.used < in.n && !c.ended; n = step)
		r.used += content_scan(&c, str_sub(in, r.used, n));
	r.ended = c.ended;
	r.bare_lf = c.bare_lf;
	r.flags = c.flags;
	return r;
}

static void
check_splits(enum newlines mode, struct str in)
{
	struct result whole = scan(mode, in, in.n, in.n);

	for (size_t split = 1; split <= in.n; split++) {
		struct result a = scan(mode, in, split, in.n), b = scan(mode, in, split, 1);

		CHECK(str_eq(buf_str(&a.out), buf_str(&whole.out)) && str_eq(buf_str(&b.out), buf_str(&whole.out)));
		CHECK(a.used == whole.used && b.used == whole.used);
		CHECK(a.ended == whole.ended && b.ended == whole.ended);
		CHECK(a.flags == whole.flags && b.flags == whole.flags);
		CHECK(a.bare_lf == whole.bare_lf && b.bare_lf == whole.bare_lf);
		buf_free(&a.out);
		buf_free(&b.out);
	}
	buf_free(&whole.out);
}

#define ALL_MODES(m) for (enum newlines m = NEWLINES_NORMALIZE; m <= NEWLINES_NO; m++)

/* The forms that published attacks used to end a message for one server and not for another. */
static const struct { struct str form; bool ends_no; } smuggling[] = {
	{ STR("\n.\n"), true },         { STR("\r.\r"), false },     { STR("\r.\n"), false },
	{ STR("\n.\r"), false },        { STR("\n.\r\n"), true },    { STR("\r\n.\n"), true },
	{ STR("\r.\r\n"), false },      { STR("\r\n.\r"), false },   { STR("\r\n\0.\r\n"), false },
	{ STR("\r\n.\0\r\n"), false },  { STR("\r\r\n.\r\r\n"), true }, { STR("\r\n.\r\r\n"), true },
	{ STR("\n\r.\r\n"), false },    { STR("\r\n .\r\n"), false },
};

static void
no_smuggling_form_ends_a_message_of_a_stranger(void)
{
	ALL_MODES(m) {
		for (size_t i = 0; i < countof(smuggling); i++) {
			struct buf in = BUF(0);
			struct result r;

			CHECK(buf_adds(&in, "Subject: x\r\n\r\nbody"));
			CHECK(buf_add(&in, smuggling[i].form));
			CHECK(buf_adds(&in, "MAIL FROM:<a@b>\r\nDATA\r\nx\r\n"));
			r = scan(m, buf_str(&in), in.n, in.n);
			CHECK(r.ended == (m == NEWLINES_NO && smuggling[i].ends_no));
			buf_free(&r.out);
			check_splits(m, buf_str(&in));
			buf_free(&in);
		}
	}
}

static const struct { enum newlines mode; struct str in, out; bool ended; } cases[] = {
	{ NEWLINES_NORMALIZE, STR(".\r\n"), STR(""), true },
	{ NEWLINES_NORMALIZE, STR("a\r\n.\r\nQUIT\r\n"), STR("a\r\n"), true },
	{ NEWLINES_NORMALIZE, STR("..\r\n...a\r\n.b\r\n.\r\n"), STR(".\r\n..a\r\nb\r\n"), true },
	{ NEWLINES_NORMALIZE, STR("a\nb\r\n.\r\n"), STR("a\r\nb\r\n"), true },
	{ NEWLINES_NORMALIZE, STR("a\n.\nb\r\n.\r\n"), STR("a\r\nb\r\n"), true },
	{ NEWLINES_NORMALIZE, STR("a\n.\r\nb\r\n.\r\n"), STR("a\r\nb\r\n"), true },
	{ NEWLINES_NORMALIZE, STR("a\n.\r\n.\r\n"), STR("a\r\n"), true },
	{ NEWLINES_NORMALIZE, STR("a\r\n.\nb\r\n.\r\n"), STR("a\r\nb\r\n"), true },
	{ NEWLINES_NORMALIZE, STR("a\n..\r\n.\r\n"), STR("a\r\n.\r\n"), true },
	{ NEWLINES_NORMALIZE, STR("a\r\r\n.\r\n"), STR("a \r\n"), true },
	{ NEWLINES_NORMALIZE, STR("a\rb\r\n.\r\n"), STR("a b\r\n"), true },
	{ NEWLINES_NORMALIZE, STR("a\r\r\rb\n.\r\n"), STR("a   b\r\n"), false },
	{ NEWLINES_NORMALIZE, STR("a\r\n.\r.\r\n"), STR("a\r\n .\r\n"), false },
	{ NEWLINES_NORMALIZE, STR("a\r\n.\r\r\n.\r\n"), STR("a\r\n \r\n"), true },
	{ NEWLINES_NORMALIZE, STR("a\r\n\r.\r\n"), STR("a\r\n .\r\n"), false },
	{ NEWLINES_NO, STR("a\n.\nb"), STR("a\r\n"), true },
	{ NEWLINES_NO, STR("a\r\r\n.\r\r\r\nb"), STR("a\r\n"), true },
	{ NEWLINES_NO, STR("a\rb\r\r\rc\n.\n"), STR("a b   c\r\n"), true },
	{ NEWLINES_REJECT, STR("a\n.\r\n.\r\n"), STR("a\r\n"), true },
	/* What would continue our Received field, or start a mailbox. */
	{ NEWLINES_NORMALIZE, STR(" folded\r\n.\r\n"), STR("\r\n folded\r\n"), true },
	{ NEWLINES_NORMALIZE, STR("\tfolded\r\n.\r\n"), STR("\r\n\tfolded\r\n"), true },
	{ NEWLINES_NORMALIZE, STR("\rx\r\n.\r\n"), STR("\r\n x\r\n"), true },
	{ NEWLINES_NORMALIZE, STR("From me\r\n.\r\n"), STR("X-Mailbox-Line: From me\r\n"), true },
	{ NEWLINES_NORMALIZE, STR(">>>>>>>>>From me\r\n.\r\n"), STR("X-Mailbox-Line: >>>>>>>>>From me\r\n"), true },
	{ NEWLINES_NORMALIZE, STR("From: me\r\n.\r\n"), STR("From: me\r\n"), true },
	{ NEWLINES_NORMALIZE, STR(">>Fro\r\n.\r\n"), STR(">>Fro\r\n"), true },
	{ NEWLINES_NORMALIZE, STR("F>rom \r\nFrom x\r\n.\r\n"), STR("F>rom \r\nFrom x\r\n"), true },
};

static void
content_is_stored_in_one_form_wherever_it_is_split(void)
{
	for (size_t i = 0; i < countof(cases); i++) {
		struct result r = scan(cases[i].mode, cases[i].in, cases[i].in.n, 1);

		CHECK(str_eq(buf_str(&r.out), cases[i].out));
		CHECK(r.ended == cases[i].ended);
		buf_free(&r.out);
		check_splits(cases[i].mode, cases[i].in);
	}
}

/* The rules said once more, for whole lines, to compare with. */
static bool
model_line(enum newlines mode, struct str line, bool *after_bare, struct buf *out)
{
	bool bare = line.n == 0 || line.p[line.n - 1] != '\r';
	bool lone, ends;

	if (!bare)
		line.n--;
	while (mode == NEWLINES_NO && line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	lone = str_eq(line, STR("."));
	ends = lone && (mode == NEWLINES_NO || (!bare && !*after_bare));
	*after_bare = bare;
	if (lone)
		return !ends;
	if (str_starts(line, STR(".")))
		line = str_sub(line, 1, line.n);
	for (size_t i = 0; i < line.n; i++)
		CHECK(buf_addc(out, line.p[i] == '\r' ? ' ' : line.p[i]));
	return buf_adds(out, "\r\n");
}

static bool
agrees_with_model(enum newlines mode, struct str in)
{
	struct result r = scan(mode, in, in.n, in.n);
	struct buf out = BUF(0);
	struct str rest = in, line;
	bool after_bare = false, goes_on = true, agrees;

	while (goes_on && str_find(rest, '\n') < rest.n && str_cut(&rest, '\n', &line))
		goes_on = model_line(mode, line, &after_bare, &out);
	agrees = r.ended == !goes_on && str_ends(buf_str(&r.out), buf_str(&out));
	/* Blanks at the start of a message get a line before them. */
	agrees = agrees && (r.out.n == out.n || (r.out.n == out.n + 2 && (out.p[0] == ' ' || out.p[0] == '\t')));
	buf_free(&r.out);
	buf_free(&out);
	return agrees;
}

static void
all_short_contents_are_scanned_as_the_rules_say(void)
{
	static const char alphabet[] = { '\r', '\n', '.', 'x' };
	enum { LONGEST = 8 };
	char text[LONGEST + 1];
	size_t wrong = 0;

	for (size_t n = 1; n <= LONGEST; n++) {
		for (size_t k = 0; k < (size_t)1 << 2 * n; k++) {
			for (size_t i = 0; i < n; i++)
				text[i] = alphabet[k >> 2 * i & 3];
			text[n] = '\n';
			ALL_MODES(m)
				wrong += !agrees_with_model(m, (struct str){ text, n + 1 });
		}
	}
	CHECK(wrong == 0);
}

static void
nothing_stored_can_be_read_in_two_ways(void)
{
	static const char alphabet[] = "\r\n.\r\n.x\0 >From \xc3";
	uint64_t random = 42;

	for (int round = 0; round < 20000; round++) {
		char text[64];
		struct result r;
		bool clean = true;

		for (size_t i = 0; i < sizeof text; i++) {
			random = random * 6364136223846793005U + 1442695040888963407U;
			text[i] = alphabet[(random >> 33) % (sizeof alphabet - 1)];
		}
		r = scan((enum newlines)(round % 3), (struct str){ text, sizeof text }, sizeof text, 7);
		for (size_t i = 0; i < r.out.n; i++) {
			clean &= r.out.p[i] != '\n' || (i > 0 && r.out.p[i - 1] == '\r');
			clean &= r.out.p[i] != '\r' || (i + 1 < r.out.n && r.out.p[i + 1] == '\n');
		}
		CHECK(clean);
		buf_free(&r.out);
	}
}

static void
the_next_hop_is_told_what_is_in_it(void)
{
	static const struct { const char *in; unsigned flags; } table[] = {
		{ "plain\r\n.\r\n", 0 },
		{ "caf\xc3\xa9\r\n.\r\n", MF_8BIT },
		{ "..x\r\n.\r\n", MF_DOTS },
		{ ".x\r\n.\r\n", 0 },
		{ "x.\r\n x.\r\n.\r\n", 0 },
		{ "a\r\n..\r\n.\r\n", MF_DOTS },
	};
	char line[1200];
	struct result r;

	for (size_t i = 0; i < countof(table); i++) {
		r = scan(NEWLINES_NORMALIZE, str_of(table[i].in), 1000, 1000);
		CHECK(r.flags == table[i].flags);
		buf_free(&r.out);
	}
	r = scan(NEWLINES_NORMALIZE, STR("a\0b\r\n.\r\n"), 1000, 1000);
	CHECK(r.flags == MF_NUL);
	buf_free(&r.out);
	for (size_t n = 990; n < 1010; n++) {
		memset(line, 'x', sizeof line);
		memcpy(line + n, "\r\n.\r\n", 5);
		r = scan(NEWLINES_NORMALIZE, (struct str){ line, n + 5 }, 17, 100);
		CHECK(r.flags == (n > 998 ? (unsigned)MF_LONG : 0));
		CHECK(r.ended && r.out.n == n + 2);
		buf_free(&r.out);
	}
}

static void
a_bare_newline_is_noticed(void)
{
	struct result r = scan(NEWLINES_REJECT, STR("a\nb\r\n.\r\n"), 3, 3);

	CHECK(r.bare_lf && r.ended);
	buf_free(&r.out);
	r = scan(NEWLINES_REJECT, STR("a\rb\r\n.\r\n"), 3, 3);
	CHECK(!r.bare_lf && r.ended);
	buf_free(&r.out);
}

SUITE(content, TEST(no_smuggling_form_ends_a_message_of_a_stranger), TEST(content_is_stored_in_one_form_wherever_it_is_split),
    TEST(all_short_contents_are_scanned_as_the_rules_say), TEST(nothing_stored_can_be_read_in_two_ways),
    TEST(the_next_hop_is_told_what_is_in_it), TEST(a_bare_newline_is_noticed));
