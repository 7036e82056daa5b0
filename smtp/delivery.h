/* SPDX-License-Identifier: Apache-2.0 */
/* delivery.h - one delivery: some recipients of one message to one next hop by SMTP or LMTP, and what became of each. */
#ifndef SMTP_DELIVERY_H
#define SMTP_DELIVERY_H

#include "agent/job.h"
#include "smtp/body.h"
#include "smtp/conn.h"

struct delivery {
	struct job          *job;
	struct body          body;
	bool                 maybe_sent;               /* all was sent, and no answer came: no other server may be tried */
	bool                 over;                     /* no other server is to be tried */
};

/* Once, before the first delivery: this process speaks LMTP. */
void delivery_speaks_lmtp(void);
/* Do it all: every recipient that could be settled has its outcome afterwards. */
WAITS void delivery_run(struct job *j);

/* transaction.c: try the open recipients on this connection.  OK: the server answered for all of them, whatever it said.  E_EOF,
 * E_TIMEOUT, E_IO, E_SYNTAX: the conversation broke off, *during says where; unanswered: before any answer to MAIL. */
WAITS enum err transaction(struct delivery *d, struct conn *c, const char **during, bool *unanswered) MUST_USE;
/* What a broken conversation means in words: "lost connection with H[IP] while …". */
void broken_text(struct buf *out, const struct conn *c, enum err e, const char *during);

#endif
