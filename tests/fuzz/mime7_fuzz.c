/* SPDX-License-Identifier: Apache-2.0 */
/* First byte: how the rest, a message, is cut into pieces. */
#include "mail/mime7.h"
#include "util/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct buf
turned(struct str in, size_t step)
{
	struct buf out = BUF(64 << 20);
	struct mime7 *m = mime7_new();

	for (size_t i = 0; i < in.n; i += step)
		mime7_look(m, str_sub(in, i, step));
	for (size_t i = 0; i < in.n; i += step) {
		size_t before = out.n, piece = in.n - i < step ? in.n - i : step;

		mime7_turn(m, str_sub(in, i, step), &out);
		ENSURE(out.n - before <= MIME7_GROWTH * (piece + MIME7_LINE_MAX));
	}
	mime7_end(m, &out);
	mime7_free(&m);
	return out;
}

/* Of a message in 7 bits that does not call itself anything else, all but line ends stays. */
static void
check_same(struct str in, struct str out)
{
	size_t j = 0;

	for (size_t i = 0; i < in.n; i++) {
		if (in.p[i] == '\n' && j < out.n && out.p[j] == '\r')
			j++;
		ENSURE(j < out.n && out.p[j] == in.p[i]);
		j++;
	}
	ENSURE(j == out.n || str_eq(str_sub(out, j, out.n), STR("\r\n")));
}

static bool
has_label(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (str_istarts(str_sub(s, i, s.n), STR("8bit")) || str_istarts(str_sub(s, i, s.n), STR("binary")))
			return true;
	return false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str in = { (const char *)data, n };
	struct buf whole, pieces;

	if (n == 0)
		return 0;
	in = str_sub(in, 1, n);
	whole = turned(in, in.n + 1);
	pieces = turned(in, 1U + data[0]);
	ENSURE(str_eq(buf_str(&whole), buf_str(&pieces)));
	if (str_ascii(in) && !has_label(in))
		check_same(in, buf_str(&whole));
	buf_free(&whole);
	buf_free(&pieces);
	return 0;
}
