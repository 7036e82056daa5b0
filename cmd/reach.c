/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/reach.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/instance.h"
#include "cmd/queue_sum.h"
#include "mail/msgs.h"
#include "util/net.h"
#include "util/proc.h"

enum { HELLO_MS = 1000, BUSY_SECONDS = 10, AGAIN_MS = 100, YOUNG_SECONDS = 2 };

/* -- the process -- */

static pid_t
lock_holder(const struct params *p)
{
	struct buf path = BUF(0);
	pid_t pid;

	buf_printf(&path, "%s/pid/qmgr.lock", p->queue_directory);
	pid = proc_lock_holder(buf_cstr(&path));
	buf_free(&path);
	return pid;
}

/* Who has the spool's lock, which is qmgr for as long as it lives, or else the one that master has started. */
static pid_t
find_process(const struct reach *r)
{
	pid_t pid = lock_holder(r->params);
	struct instance i;

	if (pid > 0)
		return pid;
	instance_open(&i, r->params);
	pid = instance_process(&i, "qmgr");
	instance_close(&i);
	return pid;
}

static bool
is_busy(const struct proc_look *l)
{
	return l->state == 'R' || l->state == 'D';
}

/* Asleep, and asleep before, though somebody is at the door: it has no ear for him.
 * One that has only come meanwhile may. */
static bool
works(const struct reach *r, pid_t before, const struct proc_look *then)
{
	pid_t pid = find_process(r);
	struct proc_look now;

	return pid > 0 && proc_look(pid, &now) && (pid != before || is_busy(&now) || now.cpu_ms != then->cpu_ms);
}

/* -- the channel -- */

static WAITS enum err
await_hello(struct reach *r)
{
	struct time limit = time_after(time_now(), BUSY_SECONDS);
	struct proc_look before = { 0 };
	struct msg_hello peer;
	pid_t pid;
	enum err e;

	do {
		pid = find_process(r);
		(void)proc_look(pid, &before);
		e = msg_hello_recv(r->ipc, &peer, time_after_ms(time_now(), HELLO_MS));
	} while (e == E_TIMEOUT && time_before(time_now(), limit) && works(r, pid, &before));
	return e;
}

static WAITS enum err
open_channel(struct reach *r)
{
	struct msg_hello mine = { .role = STR("cmd"), .name = str_of(r->cmd->name), .pid = (uint32_t)getpid() };
	char path[108];
	enum err e;
	int fd;

	TRY(net_connect_unix(service_path(r->params, "qmgr", path), time_after_ms(time_now(), HELLO_MS), &fd));
	r->ipc = ipc_new(fd, REACH_FRAME_MAX, 0);
	e = msg_hello_send(r->ipc, &mine);
	e = e == OK ? await_hello(r) : e;
	if (e != OK)
		ipc_free(&r->ipc);
	return e;
}

/* -- why nobody answers -- */

static void
say_process(struct buf *out, pid_t pid, const struct proc_look *l, bool locked, bool hung_up)
{
	char age[SHORT_TEXT];

	if (strcmp(l->name, "qmgr") != 0 && locked)
		buf_printf(out, "%s, process %d, changes the queue without it", l->name, (int)pid);
	else if (l->state == 'T')
		buf_printf(out, "process %d is stopped (kill -CONT %d lets it go on)", (int)pid, (int)pid);
	else if (!locked)
		buf_printf(out, "process %d has not become ready in %s", (int)pid, text_of_age(l->age, age));
	else
		buf_printf(out, "process %d %s", (int)pid,
		    hung_up ? "hung up" : is_busy(l) ? "is busy" : "does not move");
}

static void
explain(struct reach *r, const struct instance *i, enum err e, struct buf *out)
{
	const struct board_trouble *t = instance_trouble(i, "qmgr");
	pid_t pid = find_process(r);
	struct proc_look l;
	bool there = pid > 0 && proc_look(pid, &l);

	r->locked = lock_holder(r->params) > 0;
	/* One that was started just now will fare no better than those before it. */
	if (there && (r->locked || t == NULL || l.age >= YOUNG_SECONDS)) {
		say_process(out, pid, &l, r->locked, e == E_EOF);
	} else if (t) {
		buf_adds(out, "it ");
		trouble_text(t, out);
	} else {
		buf_adds(out, "there is no process of it");
	}
}

static void
say_why(struct reach *r, enum err e)
{
	bool silent = e == E_TIMEOUT || e == E_EOF || e == E_CONNECT;
	struct buf words = BUF(ERR_WHY_MAX);
	char why[ERR_WHY_MAX];
	struct instance i;

	snprintf(why, sizeof why, "%s", err_why());
	instance_open(&i, r->params);
	r->down = e == E_CONNECT && instance_pid(&i) == 0;
	explain(r, &i, e, &words);
	if (r->down)
		snprintf(r->why, sizeof r->why, "mail system is down");
	else
		snprintf(r->why, sizeof r->why, "qmgr does not answer: %s", silent ? buf_cstr(&words) : why);
	instance_close(&i);
	buf_free(&words);
}

bool
reach_open(struct reach *r, const struct cmd *c, const struct params *p)
{
	struct time again = time_after_ms(time_now(), HELLO_MS);
	enum err e;

	*r = (struct reach){ .cmd = c, .params = p };
	/* It may end just then; master keeps the socket, and starts another. */
	while ((e = open_channel(r)) == E_EOF && time_before(time_now(), again))
		if (task_sleep(time_after_ms(time_now(), AGAIN_MS)) != OK)
			break;
	if (e != OK)
		say_why(r, e);
	return e == OK;
}

void
reach_close(struct reach *r)
{
	ipc_free(&r->ipc);
}
