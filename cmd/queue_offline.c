/* SPDX-License-Identifier: Apache-2.0 */
/* The queue without qmgr: for listings the spool is only read; for changes its lock is taken first
 * (docs/SPOOL.md, rule 8). */
#include <pthread.h>
#include <stdlib.h>

#include "cmd/queue.h"
#include "mail/addr.h"
#include "mail/route.h"
#include "util/log.h"

static const enum spool_dir listed[] = { SPOOL_INCOMING, SPOOL_DEFERRED, SPOOL_HOLD };

struct work {
	struct router *router;
	const struct queue_request *request;
	struct spool *spool;
	queue_item_fn *fn;
	void *arg;
	pthread_mutex_t lock; /* the scan calls back from several threads */
	uint64_t *ids;        /* what a change applies to, done after the scan */
	enum spool_dir *dirs;
	size_t n, cap;
};

static bool
matches(const struct work *w, const struct spool_view *v)
{
	const struct queue_request *r = w->request;
	struct route route;
	bool found = false;
	uint64_t id;

	switch (r->by) {
	case BY_ALL:
		return true;
	case BY_ID:
		return qid_parse(r->what, &id) && id == v->msg.id;
	case BY_SENDER:
		return address_same(r->what, v->msg.sender);
	case BY_RECIPIENT:
		for (size_t i = 0; i < v->msg.nrcpts; i++)
			if (v->progress[i].state <= JRN_DEFERRED &&
			    address_same(r->what, v->msg.rcpts[i].addr))
				return true;
		return false;
	case BY_DESTINATION:
		route_init(&route);
		for (size_t i = 0; i < v->msg.nrcpts && !found; i++) {
			/* Where a table has no answer now, the domain still tells. */
			(void)!router_find(w->router, v->msg.sender, v->msg.rcpts[i].addr, &route);
			found = v->progress[i].state <= JRN_DEFERRED &&
				(str_ieq(buf_str(&route.nexthop), r->what) ||
				    str_ieq(address_domain(v->msg.rcpts[i].addr), r->what));
		}
		route_fini(&route);
		return found;
	}
	return false;
}

static void
show(const struct work *w, const struct spool_view *v)
{
	struct buf rcpts = BUF(64 << 20);
	struct msg_item item = { .id = v->msg.id,
		.dir = (uint8_t)v->msg.dir,
		.arrived = v->msg.arrived.us,
		.size = v->msg.size,
		.sender = v->msg.sender };

	for (size_t i = 0; i < v->msg.nrcpts; i++)
		if (v->progress[i].state <= JRN_DEFERRED) {
			struct msg_item_rcpt r = { .addr = v->msg.rcpts[i].addr,
				.orig = v->msg.rcpts[i].orig,
				.reason = v->progress[i].text,
				.attempts = v->progress[i].attempts,
				.next_try = v->progress[i].next_try.us };

			msg_item_rcpt_put(&rcpts, &r);
		}
	item.rcpts = buf_str(&rcpts);
	w->fn(w->arg, &item);
	buf_free(&rcpts);
}

static bool
visit(void *arg, struct spool_view *v)
{
	struct work *w = arg;

	pthread_mutex_lock(&w->lock);
	if (matches(w, v)) {
		if (w->request->op == QUEUE_LIST)
			show(w, v);
		if (w->n == w->cap) {
			w->cap = w->cap ? 2 * w->cap : 1024;
			w->ids = mem_grow(w->ids, w->cap * sizeof *w->ids);
			w->dirs = mem_grow(w->dirs, w->cap * sizeof *w->dirs);
		}
		w->ids[w->n] = v->msg.id;
		w->dirs[w->n++] = v->msg.dir;
	}
	pthread_mutex_unlock(&w->lock);
	return true;
}

static enum err
record(struct spool *s, enum spool_dir d, uint64_t id, enum jrn_type type)
{
	struct jrn_record r = { .type = (uint8_t)type, .at = wall_now().us, .index = JRN_ALL };
	struct buf b = BUF(0);
	enum err e;

	jrn_record_put(&b, &r);
	e = spool_append(s, d, id, buf_str(&b), true);
	buf_free(&b);
	return e;
}

static enum err
change(const struct work *w, enum spool_dir d, uint64_t id)
{
	switch (w->request->op) {
	case QUEUE_DELETE:
		spool_removing(w->spool, &id, 1);
		return spool_remove(w->spool, d, id);
	case QUEUE_HOLD:
		return d == SPOOL_HOLD ? OK : spool_move(w->spool, id, d, SPOOL_HOLD);
	case QUEUE_RELEASE:
		return d == SPOOL_HOLD ? spool_move(w->spool, id, SPOOL_HOLD, SPOOL_DEFERRED) : OK;
	case QUEUE_REQUEUE:
		return record(w->spool, d, id, JRN_T_REQUEUED);
	case QUEUE_EXPIRE:
		return fail(E_BUSY, "mail can be expired only while the mail system runs");
	case QUEUE_FLUSH:
		return fail(E_BUSY, "mail can be flushed only while the mail system runs");
	case QUEUE_LIST:
		break;
	}
	return OK;
}

enum err
queue_offline(const struct params *p, const struct queue_request *r, queue_item_fn *fn, void *arg,
    uint32_t *counted)
{
	struct work w = { .request = r, .fn = fn, .arg = arg };
	struct spool_scan how = { .fn = visit, .arg = &w, .threads = 2, .debris_age = 86400 };
	struct spool_scan_stats stats;
	bool read_only = r->op == QUEUE_LIST || r->dry;
	enum err e;

	TRY(router_open(p, p->config_directory, &w.router));
	e = spool_open(p->queue_directory, spool_sync_of(p->spool_sync), read_only, &w.spool);
	if (e != OK) {
		router_close(&w.router);
		return e;
	}
	pthread_mutex_init(&w.lock, NULL);
	e = read_only ? OK : spool_lock(w.spool);
	for (size_t i = 0; i < countof(listed) && e == OK; i++)
		e = spool_scan(w.spool, listed[i], &how, &stats);
	for (size_t i = 0; i < w.n && e == OK && !read_only; i++)
		e = change(&w, w.dirs[i], w.ids[i]);
	*counted = (uint32_t)w.n;
	free(w.ids);
	free(w.dirs);
	pthread_mutex_destroy(&w.lock);
	spool_close(&w.spool);
	router_close(&w.router);
	return e;
}
