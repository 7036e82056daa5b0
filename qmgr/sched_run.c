/* SPDX-License-Identifier: Apache-2.0 */
/* Timers and deliveries: which destination gets a free agent, and which of its parcels. */
#include "qmgr/sched_core.h"

/* -- deliveries under way -- */

static uint64_t
delivery_name(const struct delivery *del)
{
	return (uint64_t)del->turn << 32 | del->slot;
}

static struct delivery *
delivery_new(struct sched *s)
{
	struct list *l = list_pop(&s->free_deliveries);
	struct delivery *del;

	if (l) {
		del = container_of(l, struct delivery, by_age);
	} else {
		if ((s->ndeliveries & (s->ndeliveries - 1)) == 0)
			s->deliveries = mem_grow(s->deliveries,
			    (s->ndeliveries ? 2 * s->ndeliveries : 1) * sizeof(struct delivery *));
		del = mem_new(sizeof *del);
		del->slot = (uint32_t)s->ndeliveries;
		s->deliveries[s->ndeliveries++] = del;
	}
	/* A name is not used again soon: a late answer must not be taken for another's. */
	if (++del->turn == 0)
		del->turn = 1;
	return del;
}

static struct delivery *
delivery_find(const struct sched *s, uint64_t name)
{
	uint32_t slot = (uint32_t)name;

	if (slot >= s->ndeliveries || s->deliveries[slot]->parcel == NULL)
		return NULL;
	return delivery_name(s->deliveries[slot]) == name ? s->deliveries[slot] : NULL;
}

static void
agent_load(struct agent *a)
{
	if (a->busy < a->capacity)
		heap_put(&a->t->free, &a->load, (int64_t)a->busy * 1000000 / a->capacity);
	else
		heap_del(&a->t->free, &a->load);
}

/* The agent and the destination have one less; what becomes of the parcel is the caller's to say.
 */
void
delivery_end(struct sched *s, struct delivery *del)
{
	struct parcel *g = del->parcel;
	struct dest *d = g->dest;

	ENSURE(d->busy > 0);
	list_remove(&del->by_agent);
	list_remove(&del->by_age);
	list_remove(&del->by_late);
	if (del->agent) {
		ENSURE(del->agent->busy > 0);
		del->agent->busy--;
		agent_load(del->agent);
	}
	d->busy--;
	if (!d->quick)
		d->t->suspects--;
	parcel_message(g)->inflight--;
	s->stats.deliveries--;
	del->parcel = NULL;
	list_push(&s->free_deliveries, &del->by_age);
}

/* -- choosing -- */

static struct dest *
ring_first(struct transport *t, enum ring ring)
{
	struct list *l = list_first(&t->rings[ring]);

	return l ? container_of(l, struct dest, ring_link) : NULL;
}

/* May one more delivery go to a destination that is not quick?  Strangers always find more room
 * than suspects, or these could keep them strangers. */
static bool
room_for_suspect(const struct sched *s, const struct transport *t, enum ring ring)
{
	bool wanted = s->now - t->quick_seen < QUICK_SECONDS * SECOND;
	uint64_t eighths = ring == RING_NEW ? 7 : wanted ? 4 : 6;
	uint64_t most = t->capacity * eighths / 8;

	return t->suspects < (most ? most : 1);
}

static struct dest *
transport_pick(const struct sched *s, struct transport *t)
{
	static const uint8_t order[4][3] = {
		{RING_QUICK,    RING_NEW,   RING_SUSPECT},
		{ RING_NEW,     RING_QUICK, RING_SUSPECT},
		{ RING_QUICK,   RING_NEW,   RING_SUSPECT},
		{ RING_SUSPECT, RING_QUICK, RING_NEW    },
	};
	const uint8_t *o = order[t->turn % 4];

	if (!list_empty(&t->rings[RING_QUICK]))
		t->quick_seen = s->now;
	for (int i = 0; i < 3; i++) {
		struct dest *d = ring_first(t, o[i]);

		if (d && (o[i] == RING_QUICK || room_for_suspect(s, t, o[i])))
			return d;
	}
	return NULL;
}

static struct parcel *
first_parcel(struct list *l)
{
	struct list *first = list_first(l);

	return first ? container_of(first, struct parcel, link) : NULL;
}

