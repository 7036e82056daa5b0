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
	*r = (struct redo){ .lane = lane };
	pthread_mutex_init(&r->lock, NULL);
	for (size_t i = 0; i < countof(r->log); i++) {
		r->log[i] = (struct redo_log){ .fd = -1, .root = -1 };
		pthread_mutex_init(&r->log[i].lock, NULL);
	}
}

static const char *
path_of(const struct redo_log *l, char out[SPOOL_PATH + sizeof l->name])
{
	snprintf(out, SPOOL_PATH + sizeof l->name, SPOOL_REDO "/%s", l->name);
	return out;
}

static void
close_log(struct redo_log *l)
{
	if (l->fd >= 0)
		close(l->fd);
	if (l->root >= 0)
		close(l->root);
	l->fd = l->root = -1;
	l->at = l->size = REDO_HEAD;
	l->unsynced = false;
	atomic_store(&l->dirty, false);
}

void
redo_fini(struct spool *s, struct redo *r)
{
	char path[SPOOL_PATH + sizeof r->log->name];

	for (size_t i = 0; i < countof(r->log); i++) {
		struct redo_log *l = &r->log[i];

		if (l->fd >= 0 && l->at == REDO_HEAD)
			sys_unlinkat(s->root, path_of(l, path), 0);
		close_log(l);
		pthread_mutex_destroy(&l->lock);
	}
	pthread_mutex_destroy(&r->lock);
}

