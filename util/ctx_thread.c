/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts that are threads: whoever holds the baton runs.  For processors without a switch of
 * our own, and for tools that understand threads better than fibers. */
#ifdef TASKS_THREAD
#include "util/ctx.h"

#include <errno.h>
#include <signal.h>

#include "util/fault.h"
#include "util/log.h"
#include "util/task.h"

/* thread-local storage and sanitizers live on the stack too */
enum { THREAD_ROOM = 128 << 10 };

static void
await_baton(struct ctx *c)
{
	while (sem_wait(&c->baton) < 0)
		ENSURE(errno == EINTR);
	if (c->doomed)
		pthread_exit(NULL);
}

static void *
thread_main(void *arg)
{
	struct ctx *c = arg;

	await_baton(c);
	c->run(c->arg);
	return NULL;
}

void
ctx_switch(struct ctx *from, struct ctx *to)
{
	sem_post(&to->baton);
	await_baton(from);
}

void
ctx_leave(struct ctx *from, struct ctx *to)
{
	(void)from;
	sem_post(&to->baton);
	pthread_exit(NULL);
}

void
ctx_init_loop(struct ctx *c)
{
	*c = (struct ctx){ 0 };
	sem_init(&c->baton, 0, 0);
}

bool
ctx_init(struct ctx *c, void (*run)(void *arg), void *arg)
{
	static const int own[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGTRAP };
	pthread_attr_t attr;
	sigset_t all, old;
	int error;

	if (FAULT(mmap))
		return false;
	*c = (struct ctx){ .run = run, .arg = arg };
	sem_init(&c->baton, 0, 0);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, TASK_STACK + THREAD_ROOM);
	/* The process's signals are the loop's business; those a thread brings on itself stay
	 * open. */
	sigfillset(&all);
	for (size_t i = 0; i < countof(own); i++)
		sigdelset(&all, own[i]);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	error = pthread_create(&c->thread, &attr, thread_main, c);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (error != 0)
		sem_destroy(&c->baton);
	return error == 0;
}

void
ctx_fini(struct ctx *c)
{
	pthread_join(c->thread, NULL);
	sem_destroy(&c->baton);
}

void
ctx_abandon(struct ctx *c)
{
	c->doomed = true;
	sem_post(&c->baton);
	ctx_fini(c);
}

void ctx_fini_loop(struct ctx *c) { sem_destroy(&c->baton); }

size_t
ctx_stack_used(const struct ctx *c)
{
	(void)c;
	return 0;
}
#endif
