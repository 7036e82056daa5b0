/* SPDX-License-Identifier: Apache-2.0 */
/* commands.h - MAIL and RCPT with the parameters that the server takes and the message has: SIZE (RFC 1870), BODY (RFC 6152), SMTPUTF8
 * (RFC 6531), RET, ENVID, NOTIFY and ORCPT (RFC 3461).  Pure. */
#ifndef SMTP_COMMANDS_H
#define SMTP_COMMANDS_H

#include "agent/job.h"

struct commands {
	const struct job       *job;
	unsigned                can;                   /* CAN_ of the server */
	bool                    utf8;                  /* MAIL says SMTPUTF8 */
	const struct spool_msg *envelope;              /* NULL: nobody asked for anything */
};

/* Append one command with its line end.  False: it does not fit below out's ceiling. */
bool commands_mail(const struct commands *c, struct buf *out);
bool commands_rcpt(const struct commands *c, const struct msg_rcpt *r, struct buf *out);

#endif
