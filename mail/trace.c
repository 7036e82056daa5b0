/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/trace.h"

#include <inttypes.h>

#include "util/log.h"

void
trace_delay(struct buf *out, int64_t us)
{
	int64_t unit, n;

	/* A clock that was set back between two stamps must not give a negative delay. */
	if (us < 0)
		us = 0;
	unit = us >= 10000000 ? 1000000 : us >= 1000000 ? 100000 : 10000;
	n = (us + unit / 2) / unit * (unit / 10000);   /* hundredths, rounded to the unit */
	buf_printf(out, "%" PRId64, n / 100);
	if (n % 100 == 0)
		return;
	buf_printf(out, ".%d", (int)(n % 100 / 10));
	if (n % 10)
		buf_printf(out, "%d", (int)(n % 10));
}

void
trace_format(struct buf *out, const struct trace *t)
{
	struct wall ready = t->ready.us ? t->ready : t->ended;

	buf_printf(out, "%s: to=<", t->id);
	buf_add_clean(out, t->to);
	if (t->orig.n > 0 && !str_eq(t->orig, t->to)) {
		buf_adds(out, ">, orig_to=<");
		buf_add_clean(out, t->orig);
	}
	buf_adds(out, ">, relay=");
	buf_add_clean(out, t->relay);
	if (t->uses > 1)
		buf_printf(out, ", conn_use=%u", t->uses);
	buf_adds(out, ", delay=");
	trace_delay(out, t->ended.us - t->arrived.us);
	buf_adds(out, ", delays=");
	trace_delay(out, t->queued.us - t->arrived.us);
	buf_addc(out, '/');
	trace_delay(out, t->begun.us - t->queued.us);
	buf_addc(out, '/');
	trace_delay(out, ready.us - t->begun.us);
	buf_addc(out, '/');
	trace_delay(out, t->ended.us - ready.us);
	buf_printf(out, ", dsn=%s, status=%s (", t->dsn, t->status);
	buf_add_clean(out, t->text);
	buf_addc(out, ')');
}

void
trace_log(const struct trace *t)
{
	struct buf line = BUF(0);

	trace_format(&line, t);
	log_info("%s", buf_cstr(&line));
	buf_free(&line);
}
