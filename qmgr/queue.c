/* SPDX-License-Identifier: Apache-2.0 */
/* An operator's requests.  A long walk gives way to deliveries, and waits for a client that reads
 * slowly; while the spool is still being read after the start it follows the reading, so that what
 * it says is all there is. */
#include "qmgr/queue.h"

#include "util/log.h"
#include "util/mem.h"

enum {
	QUEUED_BYTES = 1 << 20,
	EACH_TURN = 500,
	SLOW_SECONDS = 3600,
	REBUILD_SECONDS = 600,
	IDS_BYTES = 32 << 10
};

/* -- does a message fit? -- */

static unsigned
state_of(const struct message *m, const struct sched_msg *v)
{
	if (sched_active(m))
		return STATE_ACTIVE;
	return v->dir == SPOOL_HOLD  ? STATE_HOLD
	       : sched_deferred(m) ? STATE_DEFERRED
				   : STATE_INCOMING;
}

static bool
fits(const struct message *m, const struct msg_select *s)
{
	struct sched_explained x;
	struct sched_msg v;

	sched_view(m, &v);
	if (!select_message(s, &(struct select_message){ v.sender, v.arrived.us, state_of(m, &v) }))
		return false;
	if (!select_asks_rcpts(s))
		return true;
	for (uint32_t i = 0; i < sched_rcpts(m); i++) {
		sched_explain(qmgr.sched, m, i, &x);
		if (x.why != WHY_DONE && select_rcpt(s, &(struct select_rcpt){ x.addr, x.orig,
							    x.transport, x.nexthop, x.text }))
			return true;
	}
	return false;
}

/* -- listing -- */

/* False: there are more than a frame takes. */
static bool
put_rcpts(const struct message *m, struct buf *rcpts)
{
	struct sched_explained x;

	for (uint32_t i = 0; i < sched_rcpts(m); i++) {
		size_t before = rcpts->n;

		sched_explain(qmgr.sched, m, i, &x);
		if (x.why != WHY_DONE &&
		    !msg_item_rcpt_put(rcpts, &(struct msg_item_rcpt){ .index = x.index,
						  .addr = x.addr,
						  .orig = x.orig,
						  .why = (uint8_t)x.why,
						  .esc = x.esc,
						  .reason = x.text,
						  .attempts = x.attempts,
						  .next_try = x.next_try.us,
						  .transport = x.transport,
						  .nexthop = x.nexthop })) {
			buf_cut(rcpts, before);
			return false;
		}
	}
	return true;
}

static enum err
send_item(struct request *r, const struct message *m)
{
	static struct buf rcpts = BUF(QMGR_FRAME_MAX - (64 << 10));
	struct msg_item item;
	struct sched_msg v;
	struct buf *out;

	sched_view(m, &v);
	buf_clear(&rcpts);
	r->end.partial |= !put_rcpts(m, &rcpts);
	if ((out = ipc_begin(r->peer->ipc, MSG_ITEM_TAG)) == NULL)
		return fail(E_EOF, "the listing is not read");
	item = (struct msg_item){ .request = r->q.request,
		.id = v.id,
		/* where it is being moved to */
		.dir = (uint8_t)(sched_held(m) ? SPOOL_HOLD : v.dir),
		.active = sched_active(m),
		.forced_expire = sched_forced(m),
		.arrived = v.arrived.us,
		.size = v.size,
		.sender = v.sender,
		.rcpts = buf_str(&rcpts) };
	notice_explain(&v, &item);
	msg_item_put(out, &item);
	ipc_end(r->peer->ipc);
	if (rcpts.cap > QUEUED_BYTES)
		buf_free(&rcpts);
	return OK;
}

/* -- changing -- */

static bool
apply(const struct msg_queue *q, struct message *m)
{
	if (q->dry)
		return true;
	if (q->op == QUEUE_REQUEUE)
		return sched_requeue(qmgr.sched, m);
	return sched_op(qmgr.sched, m, (enum queue_op)q->op);
}

/* A word that was answered outlives a crash of ours: docs/SPOOL.md R8.4. */
static WAITS enum err
send_changed(struct request *r)
{
	struct buf *out;

	if (r->changed.n == 0)
		return OK;
	if (r->q.op != QUEUE_FLUSH && !r->q.dry) {
		TRY(disk_settle());
		qmgr_event();
	}
	if ((out = ipc_begin(r->peer->ipc, MSG_CHANGED_TAG)) == NULL)
		return fail(E_EOF, "the answer is not read");
	msg_changed_put(out, &(struct msg_changed){ r->q.request, buf_str(&r->changed) });
	ipc_end(r->peer->ipc);
	buf_clear(&r->changed);
	return OK;
}

static WAITS enum err
visit(struct request *r, struct message *m)
{
	uint64_t id = sched_id(m);

	if (!fits(m, &r->select))
		return OK;
	if (r->q.op == QUEUE_LIST) {
		r->end.matched++;
		return send_item(r, m);
	}
	if (!apply(&r->q, m))
		return OK;
	r->end.matched++;
	(void)wire_put_u64(&r->changed, id);
	return r->changed.n >= IDS_BYTES ? send_changed(r) : OK;
}

