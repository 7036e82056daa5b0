/* SPDX-License-Identifier: Apache-2.0 */
/* What comes of a delivery: recipients finished, failed or tried again; journal, notice, removal.
 */
#include "qmgr/sched_core.h"

enum { RECORDS_ENOUGH = 1 << 20, RECORDS_MAX = 16 << 20 };

/* -- journal -- */

static struct records *
records_get(struct sched *s, struct message *m)
{
	struct records *rec = m->unrecorded;

	if (rec)
		return rec;
	rec = m->unrecorded = mem_new(sizeof *rec);
	*rec = (struct records){
		.m = m, .at = s->now + RECORD_SECONDS * SECOND, .buf = BUF(RECORDS_MAX)
	};
	list_push(&s->unrecorded, &rec->link);
	return rec;
}

static void
record_put(struct sched *s, struct message *m, const struct jrn_record *r)
{
	struct records *rec = records_get(s, m);

	ENSURE(jrn_record_put(&rec->buf, r));
	/* A deferral or failure that is forgotten costs one more attempt; the others would cost a
	 * second copy, a second notice, or an operator's word. */
	rec->durable |= r->type != JRN_T_DEFERRED && r->type != JRN_T_BOUNCED &&
			r->type != JRN_T_EXPIRED && r->type != JRN_T_REQUEUED;
	if (rec->buf.n > RECORDS_ENOUGH)
		records_flush(s, m);
}

void
record_rcpt(
    struct sched *s, struct message *m, const struct rcpt *r, enum jrn_type type, int64_t next_try)
{
	record_put(s, m,
	    &(struct jrn_record){ .type = (uint8_t)type,
		.at = s->wall,
		.index = r->index,
		.attempts = r->attempts,
		.next_try = next_try,
		.esc = reason_part(r->why, REASON_ESC),
		.text = reason_part(r->why, REASON_TEXT),
		.mta = reason_part(r->why, REASON_MTA),
		.diag = reason_part(r->why, REASON_DIAG) });
}

void
record_noticed(struct sched *s, struct message *m, const struct rcpt *r, enum jrn_type type)
{
	record_put(
	    s, m, &(struct jrn_record){ .type = (uint8_t)type, .at = s->wall, .index = r->index });
}

void
record_message(struct sched *s, struct message *m, enum jrn_type type)
{
	record_put(s, m, &(struct jrn_record){ .type = (uint8_t)type, .at = s->wall, .index = JRN_ALL });
}

static void
records_drop(struct message *m)
{
	if (m->unrecorded == NULL)
		return;
	list_remove(&m->unrecorded->link);
	buf_free(&m->unrecorded->buf);
	mem_free(&m->unrecorded);
}

void
records_flush(struct sched *s, struct message *m)
{
	if (m->unrecorded == NULL)
		return;
	s->verbs->record(s->arg, m, buf_str(&m->unrecorded->buf), m->unrecorded->durable);
	records_drop(m);
}

/* -- one delivery -- */

static struct rcpt *
parcel_rcpt(struct parcel *g, uint32_t index)
{
	struct rcpt *r = message_rcpts(parcel_message(g)) + g->first;
	uint32_t low = 0, high = g->n;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (r[mid].index < index)
			low = mid + 1;
		else
			high = mid;
	}
	return low < g->n && r[low].index == index && r[low].state == R_PENDING ? &r[low] : NULL;
}

static struct ending
ending_of(const struct message *m, const struct rcpt *r)
{
	return (struct ending){ .failed = r->failed,
		.warned = r->warned,
		.reported = m->reported,
		.notify = (uint8_t)r->notify,
		.action = (uint8_t)r->action };
}

void
rcpt_finish(struct sched *s, struct message *m, struct rcpt *r, bool failed)
{
	struct ending e;

	r->failed = failed;
	r->state = R_FINISHED;
	m->pending--;
	s->stats.recipients--;
	e = ending_of(m, r);
	rcpt_forget_delay(m, r);
	rcpt_owe(m, r, notices_at_end(s, m->flags, &e));
}

/* Sent, and nobody to be told of it. */
static bool
is_sent_quietly(const struct sched *s, struct parcel *g, const struct msg_outcome *o)
{
	const struct rcpt *r = parcel_rcpt(g, o->index);
	struct ending e;

	if (o->status != RCPT_SENT || r == NULL)
		return false;
	e = ending_of(parcel_message(g), r);
	e.failed = false;
	e.action = o->action;
	return notices_at_end(s, parcel_message(g)->flags, &e) == 0;
}

/* The usual end of a message: all that was left of it is delivered, and its journal need never be
 * written. */