/* The next parcel of a destination, out of its list; NULL: there is none after all. */
static struct parcel *
dest_next(struct sched *s, struct dest *d)
{
	struct parcel *g;

	for (int i = 0; i < RELEASE_AT_ONCE && (g = first_parcel(&d->released)) != NULL; i++) {
		parcel_take(s, g);
		parcel_ready(s, g, false);
	}
	for (;;) {
		struct lane *lane = NULL;

		if (!list_empty(&d->lanes)) {
			lane = container_of(d->lanes.next, struct lane, link);
			list_remove(&lane->link);
			list_push(&d->lanes, &lane->link);
			g = first_parcel(&lane->parcels);
		} else if ((g = first_parcel(&d->released)) == NULL && d->state == DEST_DEAD) {
			g = first_parcel(&d->waiting);
		}
		if (g == NULL)
			return NULL;
		parcel_take(s, g);
		if (!parcel_message(g)->moving)
			return g;
		parcel_set(s, g, G_PARKED);
		if (lane)
			parcel_next_turn(s, g);
	}
}

static void
tell_agent(struct sched *s, struct delivery *del)
{
	struct parcel *g = del->parcel;
	struct message *m = parcel_message(g);
	const struct rcpt *r = message_rcpts(m) + g->first;
	struct sched_delivery out = { .delivery = delivery_name(del),
		.agent = del->agent->owner,
		.m = m,
		.queued = { m->queued },
		.nexthop = g->dest->nexthop };

	if (s->rcpts_cap < g->n) {
		s->rcpts_cap = g->n;
		s->rcpts = mem_grow(s->rcpts, s->rcpts_cap * sizeof *s->rcpts);
	}
	for (uint32_t i = 0; i < g->n; i++, r++)
		if (r->state == R_PENDING)
			s->rcpts[out.n++] =
			    (struct msg_rcpt){ r->index, rcpt_addr(m, r), rcpt_orig(m, r), r->notify };
	out.rcpts = s->rcpts;
	s->verbs->deliver(s->arg, &out);
}

/* a: NULL as in struct delivery. */
static struct delivery *
delivery_begin(struct sched *s, struct parcel *g, struct agent *a)
{
	struct delivery *del = delivery_new(s);
	struct dest *d = g->dest;

	del->parcel = g;
	del->agent = a;
	del->started = s->now;
	del->probe = d->state == DEST_DEAD;
	del->late = 0;
	list_init(&del->by_agent);
	list_init(&del->by_late);
	list_push(&s->by_age, &del->by_age);
	if (a) {
		list_push(&a->deliveries, &del->by_agent);
		a->busy++;
		agent_load(a);
	}
	d->busy++;
	if (!d->quick)
		d->t->suspects++;
	parcel_message(g)->inflight++;
	s->stats.deliveries++;
	parcel_set(s, g, G_FLIGHT);
	return del;
}

void
parcel_late(struct sched *s, struct parcel *g, const struct sched_late *late)
{
	struct delivery *del = delivery_begin(s, g, late->agent);

	del->late = late->name;
	list_push(&s->late, &del->by_late);
}

static void
dest_deliver(struct sched *s, struct dest *d, struct agent *a)
{
	struct parcel *g = dest_next(s, d);
	struct delivery *del;

	if (g == NULL) {
		dest_rotate(s, d);
		return;
	}
	del = delivery_begin(s, g, a);
	d->t->turn++;
	if (d->t->limits.rate_delay)
		d->rate_at = s->now + d->t->limits.rate_delay * SECOND;
	tell_agent(s, del);
	parcel_next_turn(s, g);
	dest_rotate(s, d);
}

static void
transport_run(struct sched *s, struct transport *t)
{
	struct heap_node *n;
	struct dest *d;

	while ((n = heap_min(&t->free)) != NULL && (d = transport_pick(s, t)) != NULL)
		dest_deliver(s, d, container_of(n, struct agent, load));
}

/* -- time -- */

void
sched_time(struct sched *s, struct time now, struct wall wall)
{
	/* The clock of a test may be put back; ours may not. */
	if (now.ns / 1000 > s->now)
		s->now = now.ns / 1000;
	s->wall = wall.us;
}

/* A delivery that takes long makes its destination a suspect before it ends.  All take as long to
 * be slow, so the oldest is the next. */
static int64_t
find_slow(struct sched *s)
{
	struct list *l;

	while ((l = list_first(&s->by_age)) != NULL) {
		struct delivery *del = container_of(l, struct delivery, by_age);
		struct dest *d = del->parcel->dest;

		if (del->started + SLOW_SECONDS * SECOND > s->now)
			return del->started + SLOW_SECONDS * SECOND;
		list_remove(l);
		if (d->average < 2 * SLOW_SECONDS * SECOND)
			d->average = 2 * SLOW_SECONDS * SECOND;
		dest_classify(d);
		dest_rotate(s, d);
	}
	return NEVER;
}

static int64_t
find_unrecorded(struct sched *s)
{
	struct list *l;

	while ((l = list_first(&s->unrecorded)) != NULL) {
		struct records *r = container_of(l, struct records, link);

		if (r->at > s->now)
			return r->at;
		records_flush(s, r->m);
	}
	return NEVER;
}

