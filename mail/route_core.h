/* SPDX-License-Identifier: Apache-2.0 */
/* route_core.h - what the router is made of; for mail/route*.c only. */
#ifndef MAIL_ROUTE_CORE_H
#define MAIL_ROUTE_CORE_H

#include "mail/maps.h"
#include "mail/match.h"
#include "mail/route.h"

/* clang-format off */
/* Copied, so that what waits in the middle of a look-up still has its own. */
#define TEXTS(T) \
	T(myhostname) T(myorigin) T(recipient_delimiter) T(local_transport) T(virtual_transport) T(relay_transport) \
	T(default_transport) T(relayhost) T(empty_address_default_transport_maps_lookup_key) \
	T(empty_address_relayhost_maps_lookup_key)
#define LISTS(L) L(mydestination) L(virtual_alias_domains) L(virtual_mailbox_domains) L(relay_domains)
#define TABLES(T) \
	T(transport_maps) T(relocated_maps) T(sender_dependent_default_transport_maps) T(sender_dependent_relayhost_maps)
/* clang-format on */

#define TEXT(name) char *name;
#define LIST(name) struct match *name;
#define TABLE(name) struct maps *name;
struct router {
	TEXTS(TEXT)
	LISTS(LIST)
	TABLES(TABLE)
	bool transport_below; /* parents are asked for as "parent", not ".parent" */
	bool unknown_named;   /* "in virtual alias table" */
	unsigned users;
	bool closed;
};

/* Held by every look-up: tables must stay while a task waits for one of them. */
void           router_enter(struct router *r);
enum err       router_leave(struct router *r, enum err e);     /* e */
/* "example.com." is "example.com". */
struct str     router_domain(struct str addr);
WAITS enum err router_classify(struct router *r, struct str domain, enum route_class *class) MUST_USE;

#endif
