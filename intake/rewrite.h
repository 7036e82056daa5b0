/* SPDX-License-Identifier: Apache-2.0 */
/* rewrite.h - what becomes of one address.  Included by intake/ alone. */
#ifndef INTAKE_REWRITE_H
#define INTAKE_REWRITE_H

#include "intake/intake.h"
#include "mail/maps.h"
#include "mail/route.h"

enum { ADDRESS_ROOM = 4096 };                          /* longest address; what is longer is E_TOOBIG */

struct intake {
	const struct service *service;
	struct spool         *spool;
	struct notify        *notify;
	struct maps          *canonical, *sender_canonical, *recipient_canonical;
	struct maps          *virtual, *sender_bcc, *recipient_bcc;
	struct maps          *local_recipients, *relay_recipients, *mailboxes;
	struct router        *router;
	const struct intake_watch *watch;              /* a dry run wants to know each step; NULL: nobody does */
};

enum address_class { ENVELOPE_SENDER, ENVELOPE_RECIPIENT, HEADER_SENDER, HEADER_RECIPIENT };

/* Add the domain that is missing.  An empty address stays empty. */
void           rewrite_standard(const struct params *p, struct buf *addr);
/* Standard form, canonical maps, masquerade: in place. */
WAITS enum err rewrite_address(struct intake *in, enum address_class class, struct buf *addr) MUST_USE;
/* An address in a table, in Postfix's order (maps_find_address()); a NULL table has none. */
WAITS enum err rewrite_find(struct intake *in, struct maps *m, struct str addr, struct buf *value, struct buf *ext, bool *found) MUST_USE;
/* Does propagate_unmatched_extensions name this? */
bool           rewrite_propagates(const struct params *p, struct str what);
/* user@domain and "+ext" make user+ext@domain. */
void           rewrite_extend(struct buf *addr, struct str ext);
/* The addresses that addr comes to by virtual aliases, itself when there are none.  E_TOOBIG: over the limits. */
WAITS enum err rewrite_virtual(struct intake *in, struct str addr, enum err (*each)(void *arg, struct str addr), void *arg) MUST_USE;

/* -- header.c: a filter for the header of mail from this host -- */
struct header_filter;
/* local: rewrite and take out as well; else only add what is missing. */
struct header_filter *header_filter_new(struct intake *in, const struct spool_msg *m, bool local);
/* Append to out what may be passed on of this piece of content. */
WAITS enum err header_filter_add(struct header_filter *h, struct str content, struct buf *out) MUST_USE;
WAITS enum err header_filter_end(struct header_filter *h, struct buf *out) MUST_USE;
size_t         header_filter_memory(const struct header_filter *h);
bool           header_filter_done(const struct header_filter *h);     /* the header is over: content passes as it is */
bool           header_filter_completes(const struct header_filter *h); /* so far it could look at all fields */
void           header_filter_free(struct header_filter **h);

#endif
