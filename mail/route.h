/* SPDX-License-Identifier: Apache-2.0 */
/* route.h - which class an address belongs to, and which transport and next hop its mail goes to.  The one place where either is
 * decided: for RCPT, for what aliases come to, for the scheduler, and for `postroad route`.
 *
 * The class is that of the domain, the first of
 *
 *	LOCAL            no domain, one in mydestination, or an address literal of this host's
 *	VIRTUAL_ALIAS    virtual_alias_domains
 *	VIRTUAL_MAILBOX  virtual_mailbox_domains
 *	RELAY            relay_domains
 *	DEFAULT          all others
 *
 * and gives the route, in Postfix's order (trivial-rewrite(8)):
 *
 *	1  The class's transport: local_transport, virtual_transport, relay_transport, and for DEFAULT what
 *	   sender_dependent_default_transport_maps has for the sender, else default_transport.  Mail of an alias domain that no alias
 *	   took elsewhere goes to error:5.1.1 User unknown in virtual alias table.
 *	2  The next hop: the domain; for RELAY and DEFAULT rather what sender_dependent_relayhost_maps has for the sender (DUNNO: the
 *	   domain), else relayhost; and before all that the one that stands with the transport of step 1.
 *	3  transport_maps, asked for user+ext@domain, user@domain, domain, its parents (each as ".parent", or as "parent" where
 *	   parent_domain_matches_subdomains has transport_maps), and "*"; patterns for the whole address only.  "transport:nexthop";
 *	   without transport that of step 1 stays, without next hop it is the domain, with neither nothing changes.  Not for
 *	   VIRTUAL_ALIAS.
 *	4  relocated_maps: error:5.1.6 User has moved to what they say.
 *
 * A next hop may be a list for the transports that try one after the other.  Names of hosts in it come out in lower case,
 * anything else (reasons of error and retry, paths, pipe's words) as it is written. */
#ifndef MAIL_ROUTE_H
#define MAIL_ROUTE_H

#include "mail/params.h"
#include "util/buf.h"
#include "util/task.h"

/*        class            name             the list that decides     and who is in it */
#define ROUTE_CLASSES(C) \
	C(LOCAL,           "local",           "mydestination",           "local recipient") \
	C(VIRTUAL_ALIAS,   "virtual alias",   "virtual_alias_domains",   "virtual alias") \
	C(VIRTUAL_MAILBOX, "virtual mailbox", "virtual_mailbox_domains", "virtual mailbox") \
	C(RELAY,           "relay",           "relay_domains",           "relay recipient") \
	C(DEFAULT,         "default",         "",                        "")
#define C(class, name, list, table) ROUTE_##class,
enum route_class { ROUTE_CLASSES(C) ROUTE_CLASS_COUNT };
#undef C
const char *route_class_name(enum route_class class);
const char *route_class_list(enum route_class class);  /* the setting */
const char *route_class_table(enum route_class class); /* "User unknown in %s table" */

/* What decided: the setting, and in a table the key. */
struct route_why {
	const char *setting;
	struct buf  key;
};
struct route {
	enum route_class class;
	struct buf       transport;                    /* service name in master.cf */
	struct buf       nexthop;                      /* "example.com", "[host]", "[host]:port", or as the transport wants it */
	struct route_why by, nexthop_by;               /* nexthop_by.setting "": the recipient's domain */
};
void route_init(struct route *r);
void route_fini(struct route *r);
/* The reason is the next hop of the transports error and retry. */
bool route_refuses(const struct route *r);
bool route_defers(const struct route *r);

/* The lists and tables that say so, opened. */
struct router;
/* Settings are copied.  E_SYNTAX: one names a table of a type that is not there.  Reads no file.  dir: as in maps_open(). */
WAITS enum err router_open(const struct params *p, const char *dir, struct router **out) MUST_USE;
void           router_close(struct router **r);        /* look-ups under way end first, by themselves */
/* True: no table is involved, so that the sender and the local part are of no matter, nothing waits, and the same domain has the same
 * route for ever. */
bool           router_fixed(const struct router *r);
/* Any error of these: a table could not be asked; the mail must wait. */
WAITS enum err router_class(struct router *r, struct str domain, enum route_class *class) MUST_USE;
/* Is mail to its domain for this host itself?  LOCAL, or $myorigin: tables are then asked for the user alone, too. */
WAITS enum err router_own(struct router *r, struct str addr, bool *own) MUST_USE;
/* sender: empty for the null sender.  out may have been used before. */
WAITS enum err router_find(struct router *r, struct str sender, struct str rcpt, struct route *out) MUST_USE;

/* A next hop taken apart: "[1.2.3.4]:25", "[IPv6:…]", "host:port", "domain". */
struct hop { struct str host; uint16_t port; bool no_mx; };
enum err hop_parse(struct str nexthop, uint16_t default_port, struct hop *h) MUST_USE;

#endif