static bool
all_sent(const struct sched *s, struct parcel *g, const struct result *res)
{
	const struct message *m = parcel_message(g);

	if (m->owed || m->inflight || m->pending != res->n)
		return false;
	for (size_t i = 0; i < res->n; i++) {
		const struct msg_outcome *o = &res->outcomes[i];

		/* As many as there are, all different and all of this parcel: none is left out. */
		if ((i && o->index <= o[-1].index) || !is_sent_quietly(s, g, o))
			return false;
	}
	return true;
}

static void
apply_outcome(struct sched *s, struct parcel *g, const struct msg_outcome *o, int64_t next_try)
{
	static const enum jrn_type sent[] = { [ACTION_DELIVERED] = JRN_T_SENT,
		[ACTION_RELAYED] = JRN_T_RELAYED,
		[ACTION_PASSED] = JRN_T_PASSED,
		[ACTION_EXPANDED] = JRN_T_EXPANDED };
	struct message *m = parcel_message(g);
	struct rcpt *r = parcel_rcpt(g, o->index);

	if (r == NULL)
		return;
	reason_set(s, &r->why, reason_get(s, o->esc, o->text, o->mta, o->diag));
	if (m->flags &
	    MF_VERIFY) { /* tried once, whatever came of it, and from the start after a crash */
		rcpt_finish(s, m, r, o->status != RCPT_SENT);
	} else if (o->status == RCPT_SENT) {
		r->action = o->action & 3U;
		rcpt_finish(s, m, r, false);
		record_rcpt(s, m, r, sent[r->action], 0);
	} else if (o->status == RCPT_BOUNCED) {
		rcpt_finish(s, m, r, true);
		record_rcpt(s, m, r, JRN_T_BOUNCED, 0);
	} else {
		rcpt_tried(m, r);
		if (o->status == RCPT_DAMAGED)
			s->verbs->damaged(s->arg, m);
		record_rcpt(s, m, r, JRN_T_DEFERRED, next_try);
	}
}

/* Recipients that the agent said nothing about get the destination's words. */
static void
apply_silence(struct sched *s, struct parcel *g, const struct result *res, int64_t next_try)
{
	struct message *m = parcel_message(g);
	struct str text = res->site_text.n ? res->site_text : STR("delivery agent gave no result");
	struct reason *why = NULL;

	for (uint32_t i = 0; i < res->n; i++) {
		struct rcpt *r = parcel_rcpt(g, res->outcomes[i].index);

		if (r)
			r->told = true;
	}
	for (struct rcpt *r = message_rcpts(m) + g->first, *end = r + g->n; r < end; r++) {
		if (r->state == R_PENDING && !r->told) {
			if (why == NULL)
				why = reason_get(s,
				    res->site == SITE_DOWN ? STR("4.4.1") : STR("4.3.0"), text,
				    STR(""), STR(""));
			why->refs++;
			reason_set(s, &r->why, why);
			if (m->flags & MF_VERIFY) {
				rcpt_finish(s, m, r, true);
				continue;
			}
			rcpt_tried(m, r);
			record_rcpt(s, m, r, JRN_T_DEFERRED, next_try);
		}
		r->told = false;
	}
	reason_put(s, &why);
}

/* Counts the attempt; returns how many recipients are left. */
static uint32_t
apply_result(struct sched *s, struct parcel *g, const struct result *res, int64_t next_try)
{
	struct rcpt *first = message_rcpts(parcel_message(g)) + g->first;
	uint32_t left = 0;

	for (struct rcpt *r = first; r < first + g->n; r++)
		if (r->state == R_PENDING && r->attempts < UINT16_MAX)
			r->attempts++;
	for (size_t i = 0; i < res->n; i++)
		apply_outcome(s, g, &res->outcomes[i], next_try);
	for (struct rcpt *r = first; r < first + g->n; r++)
		left += r->state == R_PENDING;
	if (left)
		apply_silence(s, g, res, next_try);
	return parcel_message(g)->flags & MF_VERIFY ? 0 : left;
}

/* Where a parcel with recipients left goes. */
static void
parcel_deferred(struct sched *s, struct parcel *g, enum site_state site, int64_t backoff)
{
	struct message *m = parcel_message(g);

	if (m->held || m->deleted)
		parcel_set(s, g, G_HELD);
	else if (message_expires(s, m) <= s->now)
		parcel_expire(s, g, NULL);
	else if (site == SITE_DOWN)
		parcel_wait(s, g, s->now + backoff);
	else
		parcel_retry(s, g, s->now + backoff);
}

static struct str
site_esc(const struct result *res)
{
	return res->n && res->outcomes[0].esc.n && res->outcomes[0].esc.p[0] == '4'
		   ? res->outcomes[0].esc
		   : STR("4.4.1");
}

static struct str
site_words(const struct result *res)
{
	if (res->site_text.n || res->n == 0)
		return res->site_text;
	return res->outcomes[0].text;
}

/* Its only recipient is another transport's to deliver.  That lasts until the message is read anew;
 * then it is asked of the first one again. */
