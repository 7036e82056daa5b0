/* SPDX-License-Identifier: Apache-2.0 */
/* The scheduler: who runs next, until when they wait, who waits for whom. */
#include "util/task.h"

#include <signal.h>

#include "util/log.h"
#include "util/loop.h"

/* Tasks resumed before descriptors, timers and hooks have their turn again. */
enum { RUNS_A_TURN = 512, CLOCK_STEP_MS = 200 };

struct loop loop;

static void
note_stack(const struct task *t)
{
	size_t used = ctx_stack_used(&t->ctx);

	if (used > loop.deepest)
		loop.deepest = used;
}

static void
make_ready(struct task *t)
{
	list_remove(&t->link);
	list_push(&loop.ready, &t->link);
}

/* On the task's own stack from here on. */
static void
give_way(void)
{
	struct task *t = loop.self;

	ctx_switch(&t->ctx, &loop.ctx);
	err_why_install(t->why);
}

enum err
loop_wait(struct time deadline, bool stoppable)
{
	struct task *t = loop.self;

	ENSURE(t);
	t->waiting = true;
	t->stoppable = stoppable;
	t->deadline = deadline;
	/* A timer that is set too early costs one look later; moving it on every wait would cost
	 * more. */
	if (deadline.ns != INT64_MAX && (!heap_linked(&t->timer) || t->timer.key > deadline.ns))
		heap_put(&loop.timers, &t->timer, deadline.ns);
	give_way();
	return t->woke;
}

bool
loop_wake(struct task *t, enum err result)
{
	if (!t->waiting)
		return false;
	t->waiting = false;
	t->woke = result;
	make_ready(t);
	return true;
}

void
tasks_init(struct tasks *g)
{
	list_init(&g->tasks);
}

bool
tasks_empty(const struct tasks *g)
{
	return list_empty(&g->tasks) || container_of(g->tasks.next, struct member, link)->waits;
}

static void
group_join(struct tasks *g, struct task *t)
{
	t->group = g;
	if (!list_empty(&g->tasks))
		t->stopping = container_of(g->tasks.prev, struct member, link)->stops;
	list_push_front(&g->tasks, &t->member.link);
}

static void
group_leave(struct task *t)
{
	struct tasks *g = t->group;

	if (g == NULL)
		return;
	list_remove(&t->member.link);
	if (!tasks_empty(g))
		return;
	LIST_EACH(&g->tasks, m, struct member, link) {
		list_remove(&m->link);
		loop_wake(m->task, OK);
	}
}

static void
group_await(struct tasks *g, bool stops)
{
	struct member m = { .task = loop.self, .waits = true, .stops = stops };

	ENSURE(loop.self && loop.self->group != g);
	if (tasks_empty(g))
		return;
	if (stops) {
		LIST_EACH(&g->tasks, other, struct member, link)
			if (!other->waits)
				task_stop(other->task);
	}
	/* Whoever stops stays last, where group_join() looks. */
	if (!list_empty(&g->tasks) && container_of(g->tasks.prev, struct member, link)->stops)
		m.stops = true;
	list_push(&g->tasks, &m.link);
	loop_wait(TIME_NEVER, false);
}

void tasks_wait(struct tasks *g) { group_await(g, false); }
void tasks_stop(struct tasks *g) { group_await(g, true); }

static void
task_main(void *arg)
{
	struct task *t = arg;
	char why[ERR_WHY_MAX] = "";

	t->why = why;
	err_why_install(why);
	t->run(t->arg);
	t->ended = true;
	err_why_install(NULL);
	ctx_leave(&t->ctx, &loop.ctx);
}

struct task *
task_start(struct tasks *g, const char *name, void (*run)(void *arg), void *arg)
{
	struct task *t = mem_new(sizeof *t);

	ENSURE(loop.running);
	if (!ctx_init(&t->ctx, task_main, t)) {
		free(t);
		return NULL;
	}
	t->name = name;
	t->run = run;
	t->arg = arg;
	list_init(&t->link);
	t->member = (struct member){ .task = t };
	list_init(&t->member.link);
	if (g)
		group_join(g, t);
	list_push(&loop.all, &t->all);
	loop.count++;
	make_ready(t);
	return t;
}

void
task_stop(struct task *t)
{
	t->stopping = true;
	if (t->stoppable)
		loop_wake(t, E_STOPPED);
}

void
task_hurry(struct task *t, struct time deadline)
{
	if (!t->waiting || t->deadline.ns <= deadline.ns)
		return;
	t->deadline = deadline;
	if (!heap_linked(&t->timer) || t->timer.key > deadline.ns)
		heap_put(&loop.timers, &t->timer, deadline.ns);
}

bool task_stopping(void) { return loop.self && loop.self->stopping; }

enum err
task_sleep(struct time until)
{
	enum err e;

	ENSURE(loop.self);
	if (loop.self->stopping)
		return E_STOPPED;
	e = loop_wait(until, true);
	return e == E_TIMEOUT ? OK : e;
}

void
task_yield(void)
{
	ENSURE(loop.self);
	make_ready(loop.self);
	give_way();
}

void
wait_init(struct wait *w)
{
	list_init(&w->parked);
}

