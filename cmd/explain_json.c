/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "cmd/explain.h"

enum { LINE_BYTES = 64 << 20 };

static void
add(struct buf *b, const char *name, struct str value)
{
	buf_printf(b, "%s\"%s\": ", b->p[b->n - 1] == '{' ? "" : ", ", name);
	buf_add_json(b, value);
}

static void
add_number(struct buf *b, const char *name, int64_t value)
{
	buf_printf(b, "%s\"%s\": %" PRId64, b->p[b->n - 1] == '{' ? "" : ", ", name, value);
}

static void
add_site(struct buf *b, const struct msg_site *s)
{
	buf_addc(b, '{');
	add(b, "transport", s->transport);
	add(b, "nexthop", s->nexthop);
	add_number(b, "window", s->window);
	add_number(b, "limit", s->limit);
	add_number(b, "busy", s->busy);
	add_number(b, "waiting", s->waiting);
	add_number(b, "agents", s->agents);
	buf_printf(b, ", \"dead\": %s, \"deferred\": %s", s->dead_since > 0 ? "true" : "false",
	    s->deferred ? "true" : "false");
	if (s->dead_since > 0) {
		add_number(b, "dead_since", s->dead_since / 1000000);
		add_number(b, "next_probe", s->next_probe / 1000000);
	}
	if (s->pause_until > 0)
		add_number(b, "pause_until", s->pause_until / 1000000);
	if (s->missing_since > 0)
		add_number(b, "missing_since", s->missing_since / 1000000);
	if (s->reason.n > 0)
		add(b, "reason", s->reason);
	buf_addc(b, '}');
}

static void
add_events(struct buf *b, const struct explain *x, uint32_t index)
{
	struct str rest = buf_str(&x->events);
	const char *comma = "";
	struct jrn_record r;

	buf_adds(b, ", \"history\": [");
	while (jrn_record_take(&rest, &r)) {
		if (r.index != index && r.index != JRN_ALL)
			continue;
		buf_printf(b, "%s{", comma);
		add_number(b, "time", r.at / 1000000);
		add(b, "event", str_of(queue_event_name(r.type)));
		if (r.attempts > 0)
			add_number(b, "attempt", r.attempts);
		if (r.esc.n > 0)
			add(b, "dsn", r.esc);
		if (r.text.n > 0)
			add(b, "text", r.text);
		if (r.mta.n > 0)
			add(b, "host", r.mta);
		if (r.diag.n > 0)
			add(b, "reply", r.diag);
		buf_addc(b, '}');
		comma = ", ";
	}
	buf_addc(b, ']');
}

static void
add_rcpt(struct buf *b, const struct explain *x, const struct msg_item_rcpt *r)
{
	struct msg_site site;

	buf_addc(b, '{');
	add(b, "address", r->addr);
	if (r->orig.n > 0)
		add(b, "orig_address", r->orig);
	add_number(b, "attempts", r->attempts);
	if (r->reason.n > 0)
		add(b, "reason", r->reason);
	add(b, "waits", str_of(sched_why_text(r->why)));
	if (r->next_try > 0)
		add_number(b, "next_try", r->next_try / 1000000);
	add(b, "transport", r->transport);
	add(b, "nexthop", r->nexthop);
	add_events(b, x, r->index);
	if (explain_site(x, r->transport, r->nexthop, &site)) {
		buf_adds(b, ", \"destination\": ");
		add_site(b, &site);
	}
	buf_addc(b, '}');
}

static void
add_notice(struct buf *b, const struct msg_item *m)
{
	buf_adds(b, ", \"notice\": {");
	add_number(b, "failures", m->notice_failures);
	add(b, "reason", m->notice_why);
	add_number(b, "next_try", m->notice_next / 1000000);
	add_number(b, "until", m->notice_until / 1000000);
	buf_addc(b, '}');
}

void
explain_message_json(const struct explain *x, const struct msg_item *m)
{
	struct buf b = BUF(LINE_BYTES);
	struct str rest = m->rcpts;
	const char *comma = "";
	struct msg_item_rcpt r;
	char id[QID_TEXT];

	buf_addc(&b, '{');
	add(&b, "queue_id", str_of(qid_text(m->id, id)));
	buf_adds(&b, ", \"found\": true");
	add(&b, "queue_name", str_of(queue_state_name(m)));
	add(&b, "sender", m->sender);
	add_number(&b, "arrival_time", m->arrived / 1000000);
	add_number(&b, "message_size", (int64_t)m->size);
	add_number(&b, "expires", explain_expires(x, m) / 1000000);
	if (m->notice_failures > 0)
		add_notice(&b, m);
	buf_printf(
	    &b, ", \"forced_expire\": %s, \"recipients\": [", m->forced_expire ? "true" : "false");
	while (msg_item_rcpt_take(&rest, &r)) {
		buf_adds(&b, comma);
		add_rcpt(&b, x, &r);
		comma = ", ";
	}
	printf("%s]}\n", buf_cstr(&b));
	buf_free(&b);
}

void
explain_site_json(const struct explain *x, const struct msg_site *site)
{
	struct buf b = BUF(LINE_BYTES);

	(void)x;
	add_site(&b, site);
	puts(buf_cstr(&b));
	buf_free(&b);
}

void
explain_gone_json(const struct explain *x, const char *id)
{
	struct buf b = BUF(0);

	buf_addc(&b, '{');
	add(&b, id[0] ? "queue_id" : "address", id[0] ? str_of(id) : x->what);
	printf("%s, \"found\": false}\n", buf_cstr(&b));
	buf_free(&b);
}
