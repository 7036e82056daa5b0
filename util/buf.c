/* SPDX-License-Identifier: Apache-2.0 */
#include "util/buf.h"

#include <stdio.h>

#include "util/mem.h"

/* Room for `more` bytes and the NUL after them. */
static bool
reserve(struct buf *b, size_t more)
{
	enum { SMALLEST = 64 };
	size_t max = b->max ? b->max : BUF_MAX, cap;

	if (b->n > max || more > max - b->n)
		return false;
	if (b->n + more < b->cap)
		return true;
	cap = b->cap < SMALLEST ? SMALLEST : 2 * b->cap;
	if (cap > max + 1)
		cap = max + 1;
	if (cap < b->n + more + 1)
		cap = b->n + more + 1;
	b->p = mem_grow(b->p, cap);
	b->cap = cap;
	return true;
}

void
buf_free(struct buf *b)
{
	free(b->p);
	*b = (struct buf){ .max = b->max };
}

void
buf_clear(struct buf *b)
{
	buf_cut(b, 0);
}

bool
buf_add(struct buf *b, struct str s)
{
	if (!reserve(b, s.n))
		return false;
	if (s.n > 0)
		memcpy(b->p + b->n, s.p, s.n);
	buf_grew(b, s.n);
	return true;
}

bool
buf_addc(struct buf *b, char c)
{
	return buf_add(b, (struct str){ &c, 1 });
}

bool
buf_adds(struct buf *b, const char *z)
{
	return buf_add(b, str_of(z));
}

bool
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	bool ok;

	va_start(ap, fmt);
	ok = buf_vprintf(b, fmt, ap);
	va_end(ap);
	return ok;
}

bool
buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	size_t room = b->cap > b->n ? b->cap - b->n : 0;
	va_list again;
	bool ok = false;
	int n;

	va_copy(again, ap);
	n = vsnprintf(room ? b->p + b->n : NULL, room, fmt, ap);
	if (n >= 0 && reserve(b, (size_t)n)) {
		if ((size_t)n >= room)
			vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
		buf_grew(b, (size_t)n);
		ok = true;
	} else if (room) {
		b->p[b->n] = '\0';                     /* the try above wrote past the end */
	}
	va_end(again);
	return ok;
}

char *
buf_room(struct buf *b, size_t n)
{
	return reserve(b, n) ? b->p + b->n : NULL;
}

void
buf_grew(struct buf *b, size_t n)
{
	b->n += n;
	b->p[b->n] = '\0';
}

void
buf_drop(struct buf *b, size_t n)
{
	if (n >= b->n) {
		buf_clear(b);
	} else if (n > 0) {
		memmove(b->p, b->p + n, b->n - n + 1);
		b->n -= n;
	}
}

void
buf_cut(struct buf *b, size_t n)
{
	if (n < b->n)
		b->n = n;
	if (b->p)
		b->p[b->n] = '\0';
}

bool
buf_add_clean(struct buf *b, struct str s)
{
	char *to = buf_room(b, s.n);

	if (to == NULL)
		return false;
	for (size_t i = 0; i < s.n; i++)
		to[i] = (char)(s.p[i] >= ' ' && s.p[i] <= '~' && s.p[i] != '\\' ? s.p[i] : '?');
	buf_grew(b, s.n);
	return true;
}

/* Length of the UTF-8 sequence (RFC 3629) that s starts with; 0: it starts with none. */
static size_t
utf8_length(struct str s)
{
	/* First byte's range, length, and range of the second byte: no overlong forms, surrogates or past U+10FFFF. */
	static const struct { unsigned char from, to, n, low, high; } forms[] = {
		{ 0x00, 0x7f, 1, 0, 0 },          { 0xc2, 0xdf, 2, 0x80, 0xbf }, { 0xe0, 0xe0, 3, 0xa0, 0xbf },
		{ 0xe1, 0xec, 3, 0x80, 0xbf }, { 0xed, 0xed, 3, 0x80, 0x9f }, { 0xee, 0xef, 3, 0x80, 0xbf },
		{ 0xf0, 0xf0, 4, 0x90, 0xbf }, { 0xf1, 0xf3, 4, 0x80, 0xbf }, { 0xf4, 0xf4, 4, 0x80, 0x8f },
	};
	const unsigned char *p = (const unsigned char *)s.p;

	for (size_t f = 0; f < countof(forms); f++) {
		if (p[0] < forms[f].from || p[0] > forms[f].to)
			continue;
		if (s.n < forms[f].n || (forms[f].n > 1 && (p[1] < forms[f].low || p[1] > forms[f].high)))
			return 0;
		for (size_t i = 2; i < forms[f].n; i++)
			if ((p[i] & 0xc0) != 0x80)
				return 0;
		return forms[f].n;
	}
	return 0;
}

static bool
add_json_char(struct buf *b, char c)
{
	static const char plain[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
	const char *at = c ? strchr(plain, c) : NULL;

	if (at)
		return buf_addc(b, '\\') && buf_addc(b, letter[at - plain]);
	if ((unsigned char)c < ' ' || c == 0x7f)
		return buf_printf(b, "\\u%04x", (unsigned)c);
	return buf_addc(b, c);
}

bool
buf_add_json(struct buf *b, struct str s)
{
	size_t before = b->n;
	bool ok = buf_addc(b, '"');

	while (ok && s.n > 0) {
		size_t n = utf8_length(s);

		if (n == 1)
			ok = add_json_char(b, s.p[0]);
		else if (n == 0)
			ok = buf_adds(b, "\xef\xbf\xbd");
		else
			ok = buf_add(b, str_sub(s, 0, n));
		s = str_sub(s, n ? n : 1, s.n);
	}
	if (ok && buf_addc(b, '"'))
		return true;
	buf_cut(b, before);
	return false;
}
