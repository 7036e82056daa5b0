/* SPDX-License-Identifier: Apache-2.0 */
/* The envelope: MAIL and RCPT. */
#include "mail/addr.h"
#include "smtpd/arguments.h"
#include "smtpd/session.h"
#include "util/log.h"

enum {
	RCPT_TEXT_MAX = 64 << 20,
	DUPLICATES_MAX = 1000,                         /* recipients among which duplicates are looked for */
	SPACE_WARNING_PAUSE = 10,                      /* seconds */
};

static void
log_bad_syntax(const struct session *s, const char *verb, struct str arg)
{
	struct buf text = BUF(0);

	ENSURE(buf_add_clean(&text, str_sub(arg, 0, 100)));
	log_warn("Illegal address syntax from %s in %s command: %s", s->from, verb, buf_cstr(&text));
	buf_free(&text);
}

/* Each client that is turned away has a line of its own; this one is for who can do something about it. */
static void
warn_no_space(void)
{
	static struct time next;
	struct time now = time_now();

	if (time_before(now, next))
		return;
	next = time_after(now, SPACE_WARNING_PAUSE);
	log_warn("not enough free space in mail queue: %s", err_why());
}

static enum reply_id
check_size(const struct session *s, uint64_t size)
{
	const struct params *p = session_params(s);

	if (p->message_size_limit > 0 && size > (uint64_t)p->message_size_limit)
		return SAY_SIZE_LIMIT;
	if (memory_is_short(s->smtpd))
		return SAY_NO_SPACE;
	switch (policy_space(s->smtpd, size)) {
	case OK:
		return SAY_OK;
	case E_NOSPACE:
		warn_no_space();
		return SAY_NO_SPACE;
	default:
		log_warn("free space in mail queue: %s", err_why());
		return SAY_WRITE_ERROR;
	}
}

enum verdict
do_mail(struct session *s, struct str arg)
{
	const struct params *p = session_params(s);
	struct transaction *t = &s->transaction;
	struct mail_args a;
	struct str word;
	enum reply_id r;

	arguments_init(&a);
	r = mail_args_parse(arg, policy_arguments(s), &a, &word);
	if (r == SAY_BAD_SENDER)
		log_bad_syntax(s, "MAIL", arg);
	if (r != SAY_OK) {
		say_with(s, r, word);
	} else if ((r = check_size(s, a.size)) != SAY_OK) {
		say_rejected(s, "MAIL", r, STR(""), STR(""));
	} else {
		t->sender = BUF(2 * ADDR_MAX);
		(void)full_address(p, &a, &t->sender);
		t->text = BUF(RCPT_TEXT_MAX);
		t->arrived = wall_now();
		t->body8 = a.body8;
		t->utf8 = a.utf8;
		t->ret = a.ret;
		t->envid = a.envid;
		a.envid = BUF(0);
		s->state |= S_MAIL;
		say(s, SAY_MAIL_OK);
	}
	arguments_fini(&a);
	return r == SAY_OK ? V_OK : V_BAD;
}

static bool
is_known(const struct transaction *t, struct str address, uint64_t hash)
{
	for (size_t i = 0; i < t->nrcpts && i < DUPLICATES_MAX; i++)
		if (t->rcpts[i].hash == hash &&
		    address_same(str_sub(buf_str(&t->text), t->rcpts[i].at, t->rcpts[i].addr_n), address))
			return true;
	return false;
}

/* False: no room. */
static bool
add(struct transaction *t, struct str address, const struct mail_args *a)
{
	struct str orig = buf_str(&a->address);
	uint64_t hash = address_hash(address);
	size_t at = t->text.n;

	if (is_known(t, address, hash))
		return true;
	if (str_eq(address, orig))
		orig = STR("");
	if (!buf_add(&t->text, address) || !buf_add(&t->text, orig) || !buf_add(&t->text, buf_str(&a->orcpt))) {
		buf_cut(&t->text, at);
		return false;
	}
	if (t->nrcpts == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 4;
		t->rcpts = mem_grow(t->rcpts, t->cap * sizeof *t->rcpts);
	}
	t->rcpts[t->nrcpts++] = (struct rcpt_place){
		.at = (uint32_t)at,
		.addr_n = (uint32_t)address.n,
		.orig_n = (uint32_t)orig.n,
		.orcpt_n = (uint16_t)a->orcpt.n,
		.notify = a->notify,
		.hash = hash,
	};
	return true;
}

