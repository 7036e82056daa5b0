/* SPDX-License-Identifier: Apache-2.0 */
/* The queue without qmgr: to look at it the spool is only read; to change it its lock is taken
 * first (docs/SPOOL.md, rule 8). */
#include <pthread.h>
#include <stdlib.h>

#include "cmd/queue.h"
#include "mail/route.h"
#include "util/log.h"
#include "util/mem.h"

enum { THREADS = 2, RCPTS_MAX = 64 << 20 };

static const enum spool_dir listed[] = { SPOOL_INCOMING, SPOOL_DEFERRED, SPOOL_HOLD };

struct place {
	uint64_t id;
	enum spool_dir dir;
};

struct work {
	struct router *router;
	const struct queue_request *request;
	const struct queue_answers *answers;
	struct queue_result *out;
	struct spool *spool;
	pthread_mutex_t lock; /* the scan calls back from several threads */
	struct route route;
	struct buf rcpts;
	struct place *places; /* what a change applies to, done after the scan */
	size_t n, cap;
	bool broken; /* a change could not be made */
};

/* -- does a message fit? -- */

static bool
is_open(const struct spool_progress *p)
{
	return p->state <= JRN_DEFERRED ||
	       ((p->state == JRN_BOUNCED || p->state == JRN_EXPIRED) && !p->noticed);
}

static unsigned
state_of(enum spool_dir d)
{
	return d == SPOOL_HOLD ? STATE_HOLD : d == SPOOL_DEFERRED ? STATE_DEFERRED : STATE_INCOMING;
}

static bool
rcpt_fits(struct work *w, const struct spool_view *v, size_t i)
{
	const struct spool_rcpt *r = &v->msg.rcpts[i];

	if (!is_open(&v->progress[i]))
		return false;
	/* Where a table has no answer now, the domain still tells. */
	(void)!router_find(w->router, v->msg.sender, r->addr, &w->route);
	return select_rcpt(&w->request->select,
	    &(struct select_rcpt){ r->addr, r->orig, buf_str(&w->route.transport),
		buf_str(&w->route.nexthop), v->progress[i].text });
}

static bool
fits(struct work *w, const struct spool_view *v)
{
	const struct msg_select *s = &w->request->select;

	if (!select_message(s,
		&(struct select_message){ v->msg.sender, v->msg.arrived.us, state_of(v->msg.dir) }))
		return false;
	if (!select_asks_rcpts(s))
		return true;
	for (size_t i = 0; i < v->msg.nrcpts; i++)
		if (rcpt_fits(w, v, i))
			return true;
	return false;
}

/* -- what is done with it -- */

static void
show(struct work *w, const struct spool_view *v)
{
	buf_clear(&w->rcpts);
	for (size_t i = 0; i < v->msg.nrcpts; i++) {
		const struct spool_rcpt *r = &v->msg.rcpts[i];
		const struct spool_progress *p = &v->progress[i];
		bool failed = p->state == JRN_BOUNCED || p->state == JRN_EXPIRED;

		if (!is_open(p))
			continue;
		(void)!router_find(w->router, v->msg.sender, r->addr, &w->route);
		(void)msg_item_rcpt_put(
		    &w->rcpts, &(struct msg_item_rcpt){ .index = (uint32_t)i,
				   .addr = r->addr,
				   .orig = r->orig,
				   .why = failed                     ? WHY_NOTICE
					  : v->msg.dir == SPOOL_HOLD ? WHY_HELD
								     : w->out->away             ? WHY_AWAY
								     : WHY_UNKNOWN,
				   .esc = p->esc,
				   .reason = p->text,
				   .attempts = p->attempts,
				   .next_try = p->next_try.us,
				   .transport = buf_str(&w->route.transport),
				   .nexthop = buf_str(&w->route.nexthop) });
	}
	w->answers->item(w->answers->arg, &(struct msg_item){ .id = v->msg.id,
					      .dir = (uint8_t)v->msg.dir,
					      .forced_expire = v->forced,
					      .arrived = v->msg.arrived.us,
					      .size = v->msg.size,
					      .sender = v->msg.sender,
					      .rcpts = buf_str(&w->rcpts) });
}

static void
keep(struct work *w, const struct spool_view *v)
{
	if (w->n == w->cap) {
		w->cap = w->cap ? 2 * w->cap : 1024;
		w->places = mem_grow(w->places, w->cap * sizeof *w->places);
	}
	w->places[w->n++] = (struct place){ v->msg.id, v->msg.dir };
}

static bool
visit(void *arg, struct spool_view *v)
{
	struct work *w = arg;

	pthread_mutex_lock(&w->lock);
	if (fits(w, v)) {
		if (w->request->op != QUEUE_LIST)
			keep(w, v);
		else if (w->answers->item)
			show(w, v);
		w->out->matched += w->request->op == QUEUE_LIST;
	}
	pthread_mutex_unlock(&w->lock);
	return true;
}

/* -- changes -- */

static enum err
record(struct spool *s, const struct place *at, enum jrn_type type)
{
	struct jrn_record r = { .type = (uint8_t)type, .at = wall_now().us, .index = JRN_ALL };
	struct buf b = BUF(0);
	enum err e;

	jrn_record_put(&b, &r);
	e = spool_append(s, at->dir, at->id, buf_str(&b), true);
	buf_free(&b);
	return e;
}

