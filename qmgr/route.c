/* SPDX-License-Identifier: Apache-2.0 */
/* Where mail goes, as the scheduler wants to know it.
 *
 * Where no table has a say a domain has one route for as long as the settings last, and is looked
 * up once.  Else every recipient is looked up each time; tables in memory answer at once, for
 * others the task waits. */
#include "mail/route.h"

#include "mail/addr.h"
#include "qmgr/qmgr.h"
#include "util/fifo.h"
#include "util/log.h"
#include "util/mem.h"

enum { WAYS_MAX = 8192, EACH_TURN = 64, REASON_MAX = 200, TEXTS_MAX = 64 << 20 };

/* Where a domain's mail goes; most mail goes where other mail went. */
struct way {
	struct map_node node; /* key: domain */
	struct route route;
	char domain[];
};

static struct {
	struct router *router;
	bool fixed;
	struct map ways;
	struct fifo again; /* ids of messages to be routed anew */
	struct wait more;
} routes;

/* -- the tables -- */

static void
forget_ways(void)
{
	struct map_iter it = { 0 };

	for (struct map_node *n; (n = map_next(&routes.ways, &it)) != NULL;) {
		struct way *way = container_of(n, struct way, node);

		map_del(&routes.ways, n);
		route_fini(&way->route);
		free(way);
	}
}

static WAITS enum err
open_router(void)
{
	struct router *fresh;

	TRY(router_open(&qmgr.service->params, qmgr.service->config_dir, &fresh));
	router_close(&routes.router);
	forget_ways();
	routes.router = fresh;
	routes.fixed = router_fixed(fresh);
	return OK;
}

void
routes_open(void)
{
	if (open_router() != OK)
		log_fatal("%s", err_why());
}

void
routes_reload(void)
{
	if (open_router() != OK)
		log_error("mail is routed as before: %s", err_why());
}

void
routes_close(void)
{
	forget_ways();
	map_fini(&routes.ways);
	router_close(&routes.router);
	fifo_fini(&routes.again);
}

/* local looks at no next hop.  Each of its users is a destination of his own, so that the slow
 * command of one holds up nobody else. */
static struct str
nexthop_of(const struct route *r, struct str addr)
{
	return str_eq(buf_str(&r->transport), STR("local")) ? addr : buf_str(&r->nexthop);
}

/* -- without tables -- */

static struct way *
way_new(struct str addr, struct str domain)
{
	struct way *way = mem_new(sizeof *way + domain.n + 1);
	enum err e;

	if (domain.n)
		memcpy(way->domain, domain.p, domain.n);
	route_init(&way->route);
	e = router_find(routes.router, STR(""), addr, &way->route);
	ENSURE(e == OK); /* there is no table to fail */
	map_put(&routes.ways, (struct str){ way->domain, domain.n }, &way->node);
	return way;
}

bool
route_now(
    void *arg, const struct message *m, struct str addr, struct str *transport, struct str *nexthop)
{
	struct str domain = address_domain(addr);
	struct map_node *n = map_get(&routes.ways, domain);
	const struct way *way;

	(void)arg;
	(void)m;
	if (!routes.fixed)
		return false;
	way = n ? container_of(n, struct way, node) : way_new(addr, domain);
	*transport = buf_str(&way->route.transport);
	*nexthop = nexthop_of(&way->route, addr);
	return true;
}

/* -- with tables -- */

/* It waits, and says what for. */
static void
set_retry(struct route *r)
{
	struct buf why = BUF(0);

	ENSURE(buf_add_clean(&why, str_sub(str_of(err_why()), 0, REASON_MAX)));
	buf_clear(&r->transport);
	buf_clear(&r->nexthop);
	ENSURE(buf_adds(&r->transport, "retry") &&
	       buf_printf(&r->nexthop, "4.3.0 %s", buf_cstr(&why)));
	buf_free(&why);
}

static WAITS enum err
find(struct str sender, struct str addr, struct route *r)
{
	enum err e = router_find(routes.router, sender, addr, r);

	if (e == E_STOPPED || task_stopping())
		return E_STOPPED;
	if (e != OK) {
		log_warn("route of <%.*s>: %s", STR_ARG(addr), err_why());
		set_retry(r);
	}
	return OK;
}

