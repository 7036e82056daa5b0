/* SPDX-License-Identifier: Apache-2.0 */
#include "intake/rewrite.h"

#include "mail/addr.h"
#include "mail/addrlist.h"
#include "util/log.h"
#include "util/net.h"

enum { CANONICAL_STEPS = 100, VALUE_MAX = 1 << 20 };

void
rewrite_standard(const struct params *p, struct buf *addr)
{
	struct str domain = address_domain(buf_str(addr));

	if (addr->n == 0)
		return;
	if (domain.n == 0) {
		if (addr->p[addr->n - 1] == '@')
			buf_cut(addr, addr->n - 1);
		if (p->append_at_myorigin)
			ENSURE(buf_printf(addr, "@%s", p->myorigin));
	} else if (p->append_dot_mydomain && domain.p[0] != '[' &&
		   str_find(domain, '.') == domain.n) {
		ENSURE(buf_printf(addr, ".%s", p->mydomain));
	}
}

enum err
rewrite_find(struct intake *in, struct maps *m, struct str addr, struct buf *value, struct buf *ext, bool *found)
{
	bool own;

	*found = false;
	if (m == NULL)
		return OK;
	TRY(router_own(in->router, addr, &own));
	return maps_find_address(m, addr, in->service->params.recipient_delimiter, own, value, ext, found);
}

/* A dry run hears of a step that changed something. */
static void
tell(const struct intake *in, const char *what, struct str from, struct str to)
{
	if (in->watch && !str_eq(from, to))
		in->watch->step(in->watch->arg, what, from, to);
}

bool
rewrite_propagates(const struct params *p, struct str what)
{
	return list_has(str_of(p->propagate_unmatched_extensions), what, false);
}

void
rewrite_extend(struct buf *addr, struct str ext)
{
	struct buf was = BUF(0);
	struct str local;

	ENSURE(buf_add(&was, buf_str(addr)));
	local = address_local(buf_str(&was));
	buf_cut(addr, local.n);
	ENSURE(buf_add(addr, ext) && buf_add(addr, str_sub(buf_str(&was), local.n, was.n)));
	buf_free(&was);
}

/* The one address that a table gives for another. */
static WAITS enum err
look_up(struct intake *in, struct maps *m, const char *what, struct buf *addr, bool *found)
{
	const struct params *p = &in->service->params;
	struct buf value = BUF(VALUE_MAX), ext = BUF(ADDRESS_ROOM), one = BUF(ADDRESS_ROOM);
	size_t from, to;
	enum err e;

	e = rewrite_find(in, m, buf_str(addr), &value, &ext, found);
	if (e == OK && *found) {
		struct addrlist l = { .text = buf_str(&value) };
		size_t at = str_rfind(l.text, '@');

		/* "@domain" changes the domain alone. */
		if (at == 0 && l.text.n > 1) {
			struct str local = address_local(buf_str(addr));

			ENSURE(buf_add(&one, local) && buf_add(&one, l.text));
		} else if (addrlist_next(&l, &one, &from, &to)) {
			if (ext.n > 0 && rewrite_propagates(p, STR("canonical")))
				rewrite_extend(&one, buf_str(&ext));
			rewrite_standard(p, &one);
		}
		*found =
		    one.n > 0 && one.n <= ADDRESS_ROOM / 2 && !str_eq(buf_str(&one), buf_str(addr));
		if (*found) {
			tell(in, what, buf_str(addr), buf_str(&one));
			buf_clear(addr);
			ENSURE(buf_add(addr, buf_str(&one)));
		}
	}
	buf_free(&value);
	buf_free(&ext);
	buf_free(&one);
	return e;
}

static WAITS enum err
canonical(struct intake *in, struct maps *m, const char *what, struct buf *addr)
{
	bool found = m != NULL;

	for (int i = 0; found; i++) {
		if (i == CANONICAL_STEPS) {
			log_warn("canonical maps: no end of steps at %.*s", STR_ARG(buf_str(addr)));
			return OK;
		}
		TRY(look_up(in, m, what, addr, &found));
	}
	return OK;
}

static void
masquerade(const struct params *p, enum address_class class, struct buf *addr)
{
	static const char *const classes[] = { "envelope_sender", "envelope_recipient",
		"header_sender", "header_recipient" };
	struct str domain = address_domain(buf_str(addr)), rest = str_of(p->masquerade_domains),
		   word;

	if (rest.n == 0 || domain.n == 0 ||
	    !list_has(str_of(p->masquerade_classes), str_of(classes[class]), false) ||
	    list_has(str_of(p->masquerade_exceptions), address_local(buf_str(addr)), false))
		return;
	while (str_word(&rest, ", \t", &word)) {
		bool keep = word.p[0] == '!';
		struct str parent = str_sub(word, keep, word.n);

		if (str_ieq(domain, parent))
			return;
		if (domain.n > parent.n && domain.p[domain.n - parent.n - 1] == '.' &&
		    str_ieq(str_sub(domain, domain.n - parent.n, parent.n), parent)) {
			if (!keep) {
				buf_cut(addr, addr->n - domain.n);
				ENSURE(buf_add(addr, parent));
			}
			return;
		}
	}
}

/* The steps that ask no table. */
static void
standard_form(struct intake *in, struct buf *addr)
{
	struct buf was = BUF(ADDRESS_ROOM);

	ENSURE(buf_add(&was, buf_str(addr)));
	rewrite_standard(&in->service->params, addr);
	tell(in, "standard form", buf_str(&was), buf_str(addr));
	buf_free(&was);
}

