/* SPDX-License-Identifier: Apache-2.0 */
/* The rules cited are those of docs/SPOOL.md.  For each batch: copies durable in load/, their lines
 * durable in the ledger, renamed into the queue, the new names durable, the sources removed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spool/adopt_copy.h"
#include "util/fault.h"
#include "util/mem.h"

#define EACH_COPY(a, c)                                                                            \
	for (struct copy *c = (a)->v; c < (a)->v + (a)->n; c++)                                    \
		if (!c->there && c->failed == OK)

static void
refuse(struct copy *c, enum err e)
{
	c->failed = e;
	snprintf(c->why, sizeof c->why, "%s", err_why());
}

static enum err
sync_copies(struct adopt *a)
{
	if (a->s->sync == SYNC_NONE)
		return OK;
	if (a->s->sync != SYNC_FSYNC && a->n >= SYNCFS_MIN)
		return sys_syncfs(a->s->root) == 0 ? OK : fail_errno("syncfs %s", a->s->path);
	EACH_COPY (a, c)
		if (sys_fsync(c->fd) != 0)
			return fail_errno("fsync");
	return spool_sync_dir(a->s, "load");
}

static enum err
write_ledger(struct adopt *a)
{
	struct ledger_line *lines = mem_array(a->n, sizeof *lines);
	size_t n = 0;
	enum err e;

	EACH_COPY (a, c)
		lines[n++] = c->line;
	e = n > 0 ? ledger_add(a->s, &a->ledger, lines, n) : OK;
	free(lines);
	return e;
}

static enum err
make_live(struct spool *s, const struct ledger_line *line)
{
	char from[LOAD_PATH], to[SPOOL_PATH];

	load_path(line->id, from);
	spool_path(line->dir, line->id, to);
	if (rename_new(s->root, from, to) == 0)
		return OK;
	if (errno == ENOENT) {
		TRY(spool_make_hash(s, line->dir, spool_hash(line->id)));
		if (rename_new(s->root, from, to) == 0)
			return OK;
	}
	return fail_errno("rename %s to %s", from, to);
}

/* The new names, and after them that the old ones are gone. */
static void
sync_names(struct adopt *a)
{
	bool seen[SPOOL_DIR_COUNT][HASHES] = { 0 };
	char path[SPOOL_PATH];
	enum err e;

	EACH_COPY (a, c) {
		unsigned hash = spool_hash(c->line.id);

		if (seen[c->line.dir][hash])
			continue;
		seen[c->line.dir][hash] = true;
		/* Another process may have made the hash directory, and not yet synced it (R1.3).
		 */
		e = spool_sync_dir(a->s, spool_dir_name(c->line.dir));
		e = e == OK ? spool_sync_dir(a->s, spool_hash_path(c->line.dir, hash, path)) : e;
		if (e != OK)
			EACH_COPY (a, other)
				if (other->line.dir == c->line.dir &&
				    spool_hash(other->line.id) == hash)
					refuse(other, e);
	}
	(void)!spool_sync_dir(a->s, "load");
}

/* Only the very file that was read: who put another one there meanwhile wants that, too. */
static void
remove_source(struct copy *c)
{
	struct stat was, is;

	if (fstat(c->source, &was) != 0 || lstat(c->path, &is) != 0 || was.st_dev != is.st_dev ||
	    was.st_ino != is.st_ino)
		return;
	if (sys_unlinkat(AT_FDCWD, c->path, 0) != 0 && errno != ENOENT) {
		(void)fail_errno("taken, but cannot be removed here");
		snprintf(c->why, sizeof c->why, "%s", err_why());
	}
}

static void
finish(struct adopt *a, bool undo)
{
	for (struct copy *c = a->v; c < a->v + a->n; c++) {
		if (c->failed == OK && !c->how.keep)
			remove_source(c);
		if (c->failed != OK && undo && !c->there)
			copy_drop(a, c);
		copy_tell(a, c,
		    c->failed != OK ? ADOPT_FAILED
		    : c->there      ? ADOPT_THERE
				    : ADOPT_TAKEN,
		    c->why);
		copy_free(c);
	}
	a->n = 0;
}

