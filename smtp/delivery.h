/* SPDX-License-Identifier: Apache-2.0 */
/* delivery.h - one delivery: some recipients of one message to one next hop, and what became of each. */
#ifndef SMTP_DELIVERY_H
#define SMTP_DELIVERY_H

#include "mail/msgs.h"
#include "mail/service.h"
#include "smtp/body.h"
#include "smtp/conn.h"
#include "util/time.h"

struct outcome {
	struct msg_rcpt  rcpt;
	enum rcpt_status status;
	bool             final;                        /* sent or bounced; logged */
	bool             known;                        /* status and words are from this delivery */
	bool             accepted;                     /* in the transaction under way */
	char             esc[ESC_MAX];
	struct buf       text, mta, diag;
};

struct delivery {
	const struct params *params;
	struct spool        *spool;
	struct msg_deliver   m;                        /* borrows from frame */
	struct buf           frame;
	struct outcome      *rcpts;
	size_t               n;
	struct body          body;
	struct buf           relay;                    /* of the last connection; empty: none */
	unsigned             uses;
	struct wall          begun, ready;
	bool                 maybe_sent;               /* all was sent, and no answer came: no other server may be tried */
	bool                 over;                     /* no other server is to be tried */
	enum site_state      site;
	struct buf           site_text;
};

/* Take a DELIVER frame apart; E_IPC. */
enum err       delivery_init(struct delivery *d, const struct params *p, struct spool *s, struct str frame) MUST_USE;
void           delivery_fini(struct delivery *d);
/* Do it all: every recipient has an outcome afterwards, and is logged. */
WAITS void     delivery_run(struct delivery *d);
void           delivery_report(const struct delivery *d, struct buf *out);     /* the DONE record */

/* delivery.c, for transaction.c: what was decided for one recipient, or for all that are still open. */
void outcome_set(struct delivery *d, struct outcome *o, enum rcpt_status status, const char *esc, const char *mta, struct str diag,
    const char *fmt, ...) __attribute__((format(printf, 7, 8)));
bool delivery_open(const struct delivery *d);          /* some recipient is not final */

/* transaction.c: try the open recipients on this connection.  OK: the server answered for all of them, whatever it said.  E_EOF,
 * E_TIMEOUT, E_IO, E_SYNTAX: the conversation broke off, *during says where; unanswered: before any answer to MAIL. */
WAITS enum err transaction(struct delivery *d, struct conn *c, const char **during, bool *unanswered) MUST_USE;
/* What a broken conversation means in words: "lost connection with H[IP] while …". */
void broken_text(struct buf *out, const struct conn *c, enum err e, const char *during);

#endif
