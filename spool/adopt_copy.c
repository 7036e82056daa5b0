/* SPDX-License-Identifier: Apache-2.0 */
/* One file on its way in: looked at, copied to load/ID, and the copy checked. */
#include "spool/adopt_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/fault.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/proc.h"

enum { PIECE = 256 << 10 };

const char *
load_path(uint64_t id, char out[LOAD_PATH])
{
	char name[QID_TEXT];

	snprintf(out, LOAD_PATH, "load/%s", qid_text(id, name));
	return out;
}

void
copy_tell(struct adopt *a, const struct copy *c, enum adopt_fate fate, const char *why)
{
	a->fn(a->arg, &(struct adoption){ c->path, c->line.id, c->line.dir, fate, why });
}

void
copy_free(struct copy *c)
{
	if (c->fd >= 0)
		close(c->fd);
	if (c->source >= 0)
		close(c->source);
	mem_free(&c->path);
}

/* -- one file -- */

static enum err
copy_bytes(int from, int to)
{
	char *piece = mem_new(PIECE);
	uint64_t at = 0;
	ssize_t n;
	enum err e = OK;

	do {
		n = FAULT(read) ? -1 : pread(from, piece, PIECE, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		e = n < 0 ? fail_errno("read")
			  : fd_write_all(to, (struct str){ piece, (size_t)n }, (off_t)at);
		at += n > 0 ? (uint64_t)n : 0;
	} while (n != 0 && e == OK);
	free(piece);
	return e;
}

/* R11.2: what is checked is the copy. */
static enum err
check_copy(struct adopt *a, struct copy *c, uint64_t id)
{
	struct peek *k = mem_new(sizeof *k);
	struct spool_view v = { 0 };
	char path[LOAD_PATH];
	bool deferred = false;
	enum err e = peek_open(k, a->s->root, load_path(id, path), O_RDONLY, id);

	if (e == OK) {
		e = peek_view(k, SPOOL_INCOMING, true, &v);
		for (size_t i = 0; e == OK && i < v.msg.nrcpts; i++)
			deferred |= v.progress[i].attempts > 0 || v.requeued.us != 0;
		c->line.size = k->size;
		peek_close(k);
	}
	c->line.dir = c->how.dir != SPOOL_DIR_COUNT ? c->how.dir
		      : deferred                    ? SPOOL_DEFERRED
						    : SPOOL_INCOMING;
	spool_view_fini(&v);
	free(k);
	return e;
}

static enum err
make_copy(struct adopt *a, struct copy *c, uint64_t id)
{
	char path[LOAD_PATH];
	struct stat st;

	load_path(id, path);
	/* One that was never finished: whatever is in it, its source is still there (R11.3). */
	if (sys_unlinkat(a->s->root, path, 0) != 0 && errno != ENOENT)
		return fail_errno("unlink %s", path);
	c->fd =
	    sys_openat(a->s->root, path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, a->s->file_mode);
	if (c->fd < 0)
		return fail_errno("create %s", path);
	TRY(spool_give(a->s, path));
	if (flock(c->fd, LOCK_EX | LOCK_NB) != 0)
		return fail_errno("lock %s", path);
	if (fstat(c->fd, &st) != 0)
		return fail_errno("stat %s", path);
	c->line.inode = st.st_ino;
	TRY(copy_bytes(c->source, c->fd));
	return check_copy(a, c, id);
}

void
copy_drop(struct adopt *a, const struct copy *c)
{
	char path[LOAD_PATH];

	if (c->fd >= 0)
		(void)sys_unlinkat(a->s->root, load_path(c->line.id, path), 0);
}

/* The message that has this id here: is it the same?  The header has a CRC of each part. */
static enum err
compare(struct adopt *a, const struct copy *c, enum spool_dir d, const char *header)
{
	char path[SPOOL_PATH], ours[LAYOUT_HEADER];
	struct stat st;
	enum err e;
	int fd = sys_openat(
	    a->s->root, spool_path(d, c->line.id, path), O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);

	if (fd < 0)
		return fail_errno("open %s", path);
	e = fd_read_all(fd, ours, sizeof ours, 0);
	/* A former run may have died before this was durable. */
	if (e == OK && a->s->sync != SYNC_NONE && sys_fsync(fd) != 0)
		e = fail_errno("fsync %s", path);
	if (e == OK && fstat(fd, &st) != 0)
		e = fail_errno("stat %s", path);
	close(fd);
	TRY(e);
	if (memcmp(ours, header, sizeof ours) != 0)
		return fail(E_EXISTS, "another message has this id here");
	if (c->line.size > (uint64_t)st.st_size)
		return fail(E_EXISTS,
		    "it is here already, and knows less of what was delivered than this file");
	if (d == SPOOL_CORRUPT)
		return fail(E_EXISTS, "it is here already, damaged, in %s", spool_dir_name(d));
	return spool_sync_dir(a->s, spool_hash_path(d, spool_hash(c->line.id), path));
}

static enum err
open_source(struct copy *c, char header[LAYOUT_HEADER], struct layout_header *h)
{
	static const char zeros[LAYOUT_HEADER];
	struct stat st;

	c->source = sys_open(c->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0);
	if (c->source < 0 || fstat(c->source, &st) != 0)
		return fail_errno("open");
	if (!S_ISREG(st.st_mode))
		return fail(E_SYNTAX, "not a plain file");
	if (flock(c->source, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
		return fail(E_BUSY, "somebody is writing it");
	if (st.st_size < LAYOUT_HEADER)
		return fail(E_EOF, "never committed");
	TRY(fd_read_all(c->source, header, LAYOUT_HEADER, 0));
	c->line.size = (uint64_t)st.st_size;
	if (memcmp(header, zeros, sizeof zeros) == 0)
		return fail(E_EOF, "never committed");
	if (!layout_header_get(header, h))
		return fail(E_CORRUPT, "not a message file, or its header is damaged");
	return h->version == LAYOUT_VERSION ? OK
					    : fail(E_IO, "its format is version %u", h->version);
}

static bool
is_waiting(const struct adopt *a, uint64_t id)
{
	for (size_t i = 0; i < a->n; i++)
		if (a->v[i].line.id == id)
			return true;
	return false;
}

/* What is to be done; fate TAKEN: copy it. */
static enum err
decide(struct adopt *a, struct copy *c, enum adopt_fate *fate)
{
	char header[LAYOUT_HEADER];
	struct layout_header h;
	enum spool_dir d;
	enum err e;

	*fate = ADOPT_TAKEN;
	TRY(open_source(c, header, &h));
	c->line.id = h.id;
	/* One that waits in this batch must be there before it can be found there. */
	if (is_waiting(a, h.id))
		TRY(adopt_commit(a));
	e = spool_find(a->s, h.id, &d);
	if (e == OK) {
		*fate = ADOPT_THERE;
		c->line.dir = d;
		return compare(a, c, d, header);
	}
	if (e != E_NOENT)
		return e;
	if (!c->how.again && ledger_find(&a->ledger, h.id, c->line.size))
		*fate = ADOPT_BEFORE;
	return OK;
}

static enum adopt_fate
fate_of(enum err e)
{
	return e == E_CORRUPT ? ADOPT_DAMAGED : e == E_EOF ? ADOPT_UNFINISHED : ADOPT_FAILED;
}

void
adopt_add(struct adopt *a, const char *path, const struct adopt_how *how)
{
	struct copy c = { .path = mem_dup(path), .how = *how, .source = -1, .fd = -1 };
	enum adopt_fate fate;
	enum err e = decide(a, &c, &fate);
	struct spool_view v;
	int fd = -1;

	ENSURE(a->n < ADOPT_MAX);
	c.there = fate == ADOPT_THERE;
	if (e == OK && fate == ADOPT_TAKEN && !how->dry) {
		e = make_copy(a, &c, c.line.id);
	} else if (e == OK && fate == ADOPT_TAKEN &&
		   (e = spool_read_file(path, &v, NULL, &fd)) == OK) {
		spool_view_fini(&v);
		close(fd);
	}
	if (e == OK && !how->dry && fate != ADOPT_BEFORE) {
		a->v[a->n++] = c;
		return;
	}
	copy_tell(a, &c, e == OK ? fate : fate_of(e), e == OK ? "" : err_why());
	copy_drop(a, &c);
	copy_free(&c);
}
