/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "mail/trace.h"
#include "qmgr/late.h"
#include "util/log.h"

static const char *
id_of(const struct message *m, char out[QID_TEXT])
{
	return qid_text(sched_id(m), out);
}

static void
active(void *arg, const struct message *m, uint32_t pending)
{
	struct sched_msg v;
	char id[QID_TEXT];

	(void)arg;
	sched_view(m, &v);
	log_info("%s: from=<%.*s>, size=%" PRIu64 ", nrcpt=%" PRIu32 " (queue active)",
	    id_of(m, id), STR_ARG(v.sender), v.size, pending);
}

static void
deliver(void *arg, const struct sched_delivery *d)
{
	struct peer *p = d->agent;
	struct sched_msg v;
	struct buf rcpts = BUF(QMGR_FRAME_MAX), *out;

	(void)arg;
	late_given(p);
	sched_view(d->m, &v);
	for (size_t i = 0; i < d->n; i++)
		ENSURE(msg_rcpt_put(&rcpts, &d->rcpts[i]));
	if ((out = ipc_begin(p->ipc, MSG_DELIVER_TAG)) != NULL) {
		msg_deliver_put(out, &(struct msg_deliver){ .delivery = d->delivery,
					 .id = v.id,
					 .dir = (uint8_t)v.dir,
					 .arrived = v.arrived.us,
					 .queued = d->queued.us,
					 .size = v.size,
					 .content_at = v.content_at,
					 .flags = v.flags,
					 .sender = v.sender,
					 .nexthop = d->nexthop,
					 .rcpts = buf_str(&rcpts) });
		ipc_end(p->ipc);
	} else {
		/* A channel that takes nothing more is at its end; what was given to it is
		 * delivered again. */
		task_stop(p->task);
	}
	buf_free(&rcpts);
}

static void
record(void *arg, const struct message *m, struct str records, bool durable)
{
	struct sched_msg v;

	(void)arg;
	sched_view(m, &v);
	disk_record(v.id, v.dir, records, durable);
}

static void
suspended(void *arg, const struct message *m, struct str addr, struct str orig, struct str esc,
    struct str why)
{
	struct sched_msg v;
	struct wall now = wall_now();
	struct buf dsn = BUF(64);
	char id[QID_TEXT];

	(void)arg;
	sched_view(m, &v);
	(void)buf_add(&dsn, esc);
	trace_log(&(struct trace){ .id = id_of(m, id),
	    .to = addr,
	    .orig = orig,
	    .relay = STR("none"),
	    .arrived = v.arrived,
	    .queued = now,
	    .begun = now,
	    .ended = now,
	    .dsn = buf_cstr(&dsn),
	    .status = "deferred",
	    .text = why });
	buf_free(&dsn);
}

static void
lost(void *arg, const struct message *m, struct str addr, struct str orig)
{
	char id[QID_TEXT];

	(void)arg;
	(void)orig;
	log_warn("%s: to=<%.*s>: the agent died during this delivery; it will be made again, and "
		 "may then be one too many",
	    id_of(m, id), STR_ARG(addr));
}

static void
expired(void *arg, const struct message *m)
{
	struct sched_msg v;
	char id[QID_TEXT];

	(void)arg;
	sched_view(m, &v);
	log_info("%s: from=<%.*s>, status=%sexpired, returned to sender", id_of(m, id),
	    STR_ARG(v.sender), sched_forced(m) ? "force-" : "");
}

static bool
notice(void *arg, const struct message *m, enum notice_kind kind)
{
	(void)arg;
	return notice_want(m, kind);
}

static bool
move(void *arg, const struct message *m, enum spool_dir to)
{
	struct sched_msg v;

	(void)arg;
	sched_view(m, &v);
	return disk_move(v.id, v.dir, to);
}

static void
damaged(void *arg, const struct message *m)
{
	struct sched_msg v;

	(void)arg;
	sched_view(m, &v);
	disk_check(v.id, v.dir);
}

static void
remove_message(void *arg, const struct message *m)
{
	struct sched_msg v;

	(void)arg;
	sched_view(m, &v);
	disk_remove(v.id, v.dir);
}

const struct sched_do qmgr_verbs = {
	.active = active,
	.deliver = deliver,
	.record = record,
	.suspended = suspended,
	.lost = lost,
	.expired = expired,
	.notice = notice,
	.damaged = damaged,
	.move = move,
	.remove = remove_message,
	.route = route_now,
	.reroute = route_later,
};

void
qmgr_limits(void *arg, struct str transport, struct sched_limits *out)
{
	const struct params *p = &qmgr.service->params;

	(void)arg;
	*out = (struct sched_limits){
		.concurrency =
		    (uint32_t)params_transport(p, transport, "_destination_concurrency_limit"),
		.initial =
		    (uint32_t)params_transport(p, transport, "_initial_destination_concurrency"),
		.recipients =
		    (uint32_t)params_transport(p, transport, "_destination_recipient_limit"),
		.cohorts = (uint32_t)params_transport(
		    p, transport, "_destination_concurrency_failed_cohort_limit"),
		.rate_delay = params_transport(p, transport, "_destination_rate_delay"),
		.deferred = list_has(str_of(p->defer_transports), transport, false),
	};
}
