/* SPDX-License-Identifier: Apache-2.0 */
#include "util/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "util/fault.h"
#include "util/mem.h"

static enum err
read_fd(int fd, const char *path, struct buf *out)
{
	enum { PIECE = 16 << 10 };
	size_t max = out->max ? out->max : BUF_MAX;

	for (;;) {
		size_t left = max - out->n, want = left < PIECE ? left : PIECE;
		char beyond, *to = want ? buf_room(out, want) : &beyond;
		ssize_t got = FAULT(read) ? -1 : read(fd, to, want ? want : 1);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail_errno("read %s", path);
		if (got == 0)
			return OK;
		if (want == 0)
			return fail(E_TOOBIG, "%s is larger than %zu bytes", path, max);
		buf_grew(out, (size_t)got);
	}
}

enum err
proc_read_file(const char *path, struct buf *out)
{
	int fd = sys_open(path, O_RDONLY | O_CLOEXEC, 0);
	enum err e;

	if (fd < 0)
		return fail_errno("open %s", path);
	e = read_fd(fd, path, out);
	close(fd);
	return e;
}

/* The directory that path lies in; free() it. */
static char *
dir_of(const char *path)
{
	struct str s = str_of(path);
	size_t slash = str_rfind(s, '/');

	if (slash == s.n)
		return mem_dup(".");
	return str_dup(str_sub(s, 0, slash ? slash : 1));
}

static enum err
sync_dir_of(const char *path)
{
	char *dir = dir_of(path);
	int fd = sys_open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	enum err e = OK;

	if (fd < 0)
		e = fail_errno("open %s", dir);
	else if (sys_fsync(fd) != 0)
		e = fail_errno("fsync %s", dir);
	if (fd >= 0)
		close(fd);
	free(dir);
	return e;
}

static enum err
write_temporary(int fd, const char *name, struct str content, mode_t mode)
{
	if (fchmod(fd, mode) != 0)
		return fail_errno("fchmod %s", name);
	TRY(fd_write_all(fd, content, -1));
	if (sys_fsync(fd) != 0)
		return fail_errno("fsync %s", name);
	return OK;
}

enum err
proc_write_file(const char *path, struct str content, mode_t mode)
{
	struct buf name = BUF(PATH_MAX);
	enum err e;
	int fd;

	if (!buf_printf(&name, "%s.XXXXXX", path)) {
		buf_free(&name);
		return fail(E_IO, "%s: name too long", path);
	}
	if (FAULT(open) || (fd = mkostemp(name.p, O_CLOEXEC)) < 0) {
		e = fail_errno("create %s", name.p);
		buf_free(&name);
		return e;
	}
	e = write_temporary(fd, name.p, content, mode);
	if (sys_close(fd) != 0 && e == OK)
		e = fail_errno("close %s", name.p);
	if (e == OK && sys_renameat(AT_FDCWD, name.p, AT_FDCWD, path) != 0)
		e = fail_errno("rename %s to %s", name.p, path);
	if (e != OK)
		unlink(name.p);
	else
		e = sync_dir_of(path);
	buf_free(&name);
	return e;
}

static enum err
make_dir(const char *path, mode_t mode)
{
	struct stat st;
	int saved;

	if (!FAULT(mkdir) && mkdir(path, mode) == 0)
		return OK;
	saved = errno;
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return OK;
	errno = saved;
	return fail_errno("mkdir %s", path);
}

enum err
proc_mkdirs(const char *path, mode_t mode)
{
	char *copy = mem_dup(path);
	enum err e = OK;

	for (char *p = copy; *p && e == OK; p++) {
		if (*p != '/' || p == copy)
			continue;
		*p = '\0';
		e = make_dir(copy, mode);
		*p = '/';
	}
	if (e == OK)
		e = make_dir(copy, mode);
	free(copy);
	return e;
}

/* proc_lock_holder() of another process takes the lock for a moment: that is no reason to give up. */
static int
lock_patiently(int fd)
{
	enum { TRIES = 5, PAUSE_MS = 10 };

	for (int i = 0;; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EINTR && (errno != EWOULDBLOCK || i >= TRIES))
			return -1;
		poll(NULL, 0, PAUSE_MS);
	}
}

enum err
proc_lock(const char *path, int *fd)
{
	char text[24];
	enum err e;
	int lock = sys_open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);

	if (lock < 0)
		return fail_errno("open %s", path);
	if (lock_patiently(lock) != 0) {
		e = errno == EWOULDBLOCK ? fail(E_BUSY, "%s is locked by another process", path)
					 : fail_errno("lock %s", path);
		close(lock);
		return e;
	}
	snprintf(text, sizeof text, "%d\n", (int)getpid());
	e = ftruncate(lock, 0) == 0 ? fd_write_all(lock, str_of(text), 0) : fail_errno("truncate %s", path);
	if (e != OK) {
		close(lock);
		return e;
	}
	*fd = lock;
	return OK;
}

pid_t
proc_lock_holder(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[24];
	ssize_t n = 0;
	uint64_t pid = 0;

	if (fd < 0)
		return 0;
	if (flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK)
		n = pread(fd, text, sizeof text, 0);
	close(fd);
	if (n <= 0 || !str_u64(str_trim((struct str){ text, (size_t)n }), &pid) || pid > INT_MAX)
		return 0;
	return (pid_t)pid;
}

