/* SPDX-License-Identifier: Apache-2.0 */
#include "smtp/delivery.h"

#include <stdio.h>

#include "mail/trace.h"
#include "smtp/hosts.h"
#include "util/log.h"

enum { TEXT_MAX = 8 << 10, FRAME_MAX = 16 << 20 };

enum err
delivery_init(struct delivery *d, const struct params *p, struct spool *s, struct str frame)
{
	struct str rest;
	struct msg_rcpt r;

	*d = (struct delivery){ .params = p, .spool = s, .frame = BUF(FRAME_MAX), .relay = BUF(TEXT_MAX),
		.site_text = BUF(TEXT_MAX), .body = { .fd = -1 }, .site = SITE_UNKNOWN, .begun = wall_now() };
	ENSURE(buf_add(&d->frame, frame));
	TRY(msg_deliver_get(buf_str(&d->frame), &d->m));
	for (rest = d->m.rcpts; rest.n > 0; d->n++)
		if (!msg_rcpt_take(&rest, &r))
			return fail(E_IPC, "malformed recipients");
	d->rcpts = mem_array(d->n + 1, sizeof *d->rcpts);
	rest = d->m.rcpts;
	for (size_t i = 0; i < d->n; i++) {
		d->rcpts[i].text = d->rcpts[i].mta = d->rcpts[i].diag = BUF(TEXT_MAX);
		ENSURE(msg_rcpt_take(&rest, &d->rcpts[i].rcpt));
	}
	return OK;
}

void
delivery_fini(struct delivery *d)
{
	for (size_t i = 0; d->rcpts && i < d->n; i++) {
		buf_free(&d->rcpts[i].text);
		buf_free(&d->rcpts[i].mta);
		buf_free(&d->rcpts[i].diag);
	}
	mem_free(&d->rcpts);
	body_close(&d->body);
	buf_free(&d->relay);
	buf_free(&d->site_text);
	buf_free(&d->frame);
}

static void
log_outcome(const struct delivery *d, const struct outcome *o)
{
	static const char *const words[] = { "sent", "deferred", "bounced" };
	char id[QID_TEXT];

	trace_log(&(struct trace){ .id = qid_text(d->m.id, id), .to = o->rcpt.addr, .orig = o->rcpt.orig,
	    .relay = d->relay.n > 0 ? buf_str(&d->relay) : STR("none"), .uses = d->uses,
	    .arrived = { d->m.arrived }, .queued = { d->m.queued }, .begun = d->begun, .ready = d->ready,
	    .ended = wall_now(), .dsn = o->esc, .status = words[o->status], .text = buf_str(&o->text) });
}

void
outcome_set(struct delivery *d, struct outcome *o, enum rcpt_status status, const char *esc, const char *mta,
    struct str diag, const char *fmt, ...)
{
	va_list ap;

	o->status = status;
	o->known = true;
	snprintf(o->esc, sizeof o->esc, "%s", esc);
	buf_clear(&o->text);
	buf_clear(&o->mta);
	buf_clear(&o->diag);
	va_start(ap, fmt);
	(void)buf_vprintf(&o->text, fmt, ap);
	va_end(ap);
	(void)buf_adds(&o->mta, mta);
	(void)buf_add(&o->diag, diag);
	if (status == RCPT_DEFERRED)
		return;                                /* another server may still take it */
	o->final = true;
	log_outcome(d, o);
}

bool
delivery_open(const struct delivery *d)
{
	for (size_t i = 0; i < d->n; i++)
		if (!d->rcpts[i].final)
			return true;
	return false;
}

static void
all_open(struct delivery *d, enum rcpt_status status, const char *esc, const char *text)
{
	for (size_t i = 0; i < d->n; i++)
		if (!d->rcpts[i].final)
			outcome_set(d, &d->rcpts[i], status, esc, "", STR(""), "%s", text);
}

/* The destination could not be talked to: that is feedback for the scheduler, as well as every open
 * recipient's reason. */
static void
site_down(struct delivery *d, const char *esc, const char *text)
{
	d->site = SITE_DOWN;
	buf_clear(&d->site_text);
	(void)buf_adds(&d->site_text, text);
	for (size_t i = 0; i < d->n; i++)
		if (!d->rcpts[i].final && (!d->rcpts[i].known || d->rcpts[i].diag.n == 0))
			outcome_set(d, &d->rcpts[i], RCPT_DEFERRED, esc, "", STR(""), "%s", text);
}

