/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/channel.h"

#include <unistd.h>

#include "util/ipc.h"
#include "util/log.h"
#include "util/net.h"

enum {
	FRAME_MAX = 16 << 20,
	RECONNECT_MS = 200,
	HELLO_SECONDS = 10,
	RETIRE_SECONDS = 5,                            /* for qmgr to say that it has understood */
	FLUSH_SECONDS = 1,
	STEP_MS = 20,
	DRAIN_BYTES = 1 << 20,
	DRAIN_SECONDS = 10,
	AT_ONCE_MS = 50,                               /* a channel that lasted as long is made again without delay */
};

static struct {
	struct service            *service;
	const struct channel_spec *spec;
	struct ipc                *qmgr;               /* NULL while there is none */
	uint64_t                   count;              /* of channels so far */
	struct tasks               jobs, keeper;
	struct wait                retired;            /* qmgr will send no more, or is gone */
	bool                       retiring;
	size_t                     busy;
} channel;

uint64_t
channel_current(void)
{
	return channel.qmgr && !ipc_dead(channel.qmgr) ? channel.count : 0;
}

struct buf *
channel_begin_now(enum msg_tag tag)
{
	return channel.qmgr ? ipc_begin(channel.qmgr, (uint16_t)tag) : NULL;
}

struct buf *
channel_begin(const struct channel_job *j, enum msg_tag tag)
{
	return channel.count == j->channel ? channel_begin_now(tag) : NULL;
}

void
channel_end(void)
{
	ipc_end(channel.qmgr);
}

enum err
channel_drain(void)
{
	if (channel.qmgr == NULL)
		return fail(E_EOF, "qmgr is gone");
	return ipc_queued(channel.qmgr) < DRAIN_BYTES
		   ? OK
		   : ipc_flush(channel.qmgr, time_after(time_now(), DRAIN_SECONDS));
}

static void
count(int change)
{
	struct board_slot *b = &channel.service->board->slot[channel.service->slot];

	channel.busy += (size_t)change;
	b->sessions = (uint32_t)channel.busy;
	b->served += change > 0;
}

static void
run_job(void *arg)
{
	struct channel_job *j = arg;

	count(1);
	channel.spec->run(j);
	count(-1);
	buf_free(&j->frame);
	free(j);
}

static bool
begin(struct str body)
{
	struct channel_job *j = mem_new(sizeof *j);

	*j = (struct channel_job){ .channel = channel.count, .frame = BUF(FRAME_MAX) };
	if (buf_add(&j->frame, body) && task_start(&channel.jobs, "job", run_job, j))
		return true;
	log_warn("no memory for another job");
	buf_free(&j->frame);
	free(j);
	return false;
}

static void
retire(struct ipc *c)
{
	struct buf *out = ipc_begin(c, MSG_RETIRE_TAG);

	if (out) {
		msg_retire_put(out, &(struct msg_retire){ 0 });
		ipc_end(c);
	}
}

/* Serve one channel until it ends. */
static WAITS void
serve(struct ipc *c)
{
	struct msg_hello peer, mine = {
		.role = str_of(channel.spec->role),
		.name = str_of(channel.service->name),
		.capacity = channel.spec->capacity,
		.pid = (uint32_t)getpid(),
	};
	struct str body;
	uint16_t tag;
	enum err e = msg_hello_exchange(c, &mine, &peer);

	if (e != OK) {
		if (e != E_EOF && e != E_STOPPED)
			log_warn("qmgr: %s", err_why());
		return;
	}
	channel.qmgr = c;
	channel.count++;
	if (channel.spec->greet)
		channel.spec->greet();
	if (channel.retiring)
		retire(c);
	while (ipc_recv(c, &tag, &body, TIME_NEVER) == OK) {
		if (tag == MSG_RETIRE_TAG) {
			wait_wake_all(&channel.retired);
		} else if (tag != (uint16_t)channel.spec->tag) {
			log_warn("qmgr sent %s, which is not for %s", msg_name(tag), channel.spec->role);
			break;
		} else if (!begin(body)) {
			break;                         /* the channel closes, and qmgr asks again */
		}
	}
	channel.qmgr = NULL;
	if (channel.spec->parted)
		channel.spec->parted();
	wait_wake_all(&channel.retired);
}

static void
keep(void *arg)
{
	char path[108];
	int fd;

	(void)arg;
	while (!task_stopping()) {
		struct time at_once = time_after_ms(time_now(), AT_ONCE_MS);

		if (net_connect_unix(service_path(&channel.service->params, "qmgr", path),
			time_after(time_now(), HELLO_SECONDS), &fd) == OK) {
			struct ipc *c = ipc_new(fd, FRAME_MAX, 0);

			serve(c);
			ipc_free(&c);
			/* The next qmgr, as soon as it is there, finds us waiting: master keeps the socket. */
			if (!time_before(time_now(), at_once))
				continue;
		}
		if (task_sleep(time_after_ms(time_now(), RECONNECT_MS)) != OK)
			return;
	}
}

void
channel_start(struct service *s, const struct channel_spec *spec)
{
	channel.service = s;
	channel.spec = spec;
	tasks_init(&channel.jobs);
	tasks_init(&channel.keeper);
	wait_init(&channel.retired);
	if (task_start(&channel.keeper, "qmgr channel", keep, NULL) == NULL)
		log_starved("no memory for a task");
}

/* There may be no qmgr just now: what has ended is for the next one to know. */
static WAITS void
settle(void)
{
	struct time limit = time_min(service_deadline(), time_after(time_now(), RETIRE_SECONDS));

	while (channel.spec->owes && channel.spec->owes() && time_before(time_now(), limit))
		if (task_sleep(time_after_ms(time_now(), STEP_MS)) != OK)
			return;
}

void
channel_wind_up(void)
{
	channel.retiring = true;
	if (channel.qmgr) {
		retire(channel.qmgr);
		(void)!wait_park(&channel.retired, time_after(time_now(), RETIRE_SECONDS));
	}
	while (!tasks_empty(&channel.jobs) && time_before(time_now(), service_deadline()))
		if (task_sleep(time_after_ms(time_now(), STEP_MS)) != OK)
			break;
	tasks_stop(&channel.jobs);
	settle();
	if (channel.qmgr && ipc_flush(channel.qmgr, time_after(time_now(), FLUSH_SECONDS)) != OK)
		log_warn("qmgr did not take the last answers: %s", err_why());
	tasks_stop(&channel.keeper);
}
