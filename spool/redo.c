/* SPDX-License-Identifier: Apache-2.0 */
#include "spool/redo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spool/crc.h"
#include "spool/files.h"
#include "util/fault.h"
#include "util/log.h"
#include "util/proc.h"

enum { NAMES_TRIED = 16 };

void
redo_init(struct redo *r, unsigned lane)
{
	*r = (struct redo){ .lane = lane, .fd = -1, .root = -1 };
	pthread_mutex_init(&r->lock, NULL);
}

static const char *
path_of(const struct redo *r, char out[SPOOL_PATH + sizeof r->name])
{
	snprintf(out, SPOOL_PATH + sizeof r->name, SPOOL_REDO "/%s", r->name);
	return out;
}

static void
close_log(struct redo *r)
{
	if (r->fd >= 0)
		close(r->fd);
	if (r->root >= 0)
		close(r->root);
	r->fd = r->root = -1;
	r->at = r->size = REDO_HEAD;
	r->unsynced = false;
	atomic_store(&r->dirty, false);
}

void
redo_fini(struct spool *s, struct redo *r)
{
	char path[SPOOL_PATH + sizeof r->name];

	if (r->fd >= 0 && r->at == REDO_HEAD)
		sys_unlinkat(s->root, path_of(r, path), 0);
	close_log(r);
	pthread_mutex_destroy(&r->lock);
}

/* -- opening -- */

/* Between creating and locking it someone may have taken it for one that was left behind. */
static enum err
lock_log(int fd)
{
	struct stat st;

	if (flock(fd, LOCK_EX | LOCK_NB) != 0 || fstat(fd, &st) != 0 || st.st_nlink == 0)
		return fail(E_BUSY, "redo log: taken away");
	return OK;
}

static enum err
create(struct spool *s, struct redo *r)
{
	char path[SPOOL_PATH + sizeof r->name];

	for (int n = 0; n < NAMES_TRIED; n++) {
		snprintf(r->name, sizeof r->name, "%d.%u.%d", (int)getpid(), r->lane, n);
		r->fd = sys_openat(s->root, path_of(r, path), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC,
		    SPOOL_REDO_FILE);
		if (r->fd >= 0)
			return lock_log(r->fd);
		if (errno != EEXIST)
			return fail_errno("create %s", path);
	}
	return fail(E_EXISTS, "create %s", path);
}

static enum err
write_header(struct redo *r)
{
	struct buf b = BUF(REDO_HEAD);
	struct redo_header h = { .magic = REDO_MAGIC, .version = REDO_VERSION };
	enum err e = OK;

	ENSURE(redo_header_seal(&b, &h));
	ENSURE(buf_room(&b, REDO_HEAD - b.n));
	memset(b.p + b.n, 0, REDO_HEAD - b.n);
	e = fd_write_all(r->fd, (struct str){ b.p, REDO_HEAD }, 0);
	buf_free(&b);
	return e;
}

static enum err
open_log(struct spool *s, struct redo *r)
{
	if ((r->root = sys_openat(s->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0)) < 0)
		return fail_errno("open %s", s->path);
	TRY(create(s, r));
	TRY(write_header(r));
	if (sys_fsync(r->fd) != 0)
		return fail_errno("fsync redo log");
	TRY(spool_sync_dir(s, SPOOL_REDO));
	r->generation = (uint64_t)wall_now().us;
	r->at = r->size = REDO_HEAD;
	return OK;
}

/* -- giving up -- */

/* The disk failed.  What the log holds is made durable in other ways, and the log goes, so that a message of the batch
 * under way, which may yet be refused, is not put back some day. */
static void
give_up(struct spool *s, struct redo *r)
{
	static const char nothing[REDO_RECORD_SIZE];
	char path[SPOOL_PATH + sizeof r->name];
	bool safe;

	log_error("redo log: %s: messages are made durable one by one for the next %d seconds", err_why(),
	    (int)REDO_PAUSE);
	r->off_until = time_after(time_now(), REDO_PAUSE);
	atomic_store(&r->dirty, false);
	if (r->fd < 0) {
		close_log(r);
		return;
	}
	path_of(r, path);
	if (sys_pwrite(r->fd, nothing, sizeof nothing, (off_t)r->at) == (ssize_t)sizeof nothing)
		(void)!sys_fdatasync(r->fd);
	/* R3.2: a syncfs that failed is not asked again. */
	safe = r->at == REDO_HEAD || (!r->unsynced && sys_syncfs(r->root) == 0) || redo_rewrite(s, r->fd) == OK;
	if (!safe) {
		log_error("%s: messages that were accepted may not be durable: %s; it is kept", path, err_why());
		r->off = true;
		return;                                /* open, hence locked, for as long as we live */
	}
	if (sys_unlinkat(s->root, path, 0) != 0 || spool_sync_dir(s, SPOOL_REDO) != OK)
		log_warn("%s: cannot be removed: %s", path, strerror(errno));
	close_log(r);
}

/* -- writing -- */

static bool
is_busy(struct redo *r, size_t n)
{
	int64_t second = time_now().ns / 1000000000;

	if (second != r->second) {
		r->before = second == r->second + 1 ? r->count : 0;
		r->count = 0;
		r->second = second;
	}
	r->count += n;
	return r->count >= REDO_BUSY || r->before >= REDO_BUSY;
}