static void
masquerade_form(struct intake *in, enum address_class class, struct buf *addr)
{
	struct buf was = BUF(ADDRESS_ROOM);

	if (in->service->params.masquerade_domains[0] == '\0')
		return;
	ENSURE(buf_add(&was, buf_str(addr)));
	masquerade(&in->service->params, class, addr);
	tell(in, "masquerade_domains", buf_str(&was), buf_str(addr));
	buf_free(&was);
}

enum err
rewrite_address(struct intake *in, enum address_class class, struct buf *addr)
{
	bool sender = class == ENVELOPE_SENDER || class == HEADER_SENDER;

	if (addr->n == 0)
		return OK;
	standard_form(in, addr);
	TRY(canonical(in, sender ? in->sender_canonical : in->recipient_canonical,
	    sender ? "sender_canonical_maps" : "recipient_canonical_maps", addr));
	TRY(canonical(in, in->canonical, "canonical_maps", addr));
	masquerade_form(in, class, addr);
	return OK;
}

/* -- virtual aliases -- */

/* Addresses still to be looked at, a stack; steps counts them all. */
struct expansion {
	struct intake *in;
	struct buf text;

	struct pending {
		size_t at, n;
		unsigned depth;
		bool final;
	} * v;

	size_t n, cap;
	long long results;
};

static void
push(struct expansion *x, struct str addr, unsigned depth, bool final)
{
	if (x->n == x->cap) {
		x->cap = x->cap ? 2 * x->cap : 16;
		x->v = mem_grow(x->v, x->cap * sizeof *x->v);
	}
	x->v[x->n++] = (struct pending){ x->text.n, addr.n, depth, final };
	ENSURE(buf_add(&x->text, addr));
}

/* What a table gave for addr: on the stack, the first on top.  An alias of itself is not looked up
 * again. */
static enum err
push_all(struct expansion *x, struct str addr, struct str value, struct str ext, unsigned depth)
{
	const struct params *p = &x->in->service->params;
	struct addrlist l = { .text = value };
	struct buf one = BUF(ADDRESS_ROOM), local = BUF(ADDRESS_ROOM);
	size_t first = x->n, from, to;
	enum err e = OK;

	/* "@domain": the same user there. */
	if (value.n > 1 && value.p[0] == '@' && buf_add(&local, address_local(addr)) &&
	    buf_add(&local, value))
		l.text = buf_str(&local);
	while (e == OK && addrlist_next(&l, &one, &from, &to)) {
		if (one.n == 0)
			continue;
		if (ext.n > 0 && rewrite_propagates(p, STR("virtual")))
			rewrite_extend(&one, ext);
		rewrite_standard(p, &one);
		if ((long long)x->n >= p->virtual_alias_expansion_limit || one.n > ADDRESS_ROOM / 2)
			e = fail(E_TOOBIG,
			    "unreasonable virtual_alias_maps map expansion size for %.*s",
			    STR_ARG(addr));
		else {
			tell(x->in, "virtual_alias_maps", addr, buf_str(&one));
			push(x, buf_str(&one), depth + 1, str_ieq(buf_str(&one), addr));
		}
	}
	for (size_t i = first, j = x->n; i + 1 < j; i++) {
		struct pending t = x->v[--j];

		x->v[j] = x->v[i];
		x->v[i] = t;
	}
	buf_free(&one);
	buf_free(&local);
	return e;
}

static WAITS enum err
expand_one(struct expansion *x, struct str addr, const struct pending *it,
    enum err (*each)(void *arg, struct str addr), void *arg)
{
	const struct params *p = &x->in->service->params;
	struct buf value = BUF(VALUE_MAX), ext = BUF(ADDRESS_ROOM);
	bool found = false;
	enum err e = OK;

	if (it->depth > p->virtual_alias_recursion_limit)
		e = fail(E_TOOBIG, "unreasonable virtual_alias_maps map nesting for %.*s",
		    STR_ARG(addr));
	if (e == OK && !it->final)
		e = rewrite_find(x->in, x->in->virtual, addr, &value, &ext, &found);
	if (e == OK && found)
		e = push_all(x, addr, buf_str(&value), buf_str(&ext), it->depth);
	else if (e == OK && ++x->results > p->virtual_alias_expansion_limit)
		e = fail(E_TOOBIG, "unreasonable virtual_alias_maps map expansion size for %.*s",
		    STR_ARG(addr));
	else if (e == OK)
		e = each(arg, addr);
	buf_free(&value);
	buf_free(&ext);
	return e;
}

enum err
rewrite_virtual(
    struct intake *in, struct str addr, enum err (*each)(void *arg, struct str addr), void *arg)
{
	struct expansion x = { .in = in, .text = BUF(64 << 20) };
	enum err e = OK;

	if (in->virtual == NULL)
		return each(arg, addr);
	push(&x, addr, 0, false);
	while (e == OK && x.n > 0) {
		struct pending it = x.v[--x.n];
		struct buf one = BUF(ADDRESS_ROOM);

		ENSURE(buf_add(&one, str_sub(buf_str(&x.text), it.at, it.n)));
		e = expand_one(&x, buf_str(&one), &it, each, arg);
		buf_free(&one);
	}
	free(x.v);
	buf_free(&x.text);
	return e;
}
