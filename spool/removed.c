/* SPDX-License-Identifier: Apache-2.0 */
#include "spool/removed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spool/files.h"
#include "util/fault.h"
#include "util/log.h"
#include "util/proc.h"

static const char *const files[] = { SPOOL_REDO "/removed.0", SPOOL_REDO "/removed.1" };

void
removed_init(struct removed *r)
{
	*r = (struct removed){ .fd = -1 };
	pthread_mutex_init(&r->lock, NULL);
}

static void
close_file(struct removed *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
}

void
removed_fini(struct removed *r)
{
	close_file(r);
	pthread_mutex_destroy(&r->lock);
}

/* -- writing -- */

/* When it was last written; before everything else when it is not there. */
static int64_t
last_written(const struct spool *s, const char *path)
{
	struct stat st;

	return fstatat(s->root, path, &st, AT_SYMLINK_NOFOLLOW) == 0 ? (int64_t)st.st_mtime : -1;
}

/* The one written last goes on, unless nothing has been written to the other for so long that it can be had for
 * new notes.  All of that stands on the disk, since processes come and go. */
static enum err
open_file(struct spool *s, struct removed *r)
{
	int64_t at[2] = { last_written(s, files[0]), last_written(s, files[1]) };
	int now = at[1] > at[0], other = !now;
	bool turn = at[now] >= 0 && wall_now().us / 1000000 - at[other] >= REMOVED_SECONDS;

	close_file(r);
	r->fd = sys_openat(s->root, files[turn ? other : now],
	    O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | (turn ? O_TRUNC : 0), SPOOL_REDO_FILE);
	if (r->fd < 0)
		return fail_errno("open %s", files[turn ? other : now]);
	r->opened = time_now();
	TRY(spool_give(s, files[turn ? other : now]));
	return at[turn ? other : now] >= 0 ? OK : spool_sync_dir(s, SPOOL_REDO);
}

/* A crash takes notes that are not durable, and those messages are delivered again: R6.3. */
static enum err
sync_file(struct removed *r)
{
	struct time now = time_now();

	if (r->unsynced < REMOVED_SYNC_MIN || time_before(now, time_after_ms(r->synced, REMOVED_SYNC_MS)))
		return OK;
	r->synced = now;
	r->unsynced = 0;
	return sys_fdatasync(r->fd) == 0 ? OK : fail_errno("fdatasync");
}

static enum err
write_notes(struct spool *s, struct removed *r, struct str notes)
{
	if (r->fd < 0 || !time_before(time_now(), time_after(r->opened, REMOVED_SECONDS)))
		TRY(open_file(s, r));
	TRY(fd_write_all(r->fd, notes, -1));
	r->unsynced += notes.n / REMOVED_NOTE;
	return sync_file(r);
}

void
removed_note(struct spool *s, const uint64_t *ids, size_t n)
{
	uint64_t (*notes)[2] = mem_array(n + 1, sizeof *notes);
	size_t young = 0;

	for (size_t i = 0; i < n; i++) {
		if (!spool_is_young(ids[i]))
			continue;
		notes[young][0] = ids[i];
		notes[young++][1] = ids[i] ^ REMOVED_MIX;
	}
	if (young > 0) {
		pthread_mutex_lock(&s->removed.lock);
		if (write_notes(s, &s->removed, (struct str){ (const char *)notes, young * REMOVED_NOTE }) != OK) {
			log_warn("redo: notes of finished messages: %s", err_why());
			close_file(&s->removed);
		}
		pthread_mutex_unlock(&s->removed.lock);
	}
	free(notes);
}

/* -- reading -- */

static void
load_file(const struct spool *s, const char *path, struct removed_ids *out)
{
	int fd = sys_openat(s->root, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);
	struct stat st;
	uint64_t (*notes)[2];
	size_t n;

	if (fd < 0)
		return;
	n = fstat(fd, &st) == 0 && st.st_size > 0 ? (size_t)st.st_size / REMOVED_NOTE : 0;
	notes = mem_array(n + 1, sizeof *notes);
	if (fd_read_all(fd, (char *)notes, n * REMOVED_NOTE, 0) == OK) {
		out->v = mem_grow(out->v, (out->n + n + 1) * sizeof *out->v);
		for (size_t i = 0; i < n; i++)
			if ((notes[i][0] ^ REMOVED_MIX) == notes[i][1])
				out->v[out->n++] = notes[i][0];
	}
	free(notes);
	close(fd);
}

static int
by_id(const void *va, const void *vb)
{
	const uint64_t *a = va, *b = vb;

	return (*a > *b) - (*a < *b);
}

void
removed_load(const struct spool *s, struct removed_ids *out)
{
	*out = (struct removed_ids){ .v = NULL };
	for (size_t i = 0; i < countof(files); i++)
		load_file(s, files[i], out);
	if (out->n > 0)
		qsort(out->v, out->n, sizeof *out->v, by_id);
}

bool
removed_has(const struct removed_ids *ids, uint64_t id)
{
	return ids->n > 0 && bsearch(&id, ids->v, ids->n, sizeof *ids->v, by_id) != NULL;
}

void
removed_free(struct removed_ids *ids)
{
	free(ids->v);
	*ids = (struct removed_ids){ .v = NULL };
}
