/* SPDX-License-Identifier: Apache-2.0 */
#include "smtpd/content.h"

#include "spool/spool.h"

enum { LINE_MAX_RFC5322 = 998 };                       /* section 2.1.1, less the CRLF */

void
content_init(struct content *c, enum newlines mode, void (*emit)(void *arg, struct str run), void *arg)
{
	*c = (struct content){ .mode = mode, .emit = emit, .arg = arg };
}

static bool
has_8bit(struct str s)
{
	uint64_t any = 0;
	size_t i = 0;

	for (; i + 8 <= s.n; i += 8) {
		uint64_t w;

		memcpy(&w, s.p + i, 8);
		any |= w;
	}
	for (; i < s.n; i++)
		any |= (unsigned char)s.p[i];
	return (any & 0x8080808080808080U) != 0;
}

static void
put_through(struct content *c, struct str run)
{
	if (run.n == 0)
		return;
	if (!(c->flags & MF_8BIT) && has_8bit(run))
		c->flags |= MF_8BIT;
	if (!(c->flags & MF_NUL) && str_find(run, '\0') < run.n)
		c->flags |= MF_NUL;
	c->emit(c->arg, run);
}

static void
put_many(struct content *c, const char eight[8], uint64_t n)
{
	for (; n > 8; n -= 8)
		put_through(c, (struct str){ eight, 8 });
	put_through(c, (struct str){ eight, (size_t)n });
}

/* Our own fields go above the content.  A first line that would continue them, or the "From " line of a mailbox file,
 * must not: the former gets an empty line before it, the latter becomes a field, as Postfix does it.  What of `run` is
 * left is to be emitted next. */
static struct str
open_with(struct content *c, struct str run)
{
	static const char from[5] = "From ";
	size_t i = 0;

	for (; i < run.n && !c->opened; i++) {
		if (c->from_n == 0 && run.p[i] == '>')
			c->angles++;
		else if (run.p[i] != from[c->from_n])
			break;
		else if (++c->from_n == sizeof from)
			c->opened = true;
	}
	if (i == run.n && !c->opened)
		return STR("");
	if (c->opened)
		put_through(c, STR("X-Mailbox-Line: "));
	else if (c->angles == 0 && c->from_n == 0 && (run.p[i] == ' ' || run.p[i] == '\t'))
		put_through(c, STR("\r\n"));
	c->opened = true;
	put_many(c, ">>>>>>>>", c->angles);
	put_through(c, (struct str){ from, c->from_n });
	return str_sub(run, i, run.n);
}

/* A run of stored bytes that may span lines. */
static void
put_run(struct content *c, struct str run)
{
	put_through(c, c->opened ? run : open_with(c, run));
}

/* Account for bytes of one line that are stored (now, or with the run they are part of). */
static void
count(struct content *c, struct str piece)
{
	if (c->column == 0 && piece.n > 0 && piece.p[0] == '.')
		c->flags |= MF_DOTS;
	c->column += piece.n;
	if (c->column > LINE_MAX_RFC5322)
		c->flags |= MF_LONG;
	c->inside |= piece.n > 0;
}

static void
put(struct content *c, struct str piece)
{
	count(c, piece);
	put_run(c, piece);
}

/* n CRs turned out not to end a line: blanks, lest anyone take them for line ends. */
static void
put_strays(struct content *c, uint64_t n)
{
	static const char blanks[] = "        ";

	c->dot = false;                                /* more came after it: it was only stuffing */
	for (; n > 0; n -= n < 8 ? n : 8)
		put(c, (struct str){ blanks, n < 8 ? (size_t)n : 8 });
}

static void
line_ends(struct content *c)
{
	bool bare = c->crs == 0;

	if (!c->dot) {
		put_run(c, STR("\r\n"));
	} else if (c->mode == NEWLINES_NO || (!bare && !c->after_bare)) {
		c->ended = true;
	}
	c->bare_lf |= bare;
	c->after_bare = bare;
	c->dot = c->inside = false;
	c->column = c->crs = 0;
}

/* One byte that cannot simply join a run. */
static void
step(struct content *c, char b)
{
	if (b == '\n') {
		line_ends(c);
	} else if (b == '\r') {
		/* Of several CRs only the last can belong to a line end. */
		if (c->crs > 0 && c->mode != NEWLINES_NO)
			put_strays(c, 1);
		else
			c->crs++;
		c->inside = true;
	} else if (b == '.' && !c->inside) {
		c->dot = c->inside = true;
	} else {
		put_strays(c, c->crs);
		c->crs = 0;
		put(c, (struct str){ &b, 1 });
	}
}

/* The next byte needs step() when the scanner holds something back, or the byte may be the first dot of a line. */
static bool
is_special(const struct content *c, char b)
{
	return c->dot || c->crs > 0 || (b == '.' && !c->inside);
}

size_t
content_scan(struct content *c, struct str in)
{
	size_t at = 0, run = 0;                        /* [run, at) waits to be emitted */
	size_t lf = in.n + 1;                          /* the next LF from `at` on, or in.n; more: not looked for */

	while (at < in.n && !c->ended) {
		size_t cr;

		if (is_special(c, in.p[at])) {
			put_run(c, str_sub(in, run, at - run));
			step(c, in.p[at]);
			run = ++at;
			continue;
		}
		if (lf < at || lf > in.n)
			lf = at + str_find(str_sub(in, at, in.n), '\n');
		cr = at + str_find(str_sub(in, at, lf - at), '\r');
		count(c, str_sub(in, at, cr - at));
		if (cr + 1 == lf && lf < in.n) {       /* the common case: a line, and its CRLF */
			at = lf + 1;
			c->inside = c->after_bare = false;
			c->column = 0;
		} else if (cr > at) {
			at = cr;
		} else {
			put_run(c, str_sub(in, run, at - run));
			step(c, in.p[at]);
			run = ++at;
		}
	}
	if (at > run)
		put_run(c, str_sub(in, run, at - run));
	return at;
}
