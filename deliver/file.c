/* SPDX-License-Identifier: Apache-2.0 */
/* Files: a mailbox that is appended to, a Maildir that gets one more, a file that is read. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "deliver/deliver.h"
#include "util/fault.h"
#include "util/mem.h"
#include "util/proc.h"

enum { NAMES_TRIED = 10 };

static const char *
path_of(const struct delivering *d)
{
	static char *path;

	if (path == NULL)
		path = str_dup(d->r.path);
	return path;
}

enum err
deliver_sync_parent(const char *path)
{
	struct str dir = str_sub(str_of(path), 0, str_rfind(str_of(path), '/'));
	char *name = dir.n == 0 ? mem_dup("/") : str_dup(dir);
	int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum err e = OK;

	/* A directory that may be written but not read cannot be synced by us: its own file
	 * system's journal has to do. */
	if (fd < 0 && errno != EACCES)
		e = fail_errno("open %s", name);
	if (fd >= 0 && sys_fsync(fd) != 0)
		e = fail_errno("fsync %s", name);
	if (fd >= 0)
		close(fd);
	free(name);
	return e;
}

/* -- mailbox files -- */

struct mbox {
	struct delivering *d;
	int fd;
	off_t was, at;
};

static enum err
write_mbox(void *arg, struct str piece)
{
	struct mbox *m = arg;

	if (m->d->r.size_limit > 0 && (uint64_t)m->at + piece.n > m->d->r.size_limit)
		return deliver_fail(
		    m->d, E_REFUSED, "5.2.2", "mailbox %s: size limit exceeded", path_of(m->d));
	TRY(fd_write_all(m->fd, piece, m->at));
	m->at += (off_t)piece.n;
	return OK;
}

static enum err
check_mbox(struct mbox *m, bool made)
{
	struct stat st, named;
	const char *path = path_of(m->d);

	if (fstat(m->fd, &st) != 0)
		return fail_errno("stat %s", path);
	if (!S_ISREG(st.st_mode))
		return S_ISCHR(st.st_mode) && str_eq(m->d->r.path, STR("/dev/null"))
			   ? OK
			   : deliver_fail(m->d, E_REFUSED, "5.2.0",
				 "destination %s is not a regular file", path);
	if (st.st_nlink != 1 || lstat(path, &named) != 0 || named.st_ino != st.st_ino ||
	    named.st_dev != st.st_dev)
		return deliver_fail(m->d, E_PERM, "4.2.0",
		    "destination %s has several names, or another one by now", path);
	if (!made && st.st_uid != geteuid())
		return deliver_fail(
		    m->d, E_PERM, "4.2.0", "destination %s is not owned by recipient", path);
	m->was = m->at = st.st_size;
	return OK;
}

/* What a delivery left that died on its way would swallow the message after it: that one begins
 * behind an empty line, whatever there is. */
static enum err
end_last_message(struct mbox *m)
{
	char last[2] = "\n\n";
	size_t n = m->was < 2 ? (size_t)m->was : 2;

	if (!(m->d->r.flags & DROP_EMPTY_END))
		return OK;
	TRY(fd_read_all(m->fd, last + 2 - n, n, m->was - (off_t)n));
	for (size_t i = last[1] == '\n' ? (last[0] == '\n' ? 2 : 1) : 0; i < 2; i++)
		TRY(write_mbox(m, STR("\n")));
	return OK;
}

static enum err
append(struct mbox *m)
{
	enum err e = end_last_message(m);

	if (e == OK)
		e = deliver_copy(m->d, write_mbox, m);
	if (e == OK && sys_fsync(m->fd) != 0)
		e = fail_errno("fsync %s", path_of(m->d));
	if (e != OK) {
		char why[ERR_WHY_MAX];

		/* Half a message would spoil the one after it. */
		snprintf(why, sizeof why, "%s", err_why());
		(void)!ftruncate(m->fd, m->was);
		return fail(e, "%s", why);
	}
	return OK;
}

enum err
deliver_mbox(struct delivering *d)
{
	struct mbox m = { .d = d, .fd = -1 };
	const char *path = path_of(d);
	bool made = false;
	char *lock = NULL; /* path of the dot lock, when it is ours */
	enum err e = deliver_lock_dot(d, path, &lock);

	if (e == OK && (m.fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)) < 0 &&
	    errno == ENOENT) {
		m.fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		made = m.fd >= 0;
	}
	if (e == OK && m.fd < 0)
		e = fail_errno("cannot open file %s", path);
	if (e == OK)
		e = check_mbox(&m, made);
	if (e == OK)
		e = deliver_lock_fcntl(d, path, m.fd);
	/* Somebody may have written while we waited. */
	if (e == OK && (m.was = m.at = lseek(m.fd, 0, SEEK_END)) < 0)
		m.was = m.at = 0;
	if (e == OK && str_eq(d->r.path, STR("/dev/null")))
		made = false;
	else if (e == OK)
		e = append(&m);
	if (e == OK && made)
		e = deliver_sync_parent(path);
	if (lock)
		(void)unlink(lock);
	free(lock);
	if (m.fd >= 0)
		close(m.fd);
	return e;
}