enum err
adopt_commit(struct adopt *a)
{
	enum err e;

	if (a->n == 0)
		return OK;
	e = sync_copies(a);
	e = e == OK ? write_ledger(a) : e;
	if (e != OK) {
		EACH_COPY (a, c)
			refuse(c, e);
		finish(a, true);
		return e;
	}
	/* From here on the ledger says that they are taken: what does not become live now is taken back at the next
	 * opening. */
	EACH_COPY (a, c)
		if ((e = make_live(a->s, &c->line)) != OK)
			refuse(c, e);
	sync_names(a);
	finish(a, false);
	return OK;
}

/* -- beginning and end -- */

/* R11.4: what is still in load/ never became live here; its source is there, and has the word.  The line in the ledger
 * is not true. */
static enum err
collect_undone(struct adopt *a, uint64_t id, struct buf *undone)
{
	char path[LOAD_PATH];
	const struct ledger_line *line;
	struct ledger_line taken_back;
	struct stat st;

	if (fstatat(a->s->root, load_path(id, path), &st, AT_SYMLINK_NOFOLLOW) != 0)
		return fail_errno("stat %s", path);
	if ((line = ledger_of(&a->ledger, id, st.st_ino)) == NULL)
		return OK;
	taken_back = *line;
	taken_back.undone = true;
	if (!buf_add(undone, (struct str){ (const char *)&taken_back, sizeof taken_back }))
		return fail(E_NOSPACE, "no memory");
	return OK;
}

static enum err
drop_copy(struct adopt *a, uint64_t id, struct buf *undone)
{
	char path[LOAD_PATH];

	(void)undone;
	return sys_unlinkat(a->s->root, load_path(id, path), 0) == 0 ? OK : fail_errno("unlink %s", path);
}

typedef enum err left_fn(struct adopt *a, uint64_t id, struct buf *undone);

static enum err
each_left(struct adopt *a, left_fn *fn, struct buf *undone)
{
	int fd = sys_openat(a->s->root, "load", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *f;
	uint64_t id;
	enum err e = OK;

	if (dir == NULL)
		return fail_errno("read %s/load", a->s->path);
	while (e == OK && (f = readdir(dir)) != NULL)
		if (qid_parse(str_of(f->d_name), &id))
			e = fn(a, id, undone);
	closedir(dir);
	return e;
}

/* The lines first: without its copy a line would say for ever that the message was taken. */
static enum err
clear_up(struct adopt *a)
{
	struct buf undone = BUF(0);
	enum err e = each_left(a, collect_undone, &undone);

	if (e == OK && undone.n > 0)
		e = ledger_add(a->s, &a->ledger, (const struct ledger_line *)(const void *)undone.p,
		    undone.n / sizeof(struct ledger_line));
	buf_free(&undone);
	return e == OK ? each_left(a, drop_copy, NULL) : e;
}

enum err
adopt_open(struct spool *s, adopt_fn *fn, void *arg, struct adopt **out)
{
	struct adopt *a = mem_new(sizeof *a);
	enum err e;

	*a =
	    (struct adopt){ .s = s, .fn = fn, .arg = arg, .v = mem_array(ADOPT_MAX, sizeof *a->v) };
	e = ledger_open(s, &a->ledger);
	e = e == OK ? clear_up(a) : e;
	if (e != OK)
		adopt_close(&a);
	*out = a;
	return e;
}

void
adopt_close(struct adopt **pa)
{
	struct adopt *a = *pa;

	if (a == NULL)
		return;
	for (struct copy *c = a->v; c < a->v + a->n; c++) {
		copy_drop(a, c);
		copy_free(c);
	}
	ledger_close(&a->ledger);
	free(a->v);
	mem_free(pa);
}

size_t
adopt_waiting(const struct adopt *a)
{
	return a->n;
}
