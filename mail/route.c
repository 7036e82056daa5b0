/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/route.h"

#include "mail/addr.h"
#include "util/log.h"
#include "util/net.h"

enum { OWN_MAX = 256 };

void
route_init(struct route *r)
{
	*r = (struct route){ 0 };
}

void
route_fini(struct route *r)
{
	buf_free(&r->transport);
	buf_free(&r->nexthop);
}

/* "[1.2.3.4]" or "[IPv6:…]" that is an address of this host: mail to it is mail to us (RFC 5321 section 4.1.3). */
static bool
is_own_literal(struct str domain)
{
	struct addr *own, asked;
	bool found = false;

	if (domain.n < 2 || domain.p[0] != '[' || domain.p[domain.n - 1] != ']')
		return false;
	if (addr_parse(str_sub(domain, 1, domain.n - 2), 0, &asked) != OK)
		return false;
	own = mem_array(OWN_MAX, sizeof *own);
	for (size_t i = 0, n = net_own_addresses(own, OWN_MAX); i < n && !found; i++)
		found = addr_same_host(&own[i], &asked);
	free(own);
	return found;
}

enum route_class
route_class(const struct params *p, struct str domain)
{
	if (domain.n == 0 || list_has(str_of(p->mydestination), domain, false) || is_own_literal(domain))
		return ROUTE_LOCAL;
	if (list_has(str_of(p->virtual_mailbox_domains), domain, false))
		return ROUTE_VIRTUAL;
	if (list_has(str_of(p->relay_domains), domain, true))
		return ROUTE_RELAY;
	return ROUTE_DEFAULT;
}

static void
set_lower(struct buf *b, struct str s)
{
	buf_clear(b);
	for (size_t i = 0; i < s.n; i++)
		ENSURE(buf_addc(b, s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] | 0x20) : s.p[i]));
}

void
route_find(const struct params *p, struct str rcpt, struct route *r)
{
	struct str domain = address_domain(rcpt), spec, nexthop;
	size_t colon;

	r->class = route_class(p, domain);
	spec = str_of(r->class == ROUTE_LOCAL ? p->local_transport :
		r->class == ROUTE_VIRTUAL     ? p->virtual_transport :
		r->class == ROUTE_RELAY       ? p->relay_transport :
						p->default_transport);
	colon = str_find(spec, ':');
	nexthop = str_trim(str_sub(spec, colon < spec.n ? colon + 1 : colon, spec.n));
	if (nexthop.n == 0 && r->class != ROUTE_LOCAL && r->class != ROUTE_VIRTUAL)
		nexthop = str_of(p->relayhost);
	if (nexthop.n == 0)
		nexthop = domain.n > 0 ? domain : str_of(p->myhostname);
	buf_clear(&r->transport);
	ENSURE(buf_add(&r->transport, str_trim(str_sub(spec, 0, colon))));
	set_lower(&r->nexthop, nexthop);
}

/* Names of ports that a next hop has; the system's services file need not be there, nor right. */
static bool
port_parse(struct str text, uint16_t *port)
{
	static const struct {
		struct str name;
		uint16_t port;
	} known[] = {
		{ { "smtp", 4 },         25  },
		{ { "lmtp", 4 },         24  },
		{ { "submission", 10 },  587 },
		{ { "submissions", 11 }, 465 },
		{ { "smtps", 5 },        465 },
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
			return fail(E_SYNTAX, "no port after : in next hop \"%.*s\"", STR_ARG(nexthop));
	}
	address = h->host.n > 0 && h->host.p[0] != '[' && addr_parse(h->host, 0, &literal) == OK;
	if (!address && (!domain_valid(h->host) || h->host.p[0] == '['))
		return fail(E_SYNTAX, "bad host in next hop \"%.*s\"", STR_ARG(nexthop));
	if (port.n > 0 && !port_parse(port, &h->port))
		return fail(E_SYNTAX, "bad port in next hop \"%.*s\"", STR_ARG(nexthop));
	h->no_mx = h->no_mx || address;
	return OK;
}
