/* SPDX-License-Identifier: Apache-2.0 */
/* Who may send where, and whether there is room. */
#include "intake/intake.h"
#include "mail/addr.h"
#include "mail/reply.h"
#include "smtpd/arguments.h"
#include "smtpd/session.h"
#include "util/log.h"

enum { OWN_MAX = 256, REASON_MAX = 800 };

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
	const struct params *p = session_params(s);
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

/* Nobody of that name is in the table of its class. */
static enum reply_id
unknown(const struct params *p, enum route_class class, struct str given, struct buf *why)
{
	const long long codes[ROUTE_CLASS_COUNT] = {
		[ROUTE_LOCAL] = p->unknown_local_recipient_reject_code,
		[ROUTE_VIRTUAL_ALIAS] = p->unknown_virtual_alias_reject_code,
		[ROUTE_VIRTUAL_MAILBOX] = p->unknown_virtual_mailbox_reject_code,
		[ROUTE_RELAY] = p->unknown_relay_recipient_reject_code,
	};
	long long code = codes[class];

	ENSURE(buf_printf(why, "%lld %lld.1.1 <%.*s>: Recipient address rejected: User unknown", code, code / 100,
	    STR_ARG(given)));
	if (p->show_user_unknown_table_name)
		ENSURE(buf_printf(why, " in %s table", route_class_table(class)));
	return SAY_UNKNOWN_USER;
}

/* Its mail would go to error or retry: better said now than later.  The reason may bring a code of its own, whose first
 * digit is ours. */
static enum reply_id
undeliverable(const struct rcpt_check *c, struct str given, struct buf *why)
{
	struct str text = buf_str(&c->reason);
	size_t n = text.n > 0 ? esc_length(text, text.p[0] - '0') : 0;
	struct str rest = n > 0 ? str_sub(text, 1, n - 1) : STR(".1.1");
	struct buf clean = BUF(REASON_MAX);

	(void)buf_add_clean(&clean, str_sub(str_trim(str_sub(text, n, text.n)), 0, REASON_MAX / 2));
	ENSURE(buf_printf(why, "%s%.*s <%.*s>: Recipient address rejected: %s", c->later ? "450 4" : "550 5",
	    STR_ARG(rest), STR_ARG(given), buf_cstr(&clean)));
	buf_free(&clean);
	return SAY_UNKNOWN_USER;
}

static enum reply_id
judge(const struct session *s, const struct rcpt_check *c, struct str given, struct str address, struct buf *why)
{
	const struct params *p = session_params(s);
	long long code = p->relay_domains_reject_code;

	if (!s->may_relay && (c->class == ROUTE_DEFAULT || is_routed(address))) {
		ENSURE(buf_printf(why, "%lld %lld.7.1 <%.*s>", code, code / 100, STR_ARG(given)));
		return SAY_RELAY_DENIED;
	}
	if (c->reason.n > 0 && c->class != ROUTE_VIRTUAL_ALIAS)
		return undeliverable(c, given, why);
	return c->known ? SAY_OK : unknown(p, c->class, given, why);
}

enum reply_id
policy_rcpt(const struct session *s, struct str given, struct str address, struct buf *why)
{
	struct rcpt_check c;
	enum reply_id r = SAY_LOOKUP_FAILED;

	/* RFC 5321 section 4.5.1. */
	if (str_ieq(given, STR("postmaster")))
		return SAY_OK;
	if (intake_check_rcpt(s->smtpd->intake, buf_str(&s->transaction.sender), address, &c) == OK) {
		r = judge(s, &c, given, address, why);
	} else {
		log_warn("<%.*s>: %s", STR_ARG(address), err_why());
		ENSURE(buf_add(why, given));
	}
	buf_free(&c.reason);
	return r;
}

enum err
policy_space(const struct smtpd *smtpd, uint64_t size)
{
	const struct params *p = smtpd->params;
	uint64_t least = (uint64_t)p->message_size_limit + (uint64_t)p->message_size_limit / 2;
	uint64_t minfree = (uint64_t)p->queue_minfree;

	return spool_space(smtpd->spool, size, minfree > least ? minfree : least, (uint64_t)p->queue_minfree_inodes);
}
