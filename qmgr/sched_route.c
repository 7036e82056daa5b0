/* SPDX-License-Identifier: Apache-2.0 */
/* Where a parcel goes by now.  Mostly where it went before; else it changes its destination; and
 * when its recipients no longer belong together, the message is taken apart and enters anew. */
#include "qmgr/sched_core.h"

enum { PATIENCE_SECONDS = 5 };

/* The route of one recipient; false: not known. */
typedef bool route_of(struct sched *s, const struct message *m, const struct rcpt *r, void *arg,
    struct str *transport, struct str *nexthop);

static bool
asked_now(struct sched *s, const struct message *m, const struct rcpt *r, void *arg,
    struct str *transport, struct str *nexthop)
{
	(void)arg;
	return s->verbs->route(s->arg, m, rcpt_addr(m, r), transport, nexthop);
}

struct answers {
	const struct sched_routed *v;
	size_t n;
};

static bool
answered(struct sched *s, const struct message *m, const struct rcpt *r, void *arg,
    struct str *transport, struct str *nexthop)
{
	const struct answers *a = arg;
	size_t low = 0, high = a->n;

	(void)s;
	(void)m;
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (a->v[mid].index < r->index)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == a->n || a->v[low].index != r->index)
		return false;
	*transport = a->v[low].transport;
	*nexthop = a->v[low].nexthop;
	return true;
}

enum routes { ROUTES_ONE, ROUTES_SEVERAL, ROUTES_UNKNOWN };

/* to: where all of it goes, ROUTES_ONE. */
static enum routes
find_routes(struct sched *s, const struct parcel *g, route_of *of, void *arg, struct dest **to)
{
	const struct message *m = parcel_message(g);
	const struct rcpt *first = message_rcpts(m) + g->first;
	enum routes result = ROUTES_ONE;
	uint32_t n = 0;

	*to = NULL;
	for (const struct rcpt *r = first; r < first + g->n; r++) {
		struct str transport, nexthop;
		struct dest *d;

		if (r->state != R_PENDING)
			continue;
		if (!of(s, m, r, arg, &transport, &nexthop))
			return ROUTES_UNKNOWN;
		d = dest_get(s, transport, nexthop);
		dest_ref(s, d); /* a new one that comes to nothing is forgotten in time */
		dest_unref(s, d);
		if ((*to && *to != d) || ++n > d->t->limits.recipients)
			result = ROUTES_SEVERAL;
		*to = d;
	}
	return result;
}

void
parcel_move(struct sched *s, struct parcel *g, struct dest *to)
{
	struct dest *former = g->dest;

	if (to == former)
		return;
	g->dest = to;
	dest_ref(s, to);
	dest_place(s, former);
	dest_unref(s, former);
}

void
parcel_go(struct sched *s, struct parcel *g, enum parcel_then then)
{
	bool dead = g->dest->state == DEST_DEAD;

	switch (then) {
	case THEN_LOOK:
		parcel_look(s, g);
		break;
	case THEN_READY:
		parcel_ready(s, g, false);
		break;
	case THEN_FLUSH:
		/* Also where all is dead: this very message probes it. */
		if (dead)
			g->dest->probe_at = s->now;
		parcel_ready(s, g, dead);
		break;
	}
}

void
parcel_again(struct sched *s, struct parcel *g, enum parcel_then then)
{
	struct dest *to = g->dest;
	bool asked = !g->passed && s->verbs->route;
	bool known = !asked || find_routes(s, g, asked_now, NULL, &to) == ROUTES_ONE;

	parcel_take(s, g);
	g->put_off = false;
	if (known && to == g->dest) {
		parcel_go(s, g, then);
		return;
	}
	/* It leaves its place in the lane to the next of its message. */
	parcel_set(s, g, G_ROUTE);
	parcel_next_turn(s, g);
	if (known) {
		parcel_move(s, g, to);
		parcel_go(s, g, then);
	} else {
		g->then = (uint8_t)then;
		s->verbs->reroute(s->arg, parcel_message(g));
	}
}

/* -- taking a message apart -- */

