/* SPDX-License-Identifier: Apache-2.0 */
/* The committer: many messages made durable together.  Runs on helper threads, LANES batches at once.
 * The rules cited are those of docs/SPOOL.md. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "spool/files.h"
#include "util/fault.h"
#include "util/log.h"
#include "util/proc.h"

#define EACH(items, e) LIST_EACH(items, e, struct entry, item.link)

static void
refuse(struct entry *e, enum err why)
{
	e->item.result = why;
	snprintf(e->item.why, sizeof e->item.why, "%s", err_why());
}

static bool
good(const struct entry *e)
{
	return e->item.result == OK && !e->abandoned;
}

static bool
spilled(const struct entry *e)
{
	return e->dir >= 0;
}

/* Neither durable by itself, as the large ones are, nor by the redo log. */
static bool
is_for_sync(const struct entry *e)
{
	return good(e) && !spilled(e) && !e->logged;
}

void
lane_close(struct lane *l)
{
	for (int i = 0; i < HASHES; i++)
		if (l->dir[i] >= 0)
			close(l->dir[i]);
	memset(l->dir, -1, sizeof l->dir);
	l->ndirs = 0;
	if (l->root >= 0)
		close(l->root);
	if (l->parent >= 0)
		close(l->parent);
	l->root = l->parent = -1;
}

/* There are as many lanes as batches at once, so one is always free. */
static struct lane *
lane_take(struct spool *s)
{
	struct lane *l = s->lanes;

	pthread_mutex_lock(&s->mutex);
	while (l < s->lanes + LANES && l->busy)
		l++;
	ENSURE(l < s->lanes + LANES);
	l->busy = true;
	pthread_mutex_unlock(&s->mutex);
	return l;
}

static void
lane_give(struct spool *s, struct lane *l)
{
	if (l->ndirs > LANE_DIRS)
		lane_close(l);
	pthread_mutex_lock(&s->mutex);
	l->busy = false;
	pthread_mutex_unlock(&s->mutex);
}

static enum err
lane_open(struct spool *s, struct lane *l)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

	if (l->root < 0 && (l->root = sys_openat(s->root, ".", flags, 0)) < 0)
		return fail_errno("open %s", s->path);
	if (l->parent < 0 && (l->parent = sys_openat(s->root, spool_dir_name(SPOOL_INCOMING), flags, 0)) < 0)
		return fail_errno("open %s/%s", s->path, spool_dir_name(SPOOL_INCOMING));
	return OK;
}

static enum err
lane_dir(struct spool *s, struct lane *l, unsigned hash)
{
	if (l->dir[hash] >= 0)
		return OK;
	TRY(entry_open_dir(s, hash, &l->dir[hash]));
	l->ndirs++;
	return OK;
}

/* The directory is opened before the file is made: see struct lane. */
static enum err
create(struct spool *s, struct lane *l, struct entry *e)
{
	unsigned hash = spool_hash(e->h.id);
	enum err r;

	TRY(lane_dir(s, l, hash));
	r = entry_create(e, l->dir[hash]);
	if (r != E_NOENT)
		return r;
	close(l->dir[hash]);                           /* someone removed the empty directory */
	l->dir[hash] = -1;
	l->ndirs--;
	TRY(lane_dir(s, l, hash));
	return entry_create(e, l->dir[hash]);
}

/* R1.2: the mark is the last thing written, also in a large message, whose header is known only now. */
static enum err
write_end(struct entry *e, struct str header, struct str mark)
{
	TRY(entry_spill(e));
	TRY(fd_write_all(e->fd, header, 0));
	e->marked = true;
	return fd_write_all(e->fd, mark, (off_t)e->written);
}

static enum err
write_whole(struct spool *s, struct lane *l, struct entry *e)
{
	char header[LAYOUT_HEADER], mark[LAYOUT_MARK];

	layout_header_put(&e->h, header);
	layout_mark_put(&e->h, mark);
	if (spilled(e))
		return write_end(e, (struct str){ header, sizeof header }, (struct str){ mark, sizeof mark });
	ENSURE(buf_add(&e->b, (struct str){ mark, sizeof mark }));
	memcpy(e->b.p, header, sizeof header);
	TRY(create(s, l, e));
	TRY(fd_write_all(e->fd, buf_str(&e->b), -1));
	e->marked = true;
	return OK;
}

/* R3.3: the name must not survive with a valid mark.  Both ways are tried: either alone will do, and after a failed
 * sync neither may reach the disk. */
