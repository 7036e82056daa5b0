/* SPDX-License-Identifier: Apache-2.0 */
/* A message enters: its recipients are sorted into parcels, and all of it is packed into one
 * allocation. */
#include "qmgr/sched_core.h"

struct place { /* one unfinished recipient, while they are sorted */
	const struct sched_rcpt *in;
	struct dest *dest; /* NULL: finished but for a notice */
	uint8_t due;       /* notices */
};

struct plan {
	struct place *v;
	struct place one; /* most messages have one */
	size_t n, parcels, pending, text;
};

/* -- the table of ids -- */

static size_t
id_slot(const struct sched *s, uint64_t id)
{
	return (id * UINT64_C(0x9E3779B97F4A7C15)) >> 20 & (s->nids - 1);
}

static void
ids_grow(struct sched *s)
{
	size_t former = s->nids;
	struct message **slots = s->ids;

	s->nids = former ? 2 * former : 1024;
	s->ids = mem_array(s->nids, sizeof(struct message *));
	for (size_t i = 0; i < former; i++)
		for (struct message *m = slots[i], *next; m; m = next) {
			size_t at = id_slot(s, m->id);

			next = m->next;
			m->next = s->ids[at];
			s->ids[at] = m;
		}
	free(slots);
}

struct message *
sched_find(const struct sched *s, uint64_t id)
{
	struct message *m = s->nids ? s->ids[id_slot(s, id)] : NULL;

	while (m && m->id != id)
		m = m->next;
	return m;
}

void
message_link(struct sched *s, struct message *m)
{
	size_t at;

	if (s->stats.messages >= s->nids)
		ids_grow(s);
	at = id_slot(s, m->id);
	m->next = s->ids[at];
	s->ids[at] = m;
	list_push(&s->all, &m->all);
	LIST_EACH (&s->cursors, c, struct sched_cursor, link)
		if (c->follow) {
			c->next = c->next ? c->next : m;
			c->last = m;
		}
}

static struct message *
neighbour(const struct sched *s, struct list *link)
{
	return link == &s->all ? NULL : container_of(link, struct message, all);
}

void
message_unlink(struct sched *s, struct message *m)
{
	struct message **slot = &s->ids[id_slot(s, m->id)];

	while (*slot != m)
		slot = &(*slot)->next;
	*slot = m->next;
	LIST_EACH (&s->cursors, c, struct sched_cursor, link) {
		bool both = c->next == m && c->last == m;

		if (c->next == m)
			c->next = both ? NULL : neighbour(s, m->all.next);
		if (c->last == m)
			c->last = both ? NULL : neighbour(s, m->all.prev);
	}
	list_remove(&m->all);
}

/* -- sorting -- */

static uint64_t
late_name(const struct sched_rcpt *r)
{
	return r->late ? r->late->name : 0;
}

/* Finished ones last; then by destination, by delivery that is under way, by time of the next try, and in the order
 * given. */
static int
place_cmp(const void *va, const void *vb)
{
	const struct place *a = va, *b = vb;

	if (a->dest != b->dest) {
		if (a->dest == NULL || b->dest == NULL)
			return a->dest == NULL ? 1 : -1;
		return a->dest->serial < b->dest->serial ? -1 : 1;
	}
	if (a->in->passed != b->in->passed)
		return a->in->passed ? 1 : -1;
	if (a->in->flushed != b->in->flushed)
		return a->in->flushed ? -1 : 1;
	if (late_name(a->in) != late_name(b->in))
		return late_name(a->in) < late_name(b->in) ? -1 : 1;
	if (a->in->next_try.us != b->in->next_try.us)
		return a->in->next_try.us < b->in->next_try.us ? -1 : 1;
	return a->in->index < b->in->index ? -1 : a->in->index > b->in->index;
}

static bool
starts_parcel(const struct plan *p, size_t i, size_t in_parcel)
{
	if (i == 0 || in_parcel >= p->v[i].dest->t->limits.recipients)
		return true;
	return p->v[i].dest != p->v[i - 1].dest || p->v[i].in->passed != p->v[i - 1].in->passed ||
	       p->v[i].in->flushed != p->v[i - 1].in->flushed ||
	       late_name(p->v[i].in) != late_name(p->v[i - 1].in) ||
	       p->v[i].in->next_try.us != p->v[i - 1].in->next_try.us;
}

static uint8_t
still_due(const struct sched *s, uint32_t flags, const struct sched_rcpt *r)
{
	return notices_at_end(s, flags,
	    &(struct ending){ .failed = r->state != JRN_SENT,
		.noticed = r->noticed,
		.warned = r->warned,
		.reported = r->reported,
		.notify = r->notify & 15U,
		.action = r->action });
}

static void
plan_make(struct sched *s, struct plan *p, uint32_t flags, const struct sched_rcpt *rcpts, size_t n)
{
	size_t in_parcel = 0;

	*p = (struct plan){ .v = NULL };
	p->v = n > 1 ? mem_array(n, sizeof *p->v) : &p->one;
	for (size_t i = 0; i < n; i++) {
		bool over = sched_is_over(&rcpts[i]);
		uint8_t due = over ? still_due(s, flags, &rcpts[i]) : 0;

		if (over && due == 0)
			continue;
		p->v[p->n++] = (struct place){ &rcpts[i],
			over ? NULL : dest_get(s, rcpts[i].transport, rcpts[i].nexthop), due };
		p->pending += !over;
		p->text += rcpts[i].addr.n + rcpts[i].orig.n;
		if (!over)
			dest_ref(
			    s, p->v[p->n - 1]
				   .dest); /* so that none is forgotten while the next is made */
	}
	if (p->n > 1)
		qsort(p->v, p->n, sizeof *p->v, place_cmp);
	for (size_t i = 0; i < p->pending; i++, in_parcel++)
		if (starts_parcel(p, i, in_parcel)) {
			p->parcels++;
			in_parcel = 0;
		}
}

