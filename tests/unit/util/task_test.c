/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/check.h"
#include "util/task.h"

/* A string for those who take a void *. */
#define WORD(s) ((char[]){ s })

static struct time soon(int64_t ms) { return time_after_ms(time_now(), ms); }

/* What a task under test did. */
static char diary[256];

static void
note(const char *word)
{
	size_t n = strlen(diary);

	snprintf(diary + n, sizeof diary - n, "%s ", word);
}

static bool
diary_is(const char *expected)
{
	bool same = strcmp(diary, expected) == 0;

	if (!same)
		printf("\n    expected '%s'\n    found    '%s'\n", expected, diary);
	diary[0] = '\0';
	return same;
}

static void
two_notes(void *arg)
{
	note(arg);
	task_yield();
	note(arg);
}

static void
tasks_take_turns_in_the_order_they_were_started(void)
{
	struct tasks g;

	tasks_init(&g);
	CHECK(tasks_empty(&g));
	task_start(&g, "a", two_notes, WORD("a"));
	task_start(&g, "b", two_notes, WORD("b"));
	CHECK(!tasks_empty(&g));
	CHECK(task_count() == 3);
	note("started");
	tasks_wait(&g);
	CHECK(tasks_empty(&g));
	CHECK(task_count() == 1);
	CHECK(diary_is("started a b a b "));
}

static void
sleep_ends_at_its_time_and_not_before(void)
{
	struct time start = time_now(), until = time_after_ms(start, 30);

	CHECK(task_sleep(until) == OK);
	CHECK(!time_before(time_now(), until));
	CHECK(task_sleep(start) == OK);
}

static void
sleeps(void *arg)
{
	CHECK(task_sleep(soon(*(int *)arg)) == OK);
	note(*(int *)arg == 10 ? "10" : *(int *)arg == 20 ? "20" : "30");
}

static void
sleepers_wake_in_order_of_their_times(void)
{
	struct tasks g;

	tasks_init(&g);
	task_start(&g, "30", sleeps, &(int){ 30 });
	task_start(&g, "10", sleeps, &(int){ 10 });
	task_start(&g, "20", sleeps, &(int){ 20 });
	tasks_wait(&g);
	CHECK(diary_is("10 20 30 "));
}

/* The timer of a task is moved lazily; neither a later nor an earlier deadline may suffer from
 * that. */
static void
deadlines_hold_after_earlier_and_later_ones(void)
{
	static const struct { int ms; } cases[] = { { 5 }, { 40 }, { 10 }, { 0 }, { 20 } };
	struct wait w;

	wait_init(&w);
	for (size_t i = 0; i < countof(cases); i++) {
		struct time until = soon(cases[i].ms);

		CHECK(wait_park(&w, until) == E_TIMEOUT);
		CHECK(!time_before(time_now(), until));
		CHECK(time_before(time_now(), time_after(until, 2)));
		CHECK(list_empty(&w.parked));
	}
}

struct parked {
	struct wait *w;
	struct time  until;
	enum err     result;
};

static void
park(void *arg)
{
	struct parked *p = arg;

	p->result = wait_park(p->w, p->until);
}

static void
wake_takes_the_first_and_wake_all_the_rest(void)
{
	struct wait w;
	struct parked p[3];
	struct tasks g;

	wait_init(&w);
	tasks_init(&g);
	for (size_t i = 0; i < 3; i++) {
		p[i] = (struct parked){ &w, TIME_NEVER, E_IO };
		task_start(&g, "parked", park, &p[i]);
	}
	wait_wake(&w);                                 /* nobody is there yet: nothing happens */
	task_yield();
	wait_wake(&w);
	task_yield();
	CHECK(p[0].result == OK && p[1].result == E_IO && p[2].result == E_IO);
	wait_wake_all(&w);
	tasks_wait(&g);
	CHECK(p[1].result == OK && p[2].result == OK);
}

/* Only the present wait, and only to the shorter side. */
static void
a_wait_can_be_cut_short_from_outside(void)
{
	struct wait w;
	struct parked p[3] = { { &w, TIME_NEVER, E_IO }, { &w, soon(60000), E_IO }, { &w, soon(5), E_IO } };
	struct task *t[3];
	struct tasks g;

	wait_init(&w);
	tasks_init(&g);
	for (size_t i = 0; i < 3; i++)
		t[i] = task_start(&g, "parked", park, &p[i]);
	task_hurry(t[0], time_now());                  /* it has not begun to wait */
	task_yield();
	CHECK(p[0].result == E_IO);
	task_hurry(t[0], soon(20));
	task_hurry(t[1], soon(-1));
	task_hurry(t[2], soon(60000));
	tasks_wait(&g);
	CHECK(p[0].result == E_TIMEOUT && p[1].result == E_TIMEOUT && p[2].result == E_TIMEOUT);
	CHECK(time_before(time_now(), p[1].until));
}

