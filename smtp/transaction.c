/* SPDX-License-Identifier: Apache-2.0 */
/* One SMTP transaction (RFC 5321 section 3.3), with PIPELINING in one write (RFC 2920). */
#include "smtp/delivery.h"

#include <inttypes.h>
#include <stdio.h>

#include "util/log.h"

enum { COMMANDS_MAX = 32 << 10 };                      /* of pipelined commands before their answers are read */

/* What is going on, and which command a reply is in reply to. */
struct step { const char *during, *command; };

static const struct step mail_step = { "sending MAIL FROM", "MAIL FROM" };
static const struct step rcpt_step = { "sending RCPT TO", "RCPT TO" };
static const struct step data_step = { "sending DATA command", "DATA" };
static const struct step rset_step = { "sending RSET", "RSET" };
static const struct step done_step = { "sending end of data -- message may be sent more than once", "end of DATA" };

struct talk {
	struct delivery   *d;
	struct conn       *c;
	const char       **during;
	const struct step *step;
	size_t             asked, accepted;            /* recipients; asked: with pipelining */
	size_t             next;                       /* the first one not answered for */
	bool               pipelined;
};

static struct time
within(long long seconds)
{
	return time_after(time_now(), seconds);
}

/* E_DEFERRED: it was 421, the last word of a server that closes the connection. */
static WAITS enum err
answer(struct talk *t, const struct step *step, long long seconds)
{
	t->step = step;
	*t->during = step->during;
	TRY(reply_read(t->c->io, &t->c->reply, NULL, NULL, within(seconds)));
	if (t->c->reply.code != 421)
		return OK;
	t->c->tainted = true;
	return fail(E_DEFERRED, "421");
}

/* The server's words, which are no yes, are the outcome of this recipient.  A yes, or a call for
 * more, that stands here means that we are out of step: nothing it says can be trusted. */
static void
said(struct talk *t, struct outcome *o)
{
	struct conn *c = t->c;
	int class = reply_class(&c->reply);
	char esc[ESC_MAX];

	reply_esc(&c->reply, esc);
	if (class < 4) {
		snprintf(esc, sizeof esc, "4.5.0");
		c->tainted = true;
	}
	outcome_set(t->d->job, o, class == 5 ? RCPT_BOUNCED : RCPT_DEFERRED, esc, c->host, buf_str(&c->reply.text),
	    "host %s said: %s (in reply to %s command)", c->who, buf_cstr(&c->reply.text), t->step->command);
}

/* The same for those that were accepted, and all from t->next on. */
static void
rest_said(struct talk *t)
{
	for (size_t i = 0; i < t->d->job->n; i++)
		if ((t->d->job->rcpts[i].accepted || i >= t->next) && !t->d->job->rcpts[i].final)
			said(t, &t->d->job->rcpts[i]);
}

static void
put_mail(struct talk *t)
{
	const struct delivery *d = t->d;

	io_print(t->c->io, "MAIL FROM:<%.*s>", STR_ARG(d->job->m.sender));
	if (t->c->can & CAN_SIZE)
		io_print(t->c->io, " SIZE=%" PRIu64, d->job->m.size);
	/* To a server without 8BITMIME 8-bit content is sent as it is: all servers of today take
	 * it, and turning it into 7 bits would break signatures. */
	if ((t->c->can & CAN_8BIT) && (d->job->m.flags & (MF_8BIT | MF_BODY8)))
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
	size_t n = t->d->job->m.sender.n + 100;

	for (size_t i = 0; i < t->d->job->n; i++)
		n += t->d->job->rcpts[i].rcpt.addr.n + 12;
	return (t->c->can & CAN_PIPELINE) && n < COMMANDS_MAX;
}

static WAITS enum err
mail(struct talk *t, bool *unanswered, bool *refused)
{
	enum err e;

	put_mail(t);
	for (size_t i = 0; i < t->d->job->n && t->pipelined; i++)
		if (!t->d->job->rcpts[i].final) {
			put_rcpt(t, &t->d->job->rcpts[i]);
			t->asked++;
		}
	if (t->pipelined)
		io_print(t->c->io, "DATA\r\n");
	e = answer(t, &mail_step, t->d->job->params->smtp_mail_timeout);
	/* On a kept connection 421 is the end of a session, not an answer to this message. */
	if (e == E_DEFERRED && t->c->uses > 1)
		return fail(E_EOF, "421");
	*unanswered = e != OK && e != E_DEFERRED;
	TRY(e);
	*refused = reply_class(&t->c->reply) != 2;
	if (*refused) {
		rest_said(t);
		t->next = t->d->job->n;
	}
	return OK;
}

/* With MAIL refused the recipients have their outcome, but their answers still come. */
static WAITS enum err
skip_answers(struct talk *t)
{
	for (size_t i = 0; i < t->asked; i++)
		TRY(answer(t, &rcpt_step, t->d->job->params->smtp_rcpt_timeout));
	return OK;
}

static WAITS enum err
rcpts(struct talk *t)
{
	struct reply *r = &t->c->reply;

	for (; t->next < t->d->job->n; t->next++) {
		struct outcome *o = &t->d->job->rcpts[t->next];

		if (o->final)
			continue;
		if (!t->pipelined)
			put_rcpt(t, o);
		TRY(answer(t, &rcpt_step, t->d->job->params->smtp_rcpt_timeout));
		/* "Too many recipients" in old words: RFC 5321 section 4.5.3.1.10. */
		if (r->code == 552) {
			r->code = 452;
			r->esc[0] = r->esc[0] ? '4' : '\0';
		}
		o->accepted = reply_class(r) == 2;
		t->accepted += o->accepted;
		if (!o->accepted)
			said(t, o);
	}
	return OK;
}

