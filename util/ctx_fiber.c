/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts that switch stacks in user space: about a function call's cost, no system call. */
#ifndef TASKS_THREAD
#include "util/ctx.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util/fault.h"
#include "util/log.h"
#include "util/task.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(low, high) 0U
#define VALGRIND_STACK_DEREGISTER(id)      (void)(id)
#define VALGRIND_DISABLE_ERROR_REPORTING   (void)0
#define VALGRIND_ENABLE_ERROR_REPORTING    (void)0
#endif

/* Lies at the top of its own mapping, in a page that the first frame touches anyway. */
struct stack {
	struct stack *next;                            /* in the cache */
	char         *map;                             /* the guard page is its first */
	char         *low, *high;                      /* what frames may use */
	unsigned      valgrind;
};

enum { STACKS_CACHED = 256 };

static struct {
	struct stack *first;
	size_t        n;
} cache;

/* void ctx_swap(void **save, void *to): keep the registers a callee must keep on this stack, the
 * stack pointer in *save, and take up those that lie at `to`.  Floating-point modes belong to
 * the process, no task changes them. The unwind rows hold on both sides of the switch, and
 * ctx_start is the end of every backtrace; the nop in front of it is for unwinders, which look
 * up the byte before a return address. */
#if defined(__x86_64__)
__asm__(".text\n"
	".globl ctx_swap\n"
	".hidden ctx_swap\n"
	".type ctx_swap,@function\n"
	"ctx_swap:\n"
	".cfi_startproc\n"
	"	endbr64\n"
	"	pushq %rbp\n"
	".cfi_adjust_cfa_offset 8\n.cfi_rel_offset %rbp,0\n"
	"	pushq %rbx\n"
	".cfi_adjust_cfa_offset 8\n.cfi_rel_offset %rbx,0\n"
	"	pushq %r12\n"
	".cfi_adjust_cfa_offset 8\n.cfi_rel_offset %r12,0\n"
	"	pushq %r13\n"
	".cfi_adjust_cfa_offset 8\n.cfi_rel_offset %r13,0\n"
	"	pushq %r14\n"
	".cfi_adjust_cfa_offset 8\n.cfi_rel_offset %r14,0\n"
	"	pushq %r15\n"
	".cfi_adjust_cfa_offset 8\n.cfi_rel_offset %r15,0\n"
	"	movq %rsp,(%rdi)\n"
	"	movq %rsi,%rsp\n"
	"	popq %r15\n.cfi_adjust_cfa_offset -8\n.cfi_restore %r15\n"
	"	popq %r14\n.cfi_adjust_cfa_offset -8\n.cfi_restore %r14\n"
	"	popq %r13\n.cfi_adjust_cfa_offset -8\n.cfi_restore %r13\n"
	"	popq %r12\n.cfi_adjust_cfa_offset -8\n.cfi_restore %r12\n"
	"	popq %rbx\n.cfi_adjust_cfa_offset -8\n.cfi_restore %rbx\n"
	"	popq %rbp\n.cfi_adjust_cfa_offset -8\n.cfi_restore %rbp\n"
	"	ret\n"
	".cfi_endproc\n"
	".size ctx_swap,.-ctx_swap\n"
	".type ctx_start,@function\n"
	".hidden ctx_start\n"
	".globl ctx_start\n"
	".cfi_startproc\n"
	".cfi_undefined %rip\n"
	"	nop\n"
	"ctx_start:\n"
	"	movq %r12,%rdi\n"
	"	call ctx_entry\n"
	"	ud2\n"
	".cfi_endproc\n"
	".size ctx_start,.-ctx_start\n");
