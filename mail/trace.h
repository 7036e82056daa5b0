/* SPDX-License-Identifier: Apache-2.0 */
/* trace.h - the log line of one delivery, in the grammar that log tools read (Postfix's):
 *	ID: to=<r>, orig_to=<o>, relay=host[ip]:port, conn_use=2, delay=1.2, delays=0.1/0.01/0.5/0.6, dsn=2.0.0, status=sent (…) */
#ifndef MAIL_TRACE_H
#define MAIL_TRACE_H

#include "util/buf.h"
#include "util/time.h"

struct trace {
	const char *id;                                /* queue id */
	struct str  to, orig;                          /* orig: "" when it is the same */
	struct str  relay;                             /* "host[ip]:port", "none", "local", … */
	unsigned    uses;                              /* messages sent on this connection so far; logged from 2 on */
	/* The four of delays= are the times between these: before the queue manager, in it, setting up, transmission.
	 * ready.us 0: never got that far, all of the last two was setting up. */
	struct wall arrived, queued, begun, ready, ended;
	const char *dsn;                               /* "2.0.0" */
	const char *status;                            /* "sent", "deferred", "bounced", … */
	struct str  text;                              /* cleaned once more */
};

void trace_format(struct buf *out, const struct trace *t);
void trace_log(const struct trace *t);
/* Two significant digits, no finer than a hundredth, no zeros at the end: "0", "0.05", "1.3", "12". */
void trace_delay(struct buf *out, int64_t us);

#endif
