/* SPDX-License-Identifier: Apache-2.0 */
/* expand.h - what a recipient stands for: aliases(5), :include:, .forward, and in the end leaves to act on. */
#ifndef LOCAL_EXPAND_H
#define LOCAL_EXPAND_H

#include "local/local.h"

/* Fills in d->leaves; at the end they are of the kinds ADDRESS, USER, COMMAND, FILE and TRANSPORT.  E_REFUSED: it cannot be delivered; any other
 * error is temporary.  Words and d->esc are set. */
WAITS enum err expand(struct delivery *d) MUST_USE;
void           expand_fini(struct delivery *d);

/* -- the parts -- */
/* On the way to a leaf. */
enum via { VIA_NONE, VIA_ALIAS, VIA_FORWARD, VIA_INCLUDE };
struct way {
	enum via                  via;
	unsigned                  depth;
	const char               *from;                /* the alias directly above; "" */
	const char               *who;                 /* address on whose behalf */
	const char               *sender;              /* of what is forwarded; NULL: the message's own */
	const char               *self;                /* whose .forward it is; NULL: not in one */
	const char               *extension;           /* to be added to addresses; "" */
	bool                      listed;              /* below an :include: */
	const struct alias_table *table;               /* whose owner's rights hold; NULL: rights */
	const struct account     *rights;
};
/* Expand what text says, and what that stands for in turn; leaves are added. */
WAITS enum err expand_text(struct delivery *d, struct str text, bool file, const struct way *w) MUST_USE;
/* A user that the recipient alone stands for: his .forward, or his mailbox.  leaf: place of the USER in d->leaves. */
WAITS enum err expand_user(struct delivery *d, size_t leaf) MUST_USE;
/* A MAILBOX: becomes the COMMAND, FILE, TRANSPORT or ADDRESS that the settings say. */
WAITS enum err expand_mailbox(struct delivery *d, size_t leaf) MUST_USE;
/* All texts are copied. */
struct leaf   *leaf_add(struct delivery *d, enum leaf_kind kind, struct str text, const struct way *w);
/* The account that `account` stands for when that is root's: default_privs. */
WAITS enum err rights_of(struct delivery *d, const struct account *account, struct account **out) MUST_USE;
/* Whose rights hold for commands, files and includes that are come to this way: the owner of the table or of the .forward; for root default_privs. */
WAITS enum err rights_along(struct delivery *d, const struct way *w, struct account **out) MUST_USE;
/* Whose rights hold for reading an :include: file and for what is in it: the same, but a file of a user's in a table of root's is
 * his.  What root owns is never read or done as root. */
WAITS enum err rights_of_include(struct delivery *d, const struct way *w, struct str path, struct account **out) MUST_USE;

#endif
