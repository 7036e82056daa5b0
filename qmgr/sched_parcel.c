/* SPDX-License-Identifier: Apache-2.0 */
/* Parcels: their states, the lanes in which they wait for their turn, and their timers.
 *
 *	HELD     an operator's
 *	RETRY    until its own time
 *	WAIT     for its destination, transport or a flush; a timer says so in the log, and expires it
 *	ROUTE    until the daemon says where it goes by now
 *	READY    in a lane.  Its timer finds out when nothing can come of that, and makes it WAIT
 *	TURN     behind a READY one of the same message and destination
 *	PARKED   its message is being moved on disk
 *	FLIGHT   being delivered */
#include "qmgr/sched_core.h"

static struct lane **
lane_slot(struct sched *s, const struct dest *d, uint32_t sender)
{
	uint64_t h = (d->serial * LANES_MAX + sender) * UINT64_C(0x9E3779B97F4A7C15);

	return &s->lanes[h >> 20 & (s->nlanes - 1)];
}

static void
lanes_grow(struct sched *s)
{
	size_t former = s->nlanes;
	struct lane **slots = s->lanes;

	s->nlanes = former ? 2 * former : 64;
	s->lanes = mem_array(s->nlanes, sizeof(struct lane *));
	for (size_t i = 0; i < former; i++)
		for (struct lane *l = slots[i], *next; l; l = next) {
			struct lane **slot = lane_slot(s, l->dest, l->sender);

			next = l->next;
			l->next = *slot;
			*slot = l;
		}
	free(slots);
}

struct lane *
lane_get(struct sched *s, struct dest *d, uint32_t sender)
{
	struct lane *l, **slot;

	if (s->lanes_used >= s->nlanes)
		lanes_grow(s);
	slot = lane_slot(s, d, sender);
	for (l = *slot; l; l = l->next)
		if (l->dest == d && l->sender == sender)
			return l;
	l = mem_new(sizeof *l);
	*l = (struct lane){ .next = *slot, .dest = d, .sender = sender };
	list_init(&l->parcels);
	*slot = l;
	s->lanes_used++;
	list_push(&d->lanes, &l->link);
	return l;
}

static void
lane_free(struct sched *s, struct lane *l)
{
	struct lane **slot = lane_slot(s, l->dest, l->sender);

	while (*slot != l)
		slot = &(*slot)->next;
	*slot = l->next;
	s->lanes_used--;
	list_remove(&l->link);
	free(l);
}

/* How far from now its message fails for good. */
int64_t
message_expires(const struct sched *s, const struct message *m)
{
	int64_t life = m->sender_n ? s->settings.lifetime : s->settings.bounce_lifetime;

	if (m->forced)
		return s->now;
	return s->now + (m->arrived + life * SECOND - s->wall);
}

int64_t
jitter(struct sched *s, int64_t t)
{
	uint64_t x = s->random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	s->random = x;
	/* 0.85 … 1.15 */
	return t - t * 15 / 100 +
	       (int64_t)((double)(x >> 11) / (double)(UINT64_C(1) << 53) * (double)t * 0.30);
}

int64_t
message_backoff(struct sched *s, const struct message *m)
{
	int64_t age = s->wall - m->arrived;

	if (age > s->settings.maximal_backoff * SECOND)
		age = s->settings.maximal_backoff * SECOND;
	if (age < s->settings.minimal_backoff * SECOND)
		age = s->settings.minimal_backoff * SECOND;
	return jitter(s, age);
}

void
parcel_set(struct sched *s, struct parcel *g, enum parcel_state state)
{
	struct message *m = parcel_message(g);
	bool was = parcel_active(g->state), is = parcel_active((uint8_t)state);

	g->state = (uint8_t)state;
	if (was && !is)
		m->active--;
	if (is && !was && m->active++ == 0) {
		m->queued = s->wall;
		if (s->verbs->active)
			s->verbs->active(s->arg, m, m->pending);
	}
}

static bool
has_turn_before(const struct parcel *g)
{
	const struct parcel *before = g - 1;

	return g->place > 0 && before->dest == g->dest &&
	       (before->state == G_READY || before->state == G_TURN);
}

static int64_t
first_look(const struct sched *s, const struct parcel *g)
{
	return dest_blocked(s, g->dest) == WHY_SITE ? s->now : s->now + GRACE_SECONDS * SECOND;
}

void
parcel_ready(struct sched *s, struct parcel *g, bool front)
{
	struct message *m = parcel_message(g);

	if (m->moving) {
		parcel_set(s, g, G_PARKED);
		return;
	}
	if (!front && has_turn_before(g)) {
		parcel_set(s, g, G_TURN);
		return;
	}
	g->lane = lane_get(s, g->dest, (uint32_t)(str_hash(message_sender(m)) % LANES_MAX));
	if (front) {
		list_push_front(&g->lane->parcels, &g->link);
		list_remove(&g->lane->link);
		list_push_front(&g->dest->lanes, &g->lane->link);
	} else {
		list_push(&g->lane->parcels, &g->link);
	}
	parcel_set(s, g, G_READY);
	heap_put(&s->parcel_timers, &g->timer, first_look(s, g));
	dest_place(s, g->dest);
}

void
parcel_take(struct sched *s, struct parcel *g)
{
	heap_del(&s->parcel_timers, &g->timer);
	list_remove(&g->link);
	if (g->lane && list_empty(&g->lane->parcels))
		lane_free(s, g->lane);
	g->lane = NULL;
}

void
parcel_next_turn(struct sched *s, struct parcel *g)
{
	struct parcel *after = g + 1;

	if (g->place + 1 < parcel_message(g)->nparcels && after->state == G_TURN &&
	    after->dest == g->dest)
		parcel_ready(s, after, false);
}

