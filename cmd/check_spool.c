/* SPDX-License-Identifier: Apache-2.0 */
/* postroad check --spool: every message is read, content too, and its checksums compared.  Nothing
 * is changed. */
#include <stdio.h>
#include <unistd.h>

#include "cmd/check.h"
#include "spool/spool.h"
#include "util/mem.h"

struct tour {
	const struct cmd *c;
	struct spool *spool;
	enum spool_dir dir;
	uint64_t *ids;
	size_t n, room;
	uint64_t good, bytes, damaged, unfinished, unread;
	bool progress;
};

/* All ids, and no file is read yet. */
static bool
collect(void *arg, uint64_t id)
{
	struct tour *t = arg;

	if (t->n == t->room) {
		t->room = t->room ? 2 * t->room : 1024;
		t->ids = mem_grow(t->ids, t->room * sizeof *t->ids);
	}
	t->ids[t->n++] = id;
	return true;
}

static bool
pass_over(void *arg, struct spool_view *v)
{
	(void)arg, (void)v;
	return true;
}

static void
look_at(struct tour *t, uint64_t id)
{
	struct spool_view v;
	char text[QID_TEXT];
	enum err e = spool_read(t->spool, t->dir, id, true, &v);

	if (e == OK) {
		t->good++;
		t->bytes += v.msg.size;
		spool_view_fini(&v);
	} else if (e == E_CORRUPT) {
		t->damaged++;
		cmd_warn(t->c, "error: %s/%s: damaged: %s", spool_dir_name(t->dir),
		    qid_text(id, text), err_why());
	} else if (e == E_EOF) {
		t->unfinished++;   /* being written, or never acknowledged */
	} else if (e != E_NOENT) { /* delivered meanwhile */
		t->unread++;
		cmd_warn(t->c, "error: %s/%s: %s", spool_dir_name(t->dir), qid_text(id, text),
		    err_why());
	}
}

static void
show_progress(const struct tour *t, size_t done)
{
	if (t->progress && (done % 256 == 0 || done == t->n))
		fprintf(stderr, "\r%s: %zu of %zu%s", spool_dir_name(t->dir), done, t->n,
		    done == t->n ? "\n" : "");
}

static enum err
tour_directory(struct tour *t)
{
	struct spool_scan_stats stats;
	const struct spool_scan how = { .fn = pass_over, .known = collect, .arg = t, .threads = 1 };

	t->n = 0;
	TRY(spool_scan(t->spool, t->dir, &how, &stats));
	for (size_t i = 0; i < t->n; i++) {
		look_at(t, t->ids[i]);
		show_progress(t, i + 1);
	}
	return OK;
}

static void
say_result(const struct tour *t)
{
	if (t->c->json)
		printf("{\"good\":%llu,\"bytes\":%llu,\"damaged\":%llu,\"unfinished\":%llu,"
		       "\"unread\":%llu}\n",
		    (unsigned long long)t->good, (unsigned long long)t->bytes,
		    (unsigned long long)t->damaged, (unsigned long long)t->unfinished,
		    (unsigned long long)t->unread);
	else
		printf("%llu messages of %llu bytes are good, %llu damaged, %llu not finished, "
		       "%llu could not be read\n",
		    (unsigned long long)t->good, (unsigned long long)t->bytes,
		    (unsigned long long)t->damaged, (unsigned long long)t->unfinished,
		    (unsigned long long)t->unread);
}

int
check_spool(const struct cmd *c, const struct params *p)
{
	static const enum spool_dir dirs[] = { SPOOL_INCOMING, SPOOL_DEFERRED, SPOOL_HOLD };
	struct tour t = { .c = c, .progress = !c->json && isatty(STDERR_FILENO) };
	enum err e = spool_open(p->queue_directory, SYNC_NONE, true, &t.spool);

	for (size_t i = 0; i < countof(dirs) && e == OK; i++) {
		t.dir = dirs[i];
		e = tour_directory(&t);
	}
	if (e != OK)
		cmd_warn(c, "error: %s", err_why());
	else
		say_result(&t);
	spool_close(&t.spool);
	free(t.ids);
	return e != OK || t.damaged > 0 || t.unread > 0;
}
