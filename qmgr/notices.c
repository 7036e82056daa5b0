/* SPDX-License-Identifier: Apache-2.0 */
/* Notices to senders: asked of bounce, asked again until one is durable.  Nothing is forgotten here
 * before that. */
#include "mail/addr.h"
#include "qmgr/qmgr.h"
#include "util/log.h"
#include "util/mem.h"

enum { RETRY_SECONDS = 5 };

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

static void
ask(struct notice *n, const struct message *m)
{
	struct buf failed = BUF(QMGR_FRAME_MAX), *out;
	struct msg_failed f;
	struct sched_msg v;

	n->peer = worker();
	if (n->peer == NULL)
		return;
	sched_view(m, &v);
	for (uint32_t i = 0; i < sched_rcpts(m); i++)
		if (sched_failed(m, i, &f))
			(void)msg_failed_put(&failed, &f);
	if ((out = ipc_begin(n->peer->ipc, MSG_BOUNCE_TAG)) != NULL) {
		msg_bounce_put(out, &(struct msg_bounce){ .job = v.id,
					.id = v.id,
					.dir = (uint8_t)v.dir,
					.arrived = v.arrived.us,
					.size = v.size,
					.content_at = v.content_at,
					.flags = v.flags,
					.sender = v.sender,
					.failed = buf_str(&failed) });
		ipc_end(n->peer->ipc);
	} else {
		n->peer = NULL;
		n->not_before = time_after(time_now(), RETRY_SECONDS);
	}
	buf_free(&failed);
}

bool
notice_want(const struct message *m)
{
	struct sched_msg v;
	struct notice *n;
	char id[QID_TEXT];

	sched_view(m, &v);
	/* RFC 5321 section 4.5.5: no notices about notices. */
	if (v.sender.n == 0 ||
	    str_eq(address_local(v.sender), str_of(qmgr.service->params.double_bounce_sender))) {
		log_info("%s: undeliverable, and there is nobody to tell: discarded",
		    qid_text(v.id, id));
		return false;
	}
	if ((n = find(v.id)) == NULL) {
		n = mem_new(sizeof *n);
		n->id = v.id;
		map_put(&qmgr.notices_by_id, (struct str){ (const char *)&n->id, sizeof n->id },
		    &n->node);
		list_push(&qmgr.notices, &n->link);
	}
	ask(n, m);
	return true;
}

static void
forget(struct notice *n)
{
	map_del(&qmgr.notices_by_id, &n->node);
	list_remove(&n->link);
	free(n);
}

/* Ask for everything that nobody works on. */
static void
ask_all(struct time now)
{
	LIST_EACH (&qmgr.notices, n, struct notice, link) {
		const struct message *m = sched_find(qmgr.sched, n->id);

		if (m == NULL)
			forget(n);
		else if (n->peer == NULL && !time_before(now, n->not_before))
			ask(n, m);
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

	if (n == NULL || n->peer != p)
		return;
	if (b->err == OK) {
		uint64_t id = n->id;

		forget(n);
		sched_bounced(qmgr.sched, id);
		return;
	}
	n->peer = NULL;
	n->not_before = time_after(time_now(), RETRY_SECONDS);
}
