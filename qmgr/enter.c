/* SPDX-License-Identifier: Apache-2.0 */
/* Messages as the scheduler wants them: from a notice of smtpd's, or read from the disk. */
#include "mail/route.h"
#include "qmgr/qmgr.h"
#include "util/log.h"
#include "util/mem.h"

/* Routes are made into scratch memory that the scheduler copies from; most mail goes where the last
 * one went. */
struct texts {
	struct sched_rcpt *v;
	struct route *routes;
	size_t n;
};

static void
texts_make(struct texts *t, size_t n)
{
	t->n = n;
	t->v = mem_array(n + 1, sizeof *t->v);
	t->routes = mem_array(n + 1, sizeof *t->routes);
}

static void
texts_free(struct texts *t)
{
	for (size_t i = 0; i < t->n; i++)
		route_fini(&t->routes[i]);
	free(t->routes);
	free(t->v);
}

static void
route(struct texts *t, size_t i, struct str addr)
{
	route_init(&t->routes[i]);
	route_find(&qmgr.service->params, addr, &t->routes[i]);
	t->v[i].transport = buf_str(&t->routes[i].transport);
	t->v[i].nexthop = buf_str(&t->routes[i].nexthop);
}

void
enter_route(void *arg, struct str addr, struct str *transport, struct str *nexthop)
{
	static struct route last;

	(void)arg;
	route_fini(&last);
	route_init(&last);
	route_find(&qmgr.service->params, addr, &last);
	*transport = buf_str(&last.transport);
	*nexthop = buf_str(&last.nexthop);
}

void
enter_notice(const struct msg_entered *e)
{
	struct sched_msg m = { .id = e->id,
		.dir = SPOOL_INCOMING,
		.arrived = { e->arrived },
		.size = e->size,
		.content_at = e->content_at,
		.flags = e->flags,
		.sender = e->sender };
	struct texts t;
	struct msg_rcpt r;
	struct str rest;
	size_t n = 0;

	for (rest = e->rcpts; rest.n > 0 && msg_rcpt_take(&rest, &r);)
		n++;
	texts_make(&t, n);
	rest = e->rcpts;
	for (size_t i = 0; i < n && msg_rcpt_take(&rest, &r); i++) {
		t.v[i] = (struct sched_rcpt){
			.index = r.index, .addr = r.addr, .orig = r.orig, .state = JRN_PENDING
		};
		route(&t, i, r.addr);
	}
	(void)sched_enter(qmgr.sched, &m, t.v, n);
	texts_free(&t);
}

void
enter_view(const struct spool_view *v)
{
	struct sched_msg m = { .id = v->msg.id,
		.dir = v->msg.dir,
		.arrived = v->msg.arrived,
		.size = v->msg.size,
		.content_at = v->msg.content_at,
		.flags = v->msg.flags,
		.sender = v->msg.sender };
	struct texts t;
	size_t n = 0;

	if (gone_recently(m.id) || sched_find(qmgr.sched, m.id))
		return;
	texts_make(&t, v->msg.nrcpts);
	for (size_t i = 0; i < v->msg.nrcpts; i++) {
		const struct spool_progress *p = &v->progress[i];
		bool failed = p->state == JRN_BOUNCED || p->state == JRN_EXPIRED;

		route_init(&t.routes[i]);
		if (p->state == JRN_SENT || (failed && v->noticed))
			continue;
		t.v[n] = (struct sched_rcpt){ .index = (uint32_t)i,
			.addr = v->msg.rcpts[i].addr,
			.orig = v->msg.rcpts[i].orig,
			.state = p->state,
			.attempts = p->attempts,
			.next_try = p->next_try,
			.esc = p->esc,
			.text = p->text,
			.mta = p->mta,
			.diag = p->diag };
		route_find(&qmgr.service->params, t.v[n].addr, &t.routes[i]);
		t.v[n].transport = buf_str(&t.routes[i].transport);
		t.v[n].nexthop = buf_str(&t.routes[i].nexthop);
		n++;
	}
	(void)sched_enter(qmgr.sched, &m, t.v, n);
	texts_free(&t);
}

/* -- ids removed while the disk is being read: what a reader saw before that must not come back to
 * life -- */
struct gone {
	struct map_node node;
	struct list link;
	uint64_t id;
};

void
gone_note(uint64_t id)
{
	struct gone *g = mem_new(sizeof *g);

	g->id = id;
	if (map_put(&qmgr.gone, (struct str){ (const char *)&g->id, sizeof g->id }, &g->node) ==
	    &g->node)
		list_push(&qmgr.gone_list, &g->link);
	else
		free(g);
}

bool
gone_recently(uint64_t id)
{
	return map_get(&qmgr.gone, (struct str){ (const char *)&id, sizeof id }) != NULL;
}

void
gone_clear(void)
{
	LIST_EACH (&qmgr.gone_list, g, struct gone, link) {
		list_remove(&g->link);
		map_del(&qmgr.gone, &g->node);
		free(g);
	}
}