static void
wake_is_not_spent_on_one_whose_time_was_up(void)
{
	struct wait w;
	struct parked late = { &w, time_now(), E_IO }, other = { &w, TIME_NEVER, E_IO };
	struct tasks g;

	wait_init(&w);
	tasks_init(&g);
	task_start(&g, "late", park, &late);
	task_start(&g, "other", park, &other);
	while (late.result == E_IO)
		task_yield();
	CHECK(late.result == E_TIMEOUT);
	wait_wake(&w);
	tasks_wait(&g);
	CHECK(other.result == OK);
}

static void
a_wake_before_the_deadline_counts_even_if_it_runs_after_it(void)
{
	struct wait w;
	struct parked p = { &w, soon(5), E_IO };
	struct tasks g;

	wait_init(&w);
	tasks_init(&g);
	task_start(&g, "parked", park, &p);
	task_yield();
	wait_wake(&w);
	while (time_before(time_now(), p.until))
		;
	tasks_wait(&g);
	CHECK(p.result == OK);
}

static struct wait nobody_wakes;

static void
in_sleep(void *arg)
{
	*(enum err *)arg = task_sleep(TIME_NEVER);
}

static void
in_park(void *arg)
{
	*(enum err *)arg = wait_park(&nobody_wakes, TIME_NEVER);
}

static void
waits_again(void *arg)
{
	(void)arg;
	CHECK(task_stopping());
	CHECK(task_sleep(soon(0)) == E_STOPPED);
	CHECK(wait_park(&nobody_wakes, TIME_NEVER) == E_STOPPED);
	task_yield();
	CHECK(task_sleep(TIME_NEVER) == E_STOPPED);
	note("through");
}

static void
one_that_was_stopped_before_it_began_still_runs(void)
{
	struct tasks g;

	wait_init(&nobody_wakes);
	tasks_init(&g);
	task_start(&g, "stopped", waits_again, NULL);
	tasks_stop(&g);
	CHECK(diary_is("through "));
}

static struct tasks *nursery;

static void
starts_another(void *arg)
{
	(void)arg;
	CHECK(task_sleep(TIME_NEVER) == E_STOPPED);
	task_start(nursery, "late", waits_again, NULL);
}

static void
what_starts_in_a_group_that_is_being_stopped_is_stopped_too(void)
{
	struct tasks g;

	nursery = &g;
	tasks_init(&g);
	task_start(&g, "mother", starts_another, NULL);
	task_yield();
	tasks_stop(&g);
	CHECK(diary_is("through "));
}

static void
stop_and_wait(void *arg)
{
	tasks_wait(arg);
	note("waited");
}

static void
several_can_wait_for_one_group(void)
{
	struct tasks g, watchers;

	tasks_init(&g);
	tasks_init(&watchers);
	task_start(&g, "sleeper", in_sleep, &(enum err){ OK });
	task_start(&watchers, "watcher", stop_and_wait, &g);
	task_start(&watchers, "watcher", stop_and_wait, &g);
	task_yield();
	tasks_stop(&g);
	tasks_wait(&watchers);
	CHECK(diary_is("waited waited "));
}

static void
own_words(void *arg)
{
	(void)fail(E_IO, "%s", (const char *)arg);
	task_yield();
	CHECK(strcmp(err_why(), arg) == 0);
}

static void
each_task_keeps_its_own_words(void)
{
	struct tasks g;

	tasks_init(&g);
	task_start(&g, "a", own_words, WORD("one"));
	task_start(&g, "b", own_words, WORD("two"));
	CHECK(fail(E_IO, "mine") == E_IO);
	tasks_wait(&g);
	CHECK(strcmp(err_why(), "mine") == 0);
}

static void
hook_runs(void *arg)
{
	note(arg);
}

static void
hooks_run_once_at_the_end_of_the_turn(void)
{
	struct turn_hook h = { .run = hook_runs, .arg = WORD("hook") };

	at_turn_end(&h);
	at_turn_end(&h);
	note("task");
	task_yield();
	note("same turn");
	CHECK(task_sleep(soon(0)) == OK);
	note("next");
	CHECK(diary_is("task same turn hook next "));
	at_turn_end(&h);
	CHECK(task_sleep(soon(0)) == OK);
	CHECK(diary_is("hook "));
}