static void
undo(struct spool *s, struct entry *e)
{
	char path[SPOOL_PATH], hash[SPOOL_PATH];
	bool gone, empty;

	spool_path(SPOOL_INCOMING, e->h.id, path);
	empty = e->fd >= 0 && ftruncate(e->fd, 0) == 0;
	gone = sys_unlinkat(s->root, path, 0) == 0 || errno == ENOENT;
	if (!gone && !empty)
		log_error("%s: this message was refused, but cannot be removed and may be delivered: %s", path,
		    strerror(errno));
	if (!e->marked || s->sync == SYNC_NONE)
		return;
	if (gone && spool_sync_dir(s, spool_hash_path(SPOOL_INCOMING, spool_hash(e->h.id), hash)) != OK)
		log_warn("%s: the removal of a message that was refused may not last: %s", path, err_why());
	if (!gone && empty && sys_fsync(e->fd) != 0)
		log_warn("%s: the removal of a message that was refused may not last: %s", path, strerror(errno));
}

static enum err
sync_fd(int fd, const char *what)
{
	return sys_fsync(fd) == 0 ? OK : fail_errno("fsync %s", what);
}

/* R1.3: a hash directory whose own name this process has not yet seen made durable. */
static void
sync_parent(struct spool *s, struct lane *l, struct list *items)
{
	bool needed = false;
	enum err r;

	EACH(items, e)
		needed |= good(e) && !e->logged && !atomic_load(&s->known[spool_hash(e->h.id)]);
	if (!needed)
		return;
	r = sync_fd(l->parent, spool_dir_name(SPOOL_INCOMING));
	EACH(items, e) {
		_Atomic bool *known = &s->known[spool_hash(e->h.id)];

		if (r == OK && good(e))
			atomic_store(known, true);
		else if (good(e) && !e->logged && !atomic_load(known))
			refuse(e, r);
	}
}

static void
sync_spilled(struct list *items)
{
	EACH(items, e) {
		enum err r = OK;

		if (!good(e) || !spilled(e))
			continue;
		if ((r = sync_fd(e->fd, "message")) == OK)
			r = sync_fd(e->dir, "directory");
		if (r != OK)
			refuse(e, r);
	}
}

static void
sync_each(struct lane *l, struct list *items)
{
	enum { UNSEEN, SYNCED, FAILED };
	uint8_t seen[HASHES] = { UNSEEN };
	enum err r = OK;

	EACH(items, e)
		if (is_for_sync(e) && (r = sync_fd(e->fd, "message")) != OK)
			refuse(e, r);
	EACH(items, e) {
		unsigned hash = spool_hash(e->h.id);

		if (!is_for_sync(e))
			continue;
		if (seen[hash] == UNSEEN)
			seen[hash] = (r = sync_fd(l->dir[hash], "directory")) == OK ? SYNCED : FAILED;
		if (seen[hash] == FAILED)
			refuse(e, r == OK ? fail(E_IO, "fsync directory") : r);
	}
}

/* R3.2: nobody can tell whose data was lost, so all are refused. */
static void
sync_all(struct spool *s, struct lane *l, struct list *items)
{
	enum err r = sys_syncfs(l->root) == 0 ? OK : fail_errno("syncfs %s", s->path);

	/* Only a regular file tells for sure that the file system outlived it. */
	EACH(items, e)
		if (is_for_sync(e)) {
			r = r == OK && sys_alive(e->fd) != 0 ? fail_errno("write after syncfs") : r;
			break;
		}
	EACH(items, e) {
		if (!is_for_sync(e))
			continue;
		if (r != OK)
			refuse(e, r);
		else
			atomic_store(&s->known[spool_hash(e->h.id)], true);
	}
}

static void
make_durable(struct spool *s, struct lane *l, struct list *items)
{
	size_t small = 0;

	if (s->sync == SYNC_NONE)
		return;
	redo_write(s, &l->redo, items);
	EACH(items, e)
		small += is_for_sync(e);
	sync_spilled(items);
	if (small > 0 && (s->sync == SYNC_SYNCFS || (s->sync == SYNC_AUTO && small >= SYNCFS_MIN)))
		sync_all(s, l, items);
	else if (small > 0)
		sync_each(l, items);
	sync_parent(s, l, items);
}

/* What is refused goes before the lock on it does. */
static void
finish(struct spool *s, struct entry *e)
{
	if (e->fd >= 0 && !good(e))
		undo(s, e);
	if (e->dir >= 0)
		sys_close(e->dir);
	if (e->fd < 0 || sys_close(e->fd) == 0 || !good(e))
		return;
	refuse(e, fail_errno("close message"));
	e->fd = -1;
	undo(s, e);
}

void
commit_batch(struct list *items, void *spool)
{
	struct spool *s = spool;
	struct lane *l = lane_take(s);
	enum err lane_ok = lane_open(s, l), r;

	EACH(items, e) {
		e->item.result = OK;
		if (e->abandoned)
			continue;
		r = lane_ok == OK ? write_whole(s, l, e) : lane_ok;
		if (r != OK)
			refuse(e, r);
	}
	make_durable(s, l, items);
	EACH(items, e)
		finish(s, e);
	lane_give(s, l);
}
