/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that are not about each message: who may ask, new files, destinations, the past of a
 * message. */
#include "mail/users.h"
#include "qmgr/queue.h"
#include "util/log.h"
#include "util/mem.h"

enum { HISTORY_MAX = 8 << 20, HISTORY_FRAME = 64 << 10, READ_MAX = 4096, LOAD_SECONDS = 60 };

enum err
queue_allowed(struct request *r)
{
	const struct params *p = &qmgr.service->params;
	bool looks = r->q.op == QUEUE_LIST || r->q.op == QUEUE_SITES || r->q.op == QUEUE_HISTORY;
	struct user u;
	bool allowed;

	if (r->peer->trusted)
		return OK;
	if (!looks && r->q.op != QUEUE_FLUSH)
		return fail(
		    E_PERM, "only root and the owner of the mail system may change the queue");
	user_look_up(r->peer->uid, &u);
	allowed = looks ? user_is_among(&u, p->authorized_mailq_users, "authorized_mailq_users",
			      p->config_directory)
			: user_is_among(&u, p->authorized_flush_users, "authorized_flush_users",
			      p->config_directory);
	return allowed ? OK
		       : fail(E_PERM, "User %s(%u) is not allowed to %s the mail queue", u.name,
			     u.uid, looks ? "view" : "flush");
}

/* -- READ -- */

struct reading {
	struct str ids;
	struct spool_view *v;
	size_t n;
};

static enum err
read_views(void *arg)
{
	struct reading *rd = arg;
	enum spool_dir d;
	uint64_t id;

	while (rd->n < READ_MAX && wire_get_u64(&rd->ids, &id)) {
		if (spool_find(qmgr.spool, id, &d) == OK && d != SPOOL_CORRUPT &&
		    spool_read(qmgr.spool, d, id, false, &rd->v[rd->n]) == OK)
			rd->n++;
	}
	return OK;
}

enum err
queue_read(struct request *r)
{
	struct reading rd = { .ids = r->select.ids };
	enum err e = OK;

	qmgr.loaded_by = r->q.dry ? time_after(time_now(), LOAD_SECONDS) : TIME_NEVER;
	wait_wake(&qmgr.sweep);
	rd.v = mem_array(READ_MAX, sizeof *rd.v);
	qmgr.readers++; /* what is removed meanwhile is remembered */
	while (e == OK && rd.ids.n > 0) {
		rd.n = 0;
		e = task_offload(read_views, &rd);
		qmgr_event();
		for (size_t i = 0; i < rd.n; i++) {
			enter_view(&rd.v[i]);
			r->end.matched += sched_find(qmgr.sched, rd.v[i].msg.id) != NULL;
			spool_view_fini(&rd.v[i]);
		}
		qmgr_kick();
	}
	qmgr.readers--;
	if (qmgr.readers == 0)
		gone_clear();
	free(rd.v);
	r->end.partial = qmgr.overflow;
	return e;
}

/* -- SITES -- */

static void
send_site(void *arg, const struct sched_site *s)
{
	struct request *r = arg;
	struct buf *out;

	if (!select_site(r->select.destinations, s->transport, s->nexthop, STR("")))
		return;
	if ((out = ipc_begin(r->peer->ipc, MSG_SITE_TAG)) == NULL) {
		r->end.partial = true;
		return;
	}
	msg_site_put(out, &(struct msg_site){ .request = r->q.request,
			      .transport = s->transport,
			      .nexthop = s->nexthop,
			      .window = s->window,
			      .limit = s->limit,
			      .busy = s->busy,
			      .dead_since = s->dead_since.us,
			      .next_probe = s->next_probe.us,
			      .pause_until = s->pause_until.us,
			      .agents = s->agents,
			      .missing_since = s->missing_since.us,
			      .deferred = s->deferred,
			      .waiting = s->waiting,
			      .reason = s->reason });
	ipc_end(r->peer->ipc);
	r->end.matched++;
}

enum err
queue_sites(struct request *r)
{
	sched_sites(qmgr.sched, send_site, r);
	return OK;
}

/* -- HISTORY -- */

struct history {
	uint64_t id;
	struct buf records;
	bool cut;
};

static enum err
read_history(void *arg)
{
	struct history *h = arg;

	return spool_history(qmgr.spool, h->id, &h->records, &h->cut);
}

static enum err
send_history(struct request *r, struct str records)
{
	struct jrn_record one;

	while (records.n > 0) {
		struct str rest = records;
		struct buf *out = ipc_begin(r->peer->ipc, MSG_EVENTS_TAG);

		if (out == NULL)
			return fail(E_EOF, "the answer is not read");
		while (records.n - rest.n < HISTORY_FRAME && rest.n > 0) {
			if (!jrn_record_take(&rest, &one))
				break;
			r->end.matched++;
		}
		msg_events_put(out,
		    &(struct msg_events){ r->q.request, str_sub(records, 0, records.n - rest.n) });
		ipc_end(r->peer->ipc);
		if (rest.n == records.n)
			break;
		records = rest;
	}
	return OK;
}

enum err
queue_history(struct request *r)
{
	struct history h = { .records = BUF(HISTORY_MAX) };
	struct str ids = r->select.ids;
	enum err e;

	if (!wire_get_u64(&ids, &h.id) || ids.n > 0)
		return fail(E_SYNTAX, "the history of one message at a time");
	e = task_offload(read_history, &h);
	if (e == OK)
		e = send_history(r, buf_str(&h.records));
	else if (e == E_NOENT && wire_put_u64(&r->missing, h.id))
		e = OK;
	r->end.partial = h.cut;
	buf_free(&h.records);
	return e;
}
