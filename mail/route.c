/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/route.h"

#include "mail/addr.h"
#include "mail/route_core.h"
#include "util/log.h"

enum { VALUE_MAX = 64 << 10, KEY_MAX = 4096 };

#define C(class, name, list, table) { name, list, table },

static const struct {
	const char *name, *list, *table;
} classes[] = { ROUTE_CLASSES(C) };

#undef C

const char *route_class_name(enum route_class class) { return classes[class].name; }

const char *route_class_list(enum route_class class) { return classes[class].list; }

const char *route_class_table(enum route_class class) { return classes[class].table; }

/* -- a route -- */

void
route_init(struct route *r)
{
	*r = (struct route){ .by = { .setting = "" }, .nexthop_by = { .setting = "" } };
}

void
route_fini(struct route *r)
{
	buf_free(&r->transport);
	buf_free(&r->nexthop);
	buf_free(&r->by.key);
	buf_free(&r->nexthop_by.key);
}

bool
route_refuses(const struct route *r)
{
	return str_eq(buf_str(&r->transport), STR("error"));
}

bool
route_defers(const struct route *r)
{
	return str_eq(buf_str(&r->transport), STR("retry"));
}

static void
set_lower(struct buf *b, struct str s)
{
	buf_clear(b);
	ENSURE(buf_add(b, s));
	for (size_t i = 0; i < b->n; i++)
		if (b->p[i] >= 'A' && b->p[i] <= 'Z')
			b->p[i] = (char)(b->p[i] | 0x20);
}

/* One or several hosts; a word without dots or brackets may be anything. */
static bool
is_hosts(struct str nexthop)
{
	struct str word;
	struct hop hop;

	while (str_word(&nexthop, ", \t", &word))
		if ((word.p[0] != '[' && str_find(word, '.') == word.n) ||
		    hop_parse(word, 25, &hop) != OK)
			return false;
	return true;
}

static void
set_why(struct route_why *why, const char *setting, struct str key)
{
	why->setting = setting;
	buf_clear(&why->key);
	ENSURE(buf_add(&why->key, str_sub(key, 0, KEY_MAX)));
}

static void
set_nexthop(struct route *r, struct str nexthop, const char *setting, struct str key)
{
	set_why(&r->nexthop_by, setting, key);
	if (!route_refuses(r) && !route_defers(r) && is_hosts(nexthop)) {
		set_lower(&r->nexthop, nexthop);
		return;
	}
	buf_clear(&r->nexthop);
	ENSURE(buf_add(&r->nexthop, nexthop));
}

static void
set_domain(struct route *r, struct str domain)
{
	set_why(&r->nexthop_by, "", STR(""));
	set_lower(&r->nexthop, domain);
}

static void
take_spec(struct str spec, struct str *transport, struct str *nexthop)
{
	size_t colon = str_find(spec, ':');

	*transport = str_trim(str_sub(spec, 0, colon));
	*nexthop = str_trim(str_sub(spec, colon + 1, spec.n));
}

/* "transport:nexthop" of a setting; without next hop that one stays. */
static void
set_transport(struct route *r, struct str spec, const char *setting, struct str key)
{
	struct str transport, nexthop;

	take_spec(spec, &transport, &nexthop);
	buf_clear(&r->transport);
	ENSURE(buf_add(&r->transport, transport));
	set_why(&r->by, setting, key);
	if (nexthop.n > 0)
		set_nexthop(r, nexthop, setting, key);
}

/* -- the route -- */

/* What is asked of the tables for one recipient. */
struct query {
	struct router *r;
	struct str sender, rcpt, domain;
	struct buf value, key, ext;
};

/* Postfix's order for addresses.  DUNNO and nothing at all count as found, with nothing to say. */
static WAITS enum err
ask_address(struct query *q, struct maps *table, const char *what, struct str addr, bool *found)
{
	bool own = false;

	*found = false;
	if (table == NULL)
		return OK;
	TRY(router_own(q->r, addr, &own));
	TRY(maps_find_address_key(
	    table, addr, q->r->recipient_delimiter, own, &q->value, &q->ext, &q->key, found));
	if (*found && str_trim(buf_str(&q->value)).n == 0)
		log_warn("%s: ignoring the empty result for %.*s", what, STR_ARG(buf_str(&q->key)));
	return OK;
}

static bool
says_nothing(const struct query *q)
{
	struct str value = str_trim(buf_str(&q->value));

	return value.n == 0 || str_ieq(value, STR("DUNNO"));
}

static struct str
sender_key(struct str sender, const char *of_null)
{
	return sender.n > 0 ? sender : str_of(of_null);
}

static WAITS enum err
by_default_transport(struct query *q, struct route *out)
{
	struct router *r = q->r;
	const char *what = "sender_dependent_default_transport_maps";
	bool found;

	TRY(ask_address(q, r->sender_dependent_default_transport_maps, what,
	    sender_key(q->sender, r->empty_address_default_transport_maps_lookup_key), &found));
	if (found && !says_nothing(q))
		set_transport(out, str_trim(buf_str(&q->value)), what, buf_str(&q->key));
	else
		set_transport(out, str_of(r->default_transport), "default_transport", STR(""));
	return OK;
}

/* For mail that leaves this host; a next hop that stands with the transport comes first. */
static WAITS enum err
by_relayhost(struct query *q, struct route *out)
{
	struct router *r = q->r;
	const char *what = "sender_dependent_relayhost_maps";
	bool found;

	TRY(ask_address(q, r->sender_dependent_relayhost_maps, what,
	    sender_key(q->sender, r->empty_address_relayhost_maps_lookup_key), &found));
	if (out->nexthop.n > 0)
		return OK;
	if (found && !says_nothing(q))
		set_nexthop(out, str_trim(buf_str(&q->value)), what, buf_str(&q->key));
	else if (found)
		set_domain(out, q->domain);
	else if (r->relayhost[0] != '\0')
		set_nexthop(out, str_of(r->relayhost), "relayhost", STR(""));
	return OK;
}