/* The words of /proc/PID/stat behind the name, which may itself be any bytes. */
enum { STAT_STATE, STAT_USER = 11, STAT_SYSTEM, STAT_BEGUN = 19, STAT_WORDS };

bool
proc_look(pid_t pid, struct proc_look *out)
{
	struct buf stat = BUF(4096);
	struct str rest, word;
	uint64_t v[STAT_WORDS] = { 0 }, hz = (uint64_t)sysconf(_SC_CLK_TCK);
	struct timespec boot;
	char path[32];
	size_t open, close;

	*out = (struct proc_look){ .state = '?' };
	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	if (proc_read_file(path, &stat) != OK) {
		buf_free(&stat);
		return false;
	}
	rest = buf_str(&stat);
	open = str_find(rest, '(');
	close = str_rfind(rest, ')');
	if (open < close && close < rest.n)
		snprintf(out->name, sizeof out->name, "%.*s", STR_ARG(str_sub(rest, open + 1, close - open - 1)));
	rest = str_sub(rest, close + 1, rest.n);
	for (size_t i = 0; i < STAT_WORDS && str_word(&rest, " ", &word); i++)
		if (i == STAT_STATE && word.n > 0)
			out->state = word.p[0];
		else if (!str_u64(word, &v[i]))
			v[i] = 0;
	buf_free(&stat);
	out->cpu_ms = (v[STAT_USER] + v[STAT_SYSTEM]) * 1000 / hz;
	clock_gettime(CLOCK_BOOTTIME, &boot);
	out->age = boot.tv_sec - (int64_t)(v[STAT_BEGUN] / hz);
	return out->state != '?';
}

enum err
proc_become(const char *user, const char *group, bool own_group, const char *root)
{
	struct passwd *pw;
	gid_t gid;
	struct group *gr;

	if (geteuid() != 0)
		return OK;
	errno = 0;
	if ((pw = getpwnam(user)) == NULL)
		return errno && errno != ENOENT ? fail_errno("look up user %s", user)
						: fail(E_NOENT, "unknown user %s", user);
	errno = 0;
	if ((gr = getgrnam(group)) == NULL)
		return errno && errno != ENOENT ? fail_errno("look up group %s", group)
						: fail(E_NOENT, "unknown group %s", group);
	if (root && (chroot(root) != 0 || chdir("/") != 0))
		return fail_errno("chroot %s", root);
	gid = own_group ? pw->pw_gid : gr->gr_gid;
	if (setgroups(1, &gr->gr_gid) != 0 || setresgid(gid, gid, gid) != 0 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) != 0)
		return fail_errno("become %s:%s", user, group);
	if (pw->pw_uid != 0 && setuid(0) == 0)
		return fail(E_PERM, "could become root again after becoming %s", user);
	return OK;
}

void
proc_close_from(int lowest)
{
	closefrom(lowest);
}

enum err
proc_limit_files(size_t want)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) != 0)
		return fail_errno("getrlimit");
	if (r.rlim_cur >= want)
		return OK;
	if (r.rlim_max < want) {
		/* Only root may raise the hard limit, and the kernel has one of its own. */
		struct rlimit more = { want, want };

		if (setrlimit(RLIMIT_NOFILE, &more) == 0)
			return OK;
	}
	r.rlim_cur = want < r.rlim_max ? want : r.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &r) != 0)
		return fail_errno("setrlimit to %zu files", want);
	return OK;
}

const char *
proc_self_dir(void)
{
	static char dir[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", dir, sizeof dir - 1);
	size_t slash;

	if (n <= 0)
		return "/";
	slash = str_rfind((struct str){ dir, (size_t)n }, '/');
	dir[slash && slash < (size_t)n ? slash : 1] = '\0';
	return dir;
}

static enum err
change_flag(int fd, int get, int set, int flag, bool on)
{
	int flags = fcntl(fd, get), wanted = on ? flags | flag : flags & ~flag;

	if (flags < 0 || (wanted != flags && fcntl(fd, set, wanted) < 0))
		return fail_errno("fcntl of descriptor %d", fd);
	return OK;
}

enum err
fd_cloexec(int fd, bool on)
{
	return change_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, on);
}

enum err
fd_nonblock(int fd, bool on)
{
	return change_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK, on);
}

enum err
fd_write_all(int fd, struct str s, off_t at)
{
	while (s.n > 0) {
		ssize_t n = at < 0 ? sys_write(fd, s.p, s.n) : sys_pwrite(fd, s.p, s.n, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_errno("write");
		if (n == 0)
			return fail(E_NOSPACE, "write: no bytes were taken");
		s = str_sub(s, (size_t)n, s.n);
		if (at >= 0)
			at += n;
	}
	return OK;
}

enum err
fd_read_all(int fd, char *p, size_t n, off_t at)
{
	while (n > 0) {
		ssize_t got;

		if (FAULT(read))
			return fail_errno("read");
		got = at < 0 ? read(fd, p, n) : pread(fd, p, n, at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail_errno("read");
		if (got == 0)
			return fail(E_EOF, "the file ends too early");
		p += got;
		n -= (size_t)got;
		if (at >= 0)
			at += got;
	}
	return OK;
}
