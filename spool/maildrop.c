/* SPDX-License-Identifier: Apache-2.0 */
#include "spool/maildrop.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spool/crc.h"
#include "spool/files.h"
#include "util/fault.h"
#include "util/proc.h"

WIRE_DEFINE(submit_head, SUBMIT_HEAD)

enum { BUFFERED = 64 << 10, NAMES_TRIED = 100, YOUNG_SECONDS = 60 };

struct maildrop {
	struct layout_header h;
	int                  dir, fd;
	char                 name[QID_TEXT];
	struct buf           b;                        /* what is to be written next */
	uint64_t             written;
};

void
maildrop_abort(struct maildrop **pd)
{
	struct maildrop *d = *pd;

	if (d == NULL)
		return;
	if (d->fd >= 0) {
		(void)sys_unlinkat(d->dir, d->name, 0);
		close(d->fd);
	}
	if (d->dir >= 0)
		close(d->dir);
	buf_free(&d->b);
	mem_free(pd);
}

/* The id only has to be one that no other file of this directory has: pickup gives the message its own. */
static enum err
create(struct maildrop *d)
{
	for (int i = 0; i < NAMES_TRIED; i++) {
		uint32_t random;

		if (getrandom(&random, sizeof random, 0) != sizeof random)
			return fail_errno("getrandom");
		d->h.id = (uint64_t)(wall_now().us / 1000) << 22 | (random & 0x3FFFFF);
		qid_text(d->h.id, d->name);
		d->fd = sys_openat(d->dir, d->name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
		if (d->fd >= 0 || errno != EEXIST)
			break;
	}
	if (d->fd < 0)
		return fail_errno("create maildrop/%s", d->name);
	/* Whatever the umask of the user is, pickup must be able to read it. */
	if (fchmod(d->fd, 0644) != 0)
		return fail_errno("chmod maildrop/%s", d->name);
	if (flock(d->fd, LOCK_EX | LOCK_NB) != 0)
		return fail_errno("lock maildrop/%s", d->name);
	return OK;
}

static enum err
spill(struct maildrop *d)
{
	TRY(fd_write_all(d->fd, buf_str(&d->b), (off_t)d->written));
	d->written += d->b.n;
	buf_clear(&d->b);
	return OK;
}

static enum err
begin(struct maildrop *d, const char *queue_directory, const struct spool_msg *m)
{
	static const char no_header[LAYOUT_HEADER];
	char path[4200];

	snprintf(path, sizeof path, "%s/%s", queue_directory, spool_dir_name(SPOOL_MAILDROP));
	d->dir = sys_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (d->dir < 0)
		return fail_errno("open %s", path);
	if (!buf_add(&d->b, (struct str){ no_header, sizeof no_header }) || !envelope_put(&d->b, m))
		return fail(E_TOOBIG, "the envelope is too large");
	d->h.arrived = m->arrived.us;
	d->h.flags = m->flags;
	d->h.nrcpts = (uint32_t)m->nrcpts;
	d->h.content_at = (uint32_t)d->b.n;
	d->h.envelope_crc = crc32c(0, d->b.p + LAYOUT_HEADER, d->b.n - LAYOUT_HEADER);
	return create(d);
}

enum err
maildrop_new(const char *queue_directory, const struct spool_msg *m, struct maildrop **out)
{
	struct maildrop *d = mem_new(sizeof *d);
	enum err e;

	*d = (struct maildrop){ .dir = -1, .fd = -1, .b = BUF(LAYOUT_ENVELOPE_MAX + 4 * BUFFERED) };
	if ((e = begin(d, queue_directory, m)) != OK)
		maildrop_abort(&d);
	*out = d;
	return e;
}

enum err
maildrop_add(struct maildrop *d, struct str content)
{
	d->h.size += content.n;
	d->h.content_crc = crc32c(d->h.content_crc, content.p, content.n);
	while (content.n > 0) {
		struct str piece = str_sub(content, 0, BUFFERED);

		if (!buf_add(&d->b, piece))
			return fail(E_NOSPACE, "no memory");
		content = str_sub(content, piece.n, content.n);
		if (d->b.n >= BUFFERED)
			TRY(spill(d));
	}
	return OK;
}

uint64_t
maildrop_size(const struct maildrop *d)
{
	return d->h.size;
}

static enum err
finish(struct maildrop *d)
{
	char header[LAYOUT_HEADER], mark[LAYOUT_MARK];

	layout_header_put(&d->h, header);
	layout_mark_put(&d->h, mark);
	if (!buf_add(&d->b, (struct str){ mark, sizeof mark }))
		return fail(E_NOSPACE, "no memory");
	TRY(spill(d));
	TRY(fd_write_all(d->fd, (struct str){ header, sizeof header }, 0));
	if (sys_fsync(d->fd) != 0 || sys_fsync(d->dir) != 0)
		return fail_errno("fsync maildrop/%s", d->name);
	return OK;
}

enum err
maildrop_commit(struct maildrop **pd)
{
	struct maildrop *d = *pd;
	enum err e = finish(d);

	/* Closing gives up the lock: from here on pickup may have it. */
	if (e == OK && sys_close(d->fd) != 0)
		e = fail_errno("close maildrop/%s", d->name);
	else if (e == OK)
		d->fd = -1;
	maildrop_abort(pd);
	return e;
}

/* -- pickup -- */

static int
by_age(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int
is_id(const struct dirent *f)
{
	uint64_t id;

	return qid_parse(str_of(f->d_name), &id);
}

enum err
maildrop_list(struct spool *s, void (*fn)(void *arg, uint64_t id), void *arg)
{
	struct dirent **found;
	int n = scandirat(s->root, spool_dir_name(SPOOL_MAILDROP), &found, is_id, by_age);
	uint64_t id;

	if (n < 0)
		return fail_errno("read %s/%s", s->path, spool_dir_name(SPOOL_MAILDROP));
	for (int i = 0; i < n; i++) {
		if (qid_parse(str_of(found[i]->d_name), &id))
			fn(arg, id);
		free(found[i]);
	}
	free(found);
	return OK;
}

static const char *
path_of(uint64_t id, char out[SPOOL_PATH])
{
	char name[QID_TEXT];

	snprintf(out, SPOOL_PATH, "%s/%s", spool_dir_name(SPOOL_MAILDROP), qid_text(id, name));
	return out;
}

/* Its writer holds the lock until all is durable; who has just made it may not have it yet. */
static enum err
check_writer(int fd, const struct stat *st)
{
	if (flock(fd, LOCK_SH | LOCK_NB) != 0)
		return errno == EWOULDBLOCK ? fail(E_BUSY, "still being written") : fail_errno("flock");
	if (st->st_size == 0 && wall_seconds(wall_now()) - st->st_mtim.tv_sec < YOUNG_SECONDS)
		return fail(E_BUSY, "just being begun");
	return OK;
}

static enum err
open_checked(struct spool *s, uint64_t id, struct peek *k, struct dropped *d)
{
	char path[SPOOL_PATH];
	struct stat st;

	/* Looked at before it is opened: opening a FIFO would wait for whoever never comes. */
	if (fstatat(s->root, path_of(id, path), &st, AT_SYMLINK_NOFOLLOW) != 0)
		return fail_errno("stat %s", path);
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
		return fail(E_CORRUPT, "not a plain file with one name");
	TRY(peek_open(k, s->root, path, O_RDONLY | O_NONBLOCK, id));
	TRY(check_writer(k->fd, &st));
	/* That of incoming: what is not committed is debris, not damage. */
	TRY(peek_view(k, SPOOL_INCOMING, true, &d->view));
	d->view.msg.dir = SPOOL_MAILDROP;
	d->uid = st.st_uid;
	return OK;
}

enum err
maildrop_open(struct spool *s, uint64_t id, struct dropped *d)
{
	struct peek *k = mem_new(sizeof *k);
	enum err e;

	*d = (struct dropped){ .fd = -1 };
	k->fd = -1;
	e = open_checked(s, id, k, d);
	if (e == OK) {
		d->fd = k->fd;
		k->fd = -1;
	}
	peek_close(k);
	free(k);
	return e;
}

void
dropped_close(struct dropped *d)
{
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
	spool_view_fini(&d->view);
}

enum err
maildrop_remove(struct spool *s, uint64_t id)
{
	char path[SPOOL_PATH];

	return sys_unlinkat(s->root, path_of(id, path), 0) == 0 || errno == ENOENT ? OK : fail_errno("unlink %s", path);
}

enum err
maildrop_set_aside(struct spool *s, uint64_t id)
{
	char from[SPOOL_PATH], to[SPOOL_PATH];

	TRY(spool_make_hash(s, SPOOL_CORRUPT, spool_hash(id)));
	if (sys_renameat(s->root, path_of(id, from), s->root, spool_path(SPOOL_CORRUPT, id, to)) != 0)
		return fail_errno("rename %s to %s", from, to);
	return OK;
}
