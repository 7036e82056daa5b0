/* SPDX-License-Identifier: Apache-2.0 */
/* The lists and tables, and the class of a domain. */
#include "mail/addr.h"
#include "mail/route_core.h"
#include "util/net.h"

enum { OWN_MAX = 256 };

/* -- opening -- */

static void
router_free(struct router *r)
{
#define TEXT_FREE(name)   free(r->name);
#define LIST_CLOSE(name)  match_close(&r->name);
#define TABLE_CLOSE(name) maps_close(&r->name);
	TEXTS(TEXT_FREE)
	LISTS(LIST_CLOSE)
	TABLES(TABLE_CLOSE)
	free(r);
}

static WAITS enum err
open_all(struct router *r, const struct params *p, const char *dir)
{
	struct str parents = str_of(p->parent_domain_matches_subdomains);

#define TEXT_COPY(name) r->name = str_dup(str_of(p->name));
#define LIST_OPEN(name)                                                                            \
	TRY(match_open(                                                                            \
	    str_of(p->name), #name, dir, list_has(parents, STR(#name), false), &r->name));
#define TABLE_OPEN(name) TRY(maps_open(str_of(p->name), #name, dir, &r->name));
	TEXTS(TEXT_COPY)
	LISTS(LIST_OPEN)
	TABLES(TABLE_OPEN)
	r->transport_below = list_has(parents, STR("transport_maps"), false);
	r->unknown_named = p->show_user_unknown_table_name;
	return OK;
}

enum err
router_open(const struct params *p, const char *dir, struct router **out)
{
	struct router *r = mem_new(sizeof *r);
	enum err e = open_all(r, p, dir);

	if (e != OK) {
		router_free(r);
		r = NULL;
	}
	*out = r;
	return e;
}

void
router_close(struct router **at)
{
	struct router *r = *at;

	*at = NULL;
	if (r == NULL)
		return;
	r->closed = true;
	if (r->users == 0)
		router_free(r);
}

void
router_enter(struct router *r)
{
	r->users++;
}

enum err
router_leave(struct router *r, enum err e)
{
	if (--r->users == 0 && r->closed)
		router_free(r);
	return e;
}

bool
router_fixed(const struct router *r)
{
#define LIST_FIXED(name) &&match_fixed(r->name)
#define TABLE_NONE(name) &&r->name == NULL
	return true LISTS(LIST_FIXED) TABLES(TABLE_NONE);
}

/* -- classes -- */

/* "[1.2.3.4]" or "[IPv6:…]" that is an address of this host: mail to it is mail to us (RFC 5321
 * section 4.1.3). */
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

enum err
router_classify(struct router *r, struct str domain, enum route_class *class)
{
	struct match *const lists[] = { r->mydestination, r->virtual_alias_domains,
		r->virtual_mailbox_domains, r->relay_domains };
	bool yes = domain.n == 0 || is_own_literal(domain);

	for (*class = ROUTE_LOCAL; !yes && *class < ROUTE_DEFAULT; ++*class) {
		TRY(match_find(lists[*class], domain, &yes));
		if (yes)
			break;
	}
	return OK;
}

static struct str
less_dot(struct str domain)
{
	bool dot = domain.n > 1 && domain.p[domain.n - 1] == '.' && domain.p[domain.n - 2] != '.';

	return str_sub(domain, 0, domain.n - dot);
}

struct str
router_domain(struct str addr)
{
	return less_dot(address_domain(addr));
}

enum err
router_class(struct router *r, struct str domain, enum route_class *class)
{
	router_enter(r);
	return router_leave(r, router_classify(r, less_dot(domain), class));
}

enum err
router_own(struct router *r, struct str addr, bool *own)
{
	struct str domain = router_domain(addr);

	*own = domain.n == 0 || str_ieq(domain, str_of(r->myorigin)) || is_own_literal(domain);
	if (*own)
		return OK;
	router_enter(r);
	return router_leave(r, match_find(r->mydestination, domain, own));
}
