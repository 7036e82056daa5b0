/* SPDX-License-Identifier: Apache-2.0 */
/* loop.h - what the files of the task system (task, fd, offload, batch, io, ipc) share; everyone
 * else uses task.h. All of it belongs to the logic thread, save where a helper thread is named. */
#ifndef UTIL_LOOP_H
#define UTIL_LOOP_H

#include "util/ctx.h"
#include "util/heap.h"
#include "util/task.h"

/* A place in a group's list: a task, or someone waiting for the group to become empty.  The
 * tasks come first. */
struct member {
	struct list  link;
	struct task *task;
	bool         waits;
	bool         stops;                            /* what starts while it waits is born stopping */
};

struct task {
	struct list      all;
	struct list      link;                         /* in the ready list or on a wait */
	struct tasks    *group;
	struct member    member;
	struct ctx       ctx;
	const char      *name;
	void           (*run)(void *arg);
	void            *arg;
	char            *why;                          /* words of fail(), on the task's own stack; NULL: not begun */
	struct heap_node timer;                        /* its key is never later than the deadline of the present wait */
	struct time      deadline;
	enum err         woke;                         /* result of the last wait */
	bool             waiting;
	bool             stoppable;                    /* its present wait is cut short by a stop */
	bool             stopping;
	bool             ended;
};

struct loop {
	struct list   all;                             /* read by tools/gdb/tasks.py */
	struct list   ready;
	struct list   hooks;
	struct heap   timers;
	struct task  *self;
	size_t        count;
	size_t        deepest;                         /* stack use of the tasks that ended */
	struct ctx    ctx;
	void        (*on_turn)(void);
	bool          running;
	bool          exiting;
};

extern struct loop loop;

/* Give way until loop_wake() or the deadline; not stoppable: a stop does not cut it short. */
WAITS enum err loop_wait(struct time deadline, bool stoppable);
/* End the wait of t with this result and take it off whatever list it is parked on.  False: it
 * was not waiting. */
bool loop_wake(struct task *t, enum err result);

/* Descriptors: one who waits for a direction.  ready() is called once, from the loop; false: not
 * interested any more. */
struct fd_wait {
	bool       (*ready)(struct fd_wait *w, enum err result);
	void        *arg;
};

enum err fd_ask(int fd, int direction, struct fd_wait *w) MUST_USE;
void     fd_withdraw(int fd, int direction, struct fd_wait *w);
void     fd_forget(int fd);                            /* task_fd_del() for a descriptor that is closed right after */
void     fd_begin(void);
void     fd_end(void);
void     fd_poll(int timeout_ms);                      /* < 0: for ever */
int      fd_loop(void);                                /* the epoll descriptor */

/* One system call, retried on EINTR.  OK with *n == 0: not now.  E_EOF: the peer has closed or
 * reset; E_IO: words. */
enum err fd_recv(int fd, char *p, size_t room, size_t *n) MUST_USE;
enum err fd_send(int fd, struct str s, int flags, size_t *n) MUST_USE;
enum err fd_trouble(const char *what);                 /* errno as such a result */
/* Input memory for streams, IN_SIZE bytes each, from a small cache. */
enum { IN_SIZE = 32 << 10 };
char    *in_take(void);
void     in_give(char *p);

/* A piece of work for a helper thread.  work() runs there and calls offload_done() last; done()
 * runs in the loop. */
struct job {
	struct job  *next;
	void       (*work)(struct job *j);
	void       (*done)(struct job *j);
};

void offload_begin(int helpers);
void offload_end(void);                                /* all that was given is finished first */
void offload_submit(struct job *j);                    /* any thread */
void offload_staff(void);                              /* start a helper if what was submitted needs one more */
void offload_done(struct job *j);                      /* any thread */
bool offload_may_sleep(void);                          /* false: results have come */
void offload_awake(void);
void offload_collect(void);                            /* call done() of what is finished */
size_t batch_posted(void);                             /* items of batch_post() not yet done */

#endif
