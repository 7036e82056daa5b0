/* SPDX-License-Identifier: Apache-2.0 */
/* task.h - one task per conversation.  Code in a task reads top to bottom; while it waits, others run.
 * Exactly one task runs at a time, and it gives way only inside functions marked WAITS, so data shared
 * by the tasks of one process needs no lock.  Helper threads (task_offload) share nothing with tasks
 * but their argument.
 *
 * Stacks are TASK_STACK bytes, mapped, with a guard page below.  Built with TASKS=thread the same
 * scheduler runs each task on a thread of its own, passing one baton. */
#ifndef UTIL_TASK_H
#define UTIL_TASK_H

#include "util/err.h"
#include "util/list.h"
#include "util/str.h"
#include "util/time.h"

#define WAITS                                          /* gives way to other tasks */

enum { TASK_STACK = 128 << 10 };

struct task;
struct tasks { struct list tasks; };                   /* never outlives its owner's scope */

/* Run the process: start the first task and serve all until none is left (or task_exit() was called).
 * helpers: number of offload threads, made on first use. */
void task_run(void (*first)(void *arg), void *arg, int helpers);
void task_exit(void);                                  /* task_run() returns after this turn, whatever is left */

void tasks_init(struct tasks *g);
bool tasks_empty(const struct tasks *g);
/* Start run(arg) as a task of g (NULL: of nobody; it must end by itself).  It runs after the caller gives
 * way.  name is kept, not copied.  NULL when no stack could be mapped. */
struct task *task_start(struct tasks *g, const char *name, void (*run)(void *arg), void *arg);
void         task_stop(struct task *t);                /* its present or next wait, and all later ones, return E_STOPPED */
bool         task_stopping(void);                      /* the running task has been told to stop */
void         task_hurry(struct task *t, struct time deadline); /* its present wait ends by then; later ones do not care */
WAITS void   tasks_wait(struct tasks *g);              /* until all its tasks have ended */
WAITS void   tasks_stop(struct tasks *g);              /* stop all, wait for all */

/* All waits: OK; E_TIMEOUT at the deadline; E_STOPPED once the task is told to stop.  There is no wait
 * without a deadline; TIME_NEVER is for listeners only. */
WAITS enum err task_sleep(struct time until) MUST_USE; /* OK at the time, E_STOPPED before */
WAITS void     task_yield(void);                       /* let the others run once */

/* A descriptor in the event loop: non-blocking, registered once, edge-triggered, for both directions.
 * At most one task waits for each direction at a time. */
enum { FD_READ = 1, FD_WRITE = 2 };
enum err       task_fd_add(int fd) MUST_USE;           /* makes it non-blocking */
enum err       task_fd_add_shared(int fd) MUST_USE;    /* a listening socket that other processes accept from too */
void           task_fd_del(int fd);                    /* before close(); waiters get E_EOF */
/* Wait until fd may be ready.  Edge-triggered: call it after EAGAIN or a short read, never before the first try
 * unless io said so; may wake for nothing. */
WAITS enum err task_wait_fd(int fd, int direction, struct time deadline) MUST_USE;
/* For a task that listens as long as its process lives: until fd may be readable.  While the kernel cannot (no memory for it)
 * it is asked again every 50 ms.  OK, E_STOPPED, or E_EOF after task_fd_del(). */
WAITS enum err task_listen_fd(int fd) MUST_USE;
/* Wake who waits for this eventfd; from any thread. */
void     task_raise(int eventfd);

/* Waiting for another task: park on a wait; anyone wakes the first or all that are parked there. */
struct wait { struct list parked; };
void           wait_init(struct wait *w);
WAITS enum err wait_park(struct wait *w, struct time deadline) MUST_USE;
void           wait_wake(struct wait *w);              /* the first one parked */
void           wait_wake_all(struct wait *w);

/* Run fn(arg) on a helper thread while this task waits; its result comes back, fail() words included.  Cannot be cut
 * short: a stop takes effect after it.  fn must not use tasks, io or ipc. */
WAITS enum err task_offload(enum err (*fn)(void *arg), void *arg) MUST_USE;

/* Work made durable in batches (spool commits).  Each caller of task_batch() waits with its item; a helper thread takes
 * all items waiting at that moment (at most max) and runs fn on the list; at most `lanes` batches run at once.  fn sets each
 * item's result.  A lone item does not wait for company. */
struct batch_item {
	struct list  link;                             /* on the list fn gets; fn leaves it there */
	enum err     result;
	char         why[ERR_WHY_MAX];                 /* words that go with it */
	struct task *waiter;                           /* private */
	void       (*done)(struct batch_item *item);   /* private */
};
struct batch;
struct batch  *batch_new(void (*fn)(struct list *items, void *arg), void *arg, int lanes, int max);
void           batch_free(struct batch **b);           /* no item may be waiting */
WAITS enum err task_batch(struct batch *b, struct batch_item *item) MUST_USE;
/* The same without a waiting task: done(item) runs on the logic thread afterwards (qmgr's removals). */
void           batch_post(struct batch *b, struct batch_item *item, void (*done)(struct batch_item *item));

/* Run hook(arg) at the end of each turn of the loop in which it was asked for, before the process sleeps.  Used to
 * write queued output once a turn.  at_turn_end() may be called again from the hook. */
struct turn_hook { struct list link; void (*run)(void *arg); void *arg; bool queued; };
void at_turn_end(struct turn_hook *h);

struct task *task_self(void);
const char  *task_name(const struct task *t);
size_t       task_count(void);
size_t       task_stack_used(void);                    /* high-water mark of this process, debug and asan builds; else 0 */
/* Called once a turn, for the worker's heartbeat. */
void         task_on_turn(void (*fn)(void));

#endif
