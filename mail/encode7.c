/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/encode7.h"

#include <stdio.h>

#include "util/log.h"

enum { LINE_MAX_7 = 76 };

static void
put(struct buf *out, struct str s)
{
	ENSURE(buf_add(out, s));
}

/* -- quoted-printable -- */

/* What must stay together: a byte as it is, or its code. */
static void
qp_unit(struct encode7 *e, struct str unit, struct buf *out)
{
	if (e->column + unit.n > LINE_MAX_7 - 1) { /* the last column is the soft break's */
		put(out, STR("=\r\n"));
		e->column = 0;
		e->broken = true;
	}
	put(out, unit);
	e->column += (unsigned)unit.n;
}

static void
qp_code(struct encode7 *e, char c, struct buf *out)
{
	char code[4];

	snprintf(code, sizeof code, "=%02X", (unsigned char)c);
	qp_unit(e, (struct str){ code, 3 }, out);
}

static void
qp_blank(struct encode7 *e, bool ends_line, struct buf *out)
{
	char c = e->blank;

	e->blank = 0;
	if (c && ends_line)
		qp_code(e, c, out);
	else if (c)
		qp_unit(e, (struct str){ &c, 1 }, out);
}

static void
qp_byte(struct encode7 *e, char c, struct buf *out)
{
	qp_blank(e, false, out);
	/* A line that begins with "--" after a break of ours must not be taken for a boundary. */
	if (c == ' ' || c == '\t')
		e->blank = c;
	else if (c < '!' || c > '~' || c == '=' || (c == '-' && e->broken && e->column == 0) ||
		 (c == '-' && e->column >= LINE_MAX_7 - 1))
		qp_code(e, c, out);
	else
		qp_unit(e, (struct str){ &c, 1 }, out);
}

/* -- base64 -- */

static void
base64_group(struct encode7 *e, struct buf *out)
{
	static const char letters[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *g = e->group;
	char text[4] = { letters[g[0] >> 2], letters[(g[0] & 3) << 4 | g[1] >> 4],
		e->n > 1 ? letters[(g[1] & 15) << 2 | g[2] >> 6] : '=',
		e->n > 2 ? letters[g[2] & 63] : '=' };

	if (e->column == LINE_MAX_7) {
		put(out, STR("\r\n"));
		e->column = 0;
	}
	put(out, (struct str){ text, sizeof text });
	e->column += sizeof text;
	memset(e->group, 0, sizeof e->group);
	e->n = 0;
}

static void
base64_byte(struct encode7 *e, char c, struct buf *out)
{
	e->group[e->n++] = (unsigned char)c;
	if (e->n == sizeof e->group)
		base64_group(e, out);
}

/* -- either -- */

void
encode7_text(struct encode7 *e, struct str s, struct buf *out)
{
	void (*byte)(struct encode7 *, char, struct buf *) =
	    e->kind == ENCODE_QP ? qp_byte : base64_byte;

	if (e->kind == ENCODE_NOTHING) {
		put(out, s);
		return;
	}
	for (size_t i = 0; i < s.n; i++)
		byte(e, s.p[i], out);
}

void
encode7_line_end(struct encode7 *e, struct buf *out)
{
	if (e->kind == ENCODE_BASE64) {
		base64_byte(e, '\r', out);
		base64_byte(e, '\n', out);
		return;
	}
	qp_blank(e, true, out);
	put(out, STR("\r\n"));
	e->column = 0;
	e->broken = false;
}

void
encode7_end(struct encode7 *e, struct buf *out)
{
	if (e->kind == ENCODE_BASE64 && e->n > 0)
		base64_group(e, out);
	qp_blank(e, true, out);
	*e = (struct encode7){ .kind = ENCODE_NOTHING };
}
