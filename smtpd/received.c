/* SPDX-License-Identifier: Apache-2.0 */
#include "smtpd/session.h"
#include "util/log.h"

void
received_field(const struct session *s, struct buf *out)
{
	const struct transaction *t = &s->transaction;
	const struct params *p = session_params(s);
	const char *v6 = s->client.sa.sa_family == AF_INET6 ? "IPv6:" : "";
	char qid[QID_TEXT], date[TIME_RFC5322];
	bool ok;

	wall_rfc5322(t->arrived, date);
	ok = buf_printf(out, "Received: from %s (%s [%s%s])\r\n", s->helo ? s->helo : s->name, s->name, v6,
		 s->address) &&
	    buf_printf(out, "\tby %s (%s) with %s id %s", p->myhostname, p->mail_name,
		t->utf8     ? "UTF8SMTP"
		: s->esmtp ? "ESMTP"
			   : "SMTP",
		session_queue_id(s, qid));
	/* With several recipients none is named: blind copies stay blind. */
	if (t->accepted == 1 && t->nrcpts == 1)
		ok = ok && buf_printf(out, "\r\n\tfor <%.*s>; %s\r\n", (int)t->rcpts[0].addr_n,
			       buf_cstr(&t->text) + t->rcpts[0].at, date);
	else
		ok = ok && buf_printf(out, ";\r\n\t%s\r\n", date);
	ENSURE(ok);
}