/* Wait for the destination; `until`: when to look again if nobody lets it go. */
void
parcel_wait(struct sched *s, struct parcel *g, int64_t until)
{
	int64_t expires = message_expires(s, parcel_message(g));

	parcel_take(s, g);
	list_push(&g->dest->waiting, &g->link);
	parcel_set(s, g, G_WAIT);
	heap_put(
	    &s->parcel_timers, &g->timer, expires < until && expires > s->now ? expires : until);
}

void
parcel_retry(struct sched *s, struct parcel *g, int64_t at)
{
	int64_t expires = message_expires(s, parcel_message(g));

	parcel_take(s, g);
	parcel_set(s, g, G_RETRY);
	heap_put(&s->parcel_timers, &g->timer, expires < at && expires > s->now ? expires : at);
}

void
parcel_done(struct sched *s, struct parcel *g)
{
	struct dest *d = g->dest;

	parcel_take(s, g);
	parcel_set(s, g, G_DONE);
	dest_unref(s, d);
}

/* Its recipients have failed for good.  otherwise: why, for those that were never tried. */
void
parcel_expire(struct sched *s, struct parcel *g, struct reason *otherwise)
{
	struct message *m = parcel_message(g);
	struct rcpt *r = message_rcpts(m) + g->first;

	for (uint32_t i = 0; i < g->n; i++, r++) {
		if (r->state != R_PENDING)
			continue;
		if (r->why == NULL && otherwise) {
			otherwise->refs++;
			r->why = otherwise;
		}
		r->expired = true;
		rcpt_finish(s, m, r, true);
		record_rcpt(s, m, r, JRN_T_EXPIRED, 0);
	}
	parcel_done(s, g);
	if (!m->expiry_told && s->verbs->expired)
		s->verbs->expired(s->arg, m);
	m->expiry_told = true;
}

/* The end of a trial: what could not be tried now is not tried later. */
static void
parcel_give_up(struct sched *s, struct parcel *g, struct reason *why)
{
	struct message *m = parcel_message(g);
	struct rcpt *r = message_rcpts(m) + g->first;

	for (uint32_t i = 0; i < g->n; i++, r++) {
		if (r->state != R_PENDING)
			continue;
		why->refs++;
		reason_set(s, &r->why, why);
		rcpt_finish(s, m, r, true);
	}
	parcel_done(s, g);
}

static struct reason *
blocked_reason(struct sched *s, const struct dest *d, enum sched_why why)
{
	struct str esc, words;

	switch (why) {
	case WHY_TRANSPORT:
		return reason_get(
		    s, STR("4.3.0"), STR("mail transport unavailable"), STR(""), STR(""));
	case WHY_DEFER:
		return reason_get(s, STR("4.3.2"), STR("deferred transport"), STR(""), STR(""));
	default:
		break;
	}
	esc = reason_part(d->why, REASON_ESC);
	words = reason_part(d->why, REASON_TEXT);
	buf_clear(&s->text);
	(void)(buf_add(&s->text, STR("delivery temporarily suspended: ")) &&
	       buf_add(&s->text, words.n ? words : STR("destination is down")));
	return reason_get(s, esc.n ? esc : STR("4.4.1"), buf_str(&s->text), STR(""), STR(""));
}

/* Say so in the log, remember it for who asks, and look again in a while. */
static void
parcel_suspend(struct sched *s, struct parcel *g, enum sched_why why)
{
	struct message *m = parcel_message(g);
	struct rcpt *r = message_rcpts(m) + g->first;
	struct reason *reason = blocked_reason(s, g->dest, why);
	bool ready = g->state == G_READY;

	if (m->flags & MF_VERIFY) {
		parcel_give_up(s, g, reason);
	} else if (message_expires(s, m) <= s->now) {
		parcel_expire(s, g, reason);
	} else {
		for (uint32_t i = 0; i < g->n; i++, r++) {
			if (r->state != R_PENDING)
				continue;
			if (s->verbs->suspended)
				s->verbs->suspended(s->arg, m, rcpt_addr(m, r), rcpt_orig(m, r),
				    reason_part(reason, REASON_ESC),
				    reason_part(reason, REASON_TEXT));
			/* What a host once said tells an operator more than that we wait. */
			if (r->attempts == 0) {
				reason->refs++;
				reason_set(s, &r->why, reason);
			}
			rcpt_tried(m, r);
		}
		parcel_wait(s, g, s->now + message_backoff(s, m));
	}
	reason_put(s, &reason);
	dest_place(s, g->dest);
	if (ready)
		parcel_next_turn(s, g);
	message_settle(s, m);
}

void
parcel_look(struct sched *s, struct parcel *g)
{
	struct dest *d = g->dest;
	enum sched_why why = dest_blocked(s, d);

	/* What is ready in a deferred transport was flushed. */
	if (d->t->limits.deferred && g->state != G_READY)
		why = WHY_DEFER;
	if (why != WHY_TURN) {
		parcel_suspend(s, g, why);
	} else if (g->state != G_READY) {
		parcel_take(s, g);
		parcel_ready(s, g, false);
	} else {
		heap_put(&s->parcel_timers, &g->timer,
		    s->now + (d->t->agents ? s->settings.minimal_backoff : GRACE_SECONDS) * SECOND);
	}
}

void
parcel_timer(struct sched *s, struct parcel *g)
{
	if (g->state == G_READY)
		parcel_look(s, g);
	else
		parcel_again(s, g, g->put_off ? (enum parcel_then)g->then : THEN_LOOK);
}
