/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/dsnparam.h"

#include <stdio.h>

#include "util/mem.h"

enum { CODE_POINT_MAX = 0x10FFFF };

bool
notify_parse(struct str text, uint8_t *notify)
{
	static const struct {
		struct str word;
		uint8_t bit;
	} words[] = {
		{STR("NEVER"),    NOTIFY_NEVER  },
		{ STR("SUCCESS"), NOTIFY_SUCCESS},
		{ STR("FAILURE"), NOTIFY_FAILURE},
		{ STR("DELAY"),   NOTIFY_DELAY  },
	};

	uint8_t all = 0;
	struct str word;

	/* An empty word at the end would go unseen. */
	if (str_ends(text, STR(",")))
		return false;
	while (str_cut(&text, ',', &word)) {
		uint8_t bit = 0;

		for (size_t i = 0; i < countof(words); i++)
			if (str_ieq(str_trim(word), words[i].word))
				bit = words[i].bit;
		all |= bit;
		if (bit == 0 || ((all & NOTIFY_NEVER) && all != NOTIFY_NEVER))
			return false;
	}
	*notify = all;
	return all != 0;
}

bool
ret_parse(struct str text, uint8_t *ret)
{
	if (!str_ieq(text, STR("FULL")) && !str_ieq(text, STR("HDRS")))
		return false;
	*ret = str_ieq(text, STR("FULL")) ? RET_FULL : RET_HDRS;
	return true;
}

/* -- xtext -- */

static int
upper_hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool
is_xchar(unsigned char c)
{
	return c > ' ' && c < 127 && c != '+' && c != '=';
}

bool
xtext_decode(struct str in, struct buf *out)
{
	for (size_t i = 0; i < in.n; i++) {
		int c = (unsigned char)in.p[i];

		if (c == '+') {
			int high = i + 2 < in.n ? upper_hex(in.p[i + 1]) : -1,
			    low = high < 0 ? -1 : upper_hex(in.p[i + 2]);

			if (low < 0)
				return false;
			c = high << 4 | low;
			i += 2;
			if (c < ' ' || c > '~')
				return false;
		} else if (!is_xchar((unsigned char)c)) {
			return false;
		}
		if (!buf_addc(out, (char)c))
			return false;
	}
	return true;
}

bool
xtext_encode(struct str in, struct buf *out)
{
	for (size_t i = 0; i < in.n; i++) {
		unsigned char c = (unsigned char)in.p[i];

		if (!(is_xchar(c) ? buf_addc(out, (char)c) : buf_printf(out, "+%02X", c)))
			return false;
	}
	return true;
}

bool
envid_decode(struct str in, struct buf *out)
{
	size_t from = out->n;

	return in.n > 0 && xtext_decode(in, out) && out->n - from <= ENVID_MAX;
}

/* -- utf-8 addresses, RFC 6533 -- */

static bool
put_code_point(uint64_t c, struct buf *out)
{
	if (c < 0x80)
		return buf_addc(out, (char)c);
	if (c < 0x800)
		return buf_printf(out, "%c%c", (int)(0xC0 | c >> 6), (int)(0x80 | (c & 63)));
	if (c < 0x10000)
		return buf_printf(out, "%c%c%c", (int)(0xE0 | c >> 12), (int)(0x80 | (c >> 6 & 63)),
		    (int)(0x80 | (c & 63)));
	return buf_printf(out, "%c%c%c%c", (int)(0xF0 | c >> 18), (int)(0x80 | (c >> 12 & 63)),
	    (int)(0x80 | (c >> 6 & 63)), (int)(0x80 | (c & 63)));
}

/* "\x{HEX}" at the front of *in; never a control character, nor half of a pair. */
static bool
take_embedded(struct str *in, struct buf *out)
{
	size_t end = str_find(*in, '}');
	struct str hex = str_sub(*in, 3, end - 3);
	uint64_t c;

	if (!str_starts(*in, STR("\\x{")) || end >= in->n || hex.n > 6 || !str_hex(hex, &c))
		return false;
	*in = str_sub(*in, end + 1, in->n);
	return c >= ' ' && !(c >= 0x7F && c < 0xA0) && !(c >= 0xD800 && c < 0xE000) &&
	       c <= CODE_POINT_MAX && put_code_point(c, out);
}

static bool
utf8_decode(struct str in, bool raw, struct buf *out)
{
	size_t from = out->n;

	while (in.n > 0) {
		unsigned char c = (unsigned char)in.p[0];

		if (c == '\\') {
			if (!take_embedded(&in, out))
				return false;
			continue;
		}
		if (!(is_xchar(c) || (c > 127 && raw)) || !buf_addc(out, (char)c))
			return false;
		in = str_sub(in, 1, in.n);
	}
	return str_is_utf8(str_sub(buf_str(out), from, out->n));
}

/* The code point at the front of s, and how many bytes it has; what is not UTF-8 stands for itself,
 * a byte at a time. */
static uint32_t
code_point(struct str s, size_t *n)
{
	unsigned char c = (unsigned char)s.p[0];
	uint32_t v = c < 0xE0 ? c & 31U : c < 0xF0 ? c & 15U : c & 7U;

	*n = c < 0xC0 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
	if (*n == 1 || *n > s.n) {
		*n = 1;
		return c;
	}
	for (size_t i = 1; i < *n; i++)
		v = v << 6 | ((unsigned char)s.p[i] & 63U);
	return v;
}

static bool
utf8_encode(struct str in, bool raw, struct buf *out)
{
	size_t n;

	for (; in.n > 0; in = str_sub(in, n, in.n)) {
		unsigned char c = (unsigned char)in.p[0];
		uint32_t point = code_point(in, &n);
		bool plain = (is_xchar(c) && c != '\\') || (c > 127 && raw);

		if (!(plain ? buf_add(out, str_sub(in, 0, n))
			    : buf_printf(out, "\\x{%02X}", (unsigned)point)))
			return false;
	}
	return true;
}

/* -- ORCPT -- */

static bool
is_type(struct str type)
{
	for (size_t i = 0; i < type.n; i++)
		if (!is_xchar((unsigned char)type.p[i]) || strchr("()<>@,;:\\\"/[]?.", type.p[i]))
			return false;
	return type.n > 0;
}

bool
orcpt_decode(struct str in, bool utf8, struct buf *out)
{
	struct str type = str_sub(in, 0, str_find(in, ';')),
		   address = str_sub(in, type.n + 1, in.n);

	if (in.n > ORCPT_MAX || address.n == 0 || !is_type(type) ||
	    !buf_add(out, str_sub(in, 0, type.n + 1)))
		return false;
	return str_ieq(type, STR("utf-8")) ? utf8_decode(address, utf8, out)
					   : xtext_decode(address, out);
}

bool
orcpt_encode(struct str in, bool utf8, struct buf *out)
{
	struct str type = str_sub(in, 0, str_find(in, ';')),
		   address = str_sub(in, type.n + 1, in.n);

	if (!buf_add(out, str_sub(in, 0, type.n + 1)))
		return false;
	return str_ieq(type, STR("utf-8")) ? utf8_encode(address, utf8, out)
					   : xtext_encode(address, out);
}
