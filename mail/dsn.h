/* SPDX-License-Identifier: Apache-2.0 */
/* dsn.h - the text of a delivery status notification: RFC 3464 in a multipart/report of RFC 6522; of a message that came with
 * SMTPUTF8 as RFC 6533 has it. */
#ifndef MAIL_DSN_H
#define MAIL_DSN_H

#include "mail/msgs.h"
#include "mail/params.h"
#include "mail/template.h"
#include "util/buf.h"
#include "util/time.h"

struct dsn {
	const struct params     *params;
	const struct template   *template;             /* expanded */
	const struct msg_bounce *job;                  /* the message, and what became of whom */
	uint64_t                 id;                   /* of the notice */
	struct wall              now;
	struct str               to;                   /* who gets it */
	bool                     postmaster;           /* he is not the sender */
	struct str               envid;                /* ENVID of the message, decoded; "" when there was none */
	const struct str        *orcpts;               /* ORCPT of its recipients, decoded, by msg_failed.index; "" for none */
	size_t                   norcpts;
	struct wall              until;                /* how long mail that is delayed will be tried */
	struct str               original;             /* the message, or its header alone */
	bool                     headers_only;
	bool                     eight_bit;            /* original has bytes over 127 */
	bool                     utf8;                 /* the message came with SMTPUTF8, and so must the notice go */
};

/* Append the whole notice, with CRLF line ends.  E_TOOBIG: out's ceiling; E_IPC: the list of recipients is malformed. */
enum err dsn_write(const struct dsn *d, struct buf *out) MUST_USE;
/* The header of a message and its final line end, without the empty line; all of it when there is no empty line. */
struct str message_header(struct str message);
/* "Name: text" with CRLF, folded at blanks so that no line has more than 78 columns where that can be; what stands on out's last
 * line already counts.  Continuation lines start with four blanks; a word of over 900 bytes is broken. */
bool fold_field(struct buf *out, const char *name, struct str text);

#endif
