/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>

#include "tests/unit/check.h"
#include "util/task.h"

/* A string for those who take a void *. */
#define WORD(s) ((char[]){ s })

static struct time soon(int64_t ms) { return time_after_ms(time_now(), ms); }

static enum err
work_well(void *arg)
{
	*(pthread_t *)arg = pthread_self();
	return OK;
}

static enum err
work_badly(void *arg)
{
	return fail(E_NOSPACE, "no room for %s", (const char *)arg);
}

static void
offload_brings_back_result_and_words(void)
{
	pthread_t there = pthread_self();

	CHECK(task_offload(work_well, &there) == OK);
	CHECK(!pthread_equal(there, pthread_self()));
	CHECK(task_offload(work_badly, WORD("the piano")) == E_NOSPACE);
	CHECK(strcmp(err_why(), "no room for the piano") == 0);
}

static sem_t gate;

static enum err
through_the_gate(void *arg)
{
	(void)arg;
	while (sem_wait(&gate) < 0 && errno == EINTR)
		;
	return OK;
}

static void
offloads(void *arg)
{
	*(enum err *)arg = task_offload(through_the_gate, NULL);
	CHECK(task_sleep(TIME_NEVER) == E_STOPPED);
}

static void
a_stop_takes_effect_after_the_offloaded_work(void)
{
	enum err result[20];
	struct task *t[20];
	struct tasks g;

	tasks_init(&g);
	sem_init(&gate, 0, 0);
	for (size_t i = 0; i < countof(t); i++) {
		result[i] = E_IO;
		t[i] = task_start(&g, "offloads", offloads, &result[i]);
	}
	task_yield();
	for (size_t i = 0; i < countof(t); i++)
		task_stop(t[i]);
	CHECK(task_sleep(soon(5)) == OK);
	CHECK(result[0] == E_IO);
	for (size_t i = 0; i < countof(t); i++)
		sem_post(&gate);
	tasks_wait(&g);
	for (size_t i = 0; i < countof(t); i++)
		CHECK(result[i] == OK);
	sem_destroy(&gate);
}

static atomic_int batches_run, largest;

static void
count_batch(struct list *items, void *arg)
{
	int n = 0;

	LIST_EACH(items, item, struct batch_item, link) {
		item->result = OK;
		n++;
	}
	atomic_fetch_add(&batches_run, 1);
	if (n > atomic_load(&largest))
		atomic_store(&largest, n);
	if (arg)
		through_the_gate(NULL);
}

static struct batch *batch;

static void
one_item(void *arg)
{
	struct batch_item item;

	CHECK(task_batch(batch, &item) == OK);
	++*(int *)arg;
}

static void
a_lone_item_does_not_wait_for_company(void)
{
	struct batch_item item;

	batch = batch_new(count_batch, NULL, 1, 10);
	CHECK(task_batch(batch, &item) == OK);
	CHECK(task_batch(batch, &item) == OK);
	batch_free(&batch);
	CHECK(batch == NULL);
}

static void
items_that_come_while_a_batch_runs_share_the_next_one(void)
{
	struct tasks g;
	int done = 0;

	tasks_init(&g);
	sem_init(&gate, 0, 0);
	atomic_store(&batches_run, 0);
	atomic_store(&largest, 0);
	batch = batch_new(count_batch, WORD("slow"), 1, 50);
	task_start(&g, "first", one_item, &done);
	while (atomic_load(&batches_run) == 0)
		task_yield();
	for (int i = 0; i < 120; i++) {
		task_start(&g, "item", one_item, &done);
		task_yield();
	}
	CHECK(task_sleep(soon(1)) == OK);              /* a turn ends: all of them are with the batch */
	for (int i = 0; i < 4; i++)
		sem_post(&gate);
	tasks_wait(&g);
	CHECK(done == 121);
	CHECK(atomic_load(&batches_run) == 4);         /* 1, 50, 50, 20 */
	CHECK(atomic_load(&largest) == 50);
	batch_free(&batch);
	sem_destroy(&gate);
}

static void
half_bad(struct list *items, void *arg)
{
	int n = 0;

	LIST_EACH(items, item, struct batch_item, link) {
		if (n++ % 2 == 0) {
			item->result = E_NOSPACE;
			snprintf(item->why, sizeof item->why, "%s", (const char *)arg);
		} else {
			item->result = OK;
		}
	}
}

static void
forgetful(struct list *items, void *arg)
{
	(void)items;
	(void)arg;
}

static void
each_item_has_its_own_result_and_silence_is_failure(void)
{
	struct batch_item item;

	batch = batch_new(half_bad, WORD("disk full"), 1, 10);
	CHECK(task_batch(batch, &item) == E_NOSPACE);
	CHECK(strcmp(err_why(), "disk full") == 0);
	batch_free(&batch);
	batch = batch_new(forgetful, NULL, 2, 10);
	CHECK(task_batch(batch, &item) == E_IO);
	batch_free(&batch);
}

static int posts_done;

static void
post_done(struct batch_item *item)
{
	CHECK(item->result == OK);
	free(item);
	posts_done++;
}

static void
post_many(void *arg)
{
	(void)arg;
	for (int i = 0; i < 1000; i++)
		batch_post(batch, mem_new(sizeof(struct batch_item)), post_done);
}

static void
posted_work_is_finished_before_the_process_may_end(void)
{
	posts_done = 0;
	batch = batch_new(count_batch, NULL, 3, 16);
	task_run(post_many, NULL, 3);
	CHECK(posts_done == 1000);
	batch_free(&batch);
}

SUITE(offload, TASK_TEST(offload_brings_back_result_and_words),
    TASK_TEST(a_stop_takes_effect_after_the_offloaded_work),
    TASK_TEST(a_lone_item_does_not_wait_for_company),
    TASK_TEST(items_that_come_while_a_batch_runs_share_the_next_one),
    TASK_TEST(each_item_has_its_own_result_and_silence_is_failure),
    TEST(posted_work_is_finished_before_the_process_may_end));
