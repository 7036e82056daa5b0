/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/addr.h"
#include "qmgr/qmgr.h"
#include "util/log.h"

enum { QUEUED_BYTES = 1 << 20, EACH_TURN = 500, FLUSH_SECONDS = 60, REBUILD_SECONDS = 60 };

static bool
by_recipient(const struct message *m, const struct msg_queue *q)
{
	struct sched_explained x;

	for (uint32_t i = 0; i < sched_rcpts(m); i++) {
		sched_explain(qmgr.sched, m, i, &x);
		if (x.why == WHY_DONE)
			continue;
		if (q->by == BY_RECIPIENT
			? address_same(x.addr, q->what)
			: str_ieq(x.nexthop, q->what) || str_ieq(address_domain(x.addr), q->what))
			return true;
	}
	return false;
}

static bool
matches(const struct message *m, const struct msg_queue *q)
{
	struct sched_msg v;

	switch (q->by) {
	case BY_ALL:
		return true;
	case BY_SENDER:
		sched_view(m, &v);
		return address_same(v.sender, q->what);
	case BY_RECIPIENT:
	case BY_DESTINATION:
		return by_recipient(m, q);
	default:
		return false;
	}
}

static enum err
send_item(struct peer *p, const struct msg_queue *q, const struct message *m)
{
	struct buf rcpts = BUF(QMGR_FRAME_MAX), *out;
	struct sched_explained x;
	struct sched_msg v;

	sched_view(m, &v);
	for (uint32_t i = 0; i < sched_rcpts(m); i++) {
		sched_explain(qmgr.sched, m, i, &x);
		if (x.why != WHY_DONE)
			(void)msg_item_rcpt_put(&rcpts, &(struct msg_item_rcpt){ .addr = x.addr,
							    .orig = x.orig,
							    .reason = x.text,
							    .attempts = x.attempts,
							    .next_try = x.next_try.us,
							    .transport = x.transport,
							    .nexthop = x.nexthop });
	}
	if ((out = ipc_begin(p->ipc, MSG_ITEM_TAG)) != NULL) {
		msg_item_put(out, &(struct msg_item){ .request = q->request,
				      .id = v.id,
				      .dir = (uint8_t)v.dir,
				      .active = sched_active(m),
				      .forced_expire = sched_forced(m),
				      .arrived = v.arrived.us,
				      .size = v.size,
				      .sender = v.sender,
				      .rcpts = buf_str(&rcpts) });
		ipc_end(p->ipc);
	}
	buf_free(&rcpts);
	return out ? OK : fail(E_EOF, "the listing is not read");
}

static bool
apply(const struct msg_queue *q, struct message *m)
{
	if (q->dry)
		return true;
	if (q->op == QUEUE_REQUEUE)
		return sched_requeue(qmgr.sched, m);
	return sched_op(qmgr.sched, m, (enum queue_op)q->op);
}

/* One message that fits.  *count grows when the operation applied. */
static enum err
visit(struct peer *p, const struct msg_queue *q, struct message *m, uint32_t *count)
{
	if (q->op == QUEUE_LIST) {
		++*count;
		return send_item(p, q, m);
	}
	*count += apply(q, m);
	return OK;
}

static WAITS enum err
walk(struct peer *p, const struct msg_queue *q, uint32_t *count)
{
	struct sched_cursor c;
	struct message *m;
	unsigned n = 0;
	enum err e = OK;

	sched_walk(qmgr.sched, &c);
	while (e == OK && (m = sched_walk_next(qmgr.sched, &c)) != NULL) {
		if (matches(m, q))
			e = visit(p, q, m, count);
		if (e == OK && ipc_queued(p->ipc) > QUEUED_BYTES)
			e = ipc_flush(p->ipc, time_after(time_now(), FLUSH_SECONDS));
		/* A long walk must not hold up deliveries. */
		if (++n % EACH_TURN == 0) {
			qmgr_kick();
			task_yield();
			qmgr_event();
		}
	}
	sched_walk_end(&c);
	return e;
}

/* What is still only on disk cannot be found: right after the start a request waits until
 * everything is known, unless it is about one message that is known already. */
static WAITS void
await_rebuild(const struct msg_queue *q)
{
	struct time limit = time_after(time_now(), REBUILD_SECONDS);
	uint64_t id;

	while (!qmgr.rebuilt &&
	       !(q->by == BY_ID && qid_parse(q->what, &id) && sched_find(qmgr.sched, id)))
		if (wait_park(&qmgr.rebuild_done, limit) != OK)
			return;
}

enum err
queue_request(struct peer *p, const struct msg_queue *borrowed)
{
	struct msg_queue q = *borrowed;
	struct msg_counted end = { .request = q.request };
	char *what = str_dup(q.what); /* the frame is gone with the next one */
	struct message *m;
	struct buf *out;
	uint64_t id;
	enum err e = OK;

	q.what = (struct str){ what, q.what.n };
	await_rebuild(&q);
	qmgr_event();
	if (q.op == QUEUE_FLUSH && !q.dry && (q.by == BY_ALL || q.by == BY_DESTINATION))
		sched_revive(qmgr.sched, q.by == BY_ALL ? STR("") : q.what);
	if (q.op > QUEUE_EXPIRE) {
		end.err = E_SYNTAX;
		end.why = STR("unknown operation");
	} else if (q.by == BY_ID) {
		if (qid_parse(q.what, &id) && (m = sched_find(qmgr.sched, id)) != NULL)
			e = visit(p, &q, m, &end.matched);
	} else {
		e = walk(p, &q, &end.matched);
	}
	if (e == OK && (out = ipc_begin(p->ipc, MSG_COUNTED_TAG)) != NULL) {
		msg_counted_put(out, &end);
		ipc_end(p->ipc);
	}
	free(what);
	return e;
}
