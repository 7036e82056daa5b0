/* SPDX-License-Identifier: Apache-2.0 */
/* Work made durable in batches.  Items asked for in one turn go to the helpers together, at its
 * end; a lane that starts takes all that wait at that moment, so the busier the disk, the larger
 * the batches. */
#include <pthread.h>
#include <stdio.h>

#include "util/log.h"
#include "util/loop.h"

struct lane {
	struct job    job;
	struct list   link;                            /* while idle */
	struct batch *batch;
};

struct batch {
	void           (*fn)(struct list *items, void *arg);
	void            *arg;
	size_t           max;
	struct turn_hook hook;
	struct list      fresh;                        /* asked for in this turn */
	size_t           nfresh, unfinished;

	pthread_mutex_t  lock;                         /* for the rest */
	struct list      waiting, idle;                /* items; lanes */
	/* coming: lanes submitted that have not looked yet */
	size_t           nwaiting, coming;
	size_t           nlanes, nidle;
	pthread_cond_t   lane_back;
	struct lane      lanes[];
};

/* What a lane took; freed by the loop. */
struct load {
	struct job    job;
	struct batch *batch;
	struct list   items;
};

static size_t posted;

size_t batch_posted(void) { return posted; }

static void
load_done(struct job *j)
{
	struct load *load = container_of(j, struct load, job);
	struct list *l;

	while ((l = list_pop(&load->items)) != NULL) {
		struct batch_item *item = container_of(l, struct batch_item, link);

		load->batch->unfinished--;
		if (item->done) {
			posted--;
			item->done(item);
		} else {
			loop_wake(item->waiter, OK);
		}
	}
	free(load);
}

static struct load *
take(struct batch *b)
{
	struct load *load = mem_new(sizeof *load);

	*load = (struct load){ .job = { .done = load_done }, .batch = b };
	list_init(&load->items);
	for (size_t i = 0; i < b->max && b->nwaiting > 0; i++, b->nwaiting--)
		list_push(&load->items, list_pop(&b->waiting));
	return load;
}

static void
retire(struct batch *b, struct lane *lane)
{
	list_push(&b->idle, &lane->link);
	b->nidle++;
	pthread_cond_signal(&b->lane_back);
}

static void
lane_work(struct job *j)
{
	struct lane *lane = container_of(j, struct lane, job);
	struct batch *b = lane->batch;
	struct load *load = NULL;
	char why[ERR_WHY_MAX] = "";
	bool more;

	pthread_mutex_lock(&b->lock);
	b->coming--;
	if (b->nwaiting > 0)
		load = take(b);
	pthread_mutex_unlock(&b->lock);
	if (load) {
		err_why_install(why);
		b->fn(&load->items, b->arg);
		err_why_install(NULL);
	}
	pthread_mutex_lock(&b->lock);
	more = b->nwaiting > b->coming * b->max;
	if (more)
		b->coming++;
	else
		retire(b, lane);
	pthread_mutex_unlock(&b->lock);
	if (more)
		offload_submit(&lane->job);
	if (load)
		offload_done(&load->job);
}

static void
send_off(void *arg)
{
	struct batch *b = arg;
	size_t started = 0;

	pthread_mutex_lock(&b->lock);
	while (!list_empty(&b->fresh))
		list_push(&b->waiting, list_pop(&b->fresh));
	b->nwaiting += b->nfresh;
	b->nfresh = 0;
	for (; !list_empty(&b->idle) && b->nwaiting > b->coming * b->max; b->coming++, started++) {
		struct lane *lane = container_of(list_pop(&b->idle), struct lane, link);

		b->nidle--;
		offload_submit(&lane->job);
	}
	pthread_mutex_unlock(&b->lock);
	for (; started > 0; started--)
		offload_staff();
}

struct batch *
batch_new(void (*fn)(struct list *items, void *arg), void *arg, int lanes, int max)
{
	struct batch *b;

	ENSURE(lanes > 0 && max > 0);
	b = mem_new(sizeof *b + (size_t)lanes * sizeof b->lanes[0]);
	b->fn = fn;
	b->arg = arg;
	b->max = (size_t)max;
	b->nlanes = b->nidle = (size_t)lanes;
	b->hook = (struct turn_hook){ .run = send_off, .arg = b };
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->lane_back, NULL);
	list_init(&b->fresh);
	list_init(&b->waiting);
	list_init(&b->idle);
	for (size_t i = 0; i < b->nlanes; i++) {
		b->lanes[i] = (struct lane){ .job = { .work = lane_work }, .batch = b };
		list_push(&b->idle, &b->lanes[i].link);
	}
	return b;
}

void
batch_free(struct batch **pb)
{
	struct batch *b = *pb;

	if (b == NULL)
		return;
	ENSURE(b->unfinished == 0);
	pthread_mutex_lock(&b->lock);
	/* a lane may be on its way with nothing left to take */
	while (b->nidle < b->nlanes)
		pthread_cond_wait(&b->lane_back, &b->lock);
	pthread_mutex_unlock(&b->lock);
	pthread_cond_destroy(&b->lane_back);
	pthread_mutex_destroy(&b->lock);
	mem_free(pb);
}

static void
ask(struct batch *b, struct batch_item *item)
{
	/* Until fn says otherwise nothing was done. */
	item->result = E_IO;
	snprintf(item->why, sizeof item->why, "not done");
	list_push(&b->fresh, &item->link);
	b->nfresh++;
	b->unfinished++;
	at_turn_end(&b->hook);
}

enum err
task_batch(struct batch *b, struct batch_item *item)
{
	ENSURE(loop.self);
	item->waiter = loop.self;
	item->done = NULL;
	ask(b, item);
	loop_wait(TIME_NEVER, false);
	return item->result == OK ? OK : fail(item->result, "%s", item->why);
}

void
batch_post(struct batch *b, struct batch_item *item, void (*done)(struct batch_item *item))
{
	item->waiter = NULL;
	item->done = done;
	posted++;
	ask(b, item);
}