enum { MANY = 5000 };
static int ran;

static void
one_of_many(void *arg)
{
	(void)arg;
	ran++;
	if (task_sleep(time_after_ms(time_now(), ran % 7)) == OK)
		ran++;
	task_yield();
	ran++;
}

static void
thousands_of_tasks_run_together(void)
{
	struct tasks g;
	int started = 0;

	ran = 0;
	tasks_init(&g);
	while (started < MANY && task_start(&g, "one of many", one_of_many, NULL))
		started++;
#ifndef TASKS_THREAD
	CHECK(started == MANY);
#endif
	tasks_wait(&g);
	CHECK(ran == 3 * started);
}

static __attribute__((noinline)) int
deeper(volatile char *above)
{
	volatile char here[1024];

	here[0] = above ? above[0] : 1;
	return here[0] ? deeper(here) + here[0] : 0;
}

static void
falls(void *arg)
{
	(void)arg;
	signal(SIGSEGV, SIG_DFL);
	deeper(NULL);
}

static void
a_stack_that_overflows_hits_its_guard(void)
{
	int status;
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child == 0) {
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
		task_run(falls, NULL, 1);
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

static __attribute__((noinline)) size_t
use_stack(size_t n)
{
	volatile char room[40 << 10];

	memset((char *)(uintptr_t)room, 1, sizeof room);
	return (size_t)room[n % sizeof room];
}

static void
stack_use_is_known_in_debug_builds(void)
{
	CHECK(use_stack(7) == 1);
#if defined(DEBUG) && !defined(TASKS_THREAD)
	CHECK(task_stack_used() > 40 << 10 && task_stack_used() < TASK_STACK);
#else
	CHECK(task_stack_used() == 0);
#endif
}

static void
stays(void *arg)
{
	task_start(NULL, "stays", in_sleep, arg);
	task_start(NULL, "stays", in_park, arg);
	task_start(NULL, "never begins", in_park, arg);
	task_yield();
	task_start(NULL, "never begins", in_park, arg);
	task_exit();
	note("exit");
}

static void
exit_ends_the_loop_whatever_is_left_and_it_can_run_again(void)
{
	enum err result = OK;

	wait_init(&nobody_wakes);
	for (int i = 0; i < 3; i++) {
		task_run(stays, &result, 2);
		CHECK(task_count() == 0);
		CHECK(task_self() == NULL);
		CHECK(list_empty(&nobody_wakes.parked));
	}
	CHECK(diary_is("exit exit exit "));
}

static int turns;
static void count_turn(void) { turns++; }

static void
the_heartbeat_is_called_every_turn(void)
{
	turns = 0;
	task_on_turn(count_turn);
	for (int i = 0; i < 3; i++)
		CHECK(task_sleep(soon(1)) == OK);
	task_on_turn(NULL);
	CHECK(turns >= 3);
	CHECK(strcmp(task_name(task_self()), "first") == 0);
}

SUITE(task, TASK_TEST(tasks_take_turns_in_the_order_they_were_started),
    TASK_TEST(sleep_ends_at_its_time_and_not_before),
    TASK_TEST(sleepers_wake_in_order_of_their_times),
    TASK_TEST(deadlines_hold_after_earlier_and_later_ones),
    TASK_TEST(wake_takes_the_first_and_wake_all_the_rest),
    TASK_TEST(a_wait_can_be_cut_short_from_outside),
    TASK_TEST(wake_is_not_spent_on_one_whose_time_was_up),
    TASK_TEST(a_wake_before_the_deadline_counts_even_if_it_runs_after_it),
    TASK_TEST(one_that_was_stopped_before_it_began_still_runs),
    TASK_TEST(what_starts_in_a_group_that_is_being_stopped_is_stopped_too),
    TASK_TEST(several_can_wait_for_one_group),
    TASK_TEST(each_task_keeps_its_own_words),
    TASK_TEST(hooks_run_once_at_the_end_of_the_turn),
    TASK_TEST(thousands_of_tasks_run_together),
    TEST(a_stack_that_overflows_hits_its_guard),
    TASK_TEST(stack_use_is_known_in_debug_builds),
    TEST(exit_ends_the_loop_whatever_is_left_and_it_can_run_again),
    TASK_TEST(the_heartbeat_is_called_every_turn));