static void
copy_rcpt(const struct message *m, const struct rcpt *r, struct sched_rcpt *out)
{
	*out = (struct sched_rcpt){ .index = r->index,
		.addr = rcpt_addr(m, r),
		.orig = rcpt_orig(m, r),
		.notify = r->notify,
		.state = r->state == R_PENDING ? JRN_PENDING
			 : !r->failed          ? JRN_SENT
			 : r->expired          ? JRN_EXPIRED
					       : JRN_BOUNCED,
		.action = (uint8_t)r->action,
		.noticed = r->state != R_PENDING && r->due == 0,
		.warned = r->warned,
		.reported = m->reported,
		.attempts = r->attempts,
		.esc = reason_part(r->why, REASON_ESC),
		.text = reason_part(r->why, REASON_TEXT),
		.mta = reason_part(r->why, REASON_MTA),
		.diag = reason_part(r->why, REASON_DIAG) };
}

/* An operator has let it go, and it has not gone yet. */
static bool
is_flushed(const struct parcel *g)
{
	if (g->state == G_ROUTE || (g->state == G_RETRY && g->put_off))
		return g->then == THEN_FLUSH;
	return parcel_active(g->state) && g->dest->t->limits.deferred;
}

static void
copy_parcel(struct sched *s, const struct message *m, const struct parcel *g, struct answers *a,
    struct sched_rcpt *rcpts)
{
	bool waits = g->state == G_RETRY || g->state == G_WAIT;

	for (uint32_t i = g->first; i < g->first + g->n; i++) {
		const struct rcpt *r = message_rcpts(m) + i;

		if (g->state != G_ROUTE ||
		    !answered(s, m, r, a, &rcpts[i].transport, &rcpts[i].nexthop)) {
			rcpts[i].transport = g->dest->t->node.key;
			rcpts[i].nexthop = g->dest->nexthop;
		}
		rcpts[i].passed = g->passed;
		rcpts[i].flushed = is_flushed(g);
		if (waits && !g->put_off && g->timer.key > s->now)
			rcpts[i].next_try.us = s->wall + (g->timer.key - s->now);
	}
}

static void
take_apart(struct sched *s, struct message *m, struct answers *a)
{
	struct sched_rcpt *rcpts = mem_array(m->nrcpts + 1, sizeof *rcpts);
	struct sched_msg view;

	records_flush(s, m);
	sched_view(m, &view);
	for (uint32_t i = 0; i < m->nrcpts; i++)
		copy_rcpt(m, message_rcpts(m) + i, &rcpts[i]);
	for (const struct parcel *g = m->parcels; g < m->parcels + m->nparcels; g++)
		if (g->state != G_DONE)
			copy_parcel(s, m, g, a, rcpts);
	message_stop(s, m);
	message_unlink(s, m);
	ENSURE(sched_enter(s, &view, rcpts, m->nrcpts));
	free(rcpts);
	message_free(s, m);
}

/* -- answers -- */

void
sched_unrouted(
    const struct message *m, void (*fn)(void *arg, uint32_t index, struct str addr), void *arg)
{
	for (const struct parcel *g = m->parcels; g < m->parcels + m->nparcels; g++)
		for (uint32_t i = g->first; g->state == G_ROUTE && i < g->first + g->n; i++) {
			const struct rcpt *r = message_rcpts(m) + i;

			if (r->state == R_PENDING)
				fn(arg, r->index, rcpt_addr(m, r));
		}
}

/* Those that do not belong together any more wait until nothing else happens to their message. */
static void
put_off(struct sched *s, struct message *m)
{
	for (struct parcel *g = m->parcels; g < m->parcels + m->nparcels; g++)
		if (g->state == G_ROUTE) {
			parcel_retry(s, g, s->now + PATIENCE_SECONDS * SECOND);
			g->put_off = true;
		}
}

void
sched_routed(struct sched *s, uint64_t id, const struct sched_routed *v, size_t n)
{
	struct message *m = sched_find(s, id);
	struct answers a = { v, n };
	bool several = false, unknown = false;

	for (uint32_t i = 0; m && i < m->nparcels; i++) {
		struct parcel *g = &m->parcels[i];
		struct dest *to;
		enum routes r;

		if (g->state != G_ROUTE)
			continue;
		r = find_routes(s, g, answered, &a, &to);
		several |= r == ROUTES_SEVERAL;
		unknown |= r == ROUTES_UNKNOWN;
		if (r != ROUTES_ONE)
			continue;
		parcel_move(s, g, to);
		parcel_go(s, g, (enum parcel_then)g->then);
		m = sched_find(s, id); /* the last of it may have expired */
	}
	if (m && several && !m->inflight && !message_asking(m) && !m->moving && !m->deleted)
		take_apart(s, m, &a);
	else if (m && several)
		put_off(s, m);
	else if (m && unknown)
		s->verbs->reroute(s->arg, m);
}
