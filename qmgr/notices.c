/* SPDX-License-Identifier: Apache-2.0 */
/* Notices to senders: asked of bounce, asked again until one is durable.  Nothing is forgotten here
 * before that. */
#include <inttypes.h>

#include "mail/addr.h"
#include "mail/trace.h"
#include "qmgr/qmgr.h"
#include "util/log.h"
#include "util/mem.h"

enum { RETRY_SECONDS = 5, RETRY_DOUBLES = 6, WHY_MAX = 1024, DAY = 86400 };

static struct notice *
find(uint64_t id)
{
	struct map_node *n =
	    map_get(&qmgr.notices_by_id, (struct str){ (const char *)&id, sizeof id });

	return n ? container_of(n, struct notice, node) : NULL;
}

static struct peer *
worker(void)
{
	LIST_EACH (&qmgr.peers, p, struct peer, link)
		if (p->kind == PEER_BOUNCE && !p->retired && !ipc_dead(p->ipc))
			return p;
	return NULL;
}

/* What failed is asked for again, ever more seldom. */
static void
ask_later(struct notice *n, struct str why)
{
	n->peer = NULL;
	n->not_before = time_after(
	    time_now(), RETRY_SECONDS << (n->failures < RETRY_DOUBLES ? n->failures : RETRY_DOUBLES));
	n->failures++;
	buf_clear(&n->why);
	(void)buf_add(&n->why, str_sub(why, 0, WHY_MAX));
}

/* A message may fail on its last day, and its notice has as much time again; what an operator kept for longer has a day
 * (of this process). */
static struct wall
last_try(const struct notice *n, const struct sched_msg *m)
{
	const struct params *p = &qmgr.service->params;
	int64_t life = m->sender.n ? p->maximal_queue_lifetime : p->bounce_queue_lifetime;
	int64_t end = m->arrived.us + 2 * life * 1000000, soonest = n->since.us + (life < DAY ? life : DAY) * 1000000;

	return (struct wall){ end > soonest ? end : soonest };
}

void
notice_explain(const struct sched_msg *m, struct msg_item *out)
{
	const struct notice *n = find(m->id);
	struct time now = time_now();

	if (n == NULL || n->failures == 0)
		return;
	out->notice_failures = n->failures;
	out->notice_why = buf_str(&n->why);
	out->notice_next = wall_now().us + (time_before(now, n->not_before) ? (n->not_before.ns - now.ns) / 1000 : 0);
	out->notice_until = last_try(n, m).us;
}

static bool
list(const struct message *m, struct buf *out)
{
	struct msg_failed f;

	for (uint32_t i = 0; i < sched_rcpts(m); i++)
		if (sched_notice(m, i, &f) && !msg_failed_put(out, &f))
			log_warn("%016" PRIX64 ": more recipients than a notice can tell of",
			    sched_id(m));
	return out->n > 0;
}

static void
ask(struct notice *n, const struct message *m)
{
	struct buf told = BUF(QMGR_FRAME_MAX / 2), *out;
	struct sched_msg v;

	n->peer = worker();
	if (n->peer == NULL)
		return;
	sched_view(m, &v);
	n->given_up = n->failures > 0 && wall_now().us >= last_try(n, &v).us;
	if (list(m, &told) && (out = ipc_begin(n->peer->ipc, MSG_BOUNCE_TAG)) != NULL) {
		msg_bounce_put(out, &(struct msg_bounce){ .job = v.id,
					.kind = (uint8_t)n->kind,
					.id = v.id,
					.dir = (uint8_t)v.dir,
					.arrived = v.arrived.us,
					.size = v.size,
					.content_at = v.content_at,
					.flags = v.flags,
					.sender = v.sender,
					.given_up = n->given_up ? buf_str(&n->why) : STR(""),
					.failed = buf_str(&told) });
		ipc_end(n->peer->ipc);
	} else {
		ask_later(n, STR("it could not be asked for"));
	}
	buf_free(&told);
}

bool
notice_is_double_bounce(struct str addr)
{
	const struct params *p = &qmgr.service->params;
	struct str domain = address_domain(addr);

	return str_ieq(address_local(addr), str_of(p->double_bounce_sender)) &&
	       (domain.n == 0 || str_ieq(domain, str_of(p->myorigin)) ||
		   str_ieq(domain, str_of(p->myhostname)));
}

