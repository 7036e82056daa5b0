/* SPDX-License-Identifier: Apache-2.0 */
/* One SMTP transaction (RFC 5321 section 3.3), with PIPELINING in one write (RFC 2920). */
#include "smtp/delivery.h"

#include <inttypes.h>
#include <stdio.h>

#include "util/log.h"

enum { COMMANDS_MAX = 32 << 10 };                      /* of pipelined commands before their answers are read */

struct talk {
	struct delivery *d;
	struct conn     *c;
	const char     **during;
	size_t           accepted;                     /* recipients */
	bool             pipelined;
};

static struct time
within(long long seconds)
{
	return time_after(time_now(), seconds);
}

static WAITS enum err
answer(struct talk *t, const char *during, long long seconds)
{
	*t->during = during;
	TRY(reply_read(t->c->io, &t->c->reply, NULL, NULL, within(seconds)));
	if (t->c->reply.code == 421)
		t->c->tainted = true;                  /* it closes the connection after this */
	return OK;
}

static enum rcpt_status
status_of(const struct reply *r)
{
	return reply_class(r) == 2 ? RCPT_SENT : reply_class(r) == 5 ? RCPT_BOUNCED : RCPT_DEFERRED;
}

/* The server's words are the outcome of this recipient. */
static void
said(struct delivery *d, const struct conn *c, struct outcome *o, const char *to)
{
	char esc[ESC_MAX];

	reply_esc(&c->reply, esc);
	if (reply_class(&c->reply) == 3)
		snprintf(esc, sizeof esc, "4.5.0");    /* out of step */
	outcome_set(d, o, status_of(&c->reply), esc, c->host, buf_str(&c->reply.text), "host %s said: %s (in reply to %s command)",
	    c->who, buf_cstr(&c->reply.text), to);
}

static void
all_said(struct delivery *d, const struct conn *c, const char *to)
{
	for (size_t i = 0; i < d->n; i++)
		if (!d->rcpts[i].final)
			said(d, c, &d->rcpts[i], to);
}

static void
accepted_said(struct talk *t, const char *to)
{
	for (size_t i = 0; i < t->d->n; i++)
		if (t->d->rcpts[i].accepted && !t->d->rcpts[i].final)
			said(t->d, t->c, &t->d->rcpts[i], to);
}

static void
put_mail(struct talk *t)
{
	const struct delivery *d = t->d;

	io_print(t->c->io, "MAIL FROM:<%.*s>", STR_ARG(d->m.sender));
	if (t->c->can & CAN_SIZE)
		io_print(t->c->io, " SIZE=%" PRIu64, d->m.size);
	/* To a server without 8BITMIME 8-bit content is sent as it is: all servers of today take it, and turning it into
	 * 7 bits would break signatures. */
	if ((t->c->can & CAN_8BIT) && (d->m.flags & (MF_8BIT | MF_BODY8)))
		io_print(t->c->io, " BODY=8BITMIME");
	io_print(t->c->io, "\r\n");
}

static void
put_rcpt(struct talk *t, const struct outcome *o)
{
	io_print(t->c->io, "RCPT TO:<%.*s>\r\n", STR_ARG(o->rcpt.addr));
}

/* Does all up to DATA fit into one write, so that neither side waits for the other with full buffers? */
static bool
can_pipeline(const struct talk *t)
{
	size_t n = t->d->m.sender.n + 100;

	for (size_t i = 0; i < t->d->n; i++)
		n += t->d->rcpts[i].rcpt.addr.n + 12;
	return (t->c->can & CAN_PIPELINE) && n < COMMANDS_MAX;
}

static WAITS enum err
mail(struct talk *t, bool *unanswered, bool *refused)
{
	put_mail(t);
	for (size_t i = 0; i < t->d->n && t->pipelined; i++)
		if (!t->d->rcpts[i].final)
			put_rcpt(t, &t->d->rcpts[i]);
	if (t->pipelined)
		io_print(t->c->io, "DATA\r\n");
	TRY(answer(t, "sending MAIL FROM", t->d->params->smtp_mail_timeout));
	*unanswered = false;
	*refused = reply_class(&t->c->reply) != 2;
	if (*refused)
		all_said(t->d, t->c, "MAIL FROM");
	return OK;
}

