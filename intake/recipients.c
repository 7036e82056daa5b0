/* SPDX-License-Identifier: Apache-2.0 */
/* Is there such a recipient?  By the class of its domain, as in Postfix's ADDRESS_CLASS_README. */
#include "intake/rewrite.h"
#include "mail/addr.h"
#include "mail/route.h"

static WAITS enum err
is_in(struct intake *in, struct maps *m, struct str addr, bool own, bool *found)
{
	struct buf value = BUF(1 << 20), ext = BUF(ADDRESS_ROOM);
	enum err e = OK;

	if (m && !*found)
		e = maps_find_address(
		    m, addr, in->service->params.recipient_delimiter, own, &value, &ext, found);
	buf_free(&value);
	buf_free(&ext);
	return e;
}

/* Is all mail of this domain for virtual aliases? */
static WAITS enum err
is_virtual_domain(struct intake *in, struct str domain, bool *yes)
{
	struct buf value = BUF(1 << 20);
	enum err e = OK;

	if (in->virtual_domains)
		e = maps_find(in->virtual_domains, domain, 0, &value, yes);
	else
		*yes = list_has(str_of(in->service->params.virtual_alias_domains), domain, false);
	buf_free(&value);
	return e;
}

enum err
intake_check_rcpt(struct intake *in, struct str addr, enum rcpt_class *class, bool *known)
{
	const struct params *p = &in->service->params;
	struct str domain = address_domain(addr);
	enum route_class by_name = route_class(p, domain);
	bool own = rewrite_is_own(p, addr), virtual = false;

	if (by_name != ROUTE_LOCAL)
		TRY(is_virtual_domain(in, domain, &virtual));
	*class = virtual                    ? CLASS_VIRTUAL_ALIAS
		 : by_name == ROUTE_LOCAL   ? CLASS_LOCAL
		 : by_name == ROUTE_VIRTUAL ? CLASS_VIRTUAL_MAILBOX
		 : by_name == ROUTE_RELAY   ? CLASS_RELAY
					    : CLASS_OTHER;
	*known = !virtual && (*class != CLASS_LOCAL || in->local_recipients == NULL) &&
		 (*class != CLASS_VIRTUAL_MAILBOX || in->mailboxes == NULL) &&
		 (*class != CLASS_RELAY || in->relay_recipients == NULL);
	/* What is rewritten to something else need not be in its own table. */
	TRY(is_in(in, in->recipient_canonical, addr, own, known));
	TRY(is_in(in, in->canonical, addr, own, known));
	TRY(is_in(in, in->virtual, addr, own, known));
	if (*class == CLASS_LOCAL)
		TRY(is_in(in, in->local_recipients, addr, true, known));
	if (*class == CLASS_VIRTUAL_MAILBOX)
		TRY(is_in(in, in->mailboxes, addr, own, known));
	if (*class == CLASS_RELAY)
		TRY(is_in(in, in->relay_recipients, addr, own, known));
	return OK;
}
