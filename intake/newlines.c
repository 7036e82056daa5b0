/* SPDX-License-Identifier: Apache-2.0 */
#include "intake/newlines.h"

enum { LINE_MAX_RFC5322 = 998 };                       /* section 2.1.1, less the CRLF */

/* Part of a line. */
static void
look(struct newlines *n, struct str s)
{
	if (s.n == 0)
		return;
	if (n->column == 0 && s.p[0] == '.')
		n->flags |= MF_DOTS;
	n->column += s.n;
	if (n->column > LINE_MAX_RFC5322)
		n->flags |= MF_LONG;
	for (size_t i = 0; i < s.n; i++) {
		if ((unsigned char)s.p[i] > 127)
			n->flags |= MF_8BIT;
		else if (s.p[i] == '\0')
			n->flags |= MF_NUL;
	}
}

static bool
put(struct newlines *n, struct str s, struct buf *out)
{
	look(n, s);
	return s.n == 0 || buf_add(out, s);
}

static bool
end_line(struct newlines *n, struct buf *out)
{
	n->column = 0;
	n->cr = false;
	return buf_adds(out, "\r\n");
}

bool
newlines_add(struct newlines *n, struct str in, struct buf *out)
{
	while (in.n > 0) {
		size_t lf = str_find(in, '\n'), cr = str_find(str_sub(in, 0, lf), '\r');

		if (n->cr && in.p[0] != '\n' && !put(n, STR(" "), out))
			return false;
		n->cr = false;
		if (!put(n, str_sub(in, 0, cr), out))
			return false;
		if (cr < lf) {
			n->cr = true;
			in = str_sub(in, cr + 1, in.n);
		} else {
			if (lf < in.n && !end_line(n, out))
				return false;
			in = str_sub(in, lf + 1, in.n);
		}
	}
	return true;
}

bool
newlines_end(struct newlines *n, struct buf *out)
{
	return (n->column == 0 && !n->cr) || end_line(n, out);
}

uint32_t
newlines_flags(struct str text)
{
	struct newlines n = { 0 };
	struct str line;

	while (str_cut(&text, '\n', &line)) {
		if (line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		look(&n, line);
		n.column = 0;
	}
	return n.flags;
}
