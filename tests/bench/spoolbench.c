/* SPDX-License-Identifier: Apache-2.0 */
/* spoolbench DIR [MESSAGES [BYTES]] - what a message costs the spool: enter, commit and remove, by sync mode and number of
 * tasks; then a scan of as many messages.  DIR should lie on the kind of file system that will hold the queue.  CPU is the
 * whole process's, kernel included (but not the kernel's own threads).  docs/SPOOL.md has results.
 *
 *	make programs && cc -O2 -I. -D_GNU_SOURCE -o build/spoolbench tests/bench/spoolbench.c \
 *		build/release/libspool.a build/release/libutil.a -pthread */
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>

#include "spool/spool.h"
#include "util/log.h"
#include "util/mem.h"

enum { HELPERS = 8 };

static struct {
	struct spool *spool;
	size_t        left, bytes;
	uint64_t     *gone;                            /* ids to remove: half a round later, as qmgr would */
	size_t        n;
	char         *text;
} b;

static void
need(enum err e)
{
	if (e != OK)
		log_fatal("%s: %s", err_name(e), err_why());
}

static enum err
remove_some(void *arg)
{
	size_t n = *(size_t *)arg;

	for (size_t i = 0; i < n; i++)
		TRY(spool_remove(b.spool, SPOOL_INCOMING, b.gone[i]));
	return OK;
}

static void
session(void *arg)
{
	struct spool_rcpt to = { .addr = STR("recipient@example.org") };

	(void)arg;
	while (b.left > 0) {
		struct spool_msg m = {
			.id = qid_new(), .arrived = wall_now(), .sender = STR("sender@example.com"), .rcpts = &to, .nrcpts = 1,
			.client_name = STR("localhost"), .client_addr = STR("127.0.0.1"), .client_helo = STR("client"),
			.protocol = STR("ESMTP"),
		};
		struct entry *e = entry_new(b.spool, &m);

		b.left--;
		need(entry_add(e, (struct str){ b.text, b.bytes }));
		need(entry_commit(&e, 0, &m));
		b.gone[b.n++] = m.id;
	}
}

static double
cpu_us(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

struct round { int tasks; size_t messages; enum spool_sync sync; const char *name, *dir; };

static void
run_round(void *arg)
{
	struct round *r = arg;
	struct tasks g;
	struct time start;
	double cpu, seconds, entered;

	need(spool_open(r->dir, r->sync, false, &b.spool));
	b.left = r->messages;
	b.n = 0;
	b.gone = mem_array(r->messages, sizeof *b.gone);
	tasks_init(&g);
	cpu = cpu_us();
	start = time_now();
	for (int i = 0; i < r->tasks; i++)
		task_start(&g, "session", session, NULL);
	tasks_wait(&g);
	seconds = time_seconds(start, time_now());
	entered = cpu_us() - cpu;
	need(task_offload(remove_some, &b.n));
	printf("%-8s %5d tasks %8.0f messages/s  enter %6.1f us CPU, remove %5.1f\n", r->name, r->tasks,
	    (double)r->messages / seconds, entered / (double)r->messages, (cpu_us() - cpu - entered) / (double)r->messages);
	fflush(stdout);
	mem_free(&b.gone);
	spool_close(&b.spool);
}

static bool
count(void *arg, struct spool_view *v)
{
	(void)v;
	atomic_fetch_add((atomic_size_t *)arg, 1);
	return true;
}

/* Warm: the directories and files are in the page cache, as after the fill. */
static void
run_scan(void *arg)
{
	struct round *r = arg;

	need(spool_open(r->dir, SYNC_NONE, false, &b.spool));
	b.left = r->messages;
	b.n = 0;
	b.gone = mem_array(r->messages, sizeof *b.gone);
	session(NULL);
	for (int threads = 1; threads <= 4; threads *= 2) {
		atomic_size_t found = 0;
		struct spool_scan how = { .fn = count, .arg = &found, .threads = threads, .debris_age = 3600 };
		struct time start = time_now();
		double cpu = cpu_us(), seconds;

		need(spool_scan(b.spool, SPOOL_INCOMING, &how, NULL));
		seconds = time_seconds(start, time_now());
		printf("scan     %5d threads %8.0f messages/s  %5.1f us CPU\n", threads, (double)found / seconds,
		    (cpu_us() - cpu) / (double)r->messages);
	}
	need(task_offload(remove_some, &b.n));
	mem_free(&b.gone);
	spool_close(&b.spool);
}

int
main(int argc, char **argv)
{
	static const struct { enum spool_sync sync; const char *name; } modes[] = {
		{ SYNC_FSYNC, "fsync" }, { SYNC_SYNCFS, "syncfs" }, { SYNC_AUTO, "auto" }, { SYNC_NONE, "none" },
	};
	static const int tasks[] = { 1, 2, 4, 10, 50, 200 };
	size_t messages = argc > 2 ? strtoul(argv[2], NULL, 10) : 20000;

	log_stderr("spoolbench");
	if (argc < 2)
		log_fatal("usage: spoolbench DIR [MESSAGES [BYTES]]");
	b.bytes = argc > 3 ? strtoul(argv[3], NULL, 10) : 2048;
	b.text = mem_new(b.bytes);
	memset(b.text, 'x', b.bytes);
	qid_setup(0, 1);
	for (size_t m = 0; m < countof(modes); m++)
		for (size_t t = 0; t < countof(tasks); t++) {
			struct round r = { tasks[t], tasks[t] < 10 ? messages / 10 : messages, modes[m].sync, modes[m].name, argv[1] };

			if (r.messages > 0)
				task_run(run_round, &r, HELPERS);
		}
	task_run(run_scan, &(struct round){ 1, messages, SYNC_NONE, "scan", argv[1] }, HELPERS);
	return 0;
}
