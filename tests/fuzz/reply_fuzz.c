/* SPDX-License-Identifier: Apache-2.0 */
/* What a server says: lines that end in LF, replies one after the other. */
#include "mail/reply.h"
#include "util/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
check_text(const struct reply *r, size_t from)
{
	ENSURE(r->text.n <= REPLY_TEXT_MAX);
	for (size_t i = from; i < r->text.n; i++)
		ENSURE(r->text.p[i] >= ' ' && r->text.p[i] <= '~' && r->text.p[i] != '\\');
}

static void
check_whole(const struct reply *r)
{
	char esc[ESC_MAX];
	struct str code;

	ENSURE(r->code >= 200 && r->code <= 599 && r->lines <= REPLY_LINES_MAX);
	code = str_of(reply_esc(r, esc));
	ENSURE(esc_length(code, reply_class(r)) == code.n && code.n > 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str in = { (const char *)data, n }, line;
	struct reply r = { 0 };

	while (str_cut(&in, '\n', &line)) {
		size_t before = r.text.n;
		enum reply_step step = reply_add(&r, line);

		check_text(&r, before);
		ENSURE((r.code != 0) == (step == REPLY_DONE));
		ENSURE(step != REPLY_MORE || (line.n > 3 && line.p[3] == '-'));
		if (step == REPLY_DONE)
			check_whole(&r);
		if (step != REPLY_MORE)
			reply_clear(&r);
	}
	reply_fini(&r);
	return 0;
}