static WAITS enum err
rcpts(struct talk *t, bool mail_refused)
{
	struct outcome *o;
	bool *asked = mem_array(t->d->n + 1, sizeof *asked);
	enum err e = OK;

	/* With MAIL refused the recipients have their outcome, but their answers still come if they were asked. */
	for (size_t i = 0; i < t->d->n; i++)
		asked[i] = !t->d->rcpts[i].final || (mail_refused && t->pipelined);
	for (size_t i = 0; i < t->d->n && e == OK; i++) {
		o = &t->d->rcpts[i];
		if (!asked[i] || (mail_refused && !t->pipelined))
			continue;
		if (!t->pipelined)
			put_rcpt(t, o);
		e = answer(t, "sending RCPT TO", t->d->params->smtp_rcpt_timeout);
		if (e != OK || mail_refused)
			continue;
		o->accepted = reply_class(&t->c->reply) == 2;
		t->accepted += o->accepted;
		if (!o->accepted)
			said(t->d, t->c, o, "RCPT TO");
		if (t->c->reply.code == 421 && !t->pipelined)
			e = fail(E_EOF, "421");
	}
	free(asked);
	return e;
}

/* Back in step after a transaction that was not carried through. */
static WAITS enum err
reset(struct talk *t)
{
	const char *was = *t->during;

	if (t->c->tainted)
		return OK;
	io_print(t->c->io, "RSET\r\n");
	if (answer(t, "sending RSET", t->d->params->smtp_rset_timeout) != OK || reply_class(&t->c->reply) != 2)
		t->c->tainted = true;
	*t->during = was;
	return OK;
}

/* DATA was sent along and taken although nobody is left to send to: an empty message ends it (RFC 2920 section 3.1). */
static WAITS enum err
nobody_left(struct talk *t)
{
	if (t->pipelined && reply_class(&t->c->reply) == 3) {
		io_print(t->c->io, ".\r\n");
		if (answer(t, "sending end of data", t->d->params->smtp_data_done_timeout) != OK)
			t->c->tainted = true;
	}
	return reset(t);
}

static WAITS enum err
content(struct talk *t)
{
	const struct params *p = t->d->params;
	enum err e;

	*t->during = "sending message body";
	e = body_send(p, &t->d->body, t->c->io);
	if (e != OK && e != E_EOF)
		return e;
	/* A server that hangs up in the middle may have said why. */
	if (e == E_EOF)
		return reply_read(t->c->io, &t->c->reply, NULL, NULL, within(1)) == OK ? OK : fail(E_EOF, "lost connection");
	return answer(t, "sending end of data -- message may be sent more than once", p->smtp_data_done_timeout);
}

static void
sent(struct talk *t)
{
	char esc[ESC_MAX];

	reply_esc(&t->c->reply, esc);
	for (size_t i = 0; i < t->d->n; i++) {
		struct outcome *o = &t->d->rcpts[i];

		if (o->accepted && !o->final)
			outcome_set(t->d, o, RCPT_SENT, esc, t->c->host, buf_str(&t->c->reply.text), "%s",
			    buf_cstr(&t->c->reply.text));
	}
}

static bool
too_big(struct delivery *d, struct conn *c)
{
	if (c->size_limit == 0 || d->m.size <= c->size_limit)
		return false;
	for (size_t i = 0; i < d->n; i++)
		if (!d->rcpts[i].final)
			outcome_set(d, &d->rcpts[i], RCPT_BOUNCED, "5.3.4", c->host, STR(""),
			    "message size %" PRIu64 " exceeds size limit %" PRIu64 " of server %s", d->m.size, c->size_limit, c->who);
	return true;
}

enum err
transaction(struct delivery *d, struct conn *c, const char **during, bool *unanswered)
{
	struct talk t = { .d = d, .c = c, .during = during };
	bool refused;

	*unanswered = true;
	for (size_t i = 0; i < d->n; i++)
		d->rcpts[i].accepted = false;
	if (too_big(d, c))
		return OK;
	t.pipelined = can_pipeline(&t);
	TRY(mail(&t, unanswered, &refused));
	if (refused && !t.pipelined)
		return reset(&t);
	TRY(rcpts(&t, refused));
	if (!t.pipelined && t.accepted == 0)
		return reset(&t);
	if (!t.pipelined)
		io_print(c->io, "DATA\r\n");
	TRY(answer(&t, "sending DATA command", d->params->smtp_data_init_timeout));
	if (refused || t.accepted == 0)
		return nobody_left(&t);
	if (c->reply.code != 354) {
		accepted_said(&t, "DATA");
		return reset(&t);
	}
	TRY(content(&t));
	if (reply_class(&c->reply) == 2) {
		sent(&t);
		return OK;
	}
	accepted_said(&t, "end of DATA");
	return OK;
}

void
broken_text(struct buf *out, const struct conn *c, enum err e, const char *during)
{
	if (e == E_TIMEOUT)
		(void)buf_printf(out, "conversation with %s timed out while %s", c->who, during);
	else if (e == E_SYNTAX)
		(void)buf_printf(out, "host %s sent what is no SMTP reply while %s: %s", c->who, during,
		    buf_cstr(&c->reply.text));
	else if (e == E_STOPPED)
		(void)buf_printf(out, "delivery to %s was interrupted while %s", c->who, during);
	else
		(void)buf_printf(out, "lost connection with %s while %s", c->who, during);
}
