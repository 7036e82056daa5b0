/* SPDX-License-Identifier: Apache-2.0 */
/* The spool as a whole: its directories, its lock, its room. */
#include "spool/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "spool/files.h"
#include "util/fault.h"
#include "util/log.h"
#include "util/proc.h"

const char *
spool_dir_name(enum spool_dir d)
{
	static const char *const names[SPOOL_DIR_COUNT] = {
		"maildrop", "incoming", "active", "deferred", "hold", "corrupt"
	};

	ENSURE((unsigned)d < SPOOL_DIR_COUNT);
	return names[d];
}

/* mkdir() heeds the umask and does not hand on the set-group-id bit everywhere. */
static enum err
make_dir(struct spool *s, const char *path, bool *made)
{
	*made = false;
	if (FAULT(mkdir) || mkdirat(s->root, path, s->dir_mode & 0777) != 0)
		return errno == EEXIST ? OK : fail_errno("mkdir %s/%s", s->path, path);
	*made = true;
	if (fchmodat(s->root, path, s->dir_mode, 0) != 0)
		return fail_errno("chmod %s/%s", s->path, path);
	return OK;
}

enum err
spool_give(const struct spool *s, const char *path)
{
	if (!s->give || fchownat(s->root, path, s->owner_uid, s->owner_gid, AT_SYMLINK_NOFOLLOW) == 0)
		return OK;
	return fail_errno("chown %s/%s", s->path, path);
}