enum { REGS = 7, REG_ARG = 3, REG_PC = 6 };            /* r15 r14 r13 r12 rbx rbp rip */
#elif defined(__aarch64__)
__asm__(".text\n"
	".globl ctx_swap\n"
	".hidden ctx_swap\n"
	".type ctx_swap,%function\n"
	"ctx_swap:\n"
	".cfi_startproc\n"
	"	hint #34\n"                            /* bti c */
	"	stp x29,x30,[sp,#-160]!\n"
	".cfi_def_cfa_offset 160\n.cfi_offset x29,-160\n.cfi_offset x30,-152\n"
	"	stp x19,x20,[sp,#16]\n.cfi_offset x19,-144\n.cfi_offset x20,-136\n"
	"	stp x21,x22,[sp,#32]\n.cfi_offset x21,-128\n.cfi_offset x22,-120\n"
	"	stp x23,x24,[sp,#48]\n.cfi_offset x23,-112\n.cfi_offset x24,-104\n"
	"	stp x25,x26,[sp,#64]\n.cfi_offset x25,-96\n.cfi_offset x26,-88\n"
	"	stp x27,x28,[sp,#80]\n.cfi_offset x27,-80\n.cfi_offset x28,-72\n"
	"	stp d8,d9,[sp,#96]\n"
	"	stp d10,d11,[sp,#112]\n"
	"	stp d12,d13,[sp,#128]\n"
	"	stp d14,d15,[sp,#144]\n"
	"	mov x9,sp\n"
	"	str x9,[x0]\n"
	"	mov sp,x1\n"
	"	ldp x19,x20,[sp,#16]\n"
	"	ldp x21,x22,[sp,#32]\n"
	"	ldp x23,x24,[sp,#48]\n"
	"	ldp x25,x26,[sp,#64]\n"
	"	ldp x27,x28,[sp,#80]\n"
	"	ldp d8,d9,[sp,#96]\n"
	"	ldp d10,d11,[sp,#112]\n"
	"	ldp d12,d13,[sp,#128]\n"
	"	ldp d14,d15,[sp,#144]\n"
	"	ldp x29,x30,[sp],#160\n"
	".cfi_def_cfa_offset 0\n.cfi_restore x29\n.cfi_restore x30\n"
	"	ret\n"
	".cfi_endproc\n"
	".size ctx_swap,.-ctx_swap\n"
	".type ctx_start,%function\n"
	".hidden ctx_start\n"
	".globl ctx_start\n"
	".cfi_startproc\n"
	".cfi_undefined x30\n"
	"	nop\n"
	"ctx_start:\n"
	"	mov x0,x19\n"
	"	bl ctx_entry\n"
	"	brk #0\n"
	".cfi_endproc\n"
	".size ctx_start,.-ctx_start\n");
enum { REGS = 20, REG_ARG = 2, REG_PC = 1 };           /* x29 x30 x19 ... x28 d8 ... d15 */
#else
#error "no context switch for this processor: build with TASKS=thread"
#endif

void ctx_swap(void **save, void *to) __attribute__((visibility("hidden")));
void ctx_start(void) __attribute__((visibility("hidden")));
void ctx_entry(struct ctx *c) __attribute__((visibility("hidden"), used, noreturn));

#ifdef __SANITIZE_ADDRESS__
/* the loop's stack, learnt when it first switches away */
static const void *loop_low;
static size_t loop_size;

static void
before_switch(struct ctx *from, struct ctx *to, bool leaving)
{
	const void *low = to->stack ? to->stack->low : loop_low;
	size_t size = to->stack ? (size_t)(to->stack->high - to->stack->low) : loop_size;

	__sanitizer_start_switch_fiber(leaving ? NULL : &from->fake, low, size);
}

static void
after_switch(struct ctx *now)
{
	if (now->stack)
		__sanitizer_finish_switch_fiber(now->fake, &loop_low, &loop_size);
	else
		__sanitizer_finish_switch_fiber(now->fake, NULL, NULL);
}
#elif defined(__SANITIZE_THREAD__)
static void
before_switch(struct ctx *from, struct ctx *to, bool leaving)
{
	(void)from;
	(void)leaving;
	__tsan_switch_to_fiber(to->tsan, 0);
}
static void after_switch(struct ctx *now) { (void)now; }
#else
static void
before_switch(struct ctx *from, struct ctx *to, bool leaving)
{
	(void)from;
	(void)to;
	(void)leaving;
}
static void after_switch(struct ctx *now) { (void)now; }
#endif

void
ctx_switch(struct ctx *from, struct ctx *to)
{
	before_switch(from, to, false);
	ctx_swap(&from->sp, to->sp);
	after_switch(from);
}

void
ctx_leave(struct ctx *from, struct ctx *to)
{
	before_switch(from, to, true);
	ctx_swap(&from->sp, to->sp);
	__builtin_trap();
}

void
ctx_entry(struct ctx *c)
{
	after_switch(c);
	c->run(c->arg);
	__builtin_trap();                              /* run ends in ctx_leave() */
}

