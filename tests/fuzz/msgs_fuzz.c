/* SPDX-License-Identifier: Apache-2.0 */
/* First byte: which record, in the order of mail/msgs.h, whole records first, then parts, then what programs say to those that they
 * start; the rest is its body. */
#include "agent/drop_wire.h"
#include "mail/msgs.h"
#include "spool/maildrop.h"
#include "util/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* What decodes encodes to the same bytes, and can be printed. */
#define TRY_RECORD(rec) \
	static void try_##rec(struct str body) \
	{ \
		struct buf out = { 0 }, text = BUF(16 << 20); \
		struct rec m; \
		if (rec##_get(body, &m) == OK) { \
			ENSURE(rec##_put(&out, &m) && str_eq(buf_str(&out), body)); \
			rec##_show(&text, &m); \
		} \
		while (rec##_take(&body, &m)) \
			; \
		buf_free(&text); \
		buf_free(&out); \
	}
#define M(tag, rec, from, to, fields) TRY_RECORD(rec)
MESSAGES(M)
#undef M
#define M(rec, fields) TRY_RECORD(rec)
MESSAGE_PARTS(M)
#undef M
TRY_RECORD(drop_request)
TRY_RECORD(drop_answer)
TRY_RECORD(submit_head)

#define M(tag, rec, from, to, fields) try_##rec,
static void (*const records[])(struct str body) = {
	MESSAGES(M)
#undef M
#define M(rec, fields) try_##rec,
	MESSAGE_PARTS(M)
#undef M
	try_drop_request,
	try_drop_answer,
	try_submit_head,
};

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (n > 0)
		records[data[0] % (sizeof records / sizeof *records)]((struct str){ (const char *)data + 1, n - 1 });
	return 0;
}
