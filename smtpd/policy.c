/* SPDX-License-Identifier: Apache-2.0 */
/* Who may send where, and whether there is room. */
#include "intake/intake.h"
#include "mail/addr.h"
#include "smtpd/arguments.h"
#include "smtpd/session.h"
#include "util/log.h"

enum { OWN_MAX = 256 };

bool
policy_may_relay(const struct params *p, const struct addr *client)
{
	return client->sa.sa_family == AF_UNIX || nets_match(p->mynetworks, client);
}

bool
policy_is_local(const struct params *p, const struct addr *client)
{
	static struct addr *own;                       /* the host's addresses, as they were at the first client */
	static size_t nown;
	struct str who = str_of(p->local_header_rewrite_clients);

	if (list_has(who, STR("permit_mynetworks"), false) && policy_may_relay(p, client))
		return true;
	if (!list_has(who, STR("permit_inet_interfaces"), false))
		return false;
	if (own == NULL) {
		own = mem_array(OWN_MAX, sizeof *own);
		nown = net_own_addresses(own, OWN_MAX);
	}
	for (size_t i = 0; i < nown; i++)
		if (addr_same_host(&own[i], client))
			return true;
	return false;
}

/* Is this extension on offer? */
static bool
is_offered(const struct params *p, const char *keyword)
{
	return !list_has(str_of(p->smtpd_discard_ehlo_keywords), str_of(keyword), false);
}

unsigned
policy_arguments(const struct session *s)
{
	const struct params *p = s->smtpd->params;
	bool utf8 = s->state & S_MAIL ? s->transaction.utf8 : p->smtputf8_enable && is_offered(p, "SMTPUTF8");

	return (p->strict_rfc821_envelopes ? ARGS_STRICT : 0U) | (is_offered(p, "DSN") ? ARGS_DSN : 0U) |
	    (utf8 ? ARGS_UTF8 : 0U);
}

/* Mailboxes without a domain are those of $myorigin, whoever names them. */
struct str
full_address(const struct params *p, const struct mail_args *a, struct buf *out)
{
	buf_clear(out);
	ENSURE(buf_add(out, buf_str(&a->address)));
	if (out->n > 0 && address_domain(buf_str(out)).n == 0)
		ENSURE(buf_printf(out, "@%s", p->myorigin));
	return buf_str(out);
}

/* "user%elsewhere@here", "elsewhere!user@here", "user@elsewhere"@here: a relay by another name, should the host
 * behind us believe in such things. */
static bool
is_routed(struct str address)
{
	struct str local = address_local(address);

	for (size_t i = 0; i < local.n; i++)
		if (local.p[i] == '%' || local.p[i] == '!' || local.p[i] == '@')
			return true;
	return false;
}

static enum reply_id
unknown(const struct params *p, enum rcpt_class class, struct str given, struct buf *why)
{
	const char *table = "virtual alias";
	long long code = p->unknown_virtual_alias_reject_code;

	if (class == CLASS_LOCAL) {
		table = "local recipient";
		code = p->unknown_local_recipient_reject_code;
	} else if (class == CLASS_VIRTUAL_MAILBOX) {
		table = "virtual mailbox";
		code = p->unknown_virtual_mailbox_reject_code;
	} else if (class == CLASS_RELAY) {
		table = "relay recipient";
		code = p->unknown_relay_recipient_reject_code;
	}
	ENSURE(buf_printf(why, "%lld %lld.1.1 <%.*s>: Recipient address rejected: User unknown in %s table",
	    code, code / 100, STR_ARG(given), table));
	return SAY_UNKNOWN_USER;
}

enum reply_id
policy_rcpt(const struct session *s, struct str given, struct str address, struct buf *why)
{
	const struct params *p = s->smtpd->params;
	long long code = p->relay_domains_reject_code;
	enum rcpt_class class;
	bool known;

	/* RFC 5321 section 4.5.1. */
	if (str_ieq(given, STR("postmaster")))
		return SAY_OK;
	if (intake_check_rcpt(s->smtpd->intake, address, &class, &known) != OK) {
		log_warn("<%.*s>: %s", STR_ARG(address), err_why());
		ENSURE(buf_add(why, given));
		return SAY_LOOKUP_FAILED;
	}
	if (!s->may_relay && (class == CLASS_OTHER || is_routed(address))) {
		ENSURE(buf_printf(why, "%lld %lld.7.1 <%.*s>", code, code / 100, STR_ARG(given)));
		return SAY_RELAY_DENIED;
	}
	return known ? SAY_OK : unknown(p, class, given, why);
}

enum err
policy_space(const struct smtpd *smtpd, uint64_t size)
{
	const struct params *p = smtpd->params;
	uint64_t least = (uint64_t)p->message_size_limit + (uint64_t)p->message_size_limit / 2;
	uint64_t minfree = (uint64_t)p->queue_minfree;

	return spool_space(smtpd->spool, size, minfree > least ? minfree : least, (uint64_t)p->queue_minfree_inodes);
}