static void
plan_fini(struct sched *s, struct plan *p)
{
	for (size_t i = 0; i < p->pending; i++)
		dest_unref(s, p->v[i].dest);
	if (p->v != &p->one)
		free(p->v);
}

/* -- packing -- */

static char *
pack(char *to, struct str s)
{
	if (s.n)
		memcpy(to, s.p, s.n);
	return to + s.n;
}

static void
fill_rcpt(
    struct sched *s, struct message *m, struct rcpt *r, const struct sched_rcpt *in, char **text)
{
	r->text = (uint32_t)(*text - message_text(m));
	r->addr_n = (uint16_t)in->addr.n;
	r->orig_n = (uint16_t)in->orig.n;
	r->notify = (unsigned)in->notify & 15U;
	r->index = in->index;
	r->attempts = in->attempts < UINT16_MAX ? (uint16_t)in->attempts : UINT16_MAX;
	r->failed = in->state == JRN_BOUNCED || in->state == JRN_EXPIRED;
	r->expired = in->state == JRN_EXPIRED;
	r->action = in->action & 3U;
	r->warned = in->warned;
	m->reported |= in->reported;
	if (in->esc.n || in->text.n)
		r->why = reason_get(s, in->esc, in->text, in->mta, in->diag);
	*text = pack(pack(*text, in->addr), in->orig);
}

static void
fill_parcels(struct sched *s, struct message *m, const struct plan *p)
{
	struct parcel *g = NULL;
	uint32_t place = 0;

	for (size_t i = 0; i < p->pending; i++) {
		if (starts_parcel(p, i, g ? g->n : 0)) {
			g = &m->parcels[place];
			*g = (struct parcel){ .dest = p->v[i].dest,
				.place = place++,
				.first = (uint32_t)i,
				.state = G_HELD,
				.passed = p->v[i].in->passed };
			list_init(&g->link);
			dest_ref(s, g->dest);
		}
		ENSURE(g != NULL);
		g->n++;
	}
}

/* Times are added to it: what no clock ever says must not overflow. */
static int64_t
sane_arrival(struct wall arrived)
{
	const int64_t most = INT64_C(1) << 60;

	return arrived.us < 0 ? 0 : arrived.us < most ? arrived.us : most;
}

static struct message *
message_new(struct sched *s, const struct sched_msg *in, const struct plan *p)
{
	size_t bytes = sizeof(struct message) + p->parcels * sizeof(struct parcel) +
		       p->n * sizeof(struct rcpt) + in->sender.n + p->text;
	struct message *m = mem_new(bytes);
	char *text;

	*m = (struct message){ .id = in->id,
		.arrived = sane_arrival(in->arrived),
		.queued = s->wall,
		.size = in->size,
		.bytes = (uint32_t)bytes,
		.content_at = in->content_at,
		.flags = in->flags,
		.nrcpts = (uint32_t)p->n,
		.nparcels = (uint32_t)p->parcels,
		.pending = (uint32_t)p->pending,
		.sender_n = (uint16_t)in->sender.n,
		.dir = (unsigned)in->dir & 15U,
		.held = in->dir == SPOOL_HOLD,
		.forced = in->forced };
	text = pack((char *)(uintptr_t)message_text(m), in->sender);
	for (size_t i = 0; i < p->n; i++) {
		struct rcpt *r = message_rcpts(m) + i;

		fill_rcpt(s, m, r, p->v[i].in, &text);
		r->state = i < p->pending ? R_PENDING : R_FINISHED;
		rcpt_owe(m, r, p->v[i].due);
	}
	fill_parcels(s, m, p);
	notices_init(s, m);
	return m;
}

static void
message_start(struct sched *s, struct message *m, const struct plan *p)
{
	for (struct parcel *g = m->parcels; g < m->parcels + m->nparcels; g++)
		if (p->v[g->first].in->late)
			parcel_late(s, g, p->v[g->first].in->late);
	if (m->held)
		return;
	if (m->forced) {
		message_expire(s, m);
		return;
	}
	for (struct parcel *g = m->parcels; g < m->parcels + m->nparcels; g++) {
		int64_t wait = p->v[g->first].in->next_try.us - s->wall;

		if (g->state == G_FLIGHT)
			continue;
		if (p->v[g->first].in->next_try.us && wait > 0)
			parcel_retry(s, g, s->now + wait);
		else if (p->v[g->first].in->flushed)
			parcel_go(s, g, THEN_FLUSH);
		else if (g->dest->t->limits.deferred)
			parcel_wait(s, g, s->now);
		else
			parcel_ready(s, g, false);
	}
}

bool
sched_enter(struct sched *s, const struct sched_msg *in, const struct sched_rcpt *rcpts, size_t n)
{
	struct message *m;
	struct plan plan;

	if (sched_find(s, in->id) != NULL)
		return false;
	plan_make(s, &plan, in->flags, rcpts, n);
	m = message_new(s, in, &plan);
	message_link(s, m);
	s->stats.messages++;
	s->stats.recipients += m->pending;
	s->stats.bytes += m->bytes;
	message_start(s, m, &plan);
	plan_fini(s, &plan);
	/* Ready or not, there may be a notice to send, or nothing to do but remove it. */
	if (m->active == 0 && !(m->held && m->pending))
		message_settle(s, m);
	return true;
}
