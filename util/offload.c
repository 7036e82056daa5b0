/* SPDX-License-Identifier: Apache-2.0 */
/* Helper threads.  Jobs go to them through one queue; finished ones come back on a lock-free
 * list, and the loop is woken by a write to an eventfd only when it sleeps: a busy loop looks at
 * the list anyway. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "util/log.h"
#include "util/loop.h"

enum { HELPERS_MAX = 64, HELPER_STACK = 1 << 20 };

static struct {
	pthread_mutex_t lock;                          /* for the rest of this paragraph */
	pthread_cond_t  work;
	struct job     *first, **last;
	int             idle, queued;
	bool            quit;

	pthread_t       helpers[HELPERS_MAX];
	int             n, max;

	_Atomic(struct job *) done;                    /* newest first */
	/* the loop is in, or about to enter, epoll_wait() */
	atomic_bool     sleeping;
	int             wake;
} off = { .lock = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER, .wake = -1 };

static void *
helper(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&off.lock);
	for (;;) {
		struct job *j = off.first;

		if (j == NULL && off.quit)
			break;
		if (j == NULL) {
			off.idle++;
			pthread_cond_wait(&off.work, &off.lock);
			off.idle--;
			continue;
		}
		off.first = j->next;
		if (off.first == NULL)
			off.last = &off.first;
		off.queued--;
		pthread_mutex_unlock(&off.lock);
		j->work(j);
		pthread_mutex_lock(&off.lock);
	}
	pthread_mutex_unlock(&off.lock);
	return NULL;
}

static bool
add_helper(void)
{
	static const int own[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGTRAP, SIGSYS };
	pthread_attr_t attr;
	sigset_t all, old;
	bool made;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, HELPER_STACK);
	/* The process's signals are the loop's business; those a thread brings on itself stay
	 * open. */
	sigfillset(&all);
	for (size_t i = 0; i < countof(own); i++)
		sigdelset(&all, own[i]);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	made = pthread_create(&off.helpers[off.n], &attr, helper, NULL) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	off.n += made;
	return made;
}

void
offload_submit(struct job *j)
{
	bool sleeper;

	j->next = NULL;
	pthread_mutex_lock(&off.lock);
	*off.last = j;
	off.last = &j->next;
	off.queued++;
	sleeper = off.idle > 0;
	pthread_mutex_unlock(&off.lock);
	if (sleeper)
		pthread_cond_signal(&off.work);
}

void
offload_staff(void)
{
	bool short_of;

	if (off.n == off.max)
		return;
	pthread_mutex_lock(&off.lock);
	short_of = off.queued > off.idle;
	pthread_mutex_unlock(&off.lock);
	if (short_of && !add_helper() && off.n == 0)
		log_starved("cannot start a helper thread");
}

void
offload_done(struct job *j)
{
	struct job *first = atomic_load(&off.done);

	do
		j->next = first;
	while (!atomic_compare_exchange_weak(&off.done, &first, j));
	if (atomic_exchange(&off.sleeping, false))
		task_raise(off.wake);
}

bool
offload_may_sleep(void)
{
	atomic_store(&off.sleeping, true);
	if (atomic_load(&off.done) == NULL)
		return true;
	atomic_store(&off.sleeping, false);
	return false;
}

void
offload_awake(void)
{
	atomic_store(&off.sleeping, false);
}

void
offload_collect(void)
{
	struct job *j, *next, *in_order = NULL;

	if (atomic_load_explicit(&off.done, memory_order_relaxed) == NULL)
		return;
	for (j = atomic_exchange(&off.done, NULL); j; j = next) {
		next = j->next;
		j->next = in_order;
		in_order = j;
	}
	for (j = in_order; j; j = next) {
		next = j->next;
		j->done(j);
	}
}

void
offload_begin(int helpers)
{
	/* Edge-triggered, the counter need never be read; the loop ignores the number. */
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.u64 = UINT64_MAX };

	off.max = helpers < 1 ? 1 : helpers > HELPERS_MAX ? HELPERS_MAX : helpers;
	off.first = NULL;
	off.last = &off.first;
	off.quit = false;
	off.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (off.wake < 0 || epoll_ctl(fd_loop(), EPOLL_CTL_ADD, off.wake, &ev) < 0)
		log_panic("eventfd: %s", strerror(errno));
}

/* Nobody waits for the results any more, but what was begun on the disk is brought to its end. */
void
offload_end(void)
{
	pthread_mutex_lock(&off.lock);
	off.quit = true;
	pthread_cond_broadcast(&off.work);
	pthread_mutex_unlock(&off.lock);
	while (off.n > 0)
		pthread_join(off.helpers[--off.n], NULL);
	offload_collect();
	close(off.wake);
	off.wake = -1;
}

struct call {
	struct job   job;
	enum err   (*fn)(void *arg);
	void        *arg;
	enum err     result;
	struct task *task;
};

static void
call_work(struct job *j)
{
	struct call *c = container_of(j, struct call, job);

	/* its owner is waiting, so the words can go straight there */
	err_why_install(c->task->why);
	c->result = c->fn(c->arg);
	err_why_install(NULL);
	offload_done(j);
}

static void
call_done(struct job *j)
{
	loop_wake(container_of(j, struct call, job)->task, OK);
}

enum err
task_offload(enum err (*fn)(void *arg), void *arg)
{
	struct call c = { .job = { .work = call_work, .done = call_done }, .fn = fn, .arg = arg };

	ENSURE(loop.self);
	c.task = loop.self;
	offload_submit(&c.job);
	offload_staff();
	loop_wait(TIME_NEVER, false);
	return c.result;
}
