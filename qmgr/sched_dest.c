/* SPDX-License-Identifier: Apache-2.0 */
/* Transports and destinations: windows, death, and in which ring a destination waits for its turn.
 */
#include "qmgr/sched_core.h"

static void
transport_limits(struct sched *s, struct transport *t)
{
	t->limits = (struct sched_limits){
		.concurrency = 20, .initial = 5, .recipients = 50, .cohorts = 1
	};
	if (s->settings.limits)
		s->settings.limits(s->settings.arg, t->node.key, &t->limits);
	if (t->limits.concurrency == 0)
		t->limits.concurrency = UINT32_MAX;
	if (t->limits.initial == 0)
		t->limits.initial = 1;
	if (t->limits.initial > t->limits.concurrency)
		t->limits.initial = t->limits.concurrency;
	if (t->limits.recipients == 0)
		t->limits.recipients = 1;
}

struct transport *
transport_get(struct sched *s, struct str name)
{
	struct map_node *n = map_get(&s->by_name, name);
	struct transport *t;

	if (n)
		return container_of(n, struct transport, node);
	t = mem_new(sizeof *t + name.n + 1);
	memcpy(t->name, name.p, name.n);
	map_put(&s->by_name, (struct str){ t->name, name.n }, &t->node);
	for (int i = 0; i < RING_COUNT; i++)
		list_init(&t->rings[i]);
	list_push(&s->transports, &t->link);
	t->missing_since = s->now;
	t->quick_seen = s->now - QUICK_SECONDS * SECOND;
	transport_limits(s, t);
	return t;
}

static struct dest *
dest_new(struct sched *s, struct str key, size_t transport_n)
{
	struct dest *d = mem_new(sizeof *d + key.n + 1);

	memcpy(d->key, key.p, key.n);
	d->t = transport_get(s, str_sub(key, 0, transport_n));
	d->nexthop = (struct str){ d->key + transport_n + 1, key.n - transport_n - 1 };
	list_init(&d->ring_link);
	list_init(&d->idle_link);
	list_init(&d->lanes);
	list_init(&d->waiting);
	list_init(&d->released);
	d->window = d->t->limits.initial;
	d->serial = ++s->serial;
	map_put(&s->dests, (struct str){ d->key, key.n }, &d->node);
	s->stats.destinations++;
	return d;
}

struct dest *
dest_get(struct sched *s, struct str transport, struct str nexthop)
{
	struct map_node *n;

	buf_clear(&s->key);
	ENSURE(buf_add(&s->key, transport) && buf_addc(&s->key, '\0') && buf_add(&s->key, nexthop));
	n = map_get(&s->dests, buf_str(&s->key));
	return n ? container_of(n, struct dest, node) : dest_new(s, buf_str(&s->key), transport.n);
}

void
dest_free(struct sched *s, struct dest *d)
{
	list_remove(&d->ring_link);
	list_remove(&d->idle_link);
	heap_del(&s->dest_timers, &d->timer);
	map_del(&s->dests, &d->node);
	reason_put(s, &d->why);
	s->stats.destinations--;
	s->stats.dead -= d->state == DEST_DEAD;
	free(d);
}

void
dest_ref(struct sched *s, struct dest *d)
{
	d->refs++;
	if (list_linked(&d->idle_link)) {
		list_remove(&d->idle_link);
		s->nidle--;
	}
}

/* What was learnt of a destination is kept a while longer than its mail. */
void
dest_unref(struct sched *s, struct dest *d)
{
	ENSURE(d->refs > 0);
	if (--d->refs > 0)
		return;
	list_push(&s->idle, &d->idle_link);
	if (++s->nidle > IDLE_MAX) {
		struct dest *oldest = container_of(s->idle.next, struct dest, idle_link);

		s->nidle--;
		dest_free(s, oldest);
	}
}

static enum ring
dest_ring(const struct sched *s, const struct dest *d, int64_t *when)
{
	bool mail = !list_empty(&d->lanes) || !list_empty(&d->released);

	*when = NEVER;
	if (d->state == DEST_DEAD) {
		if ((!mail && (list_empty(&d->waiting) || d->t->limits.deferred)) || d->busy > 0)
			return RING_NONE;
		*when = d->probe_at;
		return d->probe_at <= s->now ? RING_SUSPECT : RING_NONE;
	}
	if (!mail || d->busy >= (uint32_t)d->window)
		return RING_NONE;
	if (d->rate_at > s->now) {
		*when = d->rate_at;
		return RING_NONE;
	}
	if (d->state == DEST_UNKNOWN)
		return d->busy == 0 ? RING_NEW : RING_SUSPECT;
	return d->quick ? RING_QUICK : RING_SUSPECT;
}

