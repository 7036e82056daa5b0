/* SPDX-License-Identifier: Apache-2.0 */
/* ctx.h - a stack and the registers that go with it; private to the task system.  Two makings
 * behind one interface: ctx_fiber.c switches stacks itself, ctx_thread.c (TASKS=thread) hands a
 * baton between threads.  Exactly one context runs at a time, and control always passes between
 * the loop's context and a task's. */
#ifndef UTIL_CTX_H
#define UTIL_CTX_H

#include <stdbool.h>
#include <stddef.h>

#ifdef TASKS_THREAD
#include <pthread.h>
#include <semaphore.h>

struct ctx {
	void    (*run)(void *arg);
	void     *arg;
	sem_t     baton;
	pthread_t thread;
	bool      doomed;                              /* abandoned: the thread ends instead of going on */
};
#else
struct stack;
struct ctx {
	void         *sp;                              /* of a suspended one; the registers lie there */
	struct stack *stack;                           /* NULL: the loop, on the thread's own stack */
	void        (*run)(void *arg);
	void         *arg;
	void         *fake;                            /* AddressSanitizer's and ThreadSanitizer's shadows of it */
	void         *tsan;
};
#endif

void   ctx_init_loop(struct ctx *c);                   /* the caller's own context */
bool   ctx_init(struct ctx *c, void (*run)(void *arg), void *arg);     /* false: no memory for a stack */
void   ctx_switch(struct ctx *from, struct ctx *to);
void   ctx_leave(struct ctx *from, struct ctx *to) __attribute__((noreturn)); /* the last switch away from `from` */
void   ctx_fini(struct ctx *c);                        /* after ctx_leave(); from another context */
void   ctx_abandon(struct ctx *c);                     /* it is suspended and will never go on */
void   ctx_fini_loop(struct ctx *c);                   /* and give back cached stacks */
size_t ctx_stack_used(const struct ctx *c);            /* deepest use so far; 0 in release builds */

#endif
