/* SPDX-License-Identifier: Apache-2.0 */
/* Could this host be used by strangers to send mail anywhere?  Asked of what smtpd asks:
 * nets_match() with mynetworks, and the router's classes of addresses that are taken from anybody. */
#include <stdio.h>

#include "cmd/check.h"
#include "mail/route.h"
#include "util/mem.h"

/* Documentation and test networks, and what is not ours for certain. */
static const char *const strangers[] = {
	"192.0.2.77",
	"198.51.100.77",
	"203.0.113.77",
	"8.8.8.8",
	"100.64.1.1",
	"185.1.2.3",
	"2001:db8::77",
	"2a00:1450::77",
	"2600::1",
};

static void
check_strangers(struct check *k)
{
	struct addr a;

	for (size_t i = 0; i < countof(strangers); i++) {
		if (addr_parse(str_of(strangers[i]), 0, &a) != OK ||
		    !nets_match(k->p->mynetworks, &a))
			continue;
		check_error(k,
		    "%s: open relay: strangers such as %s may send mail anywhere through this "
		    "host; list your own networks only",
		    check_place(k, "mynetworks"), strangers[i]);
		return;
	}
}

/* A domain that nobody has: if it is one of ours, all are. */
static void
check_domains(struct check *k)
{
	enum route_class class = ROUTE_DEFAULT;
	struct router *r = NULL;
	enum err e = router_open(k->p, k->c->dir, &r);

	if (e == OK)
		e = router_class(r, STR("postroad-check.invalid"), &class);
	if (e != OK)
		check_error(k, "which domains are ours cannot be told: %s", err_why());
	else if (class != ROUTE_DEFAULT)
		check_error(k,
		    "%s: open relay: strangers may send mail to any domain; list your own domains only",
		    check_place(k, route_class_list(class)));
	router_close(&r);
}

void
check_relay(struct check *k)
{
	check_strangers(k);
	check_domains(k);
}