void
dest_place(struct sched *s, struct dest *d)
{
	int64_t when;
	enum ring ring = dest_ring(s, d, &when);

	if (when != NEVER && when > s->now)
		heap_put(&s->dest_timers, &d->timer, when);
	else
		heap_del(&s->dest_timers, &d->timer);
	if (ring == d->ring)
		return;
	list_remove(&d->ring_link);
	d->ring = (uint8_t)ring;
	if (ring != RING_NONE)
		list_push(&d->t->rings[ring], &d->ring_link);
}

void
dest_rotate(struct sched *s, struct dest *d)
{
	list_remove(&d->ring_link);
	d->ring = RING_NONE;
	dest_place(s, d);
}

/* Its deliveries under way change sides with it. */
void
dest_classify(struct dest *d)
{
	bool quick = d->state == DEST_ALIVE && d->average <= SLOW_SECONDS * SECOND;

	if (quick == d->quick)
		return;
	d->quick = quick;
	if (quick)
		d->t->suspects -= d->busy;
	else
		d->t->suspects += d->busy;
}

void
dest_release(struct sched *s, struct dest *d)
{
	/* Spliced behind what is on its way already; each learns that it is released when it is
	 * pulled. */
	if (!list_empty(&d->waiting)) {
		struct list *first = d->waiting.next, *last = d->waiting.prev,
			    *tail = d->released.prev;

		tail->next = first;
		first->prev = tail;
		last->next = &d->released;
		d->released.prev = last;
		list_init(&d->waiting);
	}
	dest_place(s, d);
}

static void
dest_state(struct sched *s, struct dest *d, enum dest_state state)
{
	s->stats.dead += (state == DEST_DEAD) - (uint64_t)(d->state == DEST_DEAD);
	d->state = (uint8_t)state;
	d->cohorts = 0;
	if (state != DEST_DEAD)
		d->window = d->t->limits.initial;
	dest_classify(d);
}

void
dest_revive(struct sched *s, struct dest *d)
{
	if (d->state == DEST_DEAD)
		dest_state(s, d, DEST_UNKNOWN);
	if (!d->t->limits.deferred)
		dest_release(s, d);
}

static int64_t
clamp(int64_t v, int64_t low, int64_t high)
{
	if (v > high)
		v = high;
	return v < low ? low : v;
}

static void
dest_is_up(struct sched *s, struct dest *d)
{
	const struct sched_limits *l = &d->t->limits;

	if (d->state == DEST_DEAD) {
		dest_state(s, d, DEST_ALIVE);
		if (!l->deferred)
			dest_release(s, d);
		return;
	}
	if (d->state == DEST_UNKNOWN) {
		d->state = DEST_ALIVE;
		dest_classify(d);
	}
	d->cohorts = 0;
	/* Only a window that is made use of may open: the others say nothing about what the site
	 * can take. */
	if (d->window + 1 <= l->concurrency && d->busy + 1 + l->initial > d->window)
		d->window += 1;
}

static void
dest_is_down(struct sched *s, struct dest *d, bool probe)
{
	const struct sched_settings *set = &s->settings;
	int64_t wait;

	if (d->state == DEST_DEAD) {
		if (!probe)
			return;
		wait = clamp(s->now - d->dead_since, set->minimal_backoff * SECOND,
		    set->maximal_backoff * SECOND);
		d->probe_at = s->now + jitter(s, wait);
		return;
	}
	d->cohorts += 1 / d->window;
	d->window = d->window > 2 ? d->window - 1 : 1;
	/* Five fifths are one, whatever floating point says. */
	if (d->t->limits.cohorts == 0 || d->cohorts < d->t->limits.cohorts - 1e-6)
		return;
	dest_state(s, d, DEST_DEAD);
	d->dead_since = s->now;
	d->probe_at = s->now + jitter(s, set->minimal_backoff * SECOND);
}

