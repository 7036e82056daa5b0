/* SPDX-License-Identifier: Apache-2.0 */
/* One SMTP transaction (RFC 5321 section 3.3), with PIPELINING in one write (RFC 2920); in LMTP every
 * recipient has an answer of its own to the content (RFC 2033 section 4.2). */
#include "smtp/commands.h"
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
	bool               cut_off;                    /* the server refused amid the content, and hung up */
	struct commands    commands;
	struct buf         out;                        /* commands on their way */
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

/* All up to DATA in one write, if the server takes that and so much fits, that neither side waits for
 * the other with full buffers. */
static bool
gather(struct talk *t)
{
	struct job *j = t->d->job;
	bool fits = (t->c->can & CAN_PIPELINE) && commands_mail(&t->commands, &t->out);

	for (size_t i = 0; i < j->n && fits; i++)
		if (!j->rcpts[i].final) {
			fits = commands_rcpt(&t->commands, &j->rcpts[i].rcpt, &t->out);
			t->asked++;
		}
	return fits && buf_adds(&t->out, "DATA\r\n");
}

/* One by one: made, to be sent with the next wait for an answer. */
static enum err
put(struct talk *t, bool made)
{
	if (!made)
		return fail(E_TOOBIG, "a command would be too long");
	io_put(t->c->io, buf_str(&t->out));
	buf_clear(&t->out);
	return OK;
}

static enum err
put_rcpt(struct talk *t, const struct outcome *o)
{
	return put(t, commands_rcpt(&t->commands, &o->rcpt, &t->out));
}