/* Back in step after a transaction that was not carried through. */
static WAITS enum err
reset(struct talk *t)
{
	const char *was = *t->during;

	if (t->c->tainted)
		return OK;
	io_print(t->c->io, "RSET\r\n");
	if (answer(t, &rset_step, t->d->job->params->smtp_rset_timeout) != OK || reply_class(&t->c->reply) != 2)
		t->c->tainted = true;
	*t->during = was;
	return OK;
}

/* DATA was sent along and taken although nobody is left to send to: an empty message ends it (RFC 2920 section 3.1). */
static WAITS enum err
nobody_left(struct talk *t)
{
	const struct params *p = t->d->job->params;

	if (reply_class(&t->c->reply) == 3) {
		io_print(t->c->io, ".\r\n");
		if (answer(t, &done_step, p->smtp_data_done_timeout) != OK || reply_class(&t->c->reply) == 3)
			t->c->tainted = true;
	} else if (reply_class(&t->c->reply) == 2) {
		t->c->tainted = true;                  /* that was no answer to DATA */
	}
	return reset(t);
}

static WAITS enum err
content(struct talk *t)
{
	const struct params *p = t->d->job->params;
	char id[QID_TEXT];
	enum err e;

	*t->during = "sending message body";
	/* An answer that came before its question cannot be about this message. */
	if (io_has_input(t->c->io))
		return fail(E_SYNTAX, "answers out of turn");
	if (body_is_wrapped(p, &t->d->body))
		log_info("%s: breaking line > %lld bytes with <CR><LF>SPACE", qid_text(t->d->job->m.id, id),
		    p->smtp_line_length_limit);
	e = body_send(p, &t->d->body, t->c->io);
	if (e != OK && e != E_EOF)
		return e;
	/* A server that hangs up in the middle may have said why; it cannot have said yes to what it has not seen. */
	if (e == E_EOF) {
		t->c->tainted = true;
		t->step = &done_step;
		if (reply_read(t->c->io, &t->c->reply, NULL, NULL, within(1)) == OK && reply_class(&t->c->reply) > 3)
			return OK;
		return fail(E_EOF, "lost connection");
	}
	t->d->maybe_sent = true;
	e = answer(t, &done_step, p->smtp_data_done_timeout);
	if (e == OK || e == E_DEFERRED)
		t->d->maybe_sent = false;
	return e;
}

static void
sent(struct talk *t)
{
	char esc[ESC_MAX];

	reply_esc(&t->c->reply, esc);
	for (size_t i = 0; i < t->d->job->n; i++) {
		struct outcome *o = &t->d->job->rcpts[i];

		if (o->accepted && !o->final)
			outcome_set(t->d->job, o, RCPT_SENT, esc, t->c->host, buf_str(&t->c->reply.text), "%s",
			    buf_cstr(&t->c->reply.text));
	}
}

static bool
too_big(struct delivery *d, struct conn *c)
{
	if (c->size_limit == 0 || d->job->m.size <= c->size_limit)
		return false;
	for (size_t i = 0; i < d->job->n; i++)
		if (!d->job->rcpts[i].final)
			outcome_set(d->job, &d->job->rcpts[i], RCPT_BOUNCED, "5.3.4", c->host, STR(""),
			    "message size %" PRIu64 " exceeds size limit %" PRIu64 " of server %s", d->job->m.size,
			    c->size_limit, c->who);
	return true;
}

static WAITS enum err
converse(struct talk *t, bool *unanswered)
{
	bool refused = false;

	TRY(mail(t, unanswered, &refused));
	TRY(refused ? skip_answers(t) : rcpts(t));
	if (!t->pipelined && t->accepted == 0)
		return reset(t);
	if (!t->pipelined)
		io_print(t->c->io, "DATA\r\n");
	TRY(answer(t, &data_step, t->d->job->params->smtp_data_init_timeout));
	if (t->accepted == 0)
		return nobody_left(t);
	if (reply_class(&t->c->reply) != 3) {
		rest_said(t);
		return reset(t);
	}
	TRY(content(t));
	if (reply_class(&t->c->reply) == 2)
		sent(t);
	else
		rest_said(t);
	return OK;
}

enum err
transaction(struct delivery *d, struct conn *c, const char **during, bool *unanswered)
{
	struct talk t = { .d = d, .c = c, .during = during };
	enum err e;

	*unanswered = true;
	for (size_t i = 0; i < d->job->n; i++)
		d->job->rcpts[i].accepted = false;
	if (too_big(d, c))
		return OK;
	t.pipelined = can_pipeline(&t);
	e = converse(&t, unanswered);
	if (e != E_DEFERRED)
		return e;
	rest_said(&t);
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
	else if (e == E_CORRUPT)
		(void)buf_printf(out, "local data error while talking to %s", c->who);
	else if (e == E_STOPPED)
		(void)buf_printf(out, "delivery to %s was interrupted while %s", c->who, during);
	else
		(void)buf_printf(out, "lost connection with %s while %s", c->who, during);
}
