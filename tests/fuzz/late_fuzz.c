/* SPDX-License-Identifier: Apache-2.0 */
/* What agents tell a qmgr that is new: bodies of LATE, each after a byte (bit 0: which of two agents says it; bit 1: the agent dies then; bit 2:
 * the message that it is about enters then; bit 3: all of the spool is known then) and its u16 length. */
#include <stdint.h>

#include "qmgr/late.h"
#include "util/log.h"
#include "util/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { OTHER = 1, DIES = 2, ENTERS = 4, ALL_KNOWN = 8, RCPTS = 3 };

struct qmgr qmgr;
static struct service service;
static struct board board;

void qmgr_event(void) {}
void qmgr_kick(void) {}

static void on_deliver(void *arg, const struct sched_delivery *d) { (void)arg, (void)d; }
static void on_record(void *arg, const struct message *m, struct str r, bool durable) { (void)arg, (void)m, (void)r, (void)durable; }
static bool on_notice(void *arg, const struct message *m, enum notice_kind kind) { (void)arg, (void)m, (void)kind; return false; }
static void on_message(void *arg, const struct message *m) { (void)arg, (void)m; }
static bool on_move(void *arg, const struct message *m, enum spool_dir to) { (void)arg, (void)m, (void)to; return false; }
static void
limits(void *arg, struct str transport, struct sched_limits *out)
{
	(void)arg, (void)transport;
	*out = (struct sched_limits){ .concurrency = 2, .initial = 2, .recipients = 2, .cohorts = 1 };
}

static const struct sched_do verbs = { .deliver = on_deliver, .record = on_record, .notice = on_notice, .damaged = on_message,
	.move = on_move, .remove = on_message };

static void
peer_up(struct peer *p, const char *name)
{
	*p = (struct peer){ .kind = PEER_AGENT };
	for (size_t i = 0; name[i] && i + 1 < sizeof p->name; i++)
		p->name[i] = name[i];
	p->agent = sched_agent_add(qmgr.sched, str_of(name), 2, p);
	list_push(&qmgr.peers, &p->link);
}

static void
peer_gone(struct peer *p)
{
	late_peer_gone(p);
	sched_agent_gone(qmgr.sched, &p->agent);
	list_remove(&p->link);
}

/* The message that a record means, with up to RCPTS of its recipients. */
static void
enter(struct str body)
{
	struct sched_rcpt v[RCPTS];
	struct msg_deliver d;
	struct msg_late l;
	struct msg_rcpt r;
	size_t n = 0;

	if (msg_late_get(body, &l) != OK || msg_deliver_get(l.asked, &d) != OK || d.sender.n > UINT16_MAX)
		return;
	while (n < RCPTS && d.rcpts.n > 0 && msg_rcpt_take(&d.rcpts, &r)) {
		if (r.addr.n > UINT16_MAX || r.orig.n > UINT16_MAX || (n > 0 && r.index <= v[n - 1].index))
			continue;
		v[n++] = (struct sched_rcpt){ .index = r.index, .addr = r.addr, .orig = r.orig, .notify = r.notify,
			.transport = STR("smtp"), .nexthop = STR("hop") };
	}
	if (n == 0 || sched_find(qmgr.sched, d.id))
		return;
	late_mark(&(struct sched_msg){ .id = d.id, .arrived = { d.arrived }, .size = d.size, .content_at = d.content_at }, v, n);
	if (sched_enter(qmgr.sched, &(struct sched_msg){ .id = d.id, .arrived = { d.arrived }, .size = d.size,
		.content_at = d.content_at, .sender = d.sender }, v, n))
		late_entered(d.id);
}

static void
one(struct peer *p, unsigned what, struct str body)
{
	struct msg_late l;

	if (p->agent && (msg_late_get(body, &l) != OK || late_got(p, &l) != OK || (what & DIES)))
		peer_gone(p);
	if (what & ENTERS)
		enter(body);
	if (what & ALL_KNOWN)
		late_all_known();
	sched_run(qmgr.sched);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct sched_settings settings = { .minimal_backoff = 300, .maximal_backoff = 4000, .lifetime = 432000,
		.bounce_lifetime = 432000, .limits = limits, .seed = 1 };
	struct peer peers[2];

	service.board = &board;
	qmgr = (struct qmgr){ .service = &service, .sched = sched_new(&settings, &verbs, NULL) };
	list_init(&qmgr.peers);
	late_start();
	sched_time(qmgr.sched, (struct time){ 1000000000 }, (struct wall){ 1700000000000000 });
	peer_up(&peers[0], "smtp");
	peer_up(&peers[1], "local");
	while (n >= 3) {
		size_t size = (size_t)(data[1] | data[2] << 8);

		if (size > n - 3)
			size = n - 3;
		one(&peers[data[0] & OTHER], data[0], (struct str){ (const char *)data + 3, size });
		data += 3 + size;
		n -= 3 + size;
	}
	for (size_t i = 0; i < countof(peers); i++)
		if (peers[i].agent)
			peer_gone(&peers[i]);
	late_all_known();
	sched_free(&qmgr.sched);
	return 0;
}