static WAITS enum verdict
refuse_more(struct session *s, enum reply_id why)
{
	say(s, why);
	return s->transaction.overshoot++ < (size_t)session_params(s)->smtpd_recipient_overshoot_limit ? V_OK : V_BAD;
}

static WAITS enum verdict
take_rcpt(struct session *s, const struct mail_args *a, struct str full)
{
	struct transaction *t = &s->transaction;
	char qid[QID_TEXT];

	if (memory_is_short(s->smtpd))
		return refuse_more(s, SAY_NO_SPACE);
	if (t->accepted >= (size_t)session_params(s)->smtpd_recipient_limit || !add(t, full, a))
		return refuse_more(s, SAY_TOO_MANY_RCPTS);
	session_account(s);
	if (t->id == 0) {
		t->id = qid_new();
		log_info("%s: client=%s", session_queue_id(s, qid), s->from);
	}
	t->accepted++;
	s->state |= S_RCPT;
	say(s, SAY_RCPT_OK);
	return V_OK;
}

enum verdict
do_rcpt(struct session *s, struct str arg)
{
	const struct params *p = session_params(s);
	struct mail_args a;
	struct str word;
	enum reply_id r;
	enum verdict v = V_BAD;
	struct buf full = BUF(2 * ADDR_MAX), what = BUF(0);

	arguments_init(&a);
	r = rcpt_args_parse(arg, policy_arguments(s), &a, &word);
	(void)full_address(p, &a, &full);
	if (r == SAY_BAD_RCPT)
		log_bad_syntax(s, "RCPT", arg);
	if (r != SAY_OK) {
		say_with(s, r, word);
	} else if ((r = policy_rcpt(s, buf_str(&a.address), buf_str(&full), &what)) == SAY_OK) {
		v = take_rcpt(s, &a, buf_str(&full));
	} else {
		say_rejected(s, "RCPT", r, buf_str(&what), buf_str(&a.address));
	}
	buf_free(&full);
	buf_free(&what);
	arguments_fini(&a);
	return v;
}

void
transaction_envelope(const struct session *s, struct spool_msg *m)
{
	const struct transaction *t = &s->transaction;

	*m = (struct spool_msg){
		.id = t->id,
		.arrived = t->arrived,
		.flags = (t->body8 ? MF_BODY8 : 0U) | (t->utf8 ? MF_UTF8 : 0U),
		.sender = buf_str(&t->sender),
		.ret = t->ret,
		.envid = buf_str(&t->envid),
		.rcpts = mem_array(t->nrcpts, sizeof *m->rcpts),
		.nrcpts = t->nrcpts,
		.client_name = str_of(s->name),
		.client_addr = str_of(s->address),
		.client_helo = str_of(s->helo ? s->helo : ""),
		.protocol = s->esmtp ? STR("ESMTP") : STR("SMTP"),
	};
	for (size_t i = 0; i < t->nrcpts; i++) {
		const struct rcpt_place *r = &t->rcpts[i];
		struct str rest = str_sub(buf_str(&t->text), r->at, (size_t)r->addr_n + r->orig_n + r->orcpt_n);

		m->rcpts[i] = (struct spool_rcpt){
			.addr = str_sub(rest, 0, r->addr_n),
			.orig = str_sub(rest, r->addr_n, r->orig_n),
			.notify = r->notify,
			.orcpt = str_sub(rest, (size_t)r->addr_n + r->orig_n, r->orcpt_n),
		};
	}
}