static WAITS enum err
mail(struct talk *t, bool *unanswered, bool *refused)
{
	enum err e;

	t->pipelined = !job_is_trial(t->d->job) && gather(t);
	if (!t->pipelined) {
		t->asked = 0;
		buf_clear(&t->out);
	}
	TRY(put(t, t->pipelined || commands_mail(&t->commands, &t->out)));
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

static void
taken(struct talk *t, struct outcome *o)
{
	char esc[ESC_MAX];

	o->action = t->c->can & CAN_DSN				   ? ACTION_PASSED :
	    t->c->lmtp && t->d->job->params->lmtp_assume_final ? ACTION_DELIVERED :
								     ACTION_RELAYED;
	outcome_set(t->d->job, o, RCPT_SENT, reply_esc(&t->c->reply, esc), t->c->host, buf_str(&t->c->reply.text), "%s",
	    buf_cstr(&t->c->reply.text));
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
			TRY(put_rcpt(t, o));
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
		else if (job_is_trial(t->d->job))
			taken(t, o);
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

/* DATA was sent along and taken although nobody is left to send to: an empty message ends it (RFC 2920
 * section 3.1).  How many answers that has in LMTP nobody can tell. */
static WAITS enum err
nobody_left(struct talk *t)
{
	const struct params *p = t->d->job->params;

	if (reply_class(&t->c->reply) == 3 && t->c->lmtp) {
		t->c->tainted = true;
	} else if (reply_class(&t->c->reply) == 3) {
		io_print(t->c->io, ".\r\n");
		if (answer(t, &done_step, p->smtp_data_done_timeout) != OK || reply_class(&t->c->reply) == 3)
			t->c->tainted = true;
	} else if (reply_class(&t->c->reply) == 2) {
		t->c->tainted = true;                  /* that was no answer to DATA */
	}
	return reset(t);
}

/* To a server without 8BITMIME content goes in 7 bits (RFC 6152 section 3). */
static bool
sends_7bit(const struct talk *t)
{
	return (t->d->job->m.flags & MF_8BIT) && !(t->c->can & CAN_8BIT) &&
	    !t->d->job->params->disable_mime_output_conversion;
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
	e = body_send(p, &t->d->body, t->c->io, sends_7bit(t));
	if (e != E_EOF)
		return e;
	/* A server that hangs up in the middle may have said why; it cannot have said yes to what it has not seen. */
	t->c->tainted = true;
	t->step = &done_step;
	t->cut_off =
	    reply_read(t->c->io, &t->c->reply, NULL, NULL, within(1)) == OK && reply_class(&t->c->reply) > 3;
	return t->cut_off ? OK : fail(E_EOF, "lost connection");
}

static WAITS enum err
done(struct talk *t)
{
	enum err e;

	t->d->maybe_sent = true;
	e = answer(t, &done_step, t->d->job->params->smtp_data_done_timeout);
	if (e != OK && e != E_DEFERRED)
		return e;
	t->d->maybe_sent = false;
	if (e == OK && reply_class(&t->c->reply) != 2) {
		rest_said(t);
		return OK;
	}
	for (size_t i = 0; e == OK && i < t->d->job->n; i++)
		if (t->d->job->rcpts[i].accepted && !t->d->job->rcpts[i].final)
			taken(t, &t->d->job->rcpts[i]);
	return e;
}

/* An answer for each.  After 421 those of the others may still come; when they do not, nobody knows
 * what became of them. */
static WAITS enum err
done_one_by_one(struct talk *t)
{
	t->d->maybe_sent = true;
	for (size_t i = 0; i < t->d->job->n; i++) {
		struct outcome *o = &t->d->job->rcpts[i];
		enum err e;

		if (!o->accepted || o->final)
			continue;
		e = answer(t, &done_step, t->d->job->params->smtp_data_done_timeout);
		if (e != OK && e != E_DEFERRED)
			return e;
		if (reply_class(&t->c->reply) == 2)
			taken(t, o);
		else
			said(t, o);
		o->accepted = false;
	}
	t->d->maybe_sent = false;
	return OK;
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
	/* A trial ends here: the server's word on each recipient is known. */
	if (!t->pipelined && (t->accepted == 0 || job_is_trial(t->d->job)))
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
	if (t->cut_off) {
		rest_said(t);
		return OK;
	}
	return t->c->lmtp ? done_one_by_one(t) : done(t);
}

/* Addresses and a header in UTF-8 are only for servers that take them (RFC 6531 section 3.2). */
static WAITS enum err
check_utf8(struct talk *t)
{
	const struct job *j = t->d->job;
	bool message = !str_ascii(j->m.sender);

	if (!message && (j->m.flags & MF_UTF8))
		TRY(body_header_8bit(&t->d->body, &message));
	for (size_t i = 0; i < j->n; i++) {
		struct outcome *o = &j->rcpts[i];
		bool needed = message || !str_ascii(o->rcpt.addr);

		t->commands.utf8 |= needed && (t->c->can & CAN_UTF8);
		if (needed && !(t->c->can & CAN_UTF8) && !o->final)
			outcome_set(t->d->job, o, RCPT_BOUNCED, "5.6.7", t->c->host, STR(""),
			    "SMTPUTF8 is required, but was not offered by host %s", t->c->who);
	}
	return OK;
}

/* Who asked for notices stands in the message's file. */
static WAITS enum err
prepare(struct talk *t)
{
	struct job *j = t->d->job;

	t->commands.job = j;
	t->commands.can = t->c->can;
	*t->during = "reading the envelope";
	if ((t->c->can & CAN_DSN) && (j->m.flags & MF_DSN) && job_envelope(j, &t->commands.envelope) != OK)
		return fail(E_CORRUPT, "cannot read the envelope");
	return check_utf8(t);
}

enum err
transaction(struct delivery *d, struct conn *c, const char **during, bool *unanswered)
{
	struct talk t = { .d = d, .c = c, .during = during, .out = BUF(COMMANDS_MAX) };
	enum err e;

	*unanswered = true;
	for (size_t i = 0; i < d->job->n; i++)
		d->job->rcpts[i].accepted = false;
	if (too_big(d, c))
		return OK;
	e = prepare(&t);
	if (e != OK || !job_open(d->job))
		*unanswered = false;
	else
		e = converse(&t, unanswered);
	buf_free(&t.out);
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