static int64_t
earlier(int64_t at, const struct heap *h)
{
	struct heap_node *n = heap_min(h);

	return n && n->key < at ? n->key : at;
}

static void
run_timers(struct sched *s)
{
	struct heap_node *n;

	while ((n = heap_min(&s->dest_timers)) != NULL && n->key <= s->now) {
		heap_del(&s->dest_timers, n);
		dest_place(s, container_of(n, struct dest, timer));
	}
	while ((n = heap_min(&s->parcel_timers)) != NULL && n->key <= s->now) {
		heap_del(&s->parcel_timers, n);
		parcel_timer(s, container_of(n, struct parcel, timer));
	}
	while ((n = heap_min(&s->warnings)) != NULL && n->key <= s->now) {
		heap_del(&s->warnings, n);
		notices_warn(s, container_of(n, struct message, warning));
	}
}

struct time
sched_run(struct sched *s)
{
	int64_t at, unrecorded;

	run_timers(s);
	if (!s->paused)
		LIST_EACH (&s->transports, t, struct transport, link)
			transport_run(s, t);
	at = find_slow(s);
	if ((unrecorded = find_unrecorded(s)) < at)
		at = unrecorded;
	at = earlier(at, &s->dest_timers);
	at = earlier(at, &s->parcel_timers);
	at = earlier(at, &s->warnings);
	return at == NEVER ? TIME_NEVER : (struct time){ at * 1000 };
}

void
sched_pause(struct sched *s, bool pause)
{
	s->paused = pause;
}

/* -- agents -- */

struct agent *
sched_agent_add(struct sched *s, struct str transport, uint32_t capacity, void *owner)
{
	struct transport *t = transport_get(s, transport);
	struct agent *a = mem_new(sizeof *a);
	struct map_iter it = { 0 };

	*a = (struct agent){ .t = t, .owner = owner, .capacity = capacity };
	list_init(&a->deliveries);
	t->capacity += capacity;
	if (capacity)
		agent_load(a);
	if (t->agents++ > 0 || t->limits.deferred)
		return a;
	/* What waited for the transport may go. */
	for (struct map_node *n; (n = map_next(&s->dests, &it)) != NULL;) {
		struct dest *d = container_of(n, struct dest, node);

		if (d->t == t && d->state != DEST_DEAD)
			dest_release(s, d);
	}
	return a;
}

void
sched_agent_retire(struct sched *s, struct agent *a)
{
	(void)s;
	a->t->capacity -= a->capacity;
	a->capacity = 0;
	agent_load(a);
}

void
sched_agent_gone(struct sched *s, struct agent **at)
{
	struct agent *a = *at;
	struct list *l;

	*at = NULL;
	if (a == NULL)
		return;
	while ((l = list_first(&a->deliveries)) != NULL) {
		struct delivery *del = container_of(l, struct delivery, by_agent);
		struct parcel *g = del->parcel;
		struct message *m = parcel_message(g);
		struct rcpt *r = message_rcpts(m) + g->first;

		for (uint32_t i = 0; i < g->n; i++, r++)
			if (r->state == R_PENDING && s->verbs->lost)
				s->verbs->lost(s->arg, m, rcpt_addr(m, r), rcpt_orig(m, r));
		ENSURE(sched_done(s, a, delivery_name(del), SITE_UNKNOWN,
		    STR("delivery agent lost; may be delivered twice"), NULL, 0));
	}
	heap_del(&a->t->free, &a->load);
	a->t->capacity -= a->capacity;
	if (--a->t->agents == 0)
		a->t->missing_since = s->now;
	free(a);
}

bool
sched_done(struct sched *s, struct agent *a, uint64_t name, enum site_state site,
    struct str site_text, const struct msg_outcome *outcomes, size_t n)
{
	struct delivery *del = delivery_find(s, name);

	if (del == NULL || del->agent != a)
		return false;
	delivery_result(s, del, &(struct result){ site, site_text, outcomes, n });
	return true;
}

void
sched_late_done(struct sched *s, uint64_t name, enum site_state site, struct str site_text,
    const struct msg_outcome *outcomes, size_t n)
{
	LIST_EACH (&s->late, del, struct delivery, by_late)
		if (del->late == name) {
			uint64_t id = parcel_message(del->parcel)->id;
			struct message *m;

			delivery_result(s, del, &(struct result){ site, site_text, outcomes, n });
			/* One qmgr has died before it could write that down. */
			if ((m = sched_find(s, id)) != NULL)
				records_flush(s, m);
		}
}
