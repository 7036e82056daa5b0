/* SPDX-License-Identifier: Apache-2.0 */
/* local.h - local(8): mail for this host's users, aliases and lists.  What the parts of the daemon share.
 *
 * A recipient is first expanded as far as it goes (expand.h), by alias_maps, :include: files and .forward; that reads and
 * changes nothing, and when any table, file or user database cannot be asked all of it is tried again later.  Only then
 * are the targets it came to acted on (act.h): commands and files in their order, and forwarding last, as one new message (one
 * for each owner-list sender), which is durable before the recipient counts as sent.
 *
 * Names of users are targets of their own only where the address stands for them alone, as in "root: alice"; in all other
 * expansions (several targets, an owner-NAME, an :include:, another's .forward) they become recipients of the new message,
 * each with a state of its own.  So what may be done twice is little: when an expansion has several commands and
 * files, or these and addresses, and one of them fails for now, those that were done are remembered by this process
 * and left out at the next try; a process that ends meanwhile forgets.  Where a transport takes the place of the mailbox (mailbox_transport),
 * qmgr is told last and asks that one from then on, until it starts anew.  And a crash between a delivery and qmgr's record of it
 * repeats it, as everywhere (docs/SPOOL.md R6.3). */
#ifndef LOCAL_LOCAL_H
#define LOCAL_LOCAL_H

#include "agent/job.h"
#include "intake/intake.h"
#include "local/account.h"
#include "local/aliases.h"
#include "local/name.h"
#include "mail/maps.h"
#include "mail/route.h"

/* What the process has. */
struct local {
	const struct params *p;
	struct aliases      *aliases;
	struct maps         *mailbox_commands, *mailbox_transports, *fallback_transports;
	struct intake       *intake;
	struct router       *router;                   /* the intake's */
};
extern struct local local;

/* Where an expansion comes to. */
enum leaf_kind {
	LEAF_NONE,                                     /* replaced by others */
	LEAF_USER,                                     /* text: the address of a user of this host */
	LEAF_ADDRESS,                                  /* any other address; both are forwarded */
	LEAF_MAILBOX,                                  /* text: the name of a user, whose mailbox it is */
	LEAF_COMMAND,                                  /* text: the command */
	LEAF_FILE,                                     /* text: a file, or a Maildir that ends in / */
	LEAF_TRANSPORT,                                /* text: "transport:nexthop" that takes the recipient's mail */
};
struct leaf {
	enum leaf_kind  kind;
	char           *text;
	char           *who;                           /* the address on whose behalf */
	char           *sender;                        /* owner-NAME's address; NULL: the message's own sender */
	struct account *rights;                        /* of a command or file: whose; of a mailbox: its user, NULL until known */
	bool            mailbox;                       /* a command or file that is somebody's mailbox */
	bool            listed;                        /* from an :include: */
};

/* One recipient on its way. */
struct delivery {
	struct job     *j;
	struct outcome *o;
	struct name     name;
	struct leaf    *leaves;
	size_t          n, cap;
	const char     *pass;                          /* the transport that is to take it in the end; NULL: none */
	char            esc[ESC_MAX];                  /* of the failure that err_why() speaks of */
};

/* Failed for good, with this status code: E_REFUSED.  Or for now: E_DEFERRED. */
enum err refuse(struct delivery *d, const char *esc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
enum err put_off(struct delivery *d, const char *esc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* e, said to be about `what`, and temporary whatever it is. */
enum err put_off_for(struct delivery *d, enum err e, const char *what);

#endif