bool
redo_is_dirty(struct redo *r)
{
	return atomic_load(&r->log[0].dirty) || atomic_load(&r->log[1].dirty);
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
create(struct spool *s, unsigned lane, struct redo_log *l)
{
	char path[SPOOL_PATH + sizeof l->name];

	for (int n = 0; n < NAMES_TRIED; n++) {
		snprintf(l->name, sizeof l->name, "%d.%u.%d", (int)getpid(), lane, n);
		l->fd = sys_openat(s->root, path_of(l, path), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC,
		    SPOOL_REDO_FILE);
		if (l->fd >= 0)
			return lock_log(l->fd);
		if (errno != EEXIST)
			return fail_errno("create %s", path);
	}
	return fail(E_EXISTS, "create %s", path);
}

static enum err
write_header(struct redo_log *l)
{
	struct buf b = BUF(REDO_HEAD);
	struct redo_header h = { .magic = REDO_MAGIC, .version = REDO_VERSION };
	enum err e = OK;

	ENSURE(redo_header_seal(&b, &h));
	ENSURE(buf_room(&b, REDO_HEAD - b.n));
	memset(b.p + b.n, 0, REDO_HEAD - b.n);
	e = fd_write_all(l->fd, (struct str){ b.p, REDO_HEAD }, 0);
	buf_free(&b);
	return e;
}

static enum err
open_log(struct spool *s, unsigned lane, struct redo_log *l)
{
	if ((l->root = sys_openat(s->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0)) < 0)
		return fail_errno("open %s", s->path);
	TRY(create(s, lane, l));
	TRY(write_header(l));
	if (sys_fsync(l->fd) != 0)
		return fail_errno("fsync redo log");
	TRY(spool_sync_dir(s, SPOOL_REDO));
	l->generation = (uint64_t)wall_now().us;
	l->at = l->size = REDO_HEAD;
	return OK;
}

/* -- giving up -- */

/* The disk failed.  What the log holds is made durable in other ways, and the log goes, so that a message of the batch
 * under way, which may yet be refused, is not put back some day. */
static void
give_up(struct spool *s, struct redo *r, struct redo_log *l)
{
	static const char nothing[REDO_RECORD_SIZE];
	char path[SPOOL_PATH + sizeof l->name];
	bool safe;

	log_error("redo log: %s: messages are made durable one by one for the next %d seconds", err_why(),
	    (int)REDO_PAUSE);
	pthread_mutex_lock(&r->lock);
	r->off_until = time_after(time_now(), REDO_PAUSE);
	pthread_mutex_unlock(&r->lock);
	atomic_store(&l->dirty, false);
	if (l->fd < 0) {
		close_log(l);
		return;
	}
	path_of(l, path);
	if (sys_pwrite(l->fd, nothing, sizeof nothing, (off_t)l->at) == (ssize_t)sizeof nothing)
		(void)!sys_fdatasync(l->fd);
	/* R3.2: a syncfs that failed is not asked again. */
	safe = l->at == REDO_HEAD || (!l->unsynced && sys_syncfs(l->root) == 0) || redo_rewrite(s, l->fd) == OK;
	if (!safe) {
		log_error("%s: messages that were accepted may not be durable: %s; it is kept", path, err_why());
		pthread_mutex_lock(&r->lock);
		l->kept = true;
		pthread_mutex_unlock(&r->lock);
		return;                                /* open, hence locked, for as long as we live */
	}
	if (sys_unlinkat(s->root, path, 0) != 0 || spool_sync_dir(s, SPOOL_REDO) != OK)
		log_warn("%s: cannot be removed: %s", path, strerror(errno));
	close_log(l);
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
gather(const struct redo_log *l, struct list *entries, struct gathered *g)
{
	*g = (struct gathered){ .heads = BUF(BATCH_MAX * REDO_RECORD_SIZE) };
	ENSURE(buf_room(&g->heads, BATCH_MAX * REDO_RECORD_SIZE));     /* stays where it is */
	LIST_EACH(entries, e, struct entry, item.link) {
		struct redo_record rec = { .magic = REDO_MAGIC, .size = (uint32_t)e->b.n, .generation = l->generation,
			.at = l->at + g->bytes, .id = e->h.id };

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
make_room(struct redo_log *l, size_t need)
{
	static char zeros[64 << 10];
	uint64_t size = l->size, enough = l->at + need + REDO_STEP;

	if (l->at + need <= l->size)
		return;
	while (size < enough &&
	       sys_pwrite(l->fd, zeros, sizeof zeros, (off_t)size) == (ssize_t)sizeof zeros)
		size += sizeof zeros;
	l->size = size;
}

static enum err
write_gathered(struct redo_log *l, const struct gathered *g)
{
	ssize_t n;

	make_room(l, g->bytes);
	if (lseek(l->fd, (off_t)l->at, SEEK_SET) < 0)
		return fail_errno("seek");
	atomic_store(&l->dirty, true);
	n = sys_writev(l->fd, g->v, g->n);
	if (n != (ssize_t)g->bytes)
		return n < 0 ? fail_errno("write") : fail(E_NOSPACE, "short write");
	return sys_fdatasync(l->fd) == 0 ? OK : fail_errno("fdatasync");
}

/* R10.2: files first, by a descriptor that sees all errors of its time; then nothing must lead to the records. */
static enum err
checkpoint(struct redo_log *l)
{
	static const char nothing[REDO_RECORD_SIZE];

	if (l->fd < 0 || l->at == REDO_HEAD)
		return OK;
	if (sys_syncfs(l->root) != 0) {
		l->unsynced = true;
		return fail_errno("syncfs");
	}
	TRY(fd_write_all(l->fd, (struct str){ nothing, sizeof nothing }, REDO_HEAD));
	if (sys_fdatasync(l->fd) != 0)
		return fail_errno("fdatasync");
	l->generation++;
	l->at = REDO_HEAD;
	atomic_store(&l->dirty, false);
	return OK;
}

static enum err
append(struct spool *s, unsigned lane, struct redo_log *l, struct list *entries)
{
	struct gathered *g;
	enum err e;

	if (l->fd < 0)
		TRY(open_log(s, lane, l));
	g = mem_grow(NULL, sizeof *g);
	gather(l, entries, g);
	e = l->at + g->bytes > REDO_FILE_MAX ? checkpoint(l) : OK;
	if (e == OK && l->at == REDO_HEAD) {           /* a new generation, or place: the heads say so */
		buf_free(&g->heads);
		gather(l, entries, g);
	}
	if (e == OK)
		e = write_gathered(l, g);
	if (e == OK)
		l->at += g->bytes;
	buf_free(&g->heads);
	free(g);
	return e;
}

/* -- taking turns -- */

static void
take_turns(struct redo *r)
{
	pthread_mutex_lock(&r->lock);
	if (!atomic_load(&r->log[!r->turn].dirty))
		r->turn = !r->turn;
	pthread_mutex_unlock(&r->lock);
}

/* NULL: a log does not pay, or the disk failed.  Whoever makes a checkpoint may give the turn to the
 * other one at any moment: he waits for what is written to this one, whose files are there already. */
static struct redo_log *
log_for(struct redo *r, size_t n)
{
	struct redo_log *l = NULL;

	pthread_mutex_lock(&r->lock);
	if (n > 0 && is_busy(r, n) && !r->log[0].kept && !r->log[1].kept && !time_before(time_now(), r->off_until))
		l = &r->log[r->turn];
	pthread_mutex_unlock(&r->lock);
	return l;
}

void
redo_write(struct spool *s, struct redo *r, struct list *entries)
{
	struct redo_log *l;
	enum err failed;
	size_t n = 0;
	bool half_full;

	if (s->sync != SYNC_AUTO)
		return;
	LIST_EACH(entries, e, struct entry, item.link)
		n += is_for_log(e);
	if ((l = log_for(r, n)) == NULL)
		return;
	pthread_mutex_lock(&l->lock);
	failed = append(s, r->lane, l, entries);
	if (failed != OK)
		give_up(s, r, l);
	half_full = l->at > REDO_FILE_MAX / 2;
	pthread_mutex_unlock(&l->lock);
	LIST_EACH(entries, e, struct entry, item.link)
		e->logged = failed == OK && is_for_log(e);
	if (half_full)
		take_turns(r);
}

static void
empty(struct spool *s, struct redo *r, struct redo_log *l)
{
	pthread_mutex_lock(&l->lock);
	if (!l->kept && checkpoint(l) != OK)
		give_up(s, r, l);
	pthread_mutex_unlock(&l->lock);
}

void
redo_checkpoint(struct spool *s, struct redo *r)
{
	unsigned turn;

	pthread_mutex_lock(&r->lock);
	turn = r->turn;
	pthread_mutex_unlock(&r->lock);
	/* First the one that nobody writes to, then the other, which nobody writes to any more. */
	empty(s, r, &r->log[!turn]);
	take_turns(r);
	empty(s, r, &r->log[turn]);
}