void
dest_feedback(struct sched *s, struct dest *d, const struct delivery *del, enum site_state site,
    struct str esc, struct str text)
{
	if (site == SITE_DOWN)
		reason_set(s, &d->why, reason_get(s, esc, text, STR(""), STR("")));
	switch (site) {
	case SITE_OK:
		d->average += (s->now - del->started - d->average) / 8;
		dest_classify(d);
		dest_is_up(s, d);
		break;
	case SITE_DOWN:
		dest_is_down(s, d, del->probe);
		break;
	case SITE_UNKNOWN:
		if (d->state == DEST_DEAD && del->probe)
			d->probe_at = s->now + jitter(s, s->settings.minimal_backoff * SECOND);
		break;
	}
}

enum sched_why
dest_blocked(const struct sched *s, const struct dest *d)
{
	if (d->t->agents == 0 && s->now - d->t->missing_since >= GRACE_SECONDS * SECOND)
		return WHY_TRANSPORT;
	/* A probe that is due may yet take any of its mail. */
	if (d->state == DEST_DEAD && d->probe_at > s->now)
		return WHY_SITE;
	return WHY_TURN;
}

void
sched_revive(struct sched *s, struct str nexthop)
{
	struct map_iter it = { 0 };

	for (struct map_node *n; (n = map_next(&s->dests, &it)) != NULL;) {
		struct dest *d = container_of(n, struct dest, node);

		if (nexthop.n == 0 || str_ieq(nexthop, d->nexthop))
			dest_revive(s, d);
	}
}

void
sched_reload(struct sched *s, const struct sched_settings *settings)
{
	struct map_iter it = { 0 };

	s->settings = *settings;
	LIST_EACH (&s->all, m, struct message, all)
		notices_schedule(s, m);
	LIST_EACH (&s->transports, t, struct transport, link)
		transport_limits(s, t);
	for (struct map_node *n; (n = map_next(&s->dests, &it)) != NULL;) {
		struct dest *d = container_of(n, struct dest, node);

		if (d->window > d->t->limits.concurrency)
			d->window = d->t->limits.concurrency;
		if (d->state != DEST_DEAD && !d->t->limits.deferred)
			dest_release(s, d);
		dest_place(s, d);
	}
}

/* A time of the scheduler's clock on the calendar. */
static struct wall
calendar(const struct sched *s, int64_t at)
{
	return (struct wall){ s->wall + (at - s->now) };
}

void
sched_sites(const struct sched *s, void (*fn)(void *arg, const struct sched_site *site), void *arg)
{
	const struct wall never = { 0 };
	struct map_iter it = { 0 };

	for (struct map_node *n; (n = map_next(&s->dests, &it)) != NULL;) {
		const struct dest *d = container_of(n, struct dest, node);
		bool dead = d->state == DEST_DEAD;

		fn(arg, &(struct sched_site){ .transport = d->t->node.key, .nexthop = d->nexthop,
			    .window = (uint32_t)d->window,
			    .limit = d->t->limits.concurrency == UINT32_MAX ? 0 : d->t->limits.concurrency,
			    .busy = d->busy,
			    .dead_since = dead ? calendar(s, d->dead_since) : never,
			    .next_probe = dead ? calendar(s, d->probe_at) : never,
			    .pause_until = d->rate_at > s->now ? calendar(s, d->rate_at) : never,
			    .agents = d->t->agents,
			    .missing_since = d->t->agents ? never : calendar(s, d->t->missing_since),
			    .deferred = d->t->limits.deferred,
			    .waiting = d->refs,
			    .reason = reason_part(d->why, REASON_TEXT) });
	}
}

bool
sched_destination(const struct sched *s, struct str transport, struct str nexthop, double *window,
    uint32_t *busy, bool *dead)
{
	struct buf key = BUF(0);
	const struct map_node *n;
	const struct dest *d;

	ENSURE(buf_add(&key, transport) && buf_addc(&key, '\0') && buf_add(&key, nexthop));
	n = map_get(&s->dests, buf_str(&key));
	buf_free(&key);
	if (n == NULL)
		return false;
	d = container_of((const void *)n, struct dest, node);
	*window = d->window;
	*busy = d->busy;
	*dead = d->state == DEST_DEAD;
	return true;
}