enum err
wait_park(struct wait *w, struct time deadline)
{
	ENSURE(loop.self);
	if (loop.self->stopping)
		return E_STOPPED;
	list_push(&w->parked, &loop.self->link);
	return loop_wait(deadline, true);
}

void
wait_wake(struct wait *w)
{
	struct list *first = list_first(&w->parked);

	if (first)
		loop_wake(container_of(first, struct task, link), OK);
}

void
wait_wake_all(struct wait *w)
{
	while (!list_empty(&w->parked))
		wait_wake(w);
}

void
at_turn_end(struct turn_hook *h)
{
	if (h->queued)
		return;
	h->queued = true;
	if (!loop.hooks.next)
		list_init(&loop.hooks);
	list_push(&loop.hooks, &h->link);
}

struct task *task_self(void)                    { return loop.self; }
const char  *task_name(const struct task *t)    { return t->name; }
size_t       task_count(void)                   { return loop.count; }
void         task_on_turn(void (*fn)(void))     { loop.on_turn = fn; }
void         task_exit(void)                    { loop.exiting = true; }

size_t
task_stack_used(void)
{
	if (loop.running) {
		LIST_EACH(&loop.all, t, struct task, all)
			note_stack(t);
	}
	return loop.deepest;
}

static void
bury(struct task *t)
{
	note_stack(t);
	heap_del(&loop.timers, &t->timer);
	group_leave(t);
	list_remove(&t->all);
	ctx_fini(&t->ctx);
	free(t);
	loop.count--;
}

static void
run_ready(void)
{
	struct list *l;

	for (int left = RUNS_A_TURN; left > 0 && (l = list_pop(&loop.ready)) != NULL; left--) {
		struct task *t = container_of(l, struct task, link);

		loop.self = t;
		ctx_switch(&loop.ctx, &t->ctx);
		loop.self = NULL;
		if (t->ended)
			bury(t);
	}
	/* hooks must not write on some task's stack */
	err_why_install(NULL);
}

static void
run_hooks(void)
{
	struct list now, *l;

	if (list_empty(&loop.hooks))
		return;
	list_add_between(&now, loop.hooks.prev, loop.hooks.next);
	list_init(&loop.hooks);
	while ((l = list_pop(&now)) != NULL) {
		struct turn_hook *h = container_of(l, struct turn_hook, link);

		h->queued = false;
		h->run(h->arg);
	}
}

static void
run_timers(void)
{
	struct heap_node *n = heap_min(&loop.timers);
	int64_t now;

	if (n == NULL)
		return;
	now = time_now().ns;
	for (; n && n->key <= now; n = heap_min(&loop.timers)) {
		struct task *t = container_of(n, struct task, timer);

		if (t->waiting && t->deadline.ns > now && t->deadline.ns != INT64_MAX) {
			heap_put(&loop.timers, n, t->deadline.ns);
			continue;
		}
		heap_del(&loop.timers, n);
		if (t->deadline.ns <= now)
			loop_wake(t, E_TIMEOUT);
	}
}

static int
may_sleep_ms(void)
{
	const struct heap_node *n = heap_min(&loop.timers);
	int ms;

	if (!list_empty(&loop.ready) || !list_empty(&loop.hooks))
		return 0;
	ms = n ? (int)time_ms_until((struct time){ n->key }) : -1;
	if (clock_is_settable() && (ms < 0 || ms > CLOCK_STEP_MS))
		ms = CLOCK_STEP_MS;
	return ms;
}

static bool
finished(void)
{
	return loop.exiting || (loop.count == 0 && batch_posted() == 0);
}

static void
turn(void)
{
	int ms;

	run_ready();
	run_hooks();
	if (loop.on_turn)
		loop.on_turn();
	if (finished())
		return;
	ms = may_sleep_ms();
	if (ms != 0 && !offload_may_sleep())
		ms = 0;
	fd_poll(ms);
	offload_awake();
	offload_collect();
	run_timers();
}

/* Whatever is left is unlinked before any stack goes, for their lists may live on each other's
 * stacks. */
static void
abandon_all(void)
{
	struct list *l;

	LIST_EACH(&loop.all, t, struct task, all) {
		list_remove(&t->link);
		list_remove(&t->member.link);
		heap_del(&loop.timers, &t->timer);
	}
	while ((l = list_pop(&loop.all)) != NULL) {
		struct task *t = container_of(l, struct task, all);

		ctx_abandon(&t->ctx);
		free(t);
	}
	while ((l = list_pop(&loop.hooks)) != NULL)
		container_of(l, struct turn_hook, link)->queued = false;
	loop.count = 0;
}

void
task_run(void (*first)(void *arg), void *arg, int helpers)
{
	ENSURE(!loop.running);
	/* MSG_NOSIGNAL covers send(), but nothing covers sendfile() to a peer that has gone. */
	signal(SIGPIPE, SIG_IGN);
	list_init(&loop.all);
	list_init(&loop.ready);
	if (!loop.hooks.next)
		list_init(&loop.hooks);
	loop.running = true;
	loop.exiting = false;
	ctx_init_loop(&loop.ctx);
	fd_begin();
	offload_begin(helpers);
	ENSURE(task_start(NULL, "first", first, arg));
	while (!finished())
		turn();
	offload_end();
	fd_end();
	abandon_all();
	ctx_fini_loop(&loop.ctx);
	heap_fini(&loop.timers);
	loop.running = false;
}
