/* SPDX-License-Identifier: Apache-2.0 */
#include "smtpd/session.h"
#include "util/log.h"

enum { QUOTED_MAX = 400, FLUSH_AT = 16 << 10 };

#define R(name, class, text) text,
static const char *const texts[REPLY_COUNT] = { REPLIES(R) };
#undef R
#define R(name, class, text) TROUBLE_##class,
static const uint8_t troubles[REPLY_COUNT] = { REPLIES(R) };
#undef R

void
say_render(const struct params *p, enum reply_id id, struct str arg, struct buf *out)
{
	size_t from = out->n;

	for (const char *t = texts[id]; *t; t++) {
		bool ok;

		if (t[0] == '%' && t[1] == 'h')
			ok = buf_adds(out, p->myhostname);
		else if (t[0] == '%' && t[1] == 's')
			ok = buf_add_clean(out, str_sub(arg, 0, QUOTED_MAX));
		else
			ok = buf_addc(out, *t);
		ENSURE(ok);
		t += t[0] == '%';
	}
	/* "550 5.1.1 …" is "450 4.1.1 …" where nothing is to be refused for good. */
	if (p->soft_bounce && out->n > from && out->p[from] == '5') {
		out->p[from] = '4';
		if (out->n > from + 5 && out->p[from + 4] == '5' && out->p[from + 5] == '.')
			out->p[from + 4] = '4';
	}
}

/* A client that keeps making errors is slowed down, whatever it is told. */
static WAITS void
pause_for_errors(struct session *s)
{
	const struct params *p = session_params(s);

	if (s->errors < (unsigned)p->smtpd_soft_error_limit || p->smtpd_error_sleep_time == 0)
		return;
	session_flush(s);
	if (!s->lost && task_sleep(time_after(time_now(), p->smtpd_error_sleep_time)) != OK)
		log_debug("%s: told to stop: no pause", s->from);
}

static WAITS void
put(struct session *s, enum reply_id id, struct str text)
{
	transcript_out(&s->transcript, text);
	transcript_trouble(&s->transcript, troubles[id]);
	pause_for_errors(s);
	if (s->lost)
		return;
	io_put(s->io, text);
	io_put(s->io, STR("\r\n"));
	s->unflushed += text.n + 2;
	if (s->unflushed >= FLUSH_AT)
		session_flush(s);
}

void
say_lines(struct session *s, struct str lines)
{
	transcript_out(&s->transcript, lines);
	if (!s->lost)
		io_put(s->io, lines);
}

void
say_with(struct session *s, enum reply_id id, struct str arg)
{
	struct buf text = BUF(0);

	say_render(session_params(s), id, arg, &text);
	put(s, id, buf_str(&text));
	buf_free(&text);
}

void
say(struct session *s, enum reply_id id)
{
	say_with(s, id, STR(""));
}

static void
add_field(struct buf *line, const char *name, struct str value)
{
	ENSURE(buf_printf(line, " %s=<", name) && buf_add_clean(line, value) && buf_addc(line, '>'));
}

void
say_rejected(struct session *s, const char *where, enum reply_id id, struct str arg, struct str rcpt)
{
	struct buf text = BUF(0), line = BUF(0);
	char qid[QID_TEXT];

	say_render(session_params(s), id, arg, &text);
	ENSURE(buf_printf(&line, "%s: reject: %s from %s: %s;", session_queue_id(s, qid), where, s->from,
	    buf_cstr(&text)));
	if (s->state & S_MAIL)
		add_field(&line, "from", buf_str(&s->transaction.sender));
	if (rcpt.n > 0)
		add_field(&line, "to", rcpt);
	ENSURE(buf_printf(&line, " proto=%s", s->esmtp ? "ESMTP" : "SMTP"));
	if (s->helo)
		add_field(&line, "helo", str_of(s->helo));
	log_info("%s", buf_cstr(&line));
	buf_free(&line);
	put(s, id, buf_str(&text));
	buf_free(&text);
}
