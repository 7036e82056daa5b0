/* SPDX-License-Identifier: Apache-2.0 */
/* What the sender is told: which notices are due, one asked for at a time, and what is written down
 * when one is durable. */
#include "qmgr/sched_core.h"

enum { NO_NOTICE = 15 };

static uint8_t
bit(enum notice_kind kind)
{
	return (uint8_t)(1U << kind);
}

/* Those for which the message stays until they are durable; a warning of delay is nothing worth
 * once the mail is delivered. */
static uint8_t
kept_for(const struct rcpt *r)
{
	return r->due & (uint8_t)~bit(NOTICE_DELAY);
}

static bool
wants(uint8_t notify, uint8_t what)
{
	return notify == 0 ? what != NOTIFY_SUCCESS : (notify & what) != 0;
}

uint8_t
notices_at_end(const struct sched *s, uint32_t flags, const struct ending *e)
{
	uint8_t due = 0;
	bool told = (flags & MF_REPORT) && !e->reported;

	if (flags & MF_VERIFY)
		return bit(NOTICE_REPORT);
	if (e->failed && !e->noticed && wants(e->notify, NOTIFY_FAILURE))
		due |= bit(NOTICE_FAILURE);
	/* Where the next host tells of success, it knows nothing of our warning. */
	if (!e->failed && !e->noticed &&
	    ((wants(e->notify, NOTIFY_SUCCESS) && e->action != ACTION_PASSED) ||
		(s->settings.confirm_delay && e->warned && wants(e->notify, NOTIFY_DELAY))))
		due |= bit(NOTICE_SUCCESS);
	return told ? due | bit(NOTICE_REPORT) : due;
}

void
rcpt_owe(struct message *m, struct rcpt *r, uint8_t due)
{
	bool was = kept_for(r) != 0;

	r->due |= due & 15U;
	m->owed += !was && kept_for(r) != 0;
}

void
rcpt_tried(struct message *m, struct rcpt *r)
{
	if ((m->flags & MF_REPORT) && !m->reported)
		rcpt_owe(m, r, bit(NOTICE_REPORT));
}

void
rcpt_forget_delay(struct message *m, struct rcpt *r)
{
	r->due &= 15U & (unsigned)~bit(NOTICE_DELAY);
	if (m->asking == NOTICE_DELAY)
		r->asked = false;
}

bool
message_asking(const struct message *m)
{
	return m->asking != NO_NOTICE;
}

void
notices_init(struct sched *s, struct message *m)
{
	m->asking = NO_NOTICE;
	notices_schedule(s, m);
}

/* -- asking -- */

static bool
mark(struct message *m, enum notice_kind kind)
{
	bool any = false;

	for (struct rcpt *r = message_rcpts(m), *end = r + m->nrcpts; r < end; r++) {
		r->asked = (r->due & bit(kind)) != 0;
		any |= r->asked;
	}
	return any;
}

static enum jrn_type
record_of(enum notice_kind kind)
{
	return kind == NOTICE_DELAY    ? JRN_T_WARNED
	       : kind == NOTICE_REPORT ? JRN_T_REPORTED
				       : JRN_T_NOTICED;
}

/* What has become due since is not among those told of, so each is recorded by itself. */
static void
notice_done(struct sched *s, struct message *m)
{
	enum notice_kind kind = (enum notice_kind)m->asking;
	struct rcpt *first = message_rcpts(m), *end = first + m->nrcpts;

	m->asking = NO_NOTICE;
	m->reported |= kind == NOTICE_REPORT;
	for (struct rcpt *r = first; r < end; r++) {
		bool kept = kept_for(r) != 0;

		if (!r->asked)
			continue;
		r->due &= 15U & (unsigned)~bit(kind);
		r->warned |= kind == NOTICE_DELAY;
		m->owed -= kept && kept_for(r) == 0;
	}
	for (struct rcpt *r = first; r < end; r++) {
		if (r->asked && (m->pending || m->owed))
			record_noticed(s, m, r, record_of(kind));
		r->asked = false;
	}
}

void
notices_ask(struct sched *s, struct message *m, bool settled)
{
	static const enum notice_kind order[] = { NOTICE_DELAY, NOTICE_FAILURE, NOTICE_SUCCESS,
		NOTICE_REPORT };

	for (size_t i = 0; i < countof(order) && !message_asking(m); i++) {
		enum notice_kind kind = order[i];

		if (kind != NOTICE_DELAY && !settled)
			return;
		/* A trial ends with one report of all. */
		if ((m->flags & MF_VERIFY) && m->pending)
			return;
		if (!mark(m, kind))
			continue;
		m->asking = (unsigned)kind & 15U;
		if (!s->verbs->notice(s->arg, m, kind))
			notice_done(s, m);
	}
}

void
sched_noticed(struct sched *s, uint64_t id)
{
	struct message *m = sched_find(s, id);

	if (m == NULL || !message_asking(m))
		return;
	notice_done(s, m);
	if (m->pending || m->owed)
		records_flush(s, m);
	if (m->active || m->inflight)
		notices_ask(s, m, false);
	message_settle(s, m);
}

static uint8_t
action_of(const struct message *m, const struct rcpt *r)
{
	if (m->flags & MF_VERIFY)
		return r->failed ? ACTION_UNDELIVERABLE : ACTION_DELIVERABLE;
	if (r->state == R_PENDING)
		return ACTION_DELAYED;
	return r->failed ? ACTION_FAILED : (uint8_t)r->action;
}

bool
sched_notice(const struct message *m, uint32_t i, struct msg_failed *out)
{
	const struct rcpt *r = message_rcpts(m) + i;

	if (i >= m->nrcpts || !r->asked)
		return false;
	*out = (struct msg_failed){ .index = r->index,
		.action = action_of(m, r),
		.addr = rcpt_addr(m, r),
		.orig = rcpt_orig(m, r),
		.expired = r->expired,
		.esc = r->why ? reason_part(r->why, REASON_ESC) : STR("4.0.0"),
		.text =
		    r->why ? reason_part(r->why, REASON_TEXT) : STR("no attempt was possible yet"),
		.mta = reason_part(r->why, REASON_MTA),
		.diag = reason_part(r->why, REASON_DIAG) };
	return true;
}

bool
sched_noticing(const struct message *m)
{
	return message_asking(m);
}

/* -- warnings of delay -- */

static bool
wants_warning(const struct message *m, const struct rcpt *r)
{
	return r->state == R_PENDING && !r->warned && !(m->flags & MF_VERIFY) &&
	       wants(r->notify, NOTIFY_DELAY);
}

void
notices_schedule(struct sched *s, struct message *m)
{
	int64_t at = s->now + (m->arrived + s->settings.warning * SECOND - s->wall);
	/* Mail that is old when we start has not been tried by us yet. */
	int64_t soonest = s->now + s->settings.minimal_backoff * SECOND;
	bool any = false;

	for (struct rcpt *r = message_rcpts(m), *end = r + m->nrcpts;
	     r < end && s->settings.warning; r++)
		any |= wants_warning(m, r);
	if (any)
		heap_put(&s->warnings, &m->warning, at > s->now ? at : soonest);
	else
		heap_del(&s->warnings, &m->warning);
}

void
notices_warn(struct sched *s, struct message *m)
{
	if (m->held) {
		heap_put(&s->warnings, &m->warning, s->now + s->settings.minimal_backoff * SECOND);
		return;
	}
	for (struct rcpt *r = message_rcpts(m), *end = r + m->nrcpts; r < end; r++)
		if (wants_warning(m, r))
			rcpt_owe(m, r, bit(NOTICE_DELAY));
	notices_ask(s, m, false);
}
