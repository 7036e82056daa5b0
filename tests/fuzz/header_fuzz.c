/* SPDX-License-Identifier: Apache-2.0 */
/* A message as a user of this host hands it in.  First byte: how it is cut into pieces, bit 7: of a stranger.  Its line ends are made whole,
 * its header is completed and rewritten, and the addresses in it are found. */
#include "intake/newlines.h"
#include "intake/rewrite.h"
#include "mail/addrlist.h"
#include "mail/service.h"
#include "tests/unit/settings.h"
#include "util/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { STRANGER = 128, ROOM = 64 << 20 };

static struct intake *
intake(void)
{
	static struct service service;
	static struct intake in = { .service = &service };

	if (service.params.myhostname == NULL) {
		settings_default(&service.params);
		service.params.myhostname = "mx.test";
		service.params.mydomain = "test";
		service.params.myorigin = "here.test";
		service.params.masquerade_domains = "far.test !near.far.test";
		service.params.masquerade_exceptions = "root";
		service.params.append_dot_mydomain = true;
		service.params.header_size_limit = 300;
		ENSURE(router_open(&service.params, "/", &in.router) == OK);
	}
	return &in;
}

static void
make_lines(struct str in, size_t step, struct newlines *lines, struct buf *out)
{
	*lines = (struct newlines){ 0 };
	for (size_t at = 0; at < in.n; at += step)
		ENSURE(newlines_add(lines, str_sub(in, at, step), out));
	ENSURE(newlines_end(lines, out));
}

/* No CR and no LF stands alone, and all ends in a line end. */
static void
check_form(struct str text)
{
	for (size_t i = 0; i < text.n; i++) {
		ENSURE(text.p[i] != '\n' || (i > 0 && text.p[i - 1] == '\r'));
		ENSURE(text.p[i] != '\r' || (i + 1 < text.n && text.p[i + 1] == '\n'));
	}
	ENSURE(text.n == 0 || text.p[text.n - 1] == '\n');
}

static void
check_lines(struct str in, size_t step, struct buf *text)
{
	struct buf pieces = BUF(ROOM);
	struct newlines a, b;

	make_lines(in, in.n + 1, &a, text);
	make_lines(in, step, &b, &pieces);
	ENSURE(str_eq(buf_str(text), buf_str(&pieces)));
	ENSURE(a.flags == b.flags && a.flags == newlines_flags(buf_str(text)));
	check_form(buf_str(text));
	buf_free(&pieces);
}

static bool
filter(struct str in, size_t step, bool local, struct buf *out)
{
	struct spool_msg m = { .id = 0x0123456789ABCDEF, .arrived = { 1795000000000000 }, .sender = STR("a@b.test") };
	struct header_filter *h = header_filter_new(intake(), &m, local);
	bool whole;

	for (size_t at = 0; at < in.n; at += step)
		ENSURE(header_filter_add(h, str_sub(in, at, step), out) == OK);
	ENSURE(header_filter_end(h, out) == OK);
	whole = header_filter_completes(h);
	header_filter_free(&h);
	return whole;
}

static bool
has_word(struct str in, struct str word)
{
	for (size_t i = 0; i + word.n <= in.n; i++)
		if (str_istarts(str_sub(in, i, word.n), word))
			return true;
	return false;
}

/* However it is cut the result is the same; what has been completed needs nothing more.  But a Bcc that was taken out did as a
 * recipient, or made the message one that was sent again. */
static void
check_filter(struct str in, size_t step, bool local)
{
	struct buf whole = BUF(ROOM), pieces = BUF(ROOM), again = BUF(ROOM);
	bool completes = filter(in, in.n + 1, local, &whole);

	ENSURE(filter(in, step, local, &pieces) == completes);
	ENSURE(str_eq(buf_str(&whole), buf_str(&pieces)));
	check_form(buf_str(&whole));
	if (completes && !has_word(in, STR("bcc")) && filter(buf_str(&whole), whole.n + 1, local, &again))
		ENSURE(str_eq(buf_str(&whole), buf_str(&again)));
	buf_free(&whole);
	buf_free(&pieces);
	buf_free(&again);
}

/* They stand in the text, in order, and none in another. */
static void
check_addresses(struct str in)
{
	struct addrlist l = { .text = in };
	struct buf addr = BUF(ROOM);
	size_t from, to, last = 0;

	while (addrlist_next(&l, &addr, &from, &to)) {
		ENSURE(last <= from && from <= to && to <= in.n && addr.n <= 2 * (to - from));
		ENSURE(l.name.n == 0 || (l.name.p >= in.p && l.name.p + l.name.n <= in.p + in.n));
		last = to;
	}
	buf_free(&addr);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str in = { (const char *)data, n };
	struct buf text = BUF(ROOM);
	size_t step;

	if (n == 0)
		return 0;
	step = 1U + data[0] % STRANGER;
	in = str_sub(in, 1, n);
	check_lines(in, step, &text);
	check_filter(buf_str(&text), step, (data[0] & STRANGER) == 0);
	check_addresses(in);
	buf_free(&text);
	return 0;
}
