/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>

#include "deliver/deliver.h"
#include "util/proc.h"

enum { PIECE = 64 << 10 };

enum err
deliver_fail(struct delivering *d, enum err e, const char *esc, const char *fmt, ...)
{
	char why[ERR_WHY_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	snprintf(d->esc, sizeof d->esc, "%s", esc);
	return fail(e, "%s", why);
}

/* One line, without its end, as it is to be written. */
static bool
put_line(const struct delivering *d, struct str line, struct buf *out)
{
	struct str unquoted = line;
	const char *end = d->r.flags & DROP_CRLF ? "\r\n" : "\n";

	/* ">From " is quoted as well, so that the reader can take exactly one ">" off. */
	while (unquoted.n > 0 && unquoted.p[0] == '>')
		unquoted = str_sub(unquoted, 1, unquoted.n);
	if ((d->r.flags & DROP_QUOTE_FROM) && str_starts(unquoted, STR("From ")) && !buf_addc(out, '>'))
		return false;
	if ((d->r.flags & DROP_QUOTE_DOT) && line.n > 0 && line.p[0] == '.' && !buf_addc(out, '.'))
		return false;
	return buf_add(out, line) && buf_adds(out, end);
}

/* Whole lines of in are put out; what is left of it stays. */
static bool
put_lines(const struct delivering *d, struct buf *in, struct buf *out)
{
	struct str rest = buf_str(in);
	size_t used = 0, end;

	while ((end = str_find(rest, '\n')) < rest.n) {
		struct str line = str_sub(rest, 0, end > 0 && rest.p[end - 1] == '\r' ? end - 1 : end);

		if (!put_line(d, line, out))
			return false;
		used += end + 1;
		rest = str_sub(rest, end + 1, rest.n);
	}
	buf_drop(in, used);
	return true;
}

/* The head has lines of our own making, which are never quoted. */
static bool
put_head(const struct delivering *d, struct buf *out)
{
	struct str rest = d->r.head, line;
	const char *end = d->r.flags & DROP_CRLF ? "\r\n" : "\n";

	while (str_cut(&rest, '\n', &line))
		if (!buf_add(out, line) || !buf_adds(out, end))
			return false;
	return true;
}

static bool
put_end(const struct delivering *d, struct buf *in, struct buf *out)
{
	bool ok = in->n == 0 || put_line(d, buf_str(in), out);

	if (d->r.flags & DROP_FINAL_DOT)
		ok = ok && buf_adds(out, d->r.flags & DROP_CRLF ? ".\r\n" : ".\n");
	if (d->r.flags & DROP_EMPTY_END)
		ok = ok && buf_adds(out, d->r.flags & DROP_CRLF ? "\r\n" : "\n");
	return ok;
}

enum err
deliver_copy(const struct delivering *d, enum err (*write)(void *arg, struct str piece), void *arg)
{
	struct buf in = BUF(0), out = BUF(0);
	uint64_t done = 0;
	enum err e = put_head(d, &out) ? write(arg, buf_str(&out)) : fail(E_NOSPACE, "no memory");

	while (e == OK && done < d->r.size) {
		size_t n = d->r.size - done < PIECE ? (size_t)(d->r.size - done) : PIECE;
		char *room = buf_room(&in, n);

		e = room ? fd_read_all(0, room, n, (off_t)(d->r.at + done)) : fail(E_NOSPACE, "no memory");
		if (e != OK)
			break;
		buf_grew(&in, n);
		done += n;
		buf_clear(&out);
		e = put_lines(d, &in, &out) ? write(arg, buf_str(&out)) : fail(E_NOSPACE, "no memory");
	}
	buf_clear(&out);
	if (e == OK)
		e = put_end(d, &in, &out) ? write(arg, buf_str(&out)) : fail(E_NOSPACE, "no memory");
	buf_free(&in);
	buf_free(&out);
	return e;
}
