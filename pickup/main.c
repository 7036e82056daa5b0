/* SPDX-License-Identifier: Apache-2.0 */
/* pickup - takes in what users of this host have handed in: from maildrop/ into the queue.  It
 * hears of a new file at once from the kernel (inotify) and looks by itself from time to time.  A
 * message leaves maildrop only after it is durable in the queue: after a crash in between it is
 * taken in twice, never lost. */
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "pickup/take.h"
#include "util/log.h"

enum { AT_ONCE = 16, LOOK_SECONDS = 60, AGAIN_SECONDS = 2, EVENTS = 16 << 10 };

static struct {
	struct pickup pickup;
	struct tasks takers;
	bool left; /* something that could not be taken in and is to be tried again soon */
	uint64_t *ids; /* what there is to do */
	size_t n, cap, next;
} work;

static void
note(void *arg, uint64_t id)
{
	(void)arg;
	if (work.n == work.cap) {
		work.cap = work.cap ? 2 * work.cap : 256;
		work.ids = mem_grow(work.ids, work.cap * sizeof *work.ids);
	}
	work.ids[work.n++] = id;
}

static enum err
list(void *arg)
{
	return maildrop_list(arg, note, NULL);
}

static void
taker(void *arg)
{
	(void)arg;
	while (work.next < work.n && !task_stopping() && service_phase() == PHASE_RUN)
		work.left |= !take(&work.pickup, work.ids[work.next++]);
}

/* Take in all that is there now, several at a time, so that they share the disk's time. */
static WAITS void
sweep(void)
{
	work.n = work.next = 0;
	work.left = task_offload(list, work.pickup.spool) != OK;
	if (work.left)
		log_warn("%s", err_why());
	for (size_t i = 0; i < AT_ONCE && i < work.n; i++)
		if (task_start(&work.takers, "take", taker, NULL) == NULL)
			break;
	if (work.n > 0 && tasks_empty(&work.takers))
		log_warn("no memory for a task");
	tasks_wait(&work.takers);
	work.pickup.service->board->slot[work.pickup.service->slot].served += work.n;
}

static int
watch_maildrop(void)
{
	char path[4200];
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	snprintf(path, sizeof path, "%s/%s", service_self()->params.queue_directory,
	    spool_dir_name(SPOOL_MAILDROP));
	if (fd >= 0 && inotify_add_watch(fd, path, IN_CLOSE_WRITE | IN_MOVED_TO) >= 0 &&
	    task_fd_add(fd) == OK)
		return fd;
	log_warn(
	    "%s cannot be watched; new mail there is found every %d seconds", path, LOOK_SECONDS);
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Wait for something new, at most until it is time to look anyway. */
static WAITS enum err
wait_for_more(int fd)
{
	struct time limit = time_after(time_now(), work.left ? AGAIN_SECONDS : LOOK_SECONDS);
	char *events;
	bool any = false;
	enum err e;

	if (fd < 0)
		return task_sleep(limit);
	events = mem_new(EVENTS);
	for (;;) {
		while (read(fd, events, EVENTS) > 0)
			any = true;
		if (any || (e = task_wait_fd(fd, FD_READ, limit)) != OK)
			break;
	}
	free(events);
	if (any || e == E_TIMEOUT)
		return OK;
	/* Not told of new files while the kernel has no memory for it: they are looked for. */
	return e == E_STOPPED ? e : task_sleep(time_after(time_now(), AGAIN_SECONDS));
}

static void
look(void *arg)
{
	int fd = watch_maildrop();

	(void)arg;
	do
		sweep();
	while (!task_stopping() && wait_for_more(fd) == OK);
	if (fd >= 0) {
		task_fd_del(fd);
		close(fd);
	}
}

static void
run(struct service *s)
{
	struct tasks own, looker;

	tasks_init(&own);
	tasks_init(&looker);
	tasks_init(&work.takers);
	work.pickup.service = s;
	qid_setup((unsigned)s->params.queue_id_node, s->slot);
	if (spool_open(s->params.queue_directory, spool_sync_of(s->params.spool_sync), false,
		&work.pickup.spool) != OK ||
	    intake_start(s, "pickup", work.pickup.spool, &own, &work.pickup.intake) != OK)
		log_fatal("%s", err_why());
	work.pickup.notices = notices_start(work.pickup.intake);
	if (task_start(&looker, "look", look, NULL) == NULL)
		log_starved("no memory for a task");
	service_ready();
	service_wait(PHASE_RUN);
	tasks_stop(&looker);
	notify_flush(intake_notify(work.pickup.intake), time_after(time_now(), 1));
	tasks_stop(&own);
	notices_free(&work.pickup.notices);
	intake_free(&work.pickup.intake);
	spool_close(&work.pickup.spool);
	free(work.ids);
}

int
main(int argc, char **argv)
{
	static const struct service_spec spec = {
		.prog = "pickup",
		.helpers = 4,
		.run = run,
		.promises = "maildrop spool-create tables accounts",
	};

	return service_main(argc, argv, &spec);
}