void
notice_log_discarded(const struct sched_msg *m, const struct sched_rcpt *r)
{
	struct wall now = wall_now();
	char id[QID_TEXT];

	trace_log(&(struct trace){ .id = qid_text(m->id, id),
	    .to = r->addr,
	    .orig = r->orig,
	    .relay = STR("none"),
	    .arrived = m->arrived,
	    .queued = now,
	    .begun = now,
	    .ended = now,
	    .dsn = "2.0.0",
	    .status = "sent",
	    .text = STR("undeliverable postmaster notification discarded") });
}

/* RFC 5321 section 4.5.5: no notices about notices, but the postmaster may want to know of those
 * that came back.  What goes to him and fails is the end in any case. */
static bool
has_reader(struct str sender, enum notice_kind kind)
{
	if (notice_is_double_bounce(sender))
		return false;
	if (sender.n > 0)
		return true;
	return (kind == NOTICE_FAILURE || kind == NOTICE_DELAY) &&
	       list_has(str_of(qmgr.service->params.notify_classes), STR("2bounce"), false);
}

bool
notice_want(const struct message *m, enum notice_kind kind)
{
	struct sched_msg v;
	struct notice *n;
	char id[QID_TEXT];

	sched_view(m, &v);
	if (!has_reader(v.sender, kind)) {
		if (kind == NOTICE_FAILURE && v.sender.n > 0)
			log_warn("%s: undeliverable postmaster notification discarded",
			    qid_text(v.id, id));
		else if (kind == NOTICE_FAILURE)
			log_info("%s: undeliverable, and there is nobody to tell: discarded",
			    qid_text(v.id, id));
		return false;
	}
	if ((n = find(v.id)) == NULL) {
		n = mem_new(sizeof *n);
		n->id = v.id;
		n->since = wall_now();
		n->why = BUF(WHY_MAX);
		map_put(&qmgr.notices_by_id, (struct str){ (const char *)&n->id, sizeof n->id },
		    &n->node);
		list_push(&qmgr.notices, &n->link);
	}
	n->kind = kind;
	ask(n, m);
	return true;
}

/* All that it warned of has been delivered meanwhile. */
static bool
is_pointless(const struct message *m)
{
	struct msg_failed f;

	for (uint32_t i = 0; i < sched_rcpts(m); i++)
		if (sched_notice(m, i, &f))
			return false;
	return true;
}

static void
forget(struct notice *n)
{
	map_del(&qmgr.notices_by_id, &n->node);
	list_remove(&n->link);
	buf_free(&n->why);
	free(n);
}

/* Ask for everything that nobody works on. */
static void
ask_all(struct time now)
{
	LIST_EACH (&qmgr.notices, n, struct notice, link) {
		const struct message *m = sched_find(qmgr.sched, n->id);
		uint64_t id = n->id;

		if (m && n->peer)
			continue;
		if (m && is_pointless(m)) {
			forget(n);
			sched_noticed(qmgr.sched, id);
		} else if (m == NULL) {
			forget(n);
		} else if (!time_before(now, n->not_before)) {
			ask(n, m);
		}
	}
}

void
notice_peer_came(struct peer *p)
{
	(void)p;
	ask_all(time_now());
}

void
notice_peer_gone(struct peer *p)
{
	LIST_EACH (&qmgr.notices, n, struct notice, link)
		if (n->peer == p)
			n->peer = NULL;
	ask_all(time_now());
}

void
notice_timer(struct time now)
{
	static struct time next;

	if (list_empty(&qmgr.notices) || time_before(now, next))
		return;
	next = time_after(now, 1);
	ask_all(now);
}

void
notice_answer(struct peer *p, const struct msg_bounced *b)
{
	struct notice *n = find(b->job);
	char id[QID_TEXT];

	if (n == NULL || n->peer != p)
		return;
	if (b->err == E_CORRUPT) {
		ask_later(n, b->why);
		disk_check(n->id, SPOOL_INCOMING);
		return;
	}
	if (b->err != OK && !n->given_up) {
		ask_later(n, b->why);
		return;
	}
	if (b->err != OK)
		log_error("%s: neither the sender nor the postmaster can be told what became of it: it is "
			  "given up: %.*s",
		    qid_text(n->id, id), STR_ARG(b->why));
	forget(n);
	sched_noticed(qmgr.sched, b->job);
}
