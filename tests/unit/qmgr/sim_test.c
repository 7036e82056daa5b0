/* SPDX-License-Identifier: Apache-2.0 */
/* A million messages: 50 dead and 50 slow destinations are full of mail from the start, and mail for 200 that are well comes in
 * all the while.  Time is simulated; what is measured is how long the living wait. */
#include <stdio.h>
#include <time.h>

#include "qmgr/sched.h"
#include "tests/unit/check.h"
#include "util/heap.h"
#include "util/mem.h"

#ifdef __SANITIZE_ADDRESS__
enum { LIVE_MAIL = 40000, DEAD_MAIL = 100, SLOW_MAIL = 40, ARRIVALS = 5000 };
#else
enum { LIVE_MAIL = 900000, DEAD_MAIL = 1500, SLOW_MAIL = 500, ARRIVALS = 500 };
#endif
enum { LIVE = 200, DEAD = 50, SLOW = 50, CAPACITY = 200, WARM_UP = 120 * 1000000 };
enum { LIVE_TIME = 20000, SLOW_TIME = 60 * 1000000, DEAD_TIME = 30 * 1000000 };

enum kind { IS_LIVE, IS_DEAD, IS_SLOW };

struct under_way {
	struct heap_node end;
	uint64_t         delivery, id;
	enum kind        kind;
	uint32_t         index[8];
	size_t           n;
};

struct sim {
	struct sched   *s;
	struct agent   *agent;
	struct heap     ends;
	struct under_way pool[CAPACITY], *free[CAPACITY];
	size_t          nfree;
	int64_t         now, *arrived, worst, worst_early, sum;
	uint64_t        next_id, removed, live_removed, live_entered;
	unsigned        most_dead, now_dead, now_not_live, most_not_live;
	uint64_t        probes;
	bool            healed;
};

static struct sim sim;

static enum kind
kind_of(struct str nexthop)
{
	return nexthop.p[0] == 'd' ? IS_DEAD : nexthop.p[0] == 's' ? IS_SLOW : IS_LIVE;
}

static void
on_deliver(void *arg, const struct sched_delivery *d)
{
	struct sim *x = arg;
	struct under_way *u;

	CU_ASSERT_FATAL(x->nfree > 0 && d->n <= 8);
	u = x->free[--x->nfree];
	u->delivery = d->delivery;
	u->id = sched_id(d->m);
	u->kind = x->healed ? IS_LIVE : kind_of(d->nexthop);
	u->n = d->n;
	for (size_t i = 0; i < d->n; i++)
		u->index[i] = d->rcpts[i].index;
	x->now_dead += u->kind == IS_DEAD;
	x->now_not_live += u->kind != IS_LIVE;
	x->most_dead = x->now_dead > x->most_dead ? x->now_dead : x->most_dead;
	if (x->now > WARM_UP && x->now_not_live > x->most_not_live)
		x->most_not_live = x->now_not_live;
	heap_put(&x->ends, &u->end,
	    x->now + (u->kind == IS_LIVE ? LIVE_TIME : u->kind == IS_SLOW ? SLOW_TIME : DEAD_TIME));
}

static void
on_remove(void *arg, const struct message *m)
{
	struct sim *x = arg;
	uint64_t id = sched_id(m);
	int64_t took = x->now - x->arrived[id];

	x->removed++;
	if (x->healed || id >= x->next_id || x->arrived[id] < 0)
		return;
	x->live_removed++;
	x->sum += took;
	if (x->arrived[id] < WARM_UP)
		x->worst_early = took > x->worst_early ? took : x->worst_early;
	else
		x->worst = took > x->worst ? took : x->worst;
}

static bool
on_move(void *arg, const struct message *m, enum spool_dir to)
{
	(void)arg, (void)m, (void)to;
	return true;                                   /* the sweep below answers */
}

static void
on_record(void *arg, const struct message *m, struct str records, bool durable)
{
	(void)arg, (void)m, (void)records, (void)durable;
}

static bool
on_notice(void *arg, const struct message *m, enum notice_kind kind)
{
	(void)arg, (void)m, (void)kind;
	CHECK(false);
	return false;
}

static const struct sched_do verbs = {
	.deliver = on_deliver, .remove = on_remove, .move = on_move, .record = on_record, .notice = on_notice,
};

static void
tell_time(struct sim *x)
{
	sched_time(x->s, (struct time){ x->now * 1000 }, (struct wall){ INT64_C(1700000000000000) + x->now });
}

static void
enter(struct sim *x, char kind, unsigned n)
{
	char hop[32], addr[48], sender[48];
	uint64_t id = x->next_id++;
	struct sched_msg m = { .id = id, .dir = SPOOL_DEFERRED, .arrived = { INT64_C(1700000000000000) + x->now },
		.size = 2000 };
	struct sched_rcpt r = { .transport = STR("smtp") };

	r.nexthop = (struct str){ hop, (size_t)snprintf(hop, sizeof hop, "%c%u.example.com", kind, n) };
	r.addr = (struct str){ addr, (size_t)snprintf(addr, sizeof addr, "user%u@%s", (unsigned)id % 1000, hop) };
	m.sender = (struct str){ sender, (size_t)snprintf(sender, sizeof sender, "from%u@example.net", (unsigned)id % 997) };
	x->arrived[id] = kind == 'l' ? x->now : -1;
	x->live_entered += kind == 'l';
	CHECK(sched_enter(x->s, &m, &r, 1));
}

