/* SPDX-License-Identifier: Apache-2.0 */
/* intake.h - a message on its way in: from the envelope and content that somebody gave us to a durable file that qmgr knows
 * of.  All mail goes through here, that of smtpd, of pickup, what local forwards, and notices, so that addresses are
 * treated alike:
 *
 *	sender      standard form, canonical (sender_canonical_maps, canonical_maps), masquerade
 *	recipients  standard form, canonical (recipient_canonical_maps, canonical_maps), masquerade, automatic bcc (always_bcc,
 *	            sender_bcc_maps, recipient_bcc_maps), virtual aliases (recursive, bounded), duplicates dropped
 *	header      of mail from this host: missing Date, Message-ID, From and To are added, Bcc and Return-Path taken out, and
 *	            addresses rewritten like those of the envelope, but for virtual aliases and bcc
 *
 * "Standard form": an address without domain gets @$myorigin, one without a dot in its domain .$mydomain, as
 * append_at_myorigin and append_dot_mydomain say.  A table that cannot be asked makes the call fail; nothing is guessed. */
#ifndef INTAKE_INTAKE_H
#define INTAKE_INTAKE_H

#include "intake/notify.h"
#include "mail/route.h"
#include "mail/service.h"
#include "spool/spool.h"

/* What a process needs to take in mail: tables, spool, channel to qmgr. */
struct intake;
/* role: of msgs.h.  The tasks it starts belong to g.  E_SYNTAX: a setting names a table of a type that is not there. */
enum err       intake_start(const struct service *s, const char *role, struct spool *spool, struct tasks *g, struct intake **out) MUST_USE;
/* The tables alone: for intake_check_rcpt() and intake_dry_run(). */
WAITS enum err intake_open(const struct service *s, struct intake **out) MUST_USE;
void           intake_free(struct intake **in);        /* once g has ended */
struct notify *intake_notify(struct intake *in);
struct router *intake_router(struct intake *in);
const struct params *intake_params(const struct intake *in);

/* What can be said at RCPT of an address in standard form. */
struct rcpt_check {
	enum route_class class;
	bool             known;                        /* as far as our tables can tell; false: User unknown in the class's table */
	bool             later;                        /* its transport is retry */
	struct buf       reason;                       /* its transport is error or retry, for this; empty: it is neither */
};
/* What is rewritten or is an alias is known, whatever becomes of it; of what is not, local_recipient_maps,
 * virtual_mailbox_maps and relay_recipient_maps know who is there, and router_find() where it goes.  Errors: a table cannot be asked.
 * c->reason is the caller's to free, in any case. */
WAITS enum err intake_check_rcpt(struct intake *in, struct str sender, struct str addr, struct rcpt_check *c) MUST_USE;

/* What would become of a recipient, by the code that real mail meets.  step: `what` (a setting) makes `to` of `from`.  each: an
 * address that it comes to.  Errors as incoming_rcpt(). */
struct intake_watch {
	void (*step)(void *arg, const char *what, struct str from, struct str to);
	enum err (*each)(void *arg, struct str addr);
	void *arg;
};
WAITS enum err intake_dry_run(struct intake *in, struct str addr, const struct intake_watch *w) MUST_USE;
/* The sender as the envelope will have it. */
WAITS enum err intake_dry_sender(struct intake *in, struct str addr, const struct intake_watch *w, struct buf *out) MUST_USE;

enum {
	INTAKE_LOCAL    = 1,                           /* rewrite and complete the header */
	INTAKE_INTERNAL = 2,                           /* made by the mail system itself: no canonical forms, no bcc */
};

/* One message.  Not shared between tasks. */
struct incoming;
/* m: id, arrived and where it came from (client_…, protocol, login) are copied; nothing else is looked at.  Never waits. */
struct incoming *incoming_new(struct intake *in, const struct spool_msg *m, unsigned flags);
/* The envelope, all of it before the first content.  Texts are copied.  Errors are those of lookups (temporary), E_TOOBIG (an expansion over
 * its bounds: virtual_alias_expansion_limit, virtual_alias_recursion_limit), E_NOSPACE (memory). */
WAITS enum err   incoming_sender(struct incoming *m, struct str addr, uint8_t ret, struct str envid) MUST_USE;
WAITS enum err   incoming_rcpt(struct incoming *m, const struct spool_rcpt *r) MUST_USE;
/* Content, in pieces of any size; line ends are CRLF.  The caller's own Received field comes first.  Errors as entry_add(). */
WAITS enum err   incoming_add(struct incoming *m, struct str content) MUST_USE;
/* Bytes of memory that it takes now. */
size_t           incoming_memory(const struct incoming *m);
/* Content that is only in memory goes to its file now, if it is more than a little.  Errors as incoming_add(). */
WAITS enum err   incoming_write_out(struct incoming *m) MUST_USE;
/* Log "ID: message-id=<…>" once all content is there: what was found in it, or is added to a header without. */
struct header_scan;
void             incoming_log_id(const struct incoming *m, const struct header_scan *found);
/* Make it durable, tell qmgr.  flags: MF_.  OK is the only licence to say that the mail was taken.  The message is gone
 * afterwards, whatever the result. */
WAITS enum err   incoming_commit(struct incoming **m, uint32_t flags) MUST_USE;
void             incoming_abort(struct incoming **m);  /* NULL is a no-op */

/* A message of the mail system's own, all of it at once, to one recipient: durable when it is OK.  m as for incoming_new(), flags as for
 * incoming_commit(). */
WAITS enum err   intake_post(struct intake *in, const struct spool_msg *m, struct str sender, struct str to, struct str text, uint32_t flags) MUST_USE;

#endif