/* -- which ones -- */

/* A client that stops reading costs its own task, and no more memory than QUEUED_BYTES and a
 * message. */
static WAITS enum err
give_way(struct request *r, unsigned *n)
{
	if (ipc_queued(r->peer->ipc) > QUEUED_BYTES)
		TRY(ipc_flush(r->peer->ipc, time_after(time_now(), SLOW_SECONDS)));
	if (++*n % EACH_TURN == 0) {
		qmgr_kick();
		task_yield();
		qmgr_event();
	}
	return OK;
}

static WAITS enum err
walk(struct request *r)
{
	struct time limit = time_after(time_now(), REBUILD_SECONDS);
	struct sched_cursor c;
	struct message *m;
	unsigned n = 0;
	enum err e = OK;

	sched_walk(qmgr.sched, &c, !qmgr.rebuilt);
	while (e == OK) {
		c.follow = c.follow && !qmgr.rebuilt;
		if ((m = sched_walk_next(qmgr.sched, &c)) != NULL) {
			e = visit(r, m);
			e = e == OK ? give_way(r, &n) : e;
		} else if (!c.follow) {
			break;
		} else if (wait_park(&qmgr.more_read, limit) != OK) {
			r->end.partial = true;
			break;
		} else {
			qmgr_event();
		}
	}
	sched_walk_end(&c);
	r->end.partial |= qmgr.overflow;
	return e;
}

/* What is still only on disk right after the start is not known to be missing. */
static WAITS void
await(uint64_t id)
{
	struct time limit = time_after(time_now(), REBUILD_SECONDS);

	while (!qmgr.rebuilt && sched_find(qmgr.sched, id) == NULL)
		if (wait_park(&qmgr.more_read, limit) != OK)
			return;
	qmgr_event();
}

static WAITS enum err
each_id(struct request *r)
{
	struct str ids = r->select.ids;
	struct message *m;
	unsigned n = 0;
	uint64_t id;
	enum err e = OK;

	while (e == OK && wire_get_u64(&ids, &id)) {
		await(id);
		if ((m = sched_find(qmgr.sched, id)) != NULL)
			e = visit(r, m);
		else
			(void)wire_put_u64(&r->missing, id);
		e = e == OK ? give_way(r, &n) : e;
	}
	return e;
}

/* Destinations that were found dead are given another chance. */
static void
revive(const struct request *r)
{
	struct str rest = r->select.destinations, site;

	if (select_is_all(&r->select))
		sched_revive(qmgr.sched, STR(""));
	while (wire_get_str(&rest, &site))
		if (site.n > 0)
			sched_revive(qmgr.sched, site);
}

static WAITS enum err
messages(struct request *r)
{
	if (r->q.op == QUEUE_FLUSH && !r->q.dry)
		revive(r);
	return r->select.ids.n > 0 ? each_id(r) : walk(r);
}

static WAITS enum err
answer(struct request *r)
{
	static enum err (*const does[QUEUE_OP_COUNT])(struct request * r) = {
		[QUEUE_LIST] = messages,
		[QUEUE_FLUSH] = messages,
		[QUEUE_HOLD] = messages,
		[QUEUE_RELEASE] = messages,
		[QUEUE_DELETE] = messages,
		[QUEUE_REQUEUE] = messages,
		[QUEUE_EXPIRE] = messages,
		[QUEUE_EXPIRE_HELD] = messages,
		[QUEUE_READ] = queue_read,
		[QUEUE_SITES] = queue_sites,
		[QUEUE_HISTORY] = queue_history,
	};
	enum err e;

	if (r->q.op >= QUEUE_OP_COUNT)
		return fail(E_SYNTAX, "unknown operation");
	TRY(queue_allowed(r));
	qmgr_event();
	e = does[r->q.op](r);
	return e == OK ? send_changed(r) : e;
}

enum err
queue_request(struct peer *p, const struct msg_queue *q)
{
	struct request r = { .peer = p, .q = *q, .end = { .request = q->request } };
	char *select = str_dup(q->select); /* the frame is gone with the next one */
	struct buf *out;
	enum err e;

	r.changed = r.missing = BUF(QMGR_FRAME_MAX);
	e = msg_select_get((struct str){ select, q->select.n }, &r.select);
	e = e == OK ? select_check(&r.select) : e;
	if (e == OK && (e = answer(&r)) != OK && !ipc_dead(p->ipc)) {
		r.end.err = e;
		r.end.why = str_of(err_why());
		e = e == E_EOF || e == E_TIMEOUT ? e : OK;
	}
	r.end.missing = buf_str(&r.missing);
	if (e == OK && (out = ipc_begin(p->ipc, MSG_COUNTED_TAG)) != NULL) {
		msg_counted_put(out, &r.end);
		ipc_end(p->ipc);
	}
	buf_free(&r.changed);
	buf_free(&r.missing);
	free(select);
	return e;
}