enum err
route_all(struct str sender, struct sched_rcpt *v, size_t n, struct buf *texts)
{
	struct route r;
	size_t at = 0;
	enum err e = OK;

	if (routes.fixed) {
		if (routes.ways.n > WAYS_MAX)
			forget_ways();
		for (size_t i = 0; i < n; i++)
			(void)route_now(NULL, NULL, v[i].addr, &v[i].transport, &v[i].nexthop);
		return OK;
	}
	route_init(&r);
	for (size_t i = 0; i < n && e == OK; i++) {
		e = find(sender, v[i].addr, &r);
		v[i].transport = buf_str(&r.transport);
		v[i].nexthop = nexthop_of(&r, v[i].addr);
		if (e == OK && (!buf_add(texts, v[i].transport) || !buf_add(texts, v[i].nexthop)))
			e = fail(E_NOSPACE, "no memory for routes");
	}
	route_fini(&r);
	/* The texts have moved while they grew. */
	for (size_t i = 0; i < n && e == OK; i++) {
		v[i].transport.p = texts->p + at;
		v[i].nexthop.p = v[i].transport.p + v[i].transport.n;
		at += v[i].transport.n + v[i].nexthop.n;
	}
	return e;
}

/* -- again -- */

void
route_later(void *arg, const struct message *m)
{
	uint64_t id = sched_id(m);

	(void)arg;
	if (fifo_ends_with(&routes.again, id))
		return;
	fifo_push(&routes.again, id);
	wait_wake(&routes.more);
}

/* A copy of what is asked, as the message may go meanwhile. */
struct asked {
	struct sched_rcpt *v;
	size_t n, cap;
	struct buf addrs;
};

static void
note_rcpt(void *arg, uint32_t index, struct str addr)
{
	struct asked *a = arg;

	if (a->n == a->cap) {
		a->cap = a->cap ? 2 * a->cap : 4;
		a->v = mem_grow(a->v, a->cap * sizeof *a->v);
	}
	a->v[a->n++] = (struct sched_rcpt){ .index = index, .addr = addr };
	ENSURE(buf_add(&a->addrs, addr));
}

static int
by_index(const void *va, const void *vb)
{
	const struct sched_routed *a = va, *b = vb;

	return (a->index > b->index) - (a->index < b->index);
}

static void
answer(uint64_t id, const struct asked *a)
{
	struct sched_routed *v = mem_array(a->n + 1, sizeof *v);

	for (size_t i = 0; i < a->n; i++)
		v[i] = (struct sched_routed){ a->v[i].index, a->v[i].transport, a->v[i].nexthop };
	qsort(v, a->n, sizeof *v, by_index);
	qmgr_event();
	sched_routed(qmgr.sched, id, v, a->n);
	qmgr_kick();
	free(v);
}

static WAITS void
route_again(uint64_t id)
{
	struct message *m = sched_find(qmgr.sched, id);
	struct asked a = { .addrs = BUF(TEXTS_MAX) };
	struct buf sender = BUF(TEXTS_MAX), texts = BUF(TEXTS_MAX);
	struct sched_msg view;
	size_t at = 0;

	if (m == NULL)
		return;
	sched_view(m, &view);
	ENSURE(buf_add(&sender, view.sender));
	sched_unrouted(m, note_rcpt, &a);
	for (size_t i = 0; i < a.n; at += a.v[i++].addr.n)
		a.v[i].addr.p = a.addrs.p + at;
	if (a.n > 0 && route_all(buf_str(&sender), a.v, a.n, &texts) == OK)
		answer(id, &a);
	free(a.v);
	buf_free(&a.addrs);
	buf_free(&sender);
	buf_free(&texts);
}

static void
run_again(void *arg)
{
	unsigned turn = 0;

	(void)arg;
	while (!task_stopping()) {
		uint64_t id;

		if (!fifo_pop(&routes.again, &id)) {
			if (wait_park(&routes.more, TIME_NEVER) == E_STOPPED)
				break;
			continue;
		}
		route_again(id);
		if (++turn % EACH_TURN == 0)
			task_yield();
	}
}

void
routes_start(void)
{
	wait_init(&routes.more);
	if (task_start(&qmgr.tasks, "route", run_again, NULL) == NULL)
		log_starved("no memory for a task");
}
