/* SPDX-License-Identifier: Apache-2.0 */
/* redo_fixture.h - crowds of messages that come at once, and what a crash may make of their files. */
#ifndef TESTS_SPOOL_REDO_FIXTURE_H
#define TESTS_SPOOL_REDO_FIXTURE_H

#include "spool/redo.h"
#include "tests/unit/spool/fixture.h"

enum { CROWD = 40, SIZE = 1000, LOGS_MAX = 8, LOG_BYTES = 4 << 20 };

struct crowd {
	struct spool *s;
	size_t size;
	struct spool_msg m[CROWD];
	enum err result[CROWD];
	size_t n;
};

HELPER void
commit_one(void *arg)
{
	struct crowd *c = arg;
	size_t i = c->n++;

	c->result[i] = put(c->s, c->size, &c->m[i]);
}

/* All in one turn of the loop: one batch, and enough for a log to pay. */
HELPER WAITS struct crowd
crowd_of(struct spool *s, size_t size)
{
	struct crowd c = { .s = s, .size = size };
	struct tasks g;

	tasks_init(&g);
	for (int i = 0; i < CROWD; i++)
		task_start(&g, "commit", commit_one, &c);
	tasks_wait(&g);
	return c;
}

HELPER WAITS struct crowd
crowd(struct spool *s)
{
	return crowd_of(s, SIZE);
}

HELPER size_t
logs_in(const struct spool *s)
{
	char path[128];
	size_t n = 0;

	(void)s;
	for (int lane = 0; lane < LANES; lane++)
		for (int i = 0; i < LOGS_MAX; i++) {
			snprintf(path, sizeof path, "%s/redo/%d.%d.%d", scratch, (int)getpid(), lane, i);
			n += access(path, F_OK) == 0;
		}
	return n;
}

HELPER bool
was_logged(const struct spool *s)
{
	bool any = false;

	for (int i = 0; i < LANES; i++)
		any |= redo_is_dirty((struct redo *)&s->lanes[i].redo);
	return any;
}

/* A crash: the logs stay as they are, and their writer is gone.  Opens the spool again; the caller damages files, and locks. */
HELPER WAITS void
crash(struct spool **s)
{
	struct buf log[2 * LANES];
	char path[128];
	size_t n = 0;

	for (size_t i = 0; i < countof(log); i++) {
		struct redo_log *l = &(*s)->lanes[i / 2].redo.log[i % 2];

		if (!l->dirty)
			continue;
		log[n] = BUF(LOG_BYTES);
		snprintf(path, sizeof path, "%s/redo/%s", scratch, l->name);
		need(proc_read_file(path, &log[n++]));
	}
	spool_close(s);
	while (n-- > 0) {
		snprintf(path, sizeof path, n > 0 ? "%s/redo/left%zu" : "%s/redo/left", scratch, n);
		need(proc_write_file(path, buf_str(&log[n]), 0600));
		buf_free(&log[n]);
	}
	*s = open_again(SYNC_AUTO);
}

enum loss { NOTHING, NAME, ALL_BYTES, MOST_BYTES, BYTES_BUT_SIZE, END, LOSSES };

HELPER void
lose(uint64_t id, enum spool_dir d, enum loss how)
{
	static char zeros[SIZE];
	char path[128], below[SPOOL_PATH];
	int fd;

	snprintf(path, sizeof path, "%s/%s", scratch, spool_path(d, id, below));
	if (how == NAME)
		CHECK(unlink(path) == 0);
	if (how == ALL_BYTES || how == MOST_BYTES)
		CHECK(truncate(path, how == ALL_BYTES ? 0 : 100) == 0);
	if (how == END)
		CHECK(truncate(path, SIZE) == 0);
	if (how == BYTES_BUT_SIZE) {
		CHECK((fd = open(path, O_WRONLY)) >= 0 && pwrite(fd, zeros, SIZE, 0) == SIZE);
		close(fd);
	}
}

#endif
