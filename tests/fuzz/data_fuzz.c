/* SPDX-License-Identifier: Apache-2.0 */
/* First byte: mode in its low bits, then how the rest is cut into pieces.  The rest is what follows DATA. */
#include "mail/header.h"
#include "smtpd/content.h"
#include "util/buf.h"
#include "util/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct sink {
	struct buf         out;
	struct header_scan header;
};

static void
collect(void *arg, struct str run)
{
	struct sink *s = arg;

	ENSURE(run.n > 0 && buf_add(&s->out, run));
	header_scan_add(&s->header, run);
}

static size_t
scan(struct content *c, struct sink *s, enum newlines mode, struct str in, size_t step)
{
	size_t used = 0;

	s->out = BUF(16 << 20);
	header_scan_init(&s->header, 4096);
	content_init(c, mode, collect, s);
	while (used < in.n && !c->ended)
		used += content_scan(c, str_sub(in, used, step));
	return used;
}

/* No CR and no LF stands alone, and what has ended has ended a line. */
static void
check_form(const struct content *c, struct str out)
{
	for (size_t i = 0; i < out.n; i++) {
		ENSURE(out.p[i] != '\n' || (i > 0 && out.p[i - 1] == '\r'));
		ENSURE(out.p[i] != '\r' || (i + 1 < out.n && out.p[i + 1] == '\n'));
	}
	ENSURE(!c->ended || out.n == 0 || out.p[out.n - 1] == '\n');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str in = { (const char *)data, n };
	struct sink whole, pieces;
	struct content a, b;
	enum newlines mode;

	if (n == 0)
		return 0;
	mode = (enum newlines)(data[0] % 3);
	in = str_sub(in, 1, n);
	ENSURE(scan(&a, &whole, mode, in, in.n) == scan(&b, &pieces, mode, in, 1U + data[0] / 3));
	ENSURE(str_eq(buf_str(&whole.out), buf_str(&pieces.out)));
	ENSURE(a.ended == b.ended && a.flags == b.flags && a.bare_lf == b.bare_lf);
	ENSURE(whole.header.received == pieces.header.received);
	ENSURE(str_eq(buf_str(&whole.header.message_id), buf_str(&pieces.header.message_id)));
	check_form(&a, buf_str(&whole.out));
	buf_free(&whole.out);
	buf_free(&pieces.out);
	header_scan_fini(&whole.header);
	header_scan_fini(&pieces.header);
	return 0;
}