static bool
is_for_log(const struct entry *e)
{
	return e->item.result == OK && !e->abandoned && e->dir < 0 && e->b.n <= REDO_MESSAGE_MAX;
}

/* One write for all: heads and images in turn. */
struct gathered {
	struct buf   heads;
	struct iovec v[2 * BATCH_MAX];
	int          n;
	size_t       bytes;
};

static void
gather(const struct redo *r, struct list *entries, struct gathered *g)
{
	*g = (struct gathered){ .heads = BUF(BATCH_MAX * REDO_RECORD_SIZE) };
	ENSURE(buf_room(&g->heads, BATCH_MAX * REDO_RECORD_SIZE));     /* stays where it is */
	LIST_EACH(entries, e, struct entry, item.link) {
		struct redo_record rec = { .magic = REDO_MAGIC, .size = (uint32_t)e->b.n, .generation = r->generation,
			.at = r->at + g->bytes, .id = e->h.id };

		if (!is_for_log(e))
			continue;
		rec.image_crc = crc32c(0, e->b.p, e->b.n);
		g->v[g->n++] = (struct iovec){ g->heads.p + g->heads.n, REDO_RECORD_SIZE };
		ENSURE(redo_record_seal(&g->heads, &rec));
		g->v[g->n++] = (struct iovec){ e->b.p, e->b.n };
		g->bytes += REDO_RECORD_SIZE + e->b.n;
	}
}

/* A file that grows cannot be synced without a commit of the file system's journal, and with it of all
 * that was done meanwhile, our new files among it: what the log is there to avoid.  So it grows rarely,
 * by zeros.  Where there is no room for them, the records are tried all the same. */
static void
make_room(struct redo *r, size_t need)
{
	static char zeros[64 << 10];
	uint64_t size = r->size, enough = r->at + need + REDO_STEP;

	if (r->at + need <= r->size)
		return;
	while (size < enough &&
	       sys_pwrite(r->fd, zeros, sizeof zeros, (off_t)size) == (ssize_t)sizeof zeros)
		size += sizeof zeros;
	r->size = size;
}

static enum err
write_gathered(struct redo *r, const struct gathered *g)
{
	ssize_t n;

	make_room(r, g->bytes);
	if (lseek(r->fd, (off_t)r->at, SEEK_SET) < 0)
		return fail_errno("seek");
	atomic_store(&r->dirty, true);
	n = sys_writev(r->fd, g->v, g->n);
	if (n != (ssize_t)g->bytes)
		return n < 0 ? fail_errno("write") : fail(E_NOSPACE, "short write");
	return sys_fdatasync(r->fd) == 0 ? OK : fail_errno("fdatasync");
}

/* R10.2: files first, by a descriptor that sees all errors of its time; then nothing must lead to the records. */
static enum err
checkpoint(struct redo *r)
{
	static const char nothing[REDO_RECORD_SIZE];

	if (r->fd < 0 || r->at == REDO_HEAD)
		return OK;
	if (sys_syncfs(r->root) != 0) {
		r->unsynced = true;
		return fail_errno("syncfs");
	}
	TRY(fd_write_all(r->fd, (struct str){ nothing, sizeof nothing }, REDO_HEAD));
	if (sys_fdatasync(r->fd) != 0)
		return fail_errno("fdatasync");
	r->generation++;
	r->at = REDO_HEAD;
	atomic_store(&r->dirty, false);
	return OK;
}

static enum err
append(struct spool *s, struct redo *r, struct list *entries)
{
	struct gathered *g;
	enum err e;

	if (r->fd < 0)
		TRY(open_log(s, r));
	g = mem_grow(NULL, sizeof *g);
	gather(r, entries, g);
	e = r->at + g->bytes > REDO_FILE_MAX ? checkpoint(r) : OK;
	if (e == OK && r->at == REDO_HEAD) {           /* a new generation, or place: the heads say so */
		buf_free(&g->heads);
		gather(r, entries, g);
	}
	if (e == OK)
		e = write_gathered(r, g);
	if (e == OK)
		r->at += g->bytes;
	buf_free(&g->heads);
	free(g);
	return e;
}

void
redo_write(struct spool *s, struct redo *r, struct list *entries)
{
	size_t n = 0;

	if (s->sync != SYNC_AUTO)
		return;
	LIST_EACH(entries, e, struct entry, item.link)
		n += is_for_log(e);
	pthread_mutex_lock(&r->lock);
	if (n > 0 && is_busy(r, n) && !r->off && !time_before(time_now(), r->off_until)) {
		enum err failed = append(s, r, entries);

		if (failed != OK)
			give_up(s, r);
		LIST_EACH(entries, e, struct entry, item.link)
			e->logged = failed == OK && is_for_log(e);
	}
	pthread_mutex_unlock(&r->lock);
}

void
redo_checkpoint(struct spool *s, struct redo *r)
{
	pthread_mutex_lock(&r->lock);
	if (!r->off && checkpoint(r) != OK)
		give_up(s, r);
	pthread_mutex_unlock(&r->lock);
}
