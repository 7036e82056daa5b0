/* SPDX-License-Identifier: Apache-2.0 */
/* Who may send where, and whether there is room. */
#include "mail/addr.h"
#include "mail/route.h"
#include "smtpd/session.h"
#include "util/log.h"

bool
policy_may_relay(const struct params *p, const struct addr *client)
{
	return client->sa.sa_family == AF_UNIX || nets_match(p->mynetworks, client);
}

bool
policy_is_ours(const struct params *p, struct str address)
{
	struct str local = address_local(address);

	/* "user%elsewhere@here", "elsewhere!user@here", "user@elsewhere"@here: a relay by another name, should the host
	 * behind us believe in such things. */
	for (size_t i = 0; i < local.n; i++)
		if (local.p[i] == '%' || local.p[i] == '!' || local.p[i] == '@')
			return false;
	return route_class(p, address_domain(address)) != ROUTE_DEFAULT;
}

void
policy_denial(const struct params *p, struct str address, struct buf *out)
{
	long long code = p->relay_domains_reject_code;

	ENSURE(buf_printf(out, "%lld %lld.7.1 <%.*s>", code, code / 100, STR_ARG(address)));
}

enum err
policy_space(const struct smtpd *smtpd, uint64_t size)
{
	const struct params *p = smtpd->params;
	uint64_t least = (uint64_t)p->message_size_limit + (uint64_t)p->message_size_limit / 2;
	uint64_t minfree = (uint64_t)p->queue_minfree;

	return spool_space(smtpd->spool, size, minfree > least ? minfree : least, (uint64_t)p->queue_minfree_inodes);
}
