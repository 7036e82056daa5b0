/* SPDX-License-Identifier: Apache-2.0 */
#include "smtp/delivery.h"

#include <stdio.h>

#include "smtp/hosts.h"
#include "util/log.h"

enum { TEXT_MAX = 8 << 10 };

static bool lmtp;                                      /* what all connections of this process speak */

void
delivery_speaks_lmtp(void)
{
	lmtp = true;
}

/* The destination could not be talked to: that is feedback for the scheduler, as well as every open
 * recipient's reason. */
static void
site_down(struct delivery *d, const char *esc, const char *text)
{
	job_site_down(d->job, text);
	for (size_t i = 0; i < d->job->n; i++)
		if (!d->job->rcpts[i].final && (!d->job->rcpts[i].known || d->job->rcpts[i].diag.n == 0))
			outcome_set(d->job, &d->job->rcpts[i], RCPT_DEFERRED, esc, "", STR(""), "%s", text);
}

static void
now_talking(struct delivery *d, struct conn *c)
{
	buf_clear(&d->job->relay);
	(void)buf_adds(&d->job->relay, c->relay);
	d->job->uses = ++c->uses;
	d->job->ready = wall_now();
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
		if (e == E_REFUSED && !d->job->params->smtp_skip_5xx_greeting) {
			job_all(d->job, RCPT_BOUNCED, esc, buf_cstr(&text));
			d->job->site = SITE_OK;
		} else {
			esc[0] = '4';
		}
	} else {
		broken_text(&text, c, e, during);
	}
	if (job_open(d->job)) {
		char id[QID_TEXT];

		log_info("%s: %s", qid_text(d->job->m.id, id), buf_cstr(&text));
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
		d->job->site = SITE_OK;
		conn_keep(c);
		return true;
	}
	(*c)->tainted = true;
	if (kept && unanswered && (e == E_EOF || e == E_IO)) {
		conn_close(c);
		return false;
	}
	broken_text(&text, *c, e, during);
	/* After the content only those are in doubt that were to get it. */
	for (size_t i = 0; i < d->job->n; i++)
		if (!d->job->rcpts[i].final && (!d->maybe_sent || d->job->rcpts[i].accepted))
			outcome_set(d->job, &d->job->rcpts[i], RCPT_DEFERRED, broken_esc(e), "", STR(""), "%s",
			    buf_cstr(&text));
	if (unanswered)
		job_site_down(d->job, buf_cstr(&text));
	else
		d->job->site = SITE_OK;
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
	if (d->job->site != SITE_DOWN)
		d->job->site = SITE_OK;
	for (size_t i = 0; i < d->job->n; i++)
		if (!d->job->rcpts[i].final && !d->job->rcpts[i].known)
			outcome_set(d->job, &d->job->rcpts[i], RCPT_BOUNCED, "5.4.6", "", STR(""),
			    "mail for %.*s loops back to myself", STR_ARG(d->job->m.nexthop));
}

/* What the server before this one said would be lost otherwise: its successor's words take its place. */
static void
log_former_words(const struct delivery *d)
{
	char id[QID_TEXT];

	for (size_t i = 0; i < d->job->n; i++)
		if (!d->job->rcpts[i].final && d->job->rcpts[i].known && d->job->rcpts[i].diag.n > 0)
			log_info("%s: %s", qid_text(d->job->m.id, id), buf_cstr(&d->job->rcpts[i].text));
}

/* Connect to one address, and try.  True: it came to a session. */
static WAITS bool
try_host(struct delivery *d, const struct host *h)
{
	struct buf text = BUF(TEXT_MAX);
	struct conn *c = NULL;
	const char *during;
	enum err e = conn_open(d->job->params, d->job->m.nexthop, h->name, &h->addr, &c);

	if (e != OK) {
		char *place = conn_place(h->name, &h->addr);

		(void)buf_printf(&text, "connect to %s: %s", place, err_why());
		free(place);
		log_info("%s", buf_cstr(&text));
		site_down(d, "4.4.1", buf_cstr(&text));
		buf_free(&text);
		return false;
	}
	c->lmtp = lmtp;
	e = conn_greet(d->job->params, c, &during);
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

	while ((c = conn_cached(d->job->m.nexthop)) != NULL) {
		now_talking(d, c);
		if (use(d, &c, true))
			return true;
		buf_clear(&d->job->relay);
		d->job->uses = 0;
	}
	d->job->ready = (struct wall){ 0 };
	return false;
}

static WAITS void
try_all(struct delivery *d)
{
	const struct params *p = d->job->params;
	struct hosts hosts;
	enum err e = (lmtp ? hosts_find_lmtp : hosts_find)(p, d->job->m.nexthop, &hosts);
	long long sessions = 0, addresses = 0;

	if (e != OK) {
		job_all(d->job, e == E_REFUSED ? RCPT_BOUNCED : RCPT_DEFERRED, hosts.esc, hosts.why);
		d->job->site = e == E_REFUSED ? SITE_OK : SITE_DOWN;
		(void)buf_adds(&d->job->site_text, hosts.why);
	}
	for (size_t i = 0; i < hosts.n && job_open(d->job) && !d->over && !d->maybe_sent; i++) {
		/* The limits are each next hop's. */
		if (i > 0 && hosts.v[i].hop != hosts.v[i - 1].hop)
			sessions = addresses = 0;
		if ((p->smtp_mx_address_limit > 0 && addresses >= p->smtp_mx_address_limit) ||
		    (p->smtp_mx_session_limit > 0 && sessions >= p->smtp_mx_session_limit))
			continue;
		addresses++;
		sessions += try_host(d, &hosts.v[i]);
		if (task_stopping())
			break;
	}
	hosts_fini(&hosts);
}

void
delivery_run(struct job *j)
{
	struct delivery delivery = { .job = j, .body = { .fd = -1 } }, *d = &delivery;
	enum err e = body_open(j->spool, &j->m, &d->body);

	if (e != OK) {
		struct buf why = BUF(0);

		(void)buf_printf(&why, "cannot read the message: %s", err_why());
		j->damaged = e == E_CORRUPT;
		job_all(j, RCPT_DEFERRED, "4.3.0", buf_cstr(&why));
		buf_free(&why);
	} else if (!try_kept(d) || job_open(j)) {
		/* After a kept connection only those that broke off are tried anew; a server's own 4xx stands. */
		bool broken = false;

		for (size_t i = 0; i < j->n; i++)
			broken |= !j->rcpts[i].final && !j->rcpts[i].known;
		if (broken)
			try_all(d);
	}
	body_close(&d->body);
}
