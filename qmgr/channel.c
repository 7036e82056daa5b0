/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <unistd.h>

#include "qmgr/late.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/net.h"

enum { SWEEP_SOON_SECONDS = 6, STRANGERS_MAX = 50, STRANGER_SECONDS = 30, STRANGER_FRAME_MAX = 64 << 10,
	OUTCOME_MIN = 22 /* the fixed part of one */ };

static enum peer_kind
kind_of(struct str role)
{
	if (msg_allowed(MSG_BOUNCED_TAG, role, STR("qmgr")))
		return PEER_BOUNCE;
	if (msg_allowed(MSG_DONE_TAG, role, STR("qmgr")))
		return PEER_AGENT;
	if (msg_allowed(MSG_QUEUE_TAG, role, STR("qmgr")))
		return PEER_CMD;
	return msg_allowed(MSG_ENTERED_TAG, role, STR("qmgr")) ? PEER_ENTERS : PEER_NOBODY;
}

enum err
outcomes_take(struct str list, struct msg_outcome **v, size_t *n)
{
	*v = mem_array(list.n / OUTCOME_MIN + 1, sizeof **v);
	for (*n = 0; list.n > 0; ++*n)
		if (!msg_outcome_take(&list, &(*v)[*n])) {
			mem_free(v);
			return fail(E_IPC, "malformed outcomes");
		}
	return OK;
}

static enum err
got_done(struct peer *p, struct str body)
{
	struct msg_outcome *outcomes;
	struct msg_done d;
	size_t n;
	bool known;

	TRY(msg_done_get(body, &d));
	TRY(outcomes_take(d.outcomes, &outcomes, &n));
	known = p->agent && sched_done(qmgr.sched, p->agent, d.delivery, (enum site_state)d.site,
				d.site_text, outcomes, n);
	free(outcomes);
	return known ? OK : fail(E_IPC, "result of a delivery that is not its own");
}

static enum err
got_retire(struct peer *p)
{
	struct msg_retire r = { 0 };
	struct buf *out;

	p->retired = true;
	if (p->agent)
		sched_agent_retire(qmgr.sched, p->agent);
	if ((out = ipc_begin(p->ipc, MSG_RETIRE_TAG)) != NULL) {
		msg_retire_put(out, &r);
		ipc_end(p->ipc);
	}
	return OK;
}

static enum err
pong(struct peer *p, struct str body)
{
	struct sched_stats st;
	struct msg_ping ping;
	struct buf *out;

	TRY(msg_ping_get(body, &ping));
	sched_stats(qmgr.sched, &st);
	if ((out = ipc_begin(p->ipc, MSG_PONG_TAG)) != NULL) {
		msg_pong_put(out, &(struct msg_pong){ .request = ping.request,
				      .messages = st.messages,
				      .recipients = st.recipients,
				      .deliveries = st.deliveries,
				      .scanning = qmgr.readers > 0 });
		ipc_end(p->ipc);
	}
	return OK;
}

static WAITS enum err
got(struct peer *p, uint16_t tag, struct str body)
{
	struct msg_entered entered;
	struct msg_bounced bounced;
	struct msg_queue queue;
	struct msg_late late;

	if (!msg_allowed(tag, str_of(p->role), STR("qmgr")) || (!p->trusted && tag != MSG_QUEUE_TAG))
		return fail(E_IPC, "%s is not for %s to send", msg_name(tag), p->role);
	switch (tag) {
	case MSG_ENTERED_TAG:
		TRY(msg_entered_get(body, &entered));
		return enter_notice(&entered);
	case MSG_DONE_TAG:
		return got_done(p, body);
	case MSG_LATE_TAG:
		TRY(msg_late_get(body, &late));
		return late_got(p, &late);
	case MSG_RETIRE_TAG:
		return got_retire(p);
	case MSG_BOUNCED_TAG:
		TRY(msg_bounced_get(body, &bounced));
		notice_answer(p, &bounced);
		return OK;
	case MSG_QUEUE_TAG:
		TRY(msg_queue_get(body, &queue));
		return queue_request(p, &queue);
	case MSG_PING_TAG:
		return pong(p, body);
	default:
		return fail(E_IPC, "unexpected %s", msg_name(tag));
	}
}

/* Only processes of this mail system, and root, may tell us things; any other may ask how it stands
 * (queue_allowed()), but not many at once, and not sit there and say nothing. */
static enum err
check_caller(int fd, struct peer *p)
{
	TRY(net_peer_cred(fd, &p->pid, &p->uid));
	p->ours = p->uid == 0;
	for (size_t i = 0; i < IDENTITY_COUNT; i++)
		p->ours |= p->uid == qmgr.service->uids[i];
	if (!p->ours && qmgr.strangers >= STRANGERS_MAX)
		return fail(E_PERM, "process %d of uid %u: %d users are asking already", p->pid, p->uid, STRANGERS_MAX);
	return OK;
}