static void
now_talking(struct delivery *d, struct conn *c)
{
	buf_clear(&d->relay);
	(void)buf_adds(&d->relay, c->relay);
	d->uses = ++c->uses;
	d->ready = wall_now();
}

/* The greeting or EHLO did not lead anywhere. */
static void
handshake_failed(struct delivery *d, struct conn *c, enum err e, const char *during)
{
	struct buf text = BUF(TEXT_MAX);
	char esc[ESC_MAX] = "4.4.2";

	if (e == E_DEFERRED || e == E_REFUSED) {
		(void)buf_printf(&text, "host %s refused to talk to me: %s", c->who, buf_cstr(&c->reply.text));
		reply_esc(&c->reply, esc);
		if (e == E_REFUSED && !d->params->smtp_skip_5xx_greeting) {
			all_open(d, RCPT_BOUNCED, esc, buf_cstr(&text));
			d->site = SITE_OK;
		} else {
			esc[0] = '4';
		}
	} else {
		broken_text(&text, c, e, during);
	}
	if (delivery_open(d)) {
		char id[QID_TEXT];

		log_info("%s: %s", qid_text(d->m.id, id), buf_cstr(&text));
		site_down(d, esc, buf_cstr(&text));
	}
	buf_free(&text);
}

static const char *
broken_esc(enum err e)
{
	return e == E_SYNTAX ? "4.5.0" : e == E_CORRUPT ? "4.3.0" : e == E_STOPPED ? "4.3.2" : "4.4.2";
}

/* One transaction, and what the end of the conversation means.  False: a kept connection turned out
 * to be dead before anything was answered, as if it had not been there. */
static WAITS bool
use(struct delivery *d, struct conn **c, bool kept)
{
	struct buf text = BUF(TEXT_MAX);
	const char *during = "";
	bool unanswered = true;
	enum err e = transaction(d, *c, &during, &unanswered);

	if (e == OK) {
		d->site = SITE_OK;
		conn_keep(c);
		return true;
	}
	(*c)->tainted = true;
	if (kept && unanswered && (e == E_EOF || e == E_IO)) {
		conn_close(c);
		return false;
	}
	broken_text(&text, *c, e, during);
	for (size_t i = 0; i < d->n; i++)
		if (!d->rcpts[i].final)
			outcome_set(d, &d->rcpts[i], RCPT_DEFERRED, broken_esc(e), "", STR(""), "%s",
			    buf_cstr(&text));
	if (unanswered) {
		d->site = SITE_DOWN;
		buf_clear(&d->site_text);
		(void)buf_adds(&d->site_text, buf_cstr(&text));
	} else {
		d->site = SITE_OK;
	}
	buf_free(&text);
	conn_close(c);
	return true;
}

/* We are a server for this destination ourselves, under another name.  If better ones did not take
 * the mail, it waits for them. */
static void
loops_back(struct delivery *d, const struct conn *c)
{
	d->over = true;
	log_warn("host %s greeted me with my own hostname", c->who);
	if (d->site != SITE_DOWN)
		d->site = SITE_OK;
	for (size_t i = 0; i < d->n; i++)
		if (!d->rcpts[i].final && !d->rcpts[i].known)
			outcome_set(d, &d->rcpts[i], RCPT_BOUNCED, "5.4.6", "", STR(""),
			    "mail for %.*s loops back to myself", STR_ARG(d->m.nexthop));
}

/* What the server before this one said would be lost otherwise: its successor's words take its place. */
static void
log_former_words(const struct delivery *d)
{
	char id[QID_TEXT];

	for (size_t i = 0; i < d->n; i++)
		if (!d->rcpts[i].final && d->rcpts[i].known && d->rcpts[i].diag.n > 0)
			log_info("%s: %s", qid_text(d->m.id, id), buf_cstr(&d->rcpts[i].text));
}

