/* SPDX-License-Identifier: Apache-2.0 */
/* Messages as the scheduler wants them: from a notice of smtpd's, or read from the disk. */
#include "qmgr/late.h"
#include "util/log.h"
#include "util/mem.h"

enum { ADDRESS_MAX = 4096, ROUTES_MAX = 64 << 20 };

/* A notice about a notice about a notice goes nowhere. */
static void
enter_rcpt(const struct sched_msg *m, struct sched_rcpt *r)
{
	if (sched_is_over(r) || !notice_is_double_bounce(r->addr))
		return;
	notice_log_discarded(m, r);
	r->state = JRN_SENT;
	r->action = ACTION_PASSED;
}

static bool
full(void)
{
	struct sched_stats st;

	sched_stats(qmgr.sched, &st);
	if ((long long)st.messages < qmgr.service->params.qmgr_message_active_limit)
		return false;
	if (!qmgr.overflow)
		log_warn("%llu messages are being scheduled: what comes now waits in the spool",
		    (unsigned long long)st.messages);
	qmgr.overflow = true;
	return true;
}

/* The recipients of a notice; NULL when it is malformed. */
static struct sched_rcpt *
take_rcpts(const struct msg_entered *e, const struct sched_msg *m, size_t *n)
{
	size_t cap = e->rcpts.n / 13; /* no recipient is shorter than its fixed part */
	struct sched_rcpt *v = mem_array(cap + 1, sizeof *v);
	struct str rest = e->rcpts;
	struct msg_rcpt r;

	for (*n = 0; rest.n > 0; ++*n) {
		struct sched_rcpt *to = &v[*n];

		if (*n == cap || !msg_rcpt_take(&rest, &r) || r.addr.n > ADDRESS_MAX ||
		    r.orig.n > ADDRESS_MAX) {
			free(v);
			return NULL;
		}
		*to = (struct sched_rcpt){ .index = r.index,
			.addr = r.addr,
			.orig = r.orig,
			.notify = r.notify,
			.state = JRN_PENDING };
		if (r.notify & SPOOL_EXPANDED) {
			to->state = JRN_SENT;
			to->action = ACTION_EXPANDED;
			to->esc = STR(SPOOL_EXPANDED_ESC);
			to->text = STR(SPOOL_EXPANDED_TEXT);
		}
		enter_rcpt(m, to);
	}
	return v;
}

/* Tell the scheduler, once it is known where the mail goes.  While that is being found out, the message may be found on
 * disk, entered and finished by others: a reader like those of scan.c. */
static WAITS void
enter(const struct sched_msg *m, struct sched_rcpt *rcpts, size_t n)
{
	struct buf texts = BUF(ROUTES_MAX);
	enum err e;

	qmgr.readers++;
	e = late_wait();
	if (e == OK)
		e = route_all(m->sender, rcpts, n, &texts);
	qmgr.readers--;
	if (e == OK && !gone_recently(m->id)) {
		qmgr_event();
		late_mark(m, rcpts, n);
		if (sched_enter(qmgr.sched, m, rcpts, n))
			late_entered(m->id);
		qmgr_kick();
	}
	gone_clear();
	buf_free(&texts);
}

enum err
enter_notice(const struct msg_entered *e)
{
	struct sched_msg m = { .id = e->id,
		.dir = SPOOL_INCOMING,
		.arrived = { e->arrived },
		.size = e->size,
		.content_at = e->content_at,
		.flags = e->flags,
		.sender = e->sender };
	struct sched_rcpt *rcpts;
	size_t n;

	if (full())
		return OK;
	rcpts = take_rcpts(e, &m, &n);
	/* A message without recipients would be one that is finished: its file would be removed. */
	if (rcpts == NULL || n == 0 || e->sender.n > ADDRESS_MAX) {
		free(rcpts);
		return fail(E_IPC, "malformed notice of a message");
	}
	enter(&m, rcpts, n);
	free(rcpts);
	return OK;
}

/* Nothing can be left to do or to tell; of the others the scheduler knows. */
static bool
is_finished(const struct spool_msg *m, size_t i, const struct spool_progress *p)
{
	if (p->state == JRN_BOUNCED || p->state == JRN_EXPIRED)
		return p->noticed && !(m->flags & MF_REPORT);
	return p->state == JRN_SENT && !p->warned && !(m->flags & MF_REPORT) &&
	       (p->noticed || !(m->rcpts[i].notify & NOTIFY_SUCCESS));
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
		.sender = v->msg.sender,
		.forced = v->forced };
	struct sched_rcpt *rcpts;
	size_t n = 0;

	if (gone_recently(m.id) || sched_find(qmgr.sched, m.id) || full())
		return;
	rcpts = mem_array(v->msg.nrcpts + 1, sizeof *rcpts);
	for (size_t i = 0; i < v->msg.nrcpts; i++) {
		const struct spool_progress *p = &v->progress[i];
		struct sched_rcpt *to = &rcpts[n];

		if (is_finished(&v->msg, i, p))
			continue;
		n++;
		*to = (struct sched_rcpt){ .index = (uint32_t)i,
			.addr = v->msg.rcpts[i].addr,
			.orig = v->msg.rcpts[i].orig,
			.notify = v->msg.rcpts[i].notify,
			.state = p->state,
			.action = p->action,
			.noticed = p->noticed,
			.warned = p->warned,
			.reported = p->reported,
			.attempts = p->attempts,
			.next_try = p->next_try,
			.esc = p->esc,
			.text = p->text,
			.mta = p->mta,
			.diag = p->diag };
		enter_rcpt(&m, to);
	}
	enter(&m, rcpts, n);
	free(rcpts);
}

/* -- removed ids that a reader of the disk may have seen before, or may yet see while their files wait to
 * be removed: they must not come back to life -- */
struct gone {
	struct map_node node;
	struct list link;
	uint64_t id;
};

static struct gone *
gone_find(uint64_t id)
{
	struct map_node *n = map_get(&qmgr.gone, (struct str){ (const char *)&id, sizeof id });

	return n ? container_of(n, struct gone, node) : NULL;
}

static void
gone_free(struct gone *g)
{
	list_remove(&g->link);
	map_del(&qmgr.gone, &g->node);
	free(g);
}

void
gone_note(uint64_t id)
{
	struct gone *g = gone_find(id);

	if (g)
		return;
	g = mem_new(sizeof *g);
	g->id = id;
	list_init(&g->link);
	map_put(&qmgr.gone, (struct str){ (const char *)&g->id, sizeof g->id }, &g->node);
}

void
gone_end(uint64_t id)
{
	struct gone *g = gone_find(id);

	if (g == NULL)
		return;
	list_push(&qmgr.gone_list, &g->link);
	if (qmgr.readers == 0)
		gone_free(g);
}

bool
gone_recently(uint64_t id)
{
	return gone_find(id) != NULL;
}

void
gone_clear(void)
{
	if (qmgr.readers > 0)
		return;
	LIST_EACH (&qmgr.gone_list, g, struct gone, link)
		gone_free(g);
}