/* -- Maildir: https://cr.yp.to/proto/maildir.html -- */

static enum err
write_file(void *arg, struct str piece)
{
	return fd_write_all(*(int *)arg, piece, -1);
}

static enum err
make_maildir(const char *dir)
{
	static const char *const below[] = { "", "/tmp", "/new", "/cur" };
	char path[4300];

	for (size_t i = 0; i < countof(below); i++) {
		snprintf(path, sizeof path, "%s%s", dir, below[i]);
		if (mkdir(path, 0700) == 0)
			TRY(deliver_sync_parent(path));
		else if (errno != EEXIST)
			return fail_errno("create maildir %s", path);
	}
	return OK;
}

/* A name that no other delivery has: time, process, and where the file lies. */
static enum err
create_in_tmp(const struct delivering *d, const char *dir, char path[4400], char name[300], int *fd)
{
	struct timespec now;
	struct stat st;

	for (int i = 0; i < NAMES_TRIED; i++) {
		clock_gettime(CLOCK_REALTIME, &now);
		snprintf(path, 4400, "%s/tmp/%lld.P%dM%ldQ%d.%.*s", dir, (long long)now.tv_sec,
		    (int)getpid(), now.tv_nsec / 1000, i, STR_ARG(str_sub(d->r.host, 0, 200)));
		*fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
		if (*fd >= 0 && fstat(*fd, &st) == 0) {
			snprintf(name, 300, "%lld.V%llxI%llxM%ld.%.*s", (long long)now.tv_sec,
			    (unsigned long long)st.st_dev, (unsigned long long)st.st_ino,
			    now.tv_nsec / 1000, STR_ARG(str_sub(d->r.host, 0, 200)));
			return OK;
		}
		if (*fd >= 0 || errno != EEXIST)
			break;
	}
	return fail_errno("create maildir file %s", path);
}

enum err
deliver_maildir(struct delivering *d)
{
	struct str trimmed = d->r.path;
	char *dir, path[4400] = "", name[300], final[4700];
	int fd = -1;
	enum err e;

	while (trimmed.n > 1 && trimmed.p[trimmed.n - 1] == '/')
		trimmed.n--;
	dir = str_dup(trimmed);
	e = create_in_tmp(d, dir, path, name, &fd);
	if (e == E_NOENT && (e = make_maildir(dir)) == OK)
		e = create_in_tmp(d, dir, path, name, &fd);
	if (e == OK)
		e = deliver_copy(d, write_file, &fd);
	if (e == OK && sys_fsync(fd) != 0)
		e = fail_errno("fsync %s", path);
	if (fd >= 0 && close(fd) != 0 && e == OK)
		e = fail_errno("close %s", path);
	snprintf(final, sizeof final, "%s/new/%s", dir, name);
	if (e == OK && rename(path, final) != 0)
		e = fail_errno("rename %s to %s", path, final);
	if (e == OK)
		e = deliver_sync_parent(final);
	else if (fd >= 0) {
		char why[ERR_WHY_MAX];

		snprintf(why, sizeof why, "%s", err_why());
		(void)unlink(path);
		e = fail(e, "%s", why);
	}
	free(dir);
	return e;
}

/* -- reading -- */

enum err
deliver_read(struct delivering *d)
{
	const char *path = path_of(d);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	size_t most = d->r.size_limit > 0 && d->r.size_limit < DROP_OUTPUT_MAX
			  ? (size_t)d->r.size_limit
			  : DROP_OUTPUT_MAX / 2;
	struct stat st;
	enum err e = OK;

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? fail(E_NOENT, "%s: no such file", path)
							   : fail_errno("open %s", path);
	if (fstat(fd, &st) != 0)
		e = fail_errno("stat %s", path);
	else if (!S_ISREG(st.st_mode))
		e = fail(E_PERM, "%s is not a regular file", path);
	else if (st.st_uid != geteuid() && st.st_uid != 0)
		e = fail(E_PERM, "%s belongs to another user", path);
	else if (st.st_mode & S_IWOTH)
		e = fail(E_PERM, "%s can be written by everybody", path);
	else if ((uint64_t)st.st_size > most)
		e = fail(E_PERM, "%s is too large", path);
	if (e == OK && st.st_size > 0) {
		char *room = buf_room(&d->output, (size_t)st.st_size);

		e = room ? fd_read_all(fd, room, (size_t)st.st_size, 0)
			 : fail(E_NOSPACE, "no memory");
		if (e == OK)
			buf_grew(&d->output, (size_t)st.st_size);
	}
	close(fd);
	return e;
}
