/* SPDX-License-Identifier: Apache-2.0 */
/* Does the file system keep the promises that the rules lean on?  What it does in a crash cannot be asked. */
#include "spool/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spool/files.h"
#include "util/fault.h"
#include "util/proc.h"

enum { NAME = 64 };                                    /* of the trial directory; the others add to it */

struct trial {
	struct spool *s;
	char          dir[NAME], subdir[NAME + 8], file[NAME + 24], moved[NAME + 32];
	int           fd;
};

static enum err
one_file_system(struct spool *s)
{
	struct stat root, st;

	if (fstat(s->root, &root) != 0)
		return fail_errno("stat %s", s->path);
	for (int d = 0; d < SPOOL_DIR_COUNT; d++) {
		const char *name = spool_dir_name((enum spool_dir)d);

		if (fstatat(s->root, name, &st, 0) != 0)
			return fail_errno("stat %s/%s", s->path, name);
		if (st.st_dev != root.st_dev)
			return fail(E_IO, "%s/%s is on another file system", s->path, name);
	}
	return OK;
}

static enum err
try_create(struct trial *t)
{
	struct spool *s = t->s;
	const int flags = O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC;
	int again;

	if ((t->fd = sys_openat(s->root, t->file, flags, s->file_mode)) < 0)
		return fail_errno("create");
	if ((again = openat(s->root, t->file, flags, s->file_mode)) >= 0) {
		close(again);
		return fail(E_IO, "one name could be created twice");
	}
	if (errno != EEXIST)
		return fail_errno("create twice");
	/* Without locks a file's age alone would tell a scan that it is being written. */
	if (flock(t->fd, LOCK_EX | LOCK_NB) != 0)
		return fail_errno("flock");
	return OK;
}

static enum err
try_write(struct trial *t)
{
	char back[12];
	struct stat st;

	TRY(fd_write_all(t->fd, STR("onetwothree"), -1));
	TRY(fd_write_all(t->fd, STR("ONE"), 0));
	if (ftruncate(t->fd, 6) != 0)
		return fail_errno("truncate");
	TRY(fd_write_all(t->fd, STR("four"), 6));
	TRY(fd_read_all(t->fd, back, 10, 0));
	if (memcmp(back, "ONEtwofour", 10) != 0 || fstat(t->fd, &st) != 0 || st.st_size != 10)
		return fail(E_IO, "what was written does not read back");
	return OK;
}

static enum err
try_sync(struct trial *t)
{
	if (sys_fsync(t->fd) != 0)
		return fail_errno("fsync of a file");
	if (sys_fdatasync(t->fd) != 0)
		return fail_errno("fdatasync of a file");
	TRY(spool_sync_dir(t->s, t->dir));
	if ((t->s->sync == SYNC_AUTO || t->s->sync == SYNC_SYNCFS) && sys_syncfs(t->s->root) != 0)
		return fail_errno("syncfs");
	return OK;
}

static enum err
try_rename(struct trial *t)
{
	struct spool *s = t->s;
	struct stat a, b;

	if (sys_renameat(s->root, t->file, s->root, t->moved) != 0)
		return fail_errno("rename to another directory");
	if (faccessat(s->root, t->file, F_OK, 0) == 0)
		return fail(E_IO, "the old name is still there after a rename");
	if (fstat(t->fd, &a) != 0 || fstatat(s->root, t->moved, &b, 0) != 0)
		return fail_errno("stat after a rename");
	if (a.st_ino != b.st_ino)
		return fail(E_IO, "a rename made another file");
	if (sys_unlinkat(s->root, t->moved, 0) != 0)
		return fail_errno("unlink");
	return faccessat(s->root, t->moved, F_OK, 0) == 0 ? fail(E_IO, "a file is still there after its unlink") : OK;
}

static enum err
try_all(struct trial *t)
{
	struct spool *s = t->s;

	if (FAULT(mkdir) || mkdirat(s->root, t->dir, 0700) != 0 || mkdirat(s->root, t->subdir, 0700) != 0)
		return fail_errno("mkdir");
	TRY(try_create(t));
	TRY(try_write(t));
	TRY(try_sync(t));
	return try_rename(t);
}

enum err
spool_self_test(struct spool *s)
{
	struct trial t = { .s = s, .fd = -1 };
	enum err e;

	TRY(spool_may_write(s));
	TRY(one_file_system(s));
	snprintf(t.dir, sizeof t.dir, "active/selftest.%d.%llx", (int)getpid(), (unsigned long long)time_now().ns);
	snprintf(t.subdir, sizeof t.subdir, "%s/sub", t.dir);
	snprintf(t.file, sizeof t.file, "%s/0123456789ABCDEF", t.dir);
	snprintf(t.moved, sizeof t.moved, "%s/0123456789ABCDEF", t.subdir);
	e = try_all(&t);
	if (t.fd >= 0 && sys_close(t.fd) != 0 && e == OK)
		e = fail_errno("close");
	unlinkat(s->root, t.moved, 0);
	unlinkat(s->root, t.file, 0);
	unlinkat(s->root, t.subdir, AT_REMOVEDIR);
	unlinkat(s->root, t.dir, AT_REMOVEDIR);
	if (e == OK || e == E_NOSPACE)
		return e == OK ? OK : fail(e, "%s: self-test: %s", s->path, err_why());
	return fail(e, "%s: the file system does not do what a spool needs: %s", s->path, err_why());
}
