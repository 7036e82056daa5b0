/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/frame.h"

#include <time.h>

/* A field of one line, whatever is in the value. */
static bool
add_field(struct buf *out, const char *before, struct str value, const char *after)
{
	if (!buf_adds(out, before))
		return false;
	for (size_t i = 0; i < value.n; i++)
		if (!buf_addc(out, (unsigned char)value.p[i] < ' ' ? '?' : value.p[i]))
			return false;
	return buf_adds(out, after);
}

bool
frame_head(const struct frame *f, struct buf *out)
{
	time_t now = (time_t)wall_seconds(f->now);
	char date[32];
	struct tm tm;

	if (f->lines & FRAME_FROM) {
		/* Names of days and months are those of RFC 4155, whatever the locale: nobody calls
		 * setlocale(). */
		localtime_r(&now, &tm);
		strftime(date, sizeof date, "%a %b %e %H:%M:%S %Y", &tm);
		if (!add_field(out, "From ", f->sender.n > 0 ? f->sender : STR("MAILER-DAEMON"), "  ") ||
		    !buf_printf(out, "%s\n", date))
			return false;
	}
	return (!(f->lines & FRAME_RETURN_PATH) || add_field(out, "Return-Path: <", f->sender, ">\n")) &&
	       (!(f->lines & FRAME_ORIGINAL) || add_field(out, "X-Original-To: ", f->original, "\n")) &&
	       (!(f->lines & FRAME_DELIVERED) || add_field(out, "Delivered-To: ", f->delivered, "\n"));
}
