/* SPDX-License-Identifier: Apache-2.0 */
/* Is there such a recipient?  By the class of its domain, as in Postfix's ADDRESS_CLASS_README. */
#include "intake/rewrite.h"
#include "mail/addr.h"

static WAITS enum err
is_in(struct intake *in, struct maps *m, struct str addr, bool *found)
{
	struct buf value = BUF(1 << 20), ext = BUF(ADDRESS_ROOM);
	enum err e = *found ? OK : rewrite_find(in, m, addr, &value, &ext, found);

	buf_free(&value);
	buf_free(&ext);
	return e;
}

static WAITS enum err
check_route(struct intake *in, struct str sender, struct str addr, struct rcpt_check *c)
{
	struct route r;
	enum err e;

	route_init(&r);
	e = router_find(in->router, sender, addr, &r);
	c->class = r.class;
	c->later = e == OK && route_defers(&r);
	if (e == OK && (c->later || route_refuses(&r)) && !buf_add(&c->reason, buf_str(&r.nexthop)))
		e = fail(E_IO, "the reason is too long");
	route_fini(&r);
	return e;
}

enum err
intake_check_rcpt(struct intake *in, struct str sender, struct str addr, struct rcpt_check *c)
{
	struct maps *const members[ROUTE_CLASS_COUNT] = {
		[ROUTE_LOCAL] = in->local_recipients,
		[ROUTE_VIRTUAL_MAILBOX] = in->mailboxes,
		[ROUTE_RELAY] = in->relay_recipients,
	};

	*c = (struct rcpt_check){ .known = false };
	TRY(is_in(in, in->recipient_canonical, addr, &c->known));
	TRY(is_in(in, in->canonical, addr, &c->known));
	TRY(is_in(in, in->virtual, addr, &c->known));
	/* Who may send there has to be known in any case. */
	if (c->known)
		return router_class(in->router, address_domain(addr), &c->class);
	TRY(check_route(in, sender, addr, c));
	c->known = c->class != ROUTE_VIRTUAL_ALIAS && members[c->class] == NULL;
	return is_in(in, members[c->class], addr, &c->known);
}

enum err
intake_dry_run(struct intake *in, struct str addr, const struct intake_watch *w)
{
	struct buf a = BUF(ADDRESS_ROOM);
	enum err e = buf_add(&a, addr) ? OK : fail(E_TOOBIG, "the address is too long");

	in->watch = w;
	if (e == OK)
		e = rewrite_address(in, ENVELOPE_RECIPIENT, &a);
	if (e == OK)
		e = rewrite_virtual(in, buf_str(&a), w->each, w->arg);
	in->watch = NULL;
	buf_free(&a);
	return e;
}

enum err
intake_dry_sender(struct intake *in, struct str addr, const struct intake_watch *w, struct buf *out)
{
	enum err e;

	if (!buf_add(out, addr))
		return fail(E_TOOBIG, "the address is too long");
	in->watch = w;
	e = rewrite_address(in, ENVELOPE_SENDER, out);
	in->watch = NULL;
	return e;
}