static bool
parcel_passed(struct sched *s, struct parcel *g, const struct result *res)
{
	const struct msg_outcome *o = res->outcomes;
	size_t colon;

	if (g->n != 1 || res->n != 1 || o->status != RCPT_PASSED ||
	    parcel_rcpt(g, o->index) == NULL)
		return false;
	colon = str_find(o->text, ':');
	if (colon == 0)
		return false;
	parcel_move(s, g, dest_get(s, str_sub(o->text, 0, colon), str_sub(o->text, colon + 1, o->text.n)));
	g->passed = true;
	if (parcel_message(g)->held || parcel_message(g)->deleted)
		parcel_set(s, g, G_HELD);
	else
		parcel_ready(s, g, false);
	return true;
}

void
delivery_result(struct sched *s, struct delivery *del, const struct result *res)
{
	struct parcel *g = del->parcel;
	struct message *m = parcel_message(g);
	struct dest *d = g->dest;
	int64_t backoff;

	delivery_end(s, del);
	dest_feedback(s, d, del, res->site, site_esc(res), site_words(res));
	if (all_sent(s, g, res)) {
		records_drop(m);
		s->stats.recipients -= m->pending;
		m->pending = 0;
		parcel_done(s, g);
	} else if (!parcel_passed(s, g, res)) {
		/* What a lost agent did is tried again early: it may have been about to succeed. */
		backoff = res->site == SITE_UNKNOWN && res->n == 0
			      ? jitter(s, s->settings.minimal_backoff * SECOND)
			      : message_backoff(s, m);
		if (apply_result(s, g, res, s->wall + backoff) > 0)
			parcel_deferred(s, g, res->site, backoff);
		else
			parcel_done(s, g);
	}
	dest_place(s, d);
	message_settle(s, m);
}

/* -- the message as a whole -- */

static void
message_remove(struct sched *s, struct message *m)
{
	records_drop(m);
	message_unlink(s, m);
	s->verbs->remove(s->arg, m);
	message_free(s, m);
}

static enum spool_dir
place_of(const struct message *m)
{
	return m->held ? SPOOL_HOLD : SPOOL_DEFERRED;
}

/* Where it cannot be moved now it waits its turn, and may be delivered from where it is meanwhile. */
void
message_move(struct sched *s, struct message *m, enum spool_dir to)
{
	if (m->inflight || m->moving || m->dir == to)
		return;
	m->moving = s->verbs->move(s->arg, m, to);
	m->moving_to_hold = to == SPOOL_HOLD;
	if (m->moving || m->to_move)
		return;
	m->to_move = true;
	fifo_push(&s->to_move, m->id);
}

void
sched_may_move(struct sched *s)
{
	struct message *m;
	uint64_t id;

	for (bool room = true; room && fifo_pop(&s->to_move, &id);) {
		if ((m = sched_find(s, id)) == NULL)
			continue;
		m->to_move = false;
		if (m->active || m->deleted || m->pending == 0) /* it is asked again when it settles */
			continue;
		message_move(s, m, place_of(m));
		room = !m->to_move;
	}
}

void
message_settle(struct sched *s, struct message *m)
{
	if (m->inflight)
		return;
	if (m->deleted) {
		message_remove(s, m);
		return;
	}
	if (m->active)
		return;
	notices_ask(s, m, true);
	if (m->pending == 0 && m->owed == 0) {
		message_remove(s, m);
		return;
	}
	if (m->pending == 0)
		return; /* the notice will be durable in a moment */
	records_flush(s, m);
	message_move(s, m, place_of(m));
}

void
sched_moved(struct sched *s, uint64_t id, enum spool_dir dir)
{
	struct message *m = sched_find(s, id);

	if (m == NULL)
		return;
	m->moving = false;
	m->dir = (unsigned)dir & 15U;
	for (struct parcel *g = m->parcels; g < m->parcels + m->nparcels; g++)
		if (g->state == G_PARKED)
			parcel_ready(s, g, false);
	/* An operator has said otherwise since; a move that failed is not tried again for that. */
	if (m->held != m->moving_to_hold && !m->deleted)
		message_move(s, m, place_of(m));
}

void
message_free(struct sched *s, struct message *m)
{
	struct rcpt *r = message_rcpts(m);

	records_drop(m);
	heap_del(&s->warnings, &m->warning);
	for (struct parcel *g = m->parcels + m->nparcels; g-- > m->parcels;) {
		ENSURE(g->state != G_FLIGHT);
		if (g->state != G_DONE)
			parcel_done(s, g);
	}
	for (uint32_t i = 0; i < m->nrcpts; i++, r++)
		reason_put(s, &r->why);
	s->stats.recipients -= m->pending;
	s->stats.messages--;
	s->stats.bytes -= m->bytes;
	free(m);
}
