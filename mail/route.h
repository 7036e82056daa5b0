/* SPDX-License-Identifier: Apache-2.0 */
/* route.h - which transport and next hop an address goes to.  Pure: settings in, route out. */
#ifndef MAIL_ROUTE_H
#define MAIL_ROUTE_H

#include "mail/params.h"
#include "util/buf.h"

/* Address classes, as in Postfix's ADDRESS_CLASS_README. */
enum route_class { ROUTE_LOCAL, ROUTE_VIRTUAL, ROUTE_RELAY, ROUTE_DEFAULT };
struct route {
	enum route_class class;
	struct buf       transport;                    /* service name in master.cf */
	struct buf       nexthop;                      /* lower case: "example.com", "[host]", "[host]:port" */
};

void             route_init(struct route *r);
void             route_fini(struct route *r);
void             route_find(const struct params *p, struct str rcpt, struct route *r);
enum route_class route_class(const struct params *p, struct str domain);

/* A next hop taken apart: "[1.2.3.4]:25", "[IPv6:…]", "host:port", "domain". */
struct hop { struct str host; uint16_t port; bool no_mx; };
enum err hop_parse(struct str nexthop, uint16_t default_port, struct hop *h) MUST_USE;

#endif
