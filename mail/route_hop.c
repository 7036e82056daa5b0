/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/addr.h"
#include "mail/route.h"
#include "util/net.h"

/* Names of ports that a next hop has; the system's services file need not be there, nor right. */
static bool
port_parse(struct str text, uint16_t *port)
{
	static const struct {
		struct str name;
		uint16_t port;
	} known[] = {
		{{ "smtp", 4 },          25 },
		{ { "lmtp", 4 },         24 },
		{ { "submission", 10 },  587},
		{ { "submissions", 11 }, 465},
		{ { "smtps", 5 },        465},
	};

	uint64_t v;

	if (str_u64(text, &v) && v > 0 && v <= UINT16_MAX) {
		*port = (uint16_t)v;
		return true;
	}
	for (size_t i = 0; i < countof(known); i++) {
		if (str_ieq(text, known[i].name)) {
			*port = known[i].port;
			return true;
		}
	}
	return false;
}

/* [host] with an optional :port. */
static enum err
hop_parse_bracketed(struct str nexthop, struct str *host, struct str *port)
{
	size_t end = str_find(nexthop, ']');
	struct str rest = str_sub(nexthop, end + 1, nexthop.n);

	if (end == nexthop.n || (rest.n > 0 && (rest.p[0] != ':' || rest.n == 1)))
		return fail(E_SYNTAX, "bad next hop \"%.*s\"", STR_ARG(nexthop));
	*host = str_sub(nexthop, 1, end - 1);
	*port = str_sub(rest, 1, rest.n);
	return OK;
}

enum err
hop_parse(struct str nexthop, uint16_t default_port, struct hop *h)
{
	struct str port = STR("");
	struct addr literal;
	size_t colon = str_find(nexthop, ':');
	bool address;

	*h = (struct hop){ .host = nexthop, .port = default_port };
	if (nexthop.n > 0 && nexthop.p[0] == '[') {
		TRY(hop_parse_bracketed(nexthop, &h->host, &port));
		h->no_mx = true;
		if (str_istarts(h->host, STR("IPv6:")))
			h->host = str_sub(h->host, 5, h->host.n);
	} else if (colon < nexthop.n) {
		h->host = str_sub(nexthop, 0, colon);
		port = str_sub(nexthop, colon + 1, nexthop.n);
		if (port.n == 0)
			return fail(
			    E_SYNTAX, "no port after : in next hop \"%.*s\"", STR_ARG(nexthop));
	}
	address = h->host.n > 0 && h->host.p[0] != '[' && addr_parse(h->host, 0, &literal) == OK;
	if (!address && (!domain_valid(h->host) || h->host.p[0] == '['))
		return fail(E_SYNTAX, "bad host in next hop \"%.*s\"", STR_ARG(nexthop));
	if (port.n > 0 && !port_parse(port, &h->port))
		return fail(E_SYNTAX, "bad port in next hop \"%.*s\"", STR_ARG(nexthop));
	h->no_mx = h->no_mx || address;
	return OK;
}
