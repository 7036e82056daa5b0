/* SPDX-License-Identifier: Apache-2.0 */
/* A world for the scheduler: agents that deliver when told to, a disk that obeys at once, a clock that is pushed. */
#ifndef TESTS_UNIT_QMGR_FIXTURE_H
#define TESTS_UNIT_QMGR_FIXTURE_H

#include <stdio.h>

#include "qmgr/sched.h"
#include "tests/unit/check.h"
#include "util/mem.h"

enum { WORLD_LOG = 1024, WORLD_RCPTS = 64 };

struct flight {
	uint64_t id, delivery;
	void    *agent;
	char     nexthop[64];
	uint32_t index[WORLD_RCPTS];
	size_t   n;
};

struct world {
	struct sched         *s;
	struct sched_settings settings;
	struct sched_limits   limits;
	int64_t               now;                     /* us */
	struct flight         flights[WORLD_LOG];      /* under way, oldest first */
	size_t                nflights;
	unsigned              active, suspended, lost, expired, removed, durable, records, moves;
	unsigned              sent, noticed, warned, reported, bounced_records, deferred_records;
	uint64_t              removed_ids[WORLD_LOG];
	uint64_t              bounces[WORLD_LOG];      /* notices asked for */
	enum notice_kind      kinds[WORLD_LOG];
	size_t                nbounces;
	uint64_t              moving[WORLD_LOG];
	enum spool_dir        moving_to[WORLD_LOG];
	size_t                nmoving;
	char                  why[256];                /* of the last suspension */
	bool                  slow_disk;               /* moves wait for world_moved() */
	bool                  no_moves;                /* but to hold */
	bool                  nobody_to_tell;
	/* Of world_init_routed(). */
	const char           *route_to;                /* where all mail goes by now; NULL: the test says so, by sched_routed() */
	unsigned              reroutes;
};

static const int64_t WORLD_START = INT64_C(1700000000) * 1000000;

static inline void
world_on_active(void *arg, const struct message *m, uint32_t pending)
{
	(void)m, (void)pending;
	((struct world *)arg)->active++;
}

static inline void
world_on_deliver(void *arg, const struct sched_delivery *d)
{
	struct world *w = arg;
	struct flight *f = &w->flights[w->nflights++];

	CU_ASSERT_FATAL(w->nflights < WORLD_LOG && d->n <= WORLD_RCPTS);
	*f = (struct flight){ .id = sched_id(d->m), .delivery = d->delivery, .agent = d->agent, .n = d->n };
	snprintf(f->nexthop, sizeof f->nexthop, "%.*s", STR_ARG(d->nexthop));
	for (size_t i = 0; i < d->n; i++)
		f->index[i] = d->rcpts[i].index;
}

static inline void
world_on_record(void *arg, const struct message *m, struct str records, bool durable)
{
	struct world *w = arg;
	struct jrn_record r;

	(void)m;
	w->records++;
	w->durable += durable;
	while (records.n > 0) {
		CU_ASSERT_FATAL(jrn_record_take(&records, &r));
		w->sent += r.type == JRN_T_SENT;
		w->noticed += r.type == JRN_T_NOTICED;
		w->warned += r.type == JRN_T_WARNED;
		w->reported += r.type == JRN_T_REPORTED;
		w->bounced_records += r.type == JRN_T_BOUNCED || r.type == JRN_T_EXPIRED;
		w->deferred_records += r.type == JRN_T_DEFERRED;
	}
}

static inline void
world_on_suspended(void *arg, const struct message *m, struct str addr, struct str orig, struct str esc, struct str why)
{
	struct world *w = arg;

	(void)m, (void)addr, (void)orig;
	w->suspended++;
	snprintf(w->why, sizeof w->why, "%.*s %.*s", STR_ARG(esc), STR_ARG(why));
}

static inline void
world_on_lost(void *arg, const struct message *m, struct str addr, struct str orig)
{
	(void)m, (void)addr, (void)orig;
	((struct world *)arg)->lost++;
}

static inline void
world_on_expired(void *arg, const struct message *m)
{
	(void)m;
	((struct world *)arg)->expired++;
}

static inline bool
world_on_notice(void *arg, const struct message *m, enum notice_kind kind)
{
	struct world *w = arg;
	struct sched_msg v;

	sched_view(m, &v);
	if (v.sender.n == 0 || w->nobody_to_tell)
		return false;
	w->kinds[w->nbounces] = kind;
	w->bounces[w->nbounces++] = v.id;
	return true;
}

static inline bool
world_on_move(void *arg, const struct message *m, enum spool_dir to)
{
	struct world *w = arg;

	if (w->no_moves && to != SPOOL_HOLD)
		return false;
	w->moves++;
	w->moving[w->nmoving] = sched_id(m);
	w->moving_to[w->nmoving++] = to;
	return true;
}

static inline void
world_on_remove(void *arg, const struct message *m)
{
	struct world *w = arg;

	w->removed_ids[w->removed++ % WORLD_LOG] = sched_id(m);
}

static inline bool
world_on_route(void *arg, const struct message *m, struct str addr, struct str *transport, struct str *nexthop)
{
	struct world *w = arg;

	(void)m, (void)addr;
	*transport = STR("smtp");
	*nexthop = str_of(w->route_to ? w->route_to : "");
	return w->route_to != NULL;
}

