/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "deliver/deliver.h"
#include "util/mem.h"
#include "util/proc.h"

enum { LOCK_TRIES = 20, LOCK_PAUSE_US = 500000, STALE_SECONDS = 500, OWNER_MAX = 300 };

enum err
deliver_lock_fcntl(struct delivering *d, const char *path, int fd)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	for (int i = 0; i < LOCK_TRIES; i++) {
		if (fcntl(fd, F_SETLK, &whole) == 0)
			return OK;
		if (errno != EAGAIN && errno != EACCES)
			return fail_errno("lock %s", path);
		usleep(LOCK_PAUSE_US);
	}
	return deliver_fail(d, E_BUSY, "4.2.0", "unable to lock %s: in use", path);
}

/* Nothing is done about a name that cannot be written: that lock is only told to be stale later. */
static void
put_owner(int fd)
{
	char host[256] = "", owner[OWNER_MAX];

	if (gethostname(host, sizeof host - 1) != 0)
		return;
	snprintf(owner, sizeof owner, "%d:%s", (int)getpid(), host);
	(void)!fd_write_all(fd, str_of(owner), -1);
}

static bool
owner_is_dead(int fd)
{
	char owner[OWNER_MAX] = "", host[256] = "";
	ssize_t n = pread(fd, owner, sizeof owner - 1, 0);
	struct str rest = { owner, n > 0 ? (size_t)n : 0 }, pid_text;
	uint64_t pid;

	if (gethostname(host, sizeof host - 1) != 0 || !str_cut(&rest, ':', &pid_text) ||
	    !str_u64(pid_text, &pid) || pid == 0 || pid > INT32_MAX ||
	    !str_eq(str_trim(rest), str_of(host)))
		return false;
	return kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

static bool
is_named(int fd, const char *path)
{
	struct stat st, named;

	return fstat(fd, &st) == 0 && lstat(path, &named) == 0 && named.st_ino == st.st_ino &&
	       named.st_dev == st.st_dev;
}

/* Takes a lock away that nobody holds.  Two who found the same one must not both do it, or the
 * later takes the lock that the earlier has made since: it is done under a lock of that very file,
 * while it still has the name.  (One that is not ours to read must do without.) */
static bool
remove_if_stale(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	bool gone = lstat(path, &st) != 0;

	if (!gone && (time(NULL) - st.st_mtime > STALE_SECONDS || owner_is_dead(fd)))
		gone = (fd < 0 || (flock(fd, LOCK_EX | LOCK_NB) == 0 && is_named(fd, path))) &&
		       unlink(path) == 0;
	if (fd >= 0)
		close(fd);
	return gone;
}

/* The file gets its name when it says already whose it is: who is killed in between leaves none. */
static bool
link_lock(const char *name)
{
	struct str dir = str_sub(str_of(name), 0, str_rfind(str_of(name), '/') + 1);
	char *where = str_dup(dir), self[64];
	int fd = open(where, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0444), error;
	bool linked;

	free(where);
	if (fd < 0)
		return false;
	put_owner(fd);
	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	linked = linkat(AT_FDCWD, self, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0;
	error = errno;
	close(fd);
	errno = error;
	return linked;
}

/* Where there are no files without a name. */
static bool
create_lock(const char *name)
{
	int fd = open(name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0444);

	if (fd < 0)
		return false;
	put_owner(fd);
	close(fd);
	return true;
}

enum err
deliver_lock_dot(struct delivering *d, const char *path, char **lock)
{
	char name[4200];

	*lock = NULL;
	snprintf(name, sizeof name, "%s.lock", path);
	for (int i = 0; i < LOCK_TRIES; i++) {
		if (link_lock(name) || (errno != EEXIST && create_lock(name))) {
			*lock = mem_dup(name);
			return OK;
		}
		/* Where the directory is not ours to write in, the other lock has to do. */
		if (errno == EACCES || errno == EPERM || errno == EROFS)
			return OK;
		if (errno != EEXIST)
			return fail_errno("create %s", name);
		if (!remove_if_stale(name))
			usleep(LOCK_PAUSE_US);
	}
	return deliver_fail(d, E_BUSY, "4.2.0", "unable to create lock file %s: File exists", name);
}