/* Each is believed what its account is there for. */
static enum err
check_role(struct peer *p, struct str role)
{
	p->trusted = p->uid == 0 || p->uid == qmgr.service->uids[identity_of(role)];
	if (!p->trusted && kind_of(role) != PEER_CMD)
		return fail(E_PERM, "a process of uid %u may not talk to qmgr as %.*s", (unsigned)p->uid,
		    STR_ARG(role));
	return OK;
}

static void
welcome(struct peer *p, const struct msg_hello *h)
{
	p->kind = kind_of(h->role);
	/* A process that gives notices also enters them, over a channel that asks for no work. */
	if (p->kind == PEER_BOUNCE && h->capacity == 0)
		p->kind = PEER_ENTERS;
	snprintf(p->role, sizeof p->role, "%.*s", STR_ARG(h->role));
	snprintf(p->name, sizeof p->name, "%.*s", STR_ARG(h->name));
	qmgr_event();
	if (p->kind == PEER_AGENT && h->capacity > 0)
		p->agent = sched_agent_add(qmgr.sched, str_of(p->name), h->capacity, p);
	if (p->kind == PEER_BOUNCE)
		notice_peer_came(p);
	/* What came in while it could not reach us had no notice. */
	if (p->kind == PEER_ENTERS || p->kind == PEER_BOUNCE)
		qmgr.next_sweep =
		    time_min(qmgr.next_sweep, time_after(time_now(), SWEEP_SOON_SECONDS));
	wait_wake(&qmgr.sweep);
	qmgr_kick();
}

static WAITS enum err
serve_peer(struct peer *p)
{
	struct msg_hello mine = { .schema = msg_schema(),
		.role = STR("qmgr"),
		.name = STR("qmgr"),
		.pid = (uint32_t)getpid() },
			 h;
	struct str body;
	uint16_t tag;

	TRY(msg_hello_exchange(p->ipc, &mine, &h));
	TRY(check_role(p, h.role));
	welcome(p, &h);
	if (p->kind == PEER_NOBODY)
		return fail(E_IPC, "role %s has no business here", p->role);
	for (;;) {
		TRY(ipc_recv(p->ipc, &tag, &body,
		    p->trusted ? TIME_NEVER : time_after(time_now(), STRANGER_SECONDS)));
		qmgr_event();
		TRY(got(p, tag, body));
		qmgr_kick();
	}
}

static void
run_peer(void *arg)
{
	struct peer *p = arg;
	enum err e = serve_peer(p);

	if (e != E_EOF && e != E_STOPPED)
		log_warn("channel to %s: %s", p->role[0] ? p->role : "a process", err_why());
	list_remove(&p->link);
	qmgr_event();
	late_peer_gone(p);
	if (p->agent)
		sched_agent_gone(qmgr.sched, &p->agent);
	notice_peer_gone(p);
	qmgr.strangers -= !p->ours;
	qmgr_kick();
	ipc_free(&p->ipc);
	free(p);
}

static void
begin_peer(struct peer *p, int fd)
{
	p->kind = PEER_NOBODY;
	p->ipc = ipc_new(fd, p->ours ? QMGR_FRAME_MAX : STRANGER_FRAME_MAX, 0);
	list_push(&qmgr.peers, &p->link);
	qmgr.strangers += !p->ours;
	if ((p->task = task_start(&qmgr.tasks, "peer", run_peer, p)) != NULL)
		return;
	qmgr.strangers -= !p->ours;
	list_remove(&p->link);
	ipc_free(&p->ipc);
	free(p);
}

static void
accept_peers(void *arg)
{
	int listen_fd = *(int *)arg;

	for (;;) {
		struct peer *p, asks = { 0 };
		struct addr from;
		int fd;
		enum err e = net_accept(listen_fd, &fd, &from, TIME_NEVER);

		if (e == E_STOPPED || e == E_EOF || service_phase() != PHASE_RUN)
			return;
		if (e != OK || check_caller(fd, &asks) != OK || task_fd_add(fd) != OK) {
			log_warn("channel: %s", err_why());
			if (e == OK)
				close(fd);
			else if (task_sleep(time_after_ms(time_now(), 100)) != OK)
				return;
			continue;
		}
		p = mem_new(sizeof *p);
		*p = asks;
		begin_peer(p, fd);
	}
}

void
channels_start(void)
{
	for (size_t i = 0; i < qmgr.service->nlisten; i++)
		if (task_start(&qmgr.tasks, "accept", accept_peers, &qmgr.service->listen[i]) ==
		    NULL)
			log_starved("no memory for a task");
}