static inline void
world_on_reroute(void *arg, const struct message *m)
{
	(void)m;
	((struct world *)arg)->reroutes++;
}

static inline void
world_limits(void *arg, struct str transport, struct sched_limits *out)
{
	(void)transport;
	*out = ((struct world *)arg)->limits;
}

static const struct sched_do world_verbs = {
	.active = world_on_active, .deliver = world_on_deliver, .record = world_on_record,
	.suspended = world_on_suspended, .lost = world_on_lost, .expired = world_on_expired,
	.notice = world_on_notice, .move = world_on_move, .remove = world_on_remove,
};

static const struct sched_do world_routed_verbs = {
	.active = world_on_active, .deliver = world_on_deliver, .record = world_on_record,
	.suspended = world_on_suspended, .lost = world_on_lost, .expired = world_on_expired,
	.notice = world_on_notice, .move = world_on_move, .remove = world_on_remove,
	.route = world_on_route, .reroute = world_on_reroute,
};

static inline struct wall world_wall(const struct world *w) { return (struct wall){ WORLD_START + w->now }; }

static inline void
world_begin(struct world *w, const struct sched_do *verbs)
{
	*w = (struct world){ .now = 1000000,
		.limits = { .concurrency = 20, .initial = 5, .recipients = 50, .cohorts = 1 },
		.settings = { .minimal_backoff = 300, .maximal_backoff = 4000, .lifetime = 432000,
			.bounce_lifetime = 432000, .limits = world_limits, .seed = 42 } };
	w->settings.arg = w;
	w->s = sched_new(&w->settings, verbs, w);
	sched_time(w->s, (struct time){ w->now * 1000 }, world_wall(w));
}

/* Mail stays where it entered. */
static inline void world_init(struct world *w) { world_begin(w, &world_verbs); }
/* Its route is asked again at each try. */
static inline void world_init_routed(struct world *w) { world_begin(w, &world_routed_verbs); }

static inline void
world_moved(struct world *w)
{
	for (size_t i = 0; i < w->nmoving; i++)
		sched_moved(w->s, w->moving[i], w->moving_to[i]);
	w->nmoving = 0;
}

/* Let the scheduler do what there is to do now. */
static inline void
world_run(struct world *w)
{
	sched_time(w->s, (struct time){ w->now * 1000 }, world_wall(w));
	sched_run(w->s);
	if (!w->slow_disk)
		world_moved(w);
	sched_run(w->s);
}

static inline void
world_pass(struct world *w, double seconds)
{
	w->now += (int64_t)(seconds * 1e6);
	world_run(w);
}

/* Mail for one next hop; rcpts recipients. */
static inline void
world_mail_from(struct world *w, uint64_t id, const char *sender, const char *nexthop, size_t rcpts)
{
	struct sched_msg m = { .id = id, .dir = SPOOL_INCOMING, .arrived = world_wall(w), .size = 1000,
		.sender = str_of(sender) };
	struct sched_rcpt *r = mem_array(rcpts + 1, sizeof *r);

	for (size_t i = 0; i < rcpts; i++)
		r[i] = (struct sched_rcpt){ .index = (uint32_t)i, .addr = STR("someone@example.com"),
			.transport = STR("smtp"), .nexthop = str_of(nexthop) };
	CHECK(sched_enter(w->s, &m, r, rcpts));
	free(r);
}

static inline void
world_mail(struct world *w, uint64_t id, const char *nexthop)
{
	world_mail_from(w, id, "sender@example.org", nexthop, 1);
}

/* The delivery at place i ends: all its recipients have the same fate. */
static inline void
world_end(struct world *w, struct agent *a, size_t i, enum site_state site, enum rcpt_status status)
{
	struct msg_outcome o[WORLD_RCPTS];
	struct flight f = w->flights[i];

	memmove(&w->flights[i], &w->flights[i + 1], (--w->nflights - i) * sizeof f);
	for (size_t k = 0; k < f.n; k++)
		o[k] = (struct msg_outcome){ .index = f.index[k], .status = (uint8_t)status,
			.esc = status == RCPT_SENT ? STR("2.0.0") : status == RCPT_DEFERRED ? STR("4.2.0") : STR("5.1.1"),
			.text = status == RCPT_SENT ? STR("250 Ok") : STR("said: no") };
	CHECK(sched_done(w->s, a, f.delivery, site, site == SITE_DOWN ? STR("connect: refused") : STR(""), o,
	    site == SITE_DOWN ? 0 : f.n));
	if (!w->slow_disk)
		world_moved(w);
}

static inline void
world_end_all(struct world *w, struct agent *a, enum site_state site, enum rcpt_status status)
{
	for (size_t n = w->nflights; n > 0; n--)
		world_end(w, a, 0, site, status);
}

/* Why recipient 0 of a message is where it is. */
static inline enum sched_why
world_why(const struct world *w, uint64_t id)
{
	struct sched_explained x;
	const struct message *m = sched_find(w->s, id);

	if (m == NULL)
		return WHY_COUNT;
	sched_explain(w->s, m, 0, &x);
	return x.why;
}

static inline void
world_fini(struct world *w, struct agent **a)
{
	if (a)
		sched_agent_gone(w->s, a);
	sched_free(&w->s);
}

#endif
