/* SPDX-License-Identifier: Apache-2.0 */
/* Owners and modes of the whole spool; docs/SPOOL.md, "Who may do what". */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spool/files.h"
#include "util/mem.h"

/* What there is of one directory: itself, its hash directories, its files. */
struct look {
	mode_t top, hash, file;
	bool all_hashes; /* made here, since who needs one may not make it, or not with these bits */
};

static const struct look alone = { 0700, 0700, 0600, false };
static const struct look shared[] = {
	[SPOOL_INCOMING] = {0750,  SPOOL_CREATORS, SPOOL_SHARED_FILE, true },
	[SPOOL_ACTIVE] = { 0750, SPOOL_READERS,  SPOOL_SHARED_FILE, false},
	[SPOOL_DEFERRED] = { 0750, SPOOL_READERS,  SPOOL_SHARED_FILE, true },
	[SPOOL_HOLD] = { 0750, SPOOL_READERS,  SPOOL_SHARED_FILE, true },
	[SPOOL_CORRUPT] = { 0750, SPOOL_CREATORS, SPOOL_SHARED_FILE, true },
};

static bool
is_right(const struct stat *st, uid_t uid, gid_t gid, mode_t mode)
{
	return st->st_uid == uid && st->st_gid == gid && (st->st_mode & 07777) == mode;
}

/* Nothing is changed that is right already: under systemd's RestrictSUIDSGID a set-id bit can be kept, but not set. */
static enum err
set(int fd, const char *path, uid_t uid, gid_t gid, mode_t mode)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && is_right(&st, uid, gid, mode))
		return OK;
	/* In this order: a change of owner takes set-id bits away. */
	if (fchown(fd, uid, gid) != 0)
		return fail_errno("chown %s", path);
	return fchmod(fd, mode) == 0 ? OK : fail_errno("chmod %s", path);
}

/* Who made it stays its owner when the spool is shared; a link to something else is left alone. */
static enum err
share_file(int dir, const char *path, const char *name, const struct spool_owners *o,
    const struct look *look)
{
	const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	int fd = openat(dir, name, flags);
	struct stat st;
	enum err e = OK;

	if (fd < 0)
		return errno == ENOENT || errno == ELOOP ? OK
							 : fail_errno("open %s/%s", path, name);
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1)
		e = set(fd, path, o->shared ? st.st_uid : o->uid, o->gid, look->file);
	close(fd);
	return e;
}

/* A hash directory that is right has files that are. */
static enum err
share_hash(int dir, const char *path, const struct spool_owners *o, const struct look *look)
{
	const struct dirent *d;
	struct stat st;
	enum err e = OK;
	DIR *list;

	if (fstat(dir, &st) != 0)
		return fail_errno("stat %s", path);
	if (is_right(&st, o->uid, o->gid, look->hash))
		return OK;
	if ((list = fdopendir(dup(dir))) == NULL)
		return fail_errno("list %s", path);
	while (e == OK && (d = readdir(list)) != NULL)
		if (d->d_name[0] != '.')
			e = share_file(dir, path, d->d_name, o, look);
	closedir(list);
	return e == OK ? set(dir, path, o->uid, o->gid, look->hash) : e;
}

static enum err
share_hashes(
    struct spool *s, enum spool_dir d, const struct spool_owners *o, const struct look *look)
{
	for (unsigned hash = 0; hash < HASHES; hash++) {
		char path[SPOOL_PATH];
		enum err e;
		int fd;

		spool_hash_path(d, hash, path);
		if (look->all_hashes && mkdirat(s->root, path, 0700) != 0 && errno != EEXIST)
			return fail_errno("mkdir %s/%s", s->path, path);
		fd = openat(s->root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0)
			return fail_errno("open %s/%s", s->path, path);
		e = share_hash(fd, path, o, look);
		close(fd);
		TRY(e);
	}
	return look->all_hashes ? spool_sync_dir(s, spool_dir_name(d)) : OK;
}

/* Members of the group make files there, and read each other's; qmgr, who owns it, removes any. */
static enum err
share_redo(struct spool *s, const struct spool_owners *o)
{
	static const struct look files = { .file = SPOOL_REDO_FILE };
	struct spool_owners members = *o;
	const struct dirent *d;
	enum err e = OK;
	DIR *list;
	int fd = openat(s->root, SPOOL_REDO, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || (list = fdopendir(fd)) == NULL)
		return fail_errno("open %s/" SPOOL_REDO, s->path);
	members.gid = o->readers;
	while (e == OK && (d = readdir(list)) != NULL)
		if (d->d_name[0] != '.')
			e = share_file(fd, SPOOL_REDO, d->d_name, &members, &files);
	if (e == OK)
		e = set(fd, SPOOL_REDO, o->uid, o->readers, o->shared ? SPOOL_REDO_DIR : alone.top);
	closedir(list);
	return e;
}

enum err
spool_share(struct spool *s, const struct spool_owners *o)
{
	for (enum spool_dir d = SPOOL_INCOMING; d < SPOOL_DIR_COUNT; d++) {
		const struct look *look = o->shared ? &shared[d] : &alone;
		const char *name = spool_dir_name(d);
		enum err e;
		int fd;

		TRY(share_hashes(s, d, o, look));
		fd = openat(s->root, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			return fail_errno("open %s/%s", s->path, name);
		e = set(fd, name, o->uid, o->readers, look->top);
		close(fd);
		TRY(e);
	}
	return share_redo(s, o);
}