/* Connect to one address, and try.  True: it came to a session. */
static WAITS bool
try_host(struct delivery *d, const struct host *h)
{
	struct buf text = BUF(TEXT_MAX);
	struct conn *c = NULL;
	const char *during;
	char address[ADDR_TEXT];
	enum err e = conn_open(d->params, d->m.nexthop, h->name, &h->addr, &c);

	if (e != OK) {
		(void)buf_printf(&text, "connect to %s[%s]:%u: %s", h->name, addr_text(&h->addr, address),
		    addr_port(&h->addr), err_why());
		log_info("%s", buf_cstr(&text));
		site_down(d, "4.4.1", buf_cstr(&text));
		buf_free(&text);
		return false;
	}
	e = conn_greet(d->params, c, &during);
	if (e == OK && c->loop) {
		now_talking(d, c);
		loops_back(d, c);
	} else if (e == OK) {
		now_talking(d, c);
		log_former_words(d);
		(void)use(d, &c, false);
	} else {
		handshake_failed(d, c, e, during);
		if (e != E_DEFERRED && e != E_REFUSED)
			c->tainted = true;
	}
	buf_free(&text);
	conn_close(&c);
	return true;
}

static WAITS bool
try_kept(struct delivery *d)
{
	struct conn *c;

	while ((c = conn_cached(d->m.nexthop)) != NULL) {
		now_talking(d, c);
		if (use(d, &c, true))
			return true;
		buf_clear(&d->relay);
		d->uses = 0;
	}
	d->ready = (struct wall){ 0 };
	return false;
}

static WAITS void
try_all(struct delivery *d)
{
	const struct params *p = d->params;
	struct hosts hosts;
	enum err e = hosts_find(p, d->m.nexthop, &hosts);
	long long sessions = 0;

	if (e != OK) {
		all_open(d, e == E_REFUSED ? RCPT_BOUNCED : RCPT_DEFERRED, hosts.esc, hosts.why);
		d->site = e == E_REFUSED ? SITE_OK : SITE_DOWN;
		(void)buf_adds(&d->site_text, hosts.why);
	}
	for (size_t i = 0; i < hosts.n && delivery_open(d) && !d->over && !d->maybe_sent; i++) {
		if (p->smtp_mx_address_limit > 0 && i >= (size_t)p->smtp_mx_address_limit)
			break;
		sessions += try_host(d, &hosts.v[i]);
		if (p->smtp_mx_session_limit > 0 && sessions >= p->smtp_mx_session_limit)
			break;
		if (task_stopping())
			break;
	}
	hosts_fini(&hosts);
}

void
delivery_run(struct delivery *d)
{
	enum err e = body_open(d->spool, &d->m, &d->body);

	if (e != OK) {
		struct buf why = BUF(0);

		(void)buf_printf(&why, "cannot read the message: %s", err_why());
		all_open(d, RCPT_DEFERRED, "4.3.0", buf_cstr(&why));
		buf_free(&why);
	} else if (!try_kept(d) || delivery_open(d)) {
		/* After a kept connection only those that broke off are tried anew; a server's own 4xx stands. */
		bool broken = false;

		for (size_t i = 0; i < d->n; i++)
			broken |= !d->rcpts[i].final && !d->rcpts[i].known;
		if (broken)
			try_all(d);
	}
	for (size_t i = 0; i < d->n; i++) {
		struct outcome *o = &d->rcpts[i];

		if (o->final)
			continue;
		if (!o->known)
			outcome_set(d, o, RCPT_DEFERRED, "4.3.2", "", STR(""), "delivery was interrupted");
		log_outcome(d, o);
	}
}

void
delivery_report(const struct delivery *d, struct buf *out)
{
	struct buf list = BUF(FRAME_MAX);
	struct msg_done done = { .delivery = d->m.delivery,
		.site = (uint8_t)d->site,
		.site_text = buf_str(&d->site_text) };

	for (size_t i = 0; i < d->n; i++) {
		const struct outcome *o = &d->rcpts[i];

		msg_outcome_put(&list, &(struct msg_outcome){ .index = o->rcpt.index,
					   .status = (uint8_t)o->status,
					   .esc = str_of(o->esc),
					   .text = buf_str(&o->text),
					   .mta = buf_str(&o->mta),
					   .diag = buf_str(&o->diag) });
	}
	done.outcomes = buf_str(&list);
	msg_done_put(out, &done);
	buf_free(&list);
}
