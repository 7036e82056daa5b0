/* SPDX-License-Identifier: Apache-2.0 */
/* The content: DATA. */
#include "intake/intake.h"
#include "mail/header.h"
#include "smtpd/session.h"
#include "util/log.h"

struct receipt {
	struct session    *s;
	struct content     content;
	struct header_scan header;
	uint64_t           size;                       /* of what the client sent, as stored */
	bool               too_big;
	enum err           trouble;                    /* the first one with the spool */
	int64_t            budget_ns;                  /* time the client has left to send more */
};

/* Once anything went wrong the rest of the content is read, and forgotten. */
static void
forget(struct receipt *r)
{
	incoming_abort(&r->s->transaction.incoming);
}

static void
in_trouble(struct receipt *r, enum err e)
{
	log_warn("%016llX: queue file: %s", (unsigned long long)r->s->transaction.id, err_why());
	r->trouble = e;
	forget(r);
}

static WAITS void
store(struct receipt *r, struct str bytes)
{
	enum err e;

	if (r->s->transaction.incoming == NULL)
		return;
	e = incoming_add(r->s->transaction.incoming, bytes);
	session_account(r->s);
	if (e == OK && memory_runs_short(r->s->smtpd)) {
		e = incoming_write_out(r->s->transaction.incoming);
		session_account(r->s);
	}
	if (e != OK)
		in_trouble(r, e);
}

static WAITS void
take_run(void *arg, struct str run)
{
	struct receipt *r = arg;
	uint64_t limit = (uint64_t)session_params(r->s)->message_size_limit;

	r->size += run.n;
	header_scan_add(&r->header, run);
	if (limit > 0 && r->size > limit && !r->too_big) {
		r->too_big = true;
		forget(r);
	}
	store(r, run);
}

/* Each byte buys time at smtpd_min_data_rate, up to a whole smtpd_timeout: a client may pause, but not for good. */
static void
charge(struct receipt *r, struct time began, size_t bytes)
{
	const struct params *p = session_params(r->s);
	int64_t full = p->smtpd_timeout * 1000000000LL;

	if (p->smtpd_min_data_rate == 0) {
		r->budget_ns = full;
		return;
	}
	r->budget_ns -= time_now().ns - began.ns;
	r->budget_ns += (int64_t)bytes * 1000000000LL / p->smtpd_min_data_rate;
	if (r->budget_ns > full)
		r->budget_ns = full;
}

static WAITS enum err
receive(struct receipt *r)
{
	struct io *io = r->s->io;

	while (!r->content.ended) {
		struct time full = session_await(r->s), began = r->s->waits_since, left = { began.ns + r->budget_ns };
		struct str bytes;
		enum err e = io_some(io, &bytes, time_before(left, full) ? left : full);

		session_heard(r->s);
		TRY(e);
		charge(r, began, bytes.n);
		/* The scanner may wait for the disk; the bytes stay where they are until they are eaten. */
		io_ate(io, content_scan(&r->content, bytes));
	}
	return OK;
}

static enum reply_id
reply_to_trouble(enum err e)
{
	return e == E_NOSPACE ? SAY_NO_SPACE : e == E_TOOBIG ? SAY_ALIAS_ERROR : SAY_WRITE_ERROR;
}

static struct str
only_rcpt(const struct transaction *t)
{
	return t->nrcpts == 1 ? str_sub(buf_str(&t->text), t->rcpts[0].at, t->rcpts[0].addr_n) : STR("");
}

/* The reasons to refuse content that arrived whole. */
static enum reply_id
judge(const struct receipt *r)
{
	if (r->content.bare_lf && r->content.mode == NEWLINES_REJECT)
		return SAY_BARE_LF;
	/* The field we add counts as well. */
	if (r->header.received + 1LL > session_params(r->s)->hopcount_limit)
		return SAY_TOO_MANY_HOPS;
	if (r->too_big)
		return SAY_TOO_BIG;
	return r->trouble == OK ? SAY_OK : reply_to_trouble(r->trouble);
}

static WAITS enum verdict
accept_message(struct receipt *r, struct spool_msg *m)
{
	struct session *s = r->s;
	char qid[QID_TEXT];
	enum err e;

	incoming_log_id(s->transaction.incoming, &r->header);
	e = incoming_commit(&s->transaction.incoming, m->flags | r->content.flags);
	if (e != OK) {
		log_warn("%s: queue file: %s", session_queue_id(s, qid), err_why());
		say_rejected(s, "END-OF-MESSAGE", reply_to_trouble(e), STR(""), only_rcpt(&s->transaction));
		return V_BAD;
	}
	s->errors = s->junk = 0;
	say_with(s, SAY_QUEUED, str_of(session_queue_id(s, qid)));
	return V_OK;
}

static WAITS enum verdict
refuse_message(struct receipt *r, enum reply_id why)
{
	struct session *s = r->s;
	long long code = session_params(s)->smtpd_forbid_bare_newline_reject_code;
	struct buf text = BUF(0);

	forget(r);
	ENSURE(buf_printf(&text, "%lld", code));
	say_rejected(s, "END-OF-MESSAGE", why, buf_str(&text), only_rcpt(&s->transaction));
	buf_free(&text);
	return why == SAY_BARE_LF && code == 521 ? V_CLOSE : V_BAD;
}

static WAITS enum verdict
finish(struct receipt *r, enum err e, struct spool_msg *m)
{
	struct session *s = r->s;
	enum reply_id why;

	switch (e) {
	case OK:
		s->where = "END-OF-MESSAGE";
		why = judge(r);
		return why == SAY_OK ? accept_message(r, m) : refuse_message(r, why);
	case E_TIMEOUT:
		session_time_out(s);
		return V_CLOSE;
	case E_STOPPED:
		say(s, SAY_SHUTDOWN);
		return V_CLOSE;
	default:
		s->reason = "lost connection";
		s->lost = true;
		return V_CLOSE;
	}
}

/* Apart from do_data(), so that its buffers are no burden on the stack of a session that waits for content. */
static WAITS enum err __attribute__((noinline))
give_envelope(struct session *s, const struct spool_msg *m)
{
	struct transaction *t = &s->transaction;

	t->incoming = incoming_new(s->smtpd->intake, m, s->local ? INTAKE_LOCAL : 0);
	TRY(incoming_sender(t->incoming, m->sender, m->ret, m->envid));
	for (size_t i = 0; i < m->nrcpts; i++)
		TRY(incoming_rcpt(t->incoming, &m->rcpts[i]));
	return OK;
}

static WAITS void __attribute__((noinline))
begin(struct receipt *r, struct spool_msg *m)
{
	struct session *s = r->s;
	struct buf field = BUF(0);
	enum err e;

	transaction_envelope(s, m);
	e = give_envelope(s, m);
	if (e != OK)
		in_trouble(r, e);
	received_field(s, &field);
	store(r, buf_str(&field));
	buf_free(&field);
}

enum verdict
do_data(struct session *s, struct str arg)
{
	const struct params *p = session_params(s);
	struct receipt r = { .s = s, .budget_ns = p->smtpd_timeout * 1000000000LL };
	struct spool_msg m;
	enum verdict v;
	enum err e;

	(void)arg;
	begin(&r, &m);
	content_init(&r.content, s->newlines, take_run, &r);
	header_scan_init(&r.header, (size_t)p->header_size_limit);
	say(s, SAY_DATA_GO);
	s->where = "DATA content";
	e = s->lost ? E_EOF : receive(&r);
	s->content = r.size;
	v = finish(&r, e, &m);
	header_scan_fini(&r.header);
	free(m.rcpts);
	transaction_reset(s);
	return v;
}
