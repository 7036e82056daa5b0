/* SPDX-License-Identifier: Apache-2.0 */
/* The scheduler's beginning and end, and what can be seen of it. */
#include "qmgr/sched_core.h"

struct sched *
sched_new(const struct sched_settings *settings, const struct sched_do *verbs, void *arg)
{
	struct sched *s = mem_new(sizeof *s);

	s->settings = *settings;
	s->verbs = verbs;
	s->arg = arg;
	s->random = settings->seed ? settings->seed : 1;
	list_init(&s->all);
	list_init(&s->cursors);
	list_init(&s->transports);
	list_init(&s->idle);
	list_init(&s->free_deliveries);
	list_init(&s->by_age);
	list_init(&s->late);
	list_init(&s->unrecorded);
	return s;
}

static void
transports_free(struct sched *s)
{
	LIST_EACH (&s->transports, t, struct transport, link) {
		ENSURE(t->agents == 0);
		heap_fini(&t->free);
		free(t);
	}
	map_fini(&s->by_name);
}

void
sched_free(struct sched **at)
{
	struct sched *s = *at;
	struct map_iter it = { 0 };

	*at = NULL;
	if (s == NULL)
		return;
	LIST_EACH (&s->all, m, struct message, all) {
		message_unlink(s, m);
		message_free(s, m);
	}
	for (struct map_node *n; (n = map_next(&s->dests, &it)) != NULL;)
		dest_free(s, container_of(n, struct dest, node));
	map_fini(&s->dests);
	transports_free(s);
	for (size_t i = 0; i < s->ndeliveries; i++)
		free(s->deliveries[i]);
	fifo_fini(&s->to_move);
	heap_fini(&s->parcel_timers);
	heap_fini(&s->dest_timers);
	heap_fini(&s->warnings);
	buf_free(&s->key);
	buf_free(&s->text);
	free(s->deliveries);
	free(s->ids);
	free(s->lanes);
	free(s->reasons);
	free(s->rcpts);
	free(s);
}

void
sched_view(const struct message *m, struct sched_msg *out)
{
	*out = (struct sched_msg){ .id = m->id,
		.dir = m->dir,
		.arrived = { m->arrived },
		.size = m->size,
		.content_at = m->content_at,
		.flags = m->flags,
		.sender = message_sender(m),
		.forced = m->forced };
}

uint64_t
sched_id(const struct message *m)
{
	return m->id;
}

uint32_t
sched_rcpts(const struct message *m)
{
	return m->nrcpts;
}

bool
sched_active(const struct message *m)
{
	return m->active > 0;
}

uint32_t
sched_in_flight(const struct message *m)
{
	return m->inflight;
}

bool
sched_deferred(const struct message *m)
{
	return !m->held && (m->dir == SPOOL_DEFERRED || m->moving || m->to_move);
}

bool
sched_held(const struct message *m)
{
	return m->held;
}

bool
sched_forced(const struct message *m)
{
	return m->forced;
}

static const struct parcel *
rcpt_parcel(const struct message *m, uint32_t i)
{
	const struct parcel *g = m->parcels;

	while (g < m->parcels + m->nparcels && i >= g->first + g->n)
		g++;
	return g < m->parcels + m->nparcels ? g : NULL;
}

static enum sched_why
why_ready(const struct sched *s, const struct parcel *g)
{
	const struct dest *d = g->dest;

	if (d->t->agents == 0)
		return WHY_TRANSPORT;
	if (d->state == DEST_DEAD)
		return WHY_SITE;
	if (d->rate_at > s->now)
		return WHY_RATE;
	if (d->busy >= (uint32_t)d->window)
		return WHY_WINDOW;
	return heap_min(&d->t->free) ? WHY_TURN : WHY_CAPACITY;
}

static enum sched_why
why_waiting(const struct parcel *g)
{
	const struct dest *d = g->dest;

	if (d->t->limits.deferred)
		return WHY_DEFER;
	return d->t->agents == 0 ? WHY_TRANSPORT : WHY_SITE;
}

static enum sched_why
why_parcel(const struct sched *s, const struct parcel *g)
{
	switch ((enum parcel_state)g->state) {
	case G_HELD:
		return WHY_HELD;
	case G_RETRY:
		return WHY_DEFERRED;
	case G_WAIT:
		return why_waiting(g);
	case G_ROUTE:
		return WHY_ROUTE;
	case G_READY:
		return why_ready(s, g);
	case G_TURN:
		return WHY_TURN;
	case G_PARKED:
		return WHY_MOVING;
	case G_FLIGHT:
		return WHY_FLIGHT;
	case G_DONE:
		break;
	}
	return WHY_DONE;
}

static struct wall
parcel_next_try(const struct sched *s, const struct parcel *g, enum sched_why why)
{
	int64_t at = why == WHY_DEFERRED ? g->timer.key : why == WHY_SITE ? g->dest->probe_at : 0;

	return (struct wall){ at > s->now ? s->wall + (at - s->now) : 0 };
}

void
sched_explain(
    const struct sched *s, const struct message *m, uint32_t i, struct sched_explained *out)
{
	const struct rcpt *r = message_rcpts(m) + i;
	const struct parcel *g;

	*out = (struct sched_explained){ .why = WHY_DONE,
		.index = r->index,
		.attempts = r->attempts,
		.addr = rcpt_addr(m, r),
		.orig = rcpt_orig(m, r),
		.esc = reason_part(r->why, REASON_ESC),
		.text = reason_part(r->why, REASON_TEXT) };
	if (r->state != R_PENDING && r->due)
		out->why = WHY_NOTICE;
	if (r->state != R_PENDING || (g = rcpt_parcel(m, i)) == NULL)
		return;
	out->why = why_parcel(s, g);
	out->transport = g->dest->t->node.key;
	out->nexthop = g->dest->nexthop;
	out->next_try = parcel_next_try(s, g, out->why);
	if (out->text.n == 0 && out->why == WHY_SITE)
		out->text = reason_part(g->dest->why, REASON_TEXT);
}

void
sched_stats(const struct sched *s, struct sched_stats *out)
{
	*out = s->stats;
}

int64_t
sched_transport_missing(const struct sched *s, struct str transport)
{
	const struct map_node *n = map_get(&s->by_name, transport);
	const struct transport *t;

	if (n == NULL)
		return 0;
	t = container_of((const void *)n, struct transport, node);
	return t->agents ? 0 : 1 + (s->now - t->missing_since) / SECOND;
}
