/* SPDX-License-Identifier: Apache-2.0 */
#include "util/str.h"

#include "util/mem.h"

/* Not tolower(): what is equal must not depend on the locale, and text may hold NULs. */
static unsigned char
lower(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

struct str
str_sub(struct str s, size_t from, size_t n)
{
	if (from > s.n)
		from = s.n;
	if (n > s.n - from)
		n = s.n - from;
	return (struct str){ s.p + from, n };
}

bool
str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool
str_ieq(struct str a, struct str b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (lower(a.p[i]) != lower(b.p[i]))
			return false;
	return true;
}

int
str_cmp(struct str a, struct str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n ? memcmp(a.p, b.p, n) : 0;

	return c ? c : (a.n > b.n) - (a.n < b.n);
}

bool
str_starts(struct str s, struct str prefix)
{
	return s.n >= prefix.n && str_eq(str_sub(s, 0, prefix.n), prefix);
}

bool
str_istarts(struct str s, struct str prefix)
{
	return s.n >= prefix.n && str_ieq(str_sub(s, 0, prefix.n), prefix);
}

bool
str_ends(struct str s, struct str suffix)
{
	return s.n >= suffix.n && str_eq(str_sub(s, s.n - suffix.n, suffix.n), suffix);
}

bool
str_iends(struct str s, struct str suffix)
{
	return s.n >= suffix.n && str_ieq(str_sub(s, s.n - suffix.n, suffix.n), suffix);
}

size_t
str_find(struct str s, char c)
{
	const char *at = s.n ? memchr(s.p, c, s.n) : NULL;

	return at ? (size_t)(at - s.p) : s.n;
}

size_t
str_rfind(struct str s, char c)
{
	const char *at = s.n ? memrchr(s.p, c, s.n) : NULL;

	return at ? (size_t)(at - s.p) : s.n;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool
str_ascii(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] > 127)
			return false;
	return true;
}

struct str
str_trim(struct str s)
{
	while (s.n > 0 && is_blank(s.p[0]))
		s.p++, s.n--;
	while (s.n > 0 && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

bool
str_cut(struct str *rest, char sep, struct str *head)
{
	size_t at;

	if (rest->n == 0)
		return false;
	at = str_find(*rest, sep);
	*head = str_sub(*rest, 0, at);
	*rest = str_sub(*rest, at < rest->n ? at + 1 : at, rest->n);
	return true;
}

static bool
is_one_of(char c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

bool
str_word(struct str *rest, const char *seps, struct str *word)
{
	struct str s = *rest;
	size_t n = 0;

	while (s.n > 0 && is_one_of(s.p[0], seps))
		s.p++, s.n--;
	while (n < s.n && !is_one_of(s.p[n], seps))
		n++;
	*rest = str_sub(s, n, s.n);
	if (n > 0)
		*word = str_sub(s, 0, n);
	return n > 0;
}

bool
str_u64(struct str s, uint64_t *v)
{
	uint64_t x = 0;

	if (s.n == 0)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		if (__builtin_mul_overflow(x, 10U, &x) ||
		    __builtin_add_overflow(x, (unsigned)(s.p[i] - '0'), &x))
			return false;
	}
	*v = x;
	return true;
}

bool
str_i64(struct str s, int64_t *v)
{
	bool minus = s.n > 0 && s.p[0] == '-';
	uint64_t x;

	if (s.n > 0 && (minus || s.p[0] == '+'))
		s = str_sub(s, 1, s.n);
	if (!str_u64(s, &x) || x > (uint64_t)INT64_MAX + minus)
		return false;
	*v = minus ? (int64_t)(0 - x) : (int64_t)x;
	return true;
}

bool
str_hex(struct str s, uint64_t *v)
{
	uint64_t x = 0;

	if (s.n == 0)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = lower(s.p[i]);
		unsigned digit;

		if (c >= '0' && c <= '9')
			digit = c - (unsigned)'0';
		else if (c >= 'a' && c <= 'f')
			digit = c - (unsigned)'a' + 10;
		else
			return false;
		if (x >> 60)
			return false;
		x = x << 4 | digit;
	}
	*v = x;
	return true;
}

char *
str_dup(struct str s)
{
	char *z = mem_new(s.n + 1);

	if (s.n > 0)
		memcpy(z, s.p, s.n);
	return z;
}

unsigned
str_distance(struct str a, struct str b)
{
	enum { LONGEST = 64 };
	unsigned row[LONGEST + 1];

	a = str_sub(a, 0, LONGEST);
	b = str_sub(b, 0, LONGEST);
	for (unsigned j = 0; j <= b.n; j++)
		row[j] = j;
	for (unsigned i = 0; i < a.n; i++) {
		unsigned diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < b.n; j++) {
			unsigned best = diagonal + (a.p[i] != b.p[j]);

			diagonal = row[j + 1];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (diagonal + 1 < best)
				best = diagonal + 1;
			row[j + 1] = best;
		}
	}
	return row[b.n];
}

/* Lower-case the eight ASCII bytes of a word at once: bit 7 of each byte of `upper` says A..Z. */
static uint64_t
lower8(uint64_t w)
{
	const uint64_t ones = 0x0101010101010101U, high = ones << 7;
	uint64_t low7 = w & ~high;
	uint64_t upper = (low7 + ones * (0x80 - 'A')) & ~(low7 + ones * (0x80 - 'Z' - 1)) & ~w & high;

	return w | upper >> 2;
}

static uint64_t
fold_multiply(uint64_t a, uint64_t b)
{
	unsigned __int128 wide = (unsigned __int128)a * b;

	return (uint64_t)wide ^ (uint64_t)(wide >> 64);
}

static uint64_t
hash(struct str s, bool ignore_case)
{
	uint64_t h = 0x9e3779b97f4a7c15U ^ s.n;

	for (size_t i = 0; i < s.n; i += 8) {
		uint64_t w = 0;

		memcpy(&w, s.p + i, s.n - i < 8 ? s.n - i : 8);
		if (ignore_case)
			w = lower8(w);
		h = fold_multiply(h ^ w ^ 0xe7037ed1a0b428dbU, 0xa0761d6478bd642fU) + (h << 1 | h >> 63);
	}
	return fold_multiply(h ^ 0x8ebc6af09c88c6e3U, 0x589965cc75374cc3U);
}

uint64_t
str_hash(struct str s)
{
	return hash(s, false);
}

uint64_t
str_ihash(struct str s)
{
	return hash(s, true);
}

/* RFC 3629: no overlong forms, no surrogates, nothing past U+10FFFF. */
bool
str_is_utf8(struct str s)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };

	for (size_t i = 0, n; i < s.n; i += n) {
		unsigned char c = (unsigned char)s.p[i];
		uint32_t v;

		n = c < 0x80 ? 1 : c < 0xC0 ? 0 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : c < 0xF8 ? 4 : 0;
		if (n == 0 || n > s.n - i)
			return false;
		if (n == 1)
			continue;
		v = c & (0x7FU >> n);
		for (size_t k = 1; k < n; k++) {
			unsigned char d = (unsigned char)s.p[i + k];

			if ((d & 0xC0) != 0x80)
				return false;
			v = v << 6 | (d & 0x3F);
		}
		if (v < least[n] || v > 0x10FFFF || (v >= 0xD800 && v <= 0xDFFF))
			return false;
	}
	return true;
}