static struct stack *
stack_map(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), all = page + TASK_STACK;
	struct stack *s;
	char *map;

	if (FAULT(mmap))
		return NULL;
	map = mmap(NULL, all, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (map == MAP_FAILED)
		return NULL;
	if (mprotect(map, page, PROT_NONE) < 0) {
		munmap(map, all);
		return NULL;
	}
	s = (struct stack *)(void *)(map + all - ((sizeof *s + 63) & ~(size_t)63));
	*s = (struct stack){ .map = map, .low = map + page, .high = (char *)s };
	s->valgrind = VALGRIND_STACK_REGISTER(s->low, s->high);
#ifdef __SANITIZE_ADDRESS__
	/* what only a suspended task knows is not lost */
	__lsan_register_root_region(s->low, TASK_STACK);
#endif
	return s;
}

static void
stack_unmap(struct stack *s)
{
	VALGRIND_STACK_DEREGISTER(s->valgrind);
#ifdef __SANITIZE_ADDRESS__
	__lsan_unregister_root_region(s->low, TASK_STACK);
#endif
	munmap(s->map, (size_t)(s->low - s->map) + TASK_STACK);
}

static void
stack_give_back(struct stack *s)
{
	if (cache.n == STACKS_CACHED) {
		stack_unmap(s);
		return;
	}
	s->next = cache.first;
	cache.first = s;
	cache.n++;
}

static struct stack *
stack_take(void)
{
	struct stack *s = cache.first;

	if (s == NULL)
		return stack_map();
	cache.first = s->next;
	cache.n--;
#ifdef __SANITIZE_ADDRESS__
	/* frames that never returned */
	__asan_unpoison_memory_region(s->low, (size_t)(s->high - s->low));
#endif
	return s;
}

void
ctx_init_loop(struct ctx *c)
{
	*c = (struct ctx){ 0 };
#ifdef __SANITIZE_THREAD__
	c->tsan = __tsan_get_current_fiber();
#endif
}

bool
ctx_init(struct ctx *c, void (*run)(void *arg), void *arg)
{
	struct stack *s = stack_take();
	uintptr_t *sp;

	if (s == NULL)
		return false;
	*c = (struct ctx){ .stack = s, .run = run, .arg = arg };
	/* keeps 16-byte alignment at ctx_start; two zeros end the chain */
	sp = (uintptr_t *)(void *)s->high - 2;
	sp[0] = sp[1] = 0;
	sp -= REGS;
	for (size_t i = 0; i < REGS; i++)
		sp[i] = 0;
	sp[REG_ARG] = (uintptr_t)c;
	sp[REG_PC] = (uintptr_t)ctx_start;
	c->sp = sp;
#ifdef __SANITIZE_THREAD__
	c->tsan = __tsan_create_fiber(0);
#endif
	return true;
}

void
ctx_fini(struct ctx *c)
{
#ifdef __SANITIZE_THREAD__
	__tsan_destroy_fiber(c->tsan);
#endif
	stack_give_back(c->stack);
	c->stack = NULL;
}

/* Under AddressSanitizer the stack stays: what its frames own is then still reachable, so that
 * ending a process in the middle of its conversations is not reported as leaks. */
void
ctx_abandon(struct ctx *c)
{
#ifdef __SANITIZE_ADDRESS__
	c->stack = NULL;
#else
	ctx_fini(c);
#endif
}

void
ctx_fini_loop(struct ctx *c)
{
	struct stack *s;

	(void)c;
	while ((s = cache.first) != NULL) {
		cache.first = s->next;
		stack_unmap(s);
	}
	cache.n = 0;
}

/* Fresh stacks are zero, so the lowest byte that is not tells how deep any of its users went. */
#ifdef DEBUG
__attribute__((no_sanitize("address", "thread"))) size_t
ctx_stack_used(const struct ctx *c)
{
	const struct stack *s = c->stack;
	const uintptr_t *p;

	if (s == NULL)
		return 0;
	p = (const uintptr_t *)(const void *)s->low;
	/* below the stack pointer is where we mean to look */
	VALGRIND_DISABLE_ERROR_REPORTING;
	while ((const char *)p < s->high && *p == 0)
		p++;
	VALGRIND_ENABLE_ERROR_REPORTING;
	return (size_t)(s->high - (const char *)p);
}
#else
size_t
ctx_stack_used(const struct ctx *c)
{
	(void)c;
	return 0;
}
#endif
#endif