static void
end_one(struct sim *x)
{
	struct under_way *u = container_of(heap_min(&x->ends), struct under_way, end);
	struct msg_outcome o[8];
	enum site_state site = u->kind == IS_DEAD ? SITE_DOWN : SITE_OK;

	heap_del(&x->ends, &u->end);
	x->now_dead -= u->kind == IS_DEAD;
	x->now_not_live -= u->kind != IS_LIVE;
	for (size_t i = 0; i < u->n; i++)
		o[i] = (struct msg_outcome){ .index = u->index[i], .status = RCPT_SENT, .esc = STR("2.0.0"), .text = STR("Ok") };
	x->free[x->nfree++] = u;
	CHECK(sched_done(x->s, x->agent, u->delivery, site, STR("connect: timed out"), o, u->kind == IS_DEAD ? 0 : u->n));
}

/* The next thing that happens: a message, the end of a delivery, or a timer.  False: nothing before `until`. */
static bool
step(struct sim *x, int64_t *next_mail, int64_t timer, int64_t until)
{
	struct heap_node *end = heap_min(&x->ends);
	int64_t at = timer;

	if (end && end->key < at)
		at = end->key;
	if (x->live_entered < LIVE_MAIL && *next_mail < at)
		at = *next_mail;
	if (at >= until)
		return false;
	x->now = at > x->now ? at : x->now;
	tell_time(x);
	if (x->live_entered < LIVE_MAIL && *next_mail <= x->now) {
		enter(x, 'l', (unsigned)(x->live_entered % LIVE));
		*next_mail += ARRIVALS;
	}
	while ((end = heap_min(&x->ends)) != NULL && end->key <= x->now)
		end_one(x);
	return true;
}

static void
run(struct sim *x, int64_t until, uint64_t removed)
{
	int64_t next_mail = x->now, timer;

	tell_time(x);
	do
		timer = sched_run(x->s).ns;
	while (x->removed < removed && step(x, &next_mail, timer == INT64_MAX ? INT64_MAX : timer / 1000, until));
}

static void
start(struct sim *x, unsigned dead_mail, unsigned slow_mail)
{
	struct sched_settings set = { .minimal_backoff = 300, .maximal_backoff = 4000, .lifetime = 432000,
		.bounce_lifetime = 432000, .seed = 7 };

	*x = (struct sim){ .now = 1, .next_id = 1 };
	x->arrived = mem_array(LIVE_MAIL + (size_t)DEAD * dead_mail + (size_t)SLOW * slow_mail + 2, sizeof *x->arrived);
	for (size_t i = 0; i < CAPACITY; i++)
		x->free[x->nfree++] = &x->pool[i];
	x->s = sched_new(&set, &verbs, x);
	tell_time(x);
	for (unsigned i = 0; i < dead_mail; i++)
		for (unsigned n = 0; n < DEAD; n++)
			enter(x, 'd', n);
	for (unsigned i = 0; i < slow_mail; i++)
		for (unsigned n = 0; n < SLOW; n++)
			enter(x, 's', n);
	x->agent = sched_agent_add(x->s, STR("smtp"), CAPACITY, x);
}

static void
stop(struct sim *x)
{
	sched_agent_gone(x->s, &x->agent);
	sched_free(&x->s);
	heap_fini(&x->ends);
	mem_free(&x->arrived);
}

static void
the_living_do_not_wait_for_the_dead_and_the_slow(void)
{
	int64_t until = (int64_t)LIVE_MAIL * ARRIVALS + 60 * 1000000;
	struct sched_stats st;

	start(&sim, DEAD_MAIL, SLOW_MAIL);
	run(&sim, until, UINT64_MAX);
	CHECK(sim.live_removed == LIVE_MAIL);
	/* On average nothing is lost, and once destinations are known nobody waits as much as one delivery takes. */
	CHECK(sim.sum / LIVE_MAIL <= LIVE_TIME + LIVE_TIME / 10);
	CHECK(sim.worst <= 2 * LIVE_TIME);
	CHECK(sim.worst_early <= 1000000);
	/* What is not well has had its share of the agents, half and a few first deliveries, as long as others want some. */
	CHECK(sim.most_not_live <= CAPACITY * 5 / 8 && sim.most_not_live >= CAPACITY / 4);
	sched_stats(sim.s, &st);
	CHECK(st.dead == DEAD);

	/* They get well: whatever waited for them goes out, without anybody's help. */
	sim.healed = true;
	run(&sim, sim.now + INT64_C(4 * 4000 * 1000000), sim.next_id - 1);
	CHECK(sim.removed == sim.next_id - 1);
	sched_stats(sim.s, &st);
	CHECK(st.messages == 0 && st.recipients == 0 && st.deliveries == 0 && st.bytes == 0);
	stop(&sim);
}

static void
a_message_with_one_recipient_is_small(void)
{
	struct sched_stats st;

	start(&sim, 20, 0);
	sched_stats(sim.s, &st);
	/* Besides: two pointers (table of ids, timer) and what malloc adds. */
	CHECK(st.bytes / st.messages <= 260);
	stop(&sim);
}

SUITE(sim, TEST(the_living_do_not_wait_for_the_dead_and_the_slow), TEST(a_message_with_one_recipient_is_small));