/* *did: it applied. */
static enum err
change(const struct work *w, const struct place *at, bool *did)
{
	bool held = at->dir == SPOOL_HOLD;

	*did = true;
	switch (w->request->op) {
	case QUEUE_DELETE:
		spool_removing(w->spool, &at->id, 1);
		return spool_remove(w->spool, at->dir, at->id);
	case QUEUE_HOLD:
		*did = !held;
		return held ? OK : spool_move(w->spool, at->id, at->dir, SPOOL_HOLD);
	case QUEUE_RELEASE:
		*did = held;
		return held ? spool_move(w->spool, at->id, SPOOL_HOLD, SPOOL_DEFERRED) : OK;
	case QUEUE_REQUEUE:
		TRY(record(w->spool, at, JRN_T_REQUEUED));
		return held ? spool_move(w->spool, at->id, SPOOL_HOLD, SPOOL_DEFERRED) : OK;
	case QUEUE_EXPIRE_HELD:
		TRY(record(w->spool, at, JRN_T_EXPIRE));
		return held ? spool_move(w->spool, at->id, SPOOL_HOLD, SPOOL_DEFERRED) : OK;
	default:
		return record(w->spool, at, JRN_T_EXPIRE);
	}
}

static void
change_all(struct work *w)
{
	struct progress p;
	char text[QID_TEXT];

	progress_begin(&p, "messages", w->n);
	for (size_t i = 0; i < w->n; i++) {
		bool did = true;
		enum err e = w->request->dry ? OK : change(w, &w->places[i], &did);

		if (e != OK) {
			fprintf(stderr, "warning: %s: %s\n", qid_text(w->places[i].id, text),
			    err_why());
			w->broken = true;
		} else if (did) {
			w->out->matched++;
			if (w->answers->changed)
				w->answers->changed(w->answers->arg, w->places[i].id);
		}
		progress_at(&p, i + 1);
	}
	progress_end(&p);
}

/* -- which ones -- */

static enum err
visit_ids(struct work *w)
{
	struct str ids = w->request->select.ids;
	struct spool_view v;
	enum spool_dir d;
	uint64_t id;

	while (wire_get_u64(&ids, &id)) {
		enum err e = spool_find(w->spool, id, &d);

		e = e == OK && d == SPOOL_CORRUPT ? E_NOENT : e;
		e = e == OK ? spool_read(w->spool, d, id, false, &v) : e;
		if (e == E_NOENT)
			(void)wire_put_u64(&w->out->missing, id);
		else
			TRY(e);
		if (e == OK) {
			visit(w, &v);
			spool_view_fini(&v);
		}
	}
	return OK;
}

static enum err
visit_all(struct work *w)
{
	struct spool_scan how = { .fn = visit, .arg = w, .threads = THREADS, .debris_age = 86400 };
	struct spool_scan_stats stats;

	if (w->request->select.ids.n > 0)
		return visit_ids(w);
	for (size_t i = 0; i < countof(listed); i++)
		TRY(spool_scan(w->spool, listed[i], &how, &stats));
	return OK;
}

static enum err
tell_history(const struct work *w)
{
	struct str ids = w->request->select.ids, records;
	struct buf all = BUF(RCPTS_MAX);
	struct jrn_record r;
	uint64_t id;
	enum err e;

	if (!wire_get_u64(&ids, &id))
		return fail(E_SYNTAX, "no id");
	e = spool_history(w->spool, id, &all, &w->out->partial);
	records = buf_str(&all);
	while (e == OK && jrn_record_take(&records, &r))
		if (w->answers->event)
			w->answers->event(w->answers->arg, &r);
	if (e == E_NOENT && wire_put_u64(&w->out->missing, id))
		e = OK;
	buf_free(&all);
	return e;
}

static enum err
work(struct work *w, bool looks)
{
	enum err e;

	if (w->request->op == QUEUE_HISTORY)
		return tell_history(w);
	pthread_mutex_init(&w->lock, NULL);
	route_init(&w->route);
	w->rcpts = BUF(RCPTS_MAX);
	e = looks ? OK : spool_lock(w->spool);
	e = e == OK ? visit_all(w) : e;
	if (e == OK && w->request->op != QUEUE_LIST)
		change_all(w);
	free(w->places);
	buf_free(&w->rcpts);
	route_fini(&w->route);
	pthread_mutex_destroy(&w->lock);
	return e == OK && w->broken ? fail(E_IO, "not all of it could be done") : e;
}

enum err
queue_offline(const struct params *p, const struct queue_request *r, const struct queue_answers *a,
    struct queue_result *out)
{
	struct work w = { .request = r, .answers = a, .out = out };
	bool looks = r->op == QUEUE_LIST || r->op == QUEUE_HISTORY || r->dry;
	enum err e;

	if (r->op == QUEUE_FLUSH)
		return fail(E_BUSY, "mail can be flushed only while the mail system runs");
	if (r->op == QUEUE_READ || r->op == QUEUE_SITES)
		return OK;
	TRY(router_open(p, p->config_directory, &w.router));
	e = spool_open(p->queue_directory, spool_sync_of(p->spool_sync), looks, &w.spool);
	e = e == OK ? work(&w, looks) : e;
	spool_close(&w.spool);
	router_close(&w.router);
	return e;
}