enum err
spool_sync_dir(struct spool *s, const char *path)
{
	int fd = sys_openat(s->root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	enum err e = OK;

	if (fd < 0)
		return fail_errno("open %s/%s", s->path, path);
	if (s->sync != SYNC_NONE && sys_fsync(fd) != 0)
		e = fail_errno("fsync %s/%s", s->path, path);
	if (sys_close(fd) != 0 && e == OK)
		e = fail_errno("close %s/%s", s->path, path);
	return e;
}

enum err
spool_make_hash(struct spool *s, enum spool_dir d, unsigned hash)
{
	char path[SPOOL_PATH];
	bool made;

	TRY(make_dir(s, spool_hash_path(d, hash, path), &made));
	if (made)
		TRY(spool_give(s, path));
	return spool_sync_dir(s, spool_dir_name(d));
}

static enum err
make_dirs(struct spool *s)
{
	static const char *const others[] = { "pid", "public", "private", SPOOL_REDO };
	bool any = false, made;

	for (int d = 0; d < SPOOL_DIR_COUNT; d++) {
		TRY(make_dir(s, spool_dir_name((enum spool_dir)d), &made));
		any |= made;
	}
	for (size_t i = 0; i < countof(others); i++) {
		TRY(make_dir(s, others[i], &made));
		any |= made;
	}
	return any ? spool_sync_dir(s, ".") : OK;
}

/* Before Linux 5.8 syncfs() said OK whatever became of the data. */
static bool
syncfs_tells_errors(void)
{
	struct utsname u;
	unsigned long major, minor;
	char *dot;

	if (uname(&u) != 0)
		return false;
	major = strtoul(u.release, &dot, 10);
	minor = *dot == '.' ? strtoul(dot + 1, NULL, 10) : 0;
	return major > 5 || (major == 5 && minor >= 8);
}

static enum err
open_root(struct spool *s)
{
	struct stat st;

	if (!s->readonly)
		TRY(proc_mkdirs(s->path, 0700));
	s->root = sys_open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (s->root < 0)
		return fail_errno("open %s", s->path);
	if (fstatat(s->root, spool_dir_name(SPOOL_INCOMING), &st, AT_SYMLINK_NOFOLLOW) == 0) {
		/* spool_share() has been here. */
		if (st.st_mode & S_IXGRP) {
			s->dir_mode = SPOOL_READERS;
			s->file_mode = SPOOL_SHARED_FILE;
		}
		s->owner_uid = st.st_uid;
		s->give = geteuid() == 0 && st.st_uid != 0;
		/* Messages have the group of their hash directory. */
		(void)fstatat(s->root, "incoming/00", &st, AT_SYMLINK_NOFOLLOW);
		s->owner_gid = st.st_gid;
	}
	return s->readonly ? OK : make_dirs(s);
}

enum err
spool_open(const char *queue_directory, enum spool_sync sync, bool readonly, struct spool **out)
{
	struct spool *s = mem_new(sizeof *s);
	enum err e;

	*s = (struct spool){ .path = mem_dup(queue_directory), .root = -1, .sync = sync, .readonly = readonly,
			     .dir_mode = 0700, .file_mode = 0600, .lock_file = -1, .refs = 1 };
	if ((sync == SYNC_AUTO || sync == SYNC_SYNCFS) && !syncfs_tells_errors())
		s->sync = SYNC_FSYNC;
	pthread_mutex_init(&s->mutex, NULL);
	for (int i = 0; i < LANES; i++) {
		s->lanes[i].root = s->lanes[i].parent = -1;
		memset(s->lanes[i].dir, -1, sizeof s->lanes[i].dir);
		redo_init(&s->lanes[i].redo, (unsigned)i);
	}
	tasks_init(&s->keeper);
	removed_init(&s->removed);
	if ((e = open_root(s)) != OK) {
		spool_unref(s);
		return e;
	}
	*out = s;
	return OK;
}

void
spool_unref(struct spool *s)
{
	if (--s->refs > 0)
		return;
	batch_free(&s->batch);
	for (int i = 0; i < LANES; i++) {
		lane_close(&s->lanes[i]);
		redo_fini(s, &s->lanes[i].redo);
	}
	removed_fini(&s->removed);
	if (s->root >= 0)
		close(s->root);
	if (s->lock_file >= 0)
		close(s->lock_file);
	pthread_mutex_destroy(&s->mutex);
	free(s->path);
	free(s);
}

/* Entries that are still being removed in the background keep it alive until they are. */
void
spool_close(struct spool **ps)
{
	struct spool *s = *ps;

	*ps = NULL;
	if (s == NULL)
		return;
	s->closed = true;
	if (!tasks_empty(&s->keeper))
		tasks_stop(&s->keeper);
	spool_unref(s);
}

enum err
spool_may_write(const struct spool *s)
{
	return s->readonly ? fail(E_PERM, "%s is open for reading only", s->path) : OK;
}

enum err
spool_lock(struct spool *s)
{
	struct buf path = BUF(0);
	enum err e;

	if (s->lock_file >= 0)
		return OK;
	if (!buf_printf(&path, "%s/pid/qmgr.lock", s->path))
		return fail(E_IO, "queue_directory: name too long");
	e = proc_lock(path.p, &s->lock_file);
	buf_free(&path);
	if (e == OK && !s->readonly)
		redo_replay(s);
	return e;
}

void
spool_tidy(struct spool *s)
{
	if (s->lock_file >= 0 && !s->readonly)
		redo_replay(s);
}

/* More than anybody can take in a second. */
static bool
is_ample(const struct statvfs *v, uint64_t minfree, uint64_t minfree_inodes)
{
	const uint64_t bytes = 1 << 30, inodes = 50000;
	uint64_t have, want;

	if (__builtin_mul_overflow(v->f_bavail, v->f_frsize, &have))
		have = UINT64_MAX;
	return !__builtin_add_overflow(minfree, bytes, &want) && have >= want &&
	    (v->f_files == 0 || (!__builtin_add_overflow(minfree_inodes, inodes, &want) && v->f_favail >= want));
}

enum err
spool_space(struct spool *s, uint64_t size, uint64_t minfree, uint64_t minfree_inodes)
{
	struct time now = time_now();
	struct statvfs v;
	uint64_t want, have;
	enum err e = OK;

	pthread_mutex_lock(&s->mutex);
	if (!time_before(now, s->space_until)) {
		if (fstatvfs(s->root, &s->space) != 0)
			e = fail_errno("statvfs %s", s->path);
		else
			s->space_until = is_ample(&s->space, minfree, minfree_inodes) ? time_after(now, 1) : now;
	}
	v = s->space;
	pthread_mutex_unlock(&s->mutex);
	if (e != OK)
		return e;
	if (__builtin_mul_overflow(v.f_bavail, v.f_frsize, &have))
		have = UINT64_MAX;
	if (__builtin_add_overflow(size, minfree, &want) || have < want)
		return fail(E_NOSPACE, "%s: not enough free space", s->path);
	/* File systems that make inodes as they need them say 0 of 0. */
	if (v.f_files > 0 && v.f_favail < minfree_inodes)
		return fail(E_NOSPACE, "%s: not enough free inodes", s->path);
	return OK;
}