static WAITS enum err
by_class(struct query *q, struct route *out)
{
	struct router *r = q->r;

	buf_clear(&out->nexthop);
	switch (out->class) {
	case ROUTE_LOCAL:
		set_transport(out, str_of(r->local_transport), "local_transport", STR(""));
		break;
	case ROUTE_VIRTUAL_ALIAS:
		set_transport(out,
		    r->unknown_named ? STR("error:5.1.1 User unknown in virtual alias table")
				     : STR("error:5.1.1 User unknown"),
		    "virtual_alias_domains", STR(""));
		break;
	case ROUTE_VIRTUAL_MAILBOX:
		set_transport(out, str_of(r->virtual_transport), "virtual_transport", STR(""));
		break;
	case ROUTE_RELAY:
		set_transport(out, str_of(r->relay_transport), "relay_transport", STR(""));
		TRY(by_relayhost(q, out));
		break;
	case ROUTE_DEFAULT:
	case ROUTE_CLASS_COUNT:
		TRY(by_default_transport(q, out));
		TRY(by_relayhost(q, out));
		break;
	}
	if (out->nexthop.n == 0)
		set_domain(out, q->domain.n > 0 ? q->domain : str_of(r->myhostname));
	return OK;
}

/* Ask transport_maps for one key. */
static WAITS enum err
ask_transport(struct query *q, struct str a, struct str b, unsigned flags, bool *found)
{
	if (*found)
		return OK;
	buf_clear(&q->key);
	if (!buf_add(&q->key, a) || !buf_add(&q->key, b))
		return fail(E_IO, "address too long to look up");
	return maps_find(q->r->transport_maps, buf_str(&q->key), flags, &q->value, found);
}

static WAITS enum err
ask_transport_keys(struct query *q, bool *found)
{
	struct str local = address_local(q->rcpt), rest = q->domain;
	struct str user = str_sub(local, 0, address_user_length(local, q->r->recipient_delimiter));
	struct str at_domain = str_sub(q->rcpt, local.n, q->rcpt.n);
	size_t dot;

	*found = false;
	TRY(ask_transport(q, q->rcpt, STR(""), 0, found));
	if (user.n < local.n)
		TRY(ask_transport(q, user, at_domain, MAPS_FIXED, found));
	TRY(ask_transport(q, rest, STR(""), MAPS_FIXED, found));
	while (
	    !*found && rest.n > 1 && (dot = 1 + str_find(str_sub(rest, 1, rest.n), '.')) < rest.n) {
		rest = str_sub(rest, dot + q->r->transport_below, rest.n);
		TRY(ask_transport(q, rest, STR(""), MAPS_FIXED, found));
	}
	return ask_transport(q, STR("*"), STR(""), 0, found);
}

static WAITS enum err
by_transport_maps(struct query *q, struct route *out)
{
	struct str transport, nexthop;
	bool found;

	if (q->r->transport_maps == NULL || out->class == ROUTE_VIRTUAL_ALIAS)
		return OK;
	TRY(ask_transport_keys(q, &found));
	if (!found)
		return OK;
	take_spec(str_trim(buf_str(&q->value)), &transport, &nexthop);
	if (transport.n > 0) {
		buf_clear(&out->nexthop);
		set_transport(
		    out, str_trim(buf_str(&q->value)), "transport_maps", buf_str(&q->key));
	} else if (nexthop.n > 0) {
		set_nexthop(out, nexthop, "transport_maps", buf_str(&q->key));
	}
	/* A domain is no reason. */
	if (out->nexthop.n == 0 && (route_refuses(out) || route_defers(out)))
		set_nexthop(
		    out, STR("Address is undeliverable"), "transport_maps", buf_str(&q->key));
	else if (out->nexthop.n == 0)
		set_domain(out, q->domain.n > 0 ? q->domain : str_of(q->r->myhostname));
	return OK;
}

static WAITS enum err
by_relocated_maps(struct query *q, struct route *out)
{
	const char *what = "relocated_maps";
	struct buf reason = BUF(VALUE_MAX);
	bool found;

	TRY(ask_address(q, q->r->relocated_maps, what, q->rcpt, &found));
	if (!found)
		return OK;
	ENSURE(buf_printf(
	    &reason, "error:5.1.6 User has moved to %.*s", STR_ARG(str_trim(buf_str(&q->value)))));
	set_transport(out, buf_str(&reason), what, buf_str(&q->key));
	buf_free(&reason);
	return OK;
}

static WAITS enum err
find(struct query *q, struct route *out)
{
	TRY(router_classify(q->r, q->domain, &out->class));
	TRY(by_class(q, out));
	TRY(by_transport_maps(q, out));
	return by_relocated_maps(q, out);
}

enum err
router_find(struct router *r, struct str sender, struct str rcpt, struct route *out)
{
	struct query q = { .r = r,
		.sender = sender,
		.rcpt = rcpt,
		.domain = router_domain(rcpt),
		.value = BUF(VALUE_MAX),
		.key = BUF(VALUE_MAX),
		.ext = BUF(KEY_MAX) };
	enum err e;

	router_enter(r);
	e = find(&q, out);
	buf_free(&q.value);
	buf_free(&q.key);
	buf_free(&q.ext);
	return router_leave(r, e);
}
