/* SPDX-License-Identifier: Apache-2.0 */
/* A library for LD_PRELOAD that makes a system call fail, or kills the process there, in a mail system that runs on: what to do
 * to whom stands in a page of memory shared with the suite (faults.py), which changes it from one message to the next.
 *
 * Beside util/fault.h this sees every call that a program or a library makes through libc, needs no hook where it
 * is made, and no restart between two experiments. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the suite and the processes share; faults.py knows this layout. */
enum { CALLS_MAX = 96, NAME_MAX_ = 24, NAMES_AT = 4096, LIE = 9999 };
enum { ACT_COUNT = 0, ACT_SHORT = -1, ACT_KILL = -2, ACT_LIE = -3 };      /* above 0: an errno; LIE: say that it was done, for the control */
struct control {
	_Atomic uint32_t armed;
	int32_t          action;
	uint32_t         n, onwards;
	char             role[NAME_MAX_], call[NAME_MAX_];
	_Atomic uint64_t fired;
	char             pad[128 - 72];
	_Atomic uint64_t seen[CALLS_MAX];
};

#define CALLS(X) \
	X(open) X(openat) X(openat64) X(open64) X(write) X(writev) X(pwrite) X(read) X(pread) X(preadv2) X(fsync) X(fdatasync) \
	X(syncfs) X(renameat) X(renameat2) X(unlink) X(unlinkat) X(mkdir) X(mkdirat) X(ftruncate) X(flock) X(fcntl) X(close) \
	X(stat) X(lstat) X(fstat) X(fstatat) X(fstatvfs) X(faccessat) X(fchmod) X(fchown) X(readdir) X(fdopendir) \
	X(socket) X(socketpair) X(bind) X(listen) X(accept4) X(connect) X(send) X(sendmsg) X(sendfile) X(recv) X(recvmsg) \
	X(shutdown) X(setsockopt) X(getsockopt) X(poll) X(epoll_create1) X(epoll_ctl) X(epoll_wait) X(eventfd) X(signalfd) \
	X(inotify_init1) X(inotify_add_watch) X(mmap) X(mprotect) X(madvise) X(fork) X(posix_spawn) X(pthread_create) \
	X(waitpid) X(dup2) X(dup3) X(getrandom) X(malloc) X(calloc) X(realloc)
#define X(c) CALL_##c,
enum { CALLS(X) CALL_COUNT };
#undef X
#define X(c) #c,
static const char *const names[] = { CALLS(X) };
#undef X

static struct control *control;
static char own[NAME_MAX_];

#define REAL(name) \
	static __typeof__(&name) real; \
	if (!real) \
		real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void
attach(void)
{
	const char *path = getenv("POSTROAD_TORTURE");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	char *p;

	if (fd < 0)
		return;
	p = mmap(NULL, 2 * NAMES_AT, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		return;
	strncpy(own, program_invocation_short_name, sizeof own - 1);
	for (size_t i = 0; i < CALL_COUNT; i++)
		strncpy(p + NAMES_AT + i * NAME_MAX_, names[i], NAME_MAX_ - 1);
	control = (struct control *)(void *)p;
}

/* Must this call fail?  Then errno is set; ACT_SHORT comes back as *shorten, where a call can be short. */
static bool
hits(int call, bool *shorten)
{
	struct control *c = control;
	uint64_t count;

	if (!c || !atomic_load_explicit(&c->armed, memory_order_acquire) || strcmp(c->role, own) != 0)
		return false;
	count = atomic_fetch_add(&c->seen[call], 1) + 1;
	if (c->action == ACT_COUNT || strcmp(c->call, names[call]) != 0)
		return false;
	if (count != c->n && !(c->onwards && count > c->n))
		return false;
	if (c->action == ACT_SHORT && !shorten)
		return false;
	atomic_fetch_add(&c->fired, 1);
	if (c->action == ACT_KILL) {
		raise(SIGKILL); /* what the sandbox lets every process do */
		for (;;)
			pause();
	}
	if (c->action == ACT_SHORT) {
		*shorten = true;
		return false;
	}
	errno = c->action == ACT_LIE ? LIE : c->action;
	return true;
}

static bool
lies(void)
{
	return errno == LIE;
}

static size_t
half(size_t n)
{
	return n - n / 2;
}

#define WRAP(ret, bad, name, params, args) \
	ret name params \
	{ \
		REAL(name); \
		return hits(CALL_##name, NULL) ? (bad) : real args; \
	}
/* Those that may do less than they were asked to: n is the amount. */
#define WRAP_SHORT(ret, name, params, args) \
	ret name params \
	{ \
		bool less = false; \
		REAL(name); \
		if (hits(CALL_##name, &less)) \
			return lies() ? (ssize_t)n : -1; \
		if (less) \
			n = half(n); \
		return real args; \
	}
/* Those that return the error. */
#define WRAP_CODE(name, params, args) \
	int name params \
	{ \
		REAL(name); \
		return hits(CALL_##name, NULL) ? errno : real args; \
	}
#define WRAP_OPEN(name, first_params, first_args) \
	int name first_params \
	{ \
		mode_t mode = 0; \
		va_list ap; \
		REAL(name); \
		va_start(ap, flags); \
		if (flags & (O_CREAT | O_TMPFILE)) \
			mode = va_arg(ap, mode_t); \
		va_end(ap); \
		return hits(CALL_##name, NULL) ? -1 : real first_args; \
	}

WRAP_OPEN(open, (const char *p, int flags, ...), (p, flags, mode))
WRAP_OPEN(open64, (const char *p, int flags, ...), (p, flags, mode))
WRAP_OPEN(openat, (int d, const char *p, int flags, ...), (d, p, flags, mode))
WRAP_OPEN(openat64, (int d, const char *p, int flags, ...), (d, p, flags, mode))
WRAP_SHORT(ssize_t, write, (int fd, const void *p, size_t n), (fd, p, n))
WRAP_SHORT(ssize_t, pwrite, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at))
WRAP_SHORT(ssize_t, read, (int fd, void *p, size_t n), (fd, p, n))
WRAP_SHORT(ssize_t, pread, (int fd, void *p, size_t n, off_t at), (fd, p, n, at))
WRAP_SHORT(ssize_t, send, (int fd, const void *p, size_t n, int flags), (fd, p, n, flags))
WRAP_SHORT(ssize_t, recv, (int fd, void *p, size_t n, int flags), (fd, p, n, flags))
WRAP_SHORT(ssize_t, sendfile, (int to, int from, off_t *at, size_t n), (to, from, at, n))
WRAP(int, -1, fsync, (int fd), (fd))
WRAP(int, -1, fdatasync, (int fd), (fd))
WRAP(int, -1, syncfs, (int fd), (fd))
WRAP(int, -1, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to))
WRAP(int, -1, renameat2, (int a, const char *from, int b, const char *to, unsigned flags), (a, from, b, to, flags))
WRAP(int, -1, unlink, (const char *p), (p))
WRAP(int, -1, unlinkat, (int d, const char *p, int flags), (d, p, flags))
WRAP(int, -1, mkdir, (const char *p, mode_t mode), (p, mode))
WRAP(int, -1, mkdirat, (int d, const char *p, mode_t mode), (d, p, mode))
WRAP(int, -1, ftruncate, (int fd, off_t n), (fd, n))
WRAP(int, -1, flock, (int fd, int op), (fd, op))
WRAP(int, -1, stat, (const char *p, struct stat *st), (p, st))
WRAP(int, -1, lstat, (const char *p, struct stat *st), (p, st))
WRAP(int, -1, fstat, (int fd, struct stat *st), (fd, st))
WRAP(int, -1, fstatat, (int d, const char *p, struct stat *st, int flags), (d, p, st, flags))
WRAP(int, -1, fstatvfs, (int fd, struct statvfs *st), (fd, st))
WRAP(int, -1, faccessat, (int d, const char *p, int mode, int flags), (d, p, mode, flags))
WRAP(int, -1, fchmod, (int fd, mode_t mode), (fd, mode))
WRAP(int, -1, fchown, (int fd, uid_t u, gid_t g), (fd, u, g))
WRAP(int, -1, socket, (int domain, int type, int protocol), (domain, type, protocol))
WRAP(int, -1, socketpair, (int domain, int type, int protocol, int ends[2]), (domain, type, protocol, ends))
WRAP(int, -1, bind, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
WRAP(int, -1, listen, (int fd, int n), (fd, n))
WRAP(int, -1, accept4, (int fd, struct sockaddr *a, socklen_t *n, int flags), (fd, a, n, flags))
WRAP(int, -1, connect, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
WRAP(ssize_t, -1, sendmsg, (int fd, const struct msghdr *m, int flags), (fd, m, flags))
WRAP(ssize_t, -1, recvmsg, (int fd, struct msghdr *m, int flags), (fd, m, flags))
WRAP(int, -1, shutdown, (int fd, int how), (fd, how))
WRAP(int, -1, setsockopt, (int fd, int l, int o, const void *v, socklen_t n), (fd, l, o, v, n))
WRAP(int, -1, getsockopt, (int fd, int l, int o, void *v, socklen_t *n), (fd, l, o, v, n))
WRAP(int, -1, epoll_create1, (int flags), (flags))
WRAP(int, -1, epoll_ctl, (int ep, int op, int fd, struct epoll_event *e), (ep, op, fd, e))
WRAP(int, -1, epoll_wait, (int ep, struct epoll_event *e, int n, int ms), (ep, e, n, ms))
WRAP(int, -1, eventfd, (unsigned n, int flags), (n, flags))
WRAP(int, -1, signalfd, (int fd, const sigset_t *set, int flags), (fd, set, flags))
WRAP(int, -1, inotify_init1, (int flags), (flags))
WRAP(int, -1, inotify_add_watch, (int fd, const char *p, uint32_t mask), (fd, p, mask))
WRAP(void *, MAP_FAILED, mmap, (void *p, size_t n, int prot, int flags, int fd, off_t at), (p, n, prot, flags, fd, at))
WRAP(int, -1, mprotect, (void *p, size_t n, int prot), (p, n, prot))
WRAP(int, -1, madvise, (void *p, size_t n, int advice), (p, n, advice))
WRAP(pid_t, -1, fork, (void), ())
WRAP(pid_t, -1, waitpid, (pid_t pid, int *status, int flags), (pid, status, flags))
WRAP(int, -1, dup2, (int from, int to), (from, to))
WRAP(int, -1, dup3, (int from, int to, int flags), (from, to, flags))
WRAP(ssize_t, -1, getrandom, (void *p, size_t n, unsigned flags), (p, n, flags))
WRAP_CODE(posix_spawn, (pid_t *pid, const char *path, const posix_spawn_file_actions_t *files, const posix_spawnattr_t *attr,
	char *const argv[], char *const env[]), (pid, path, files, attr, argv, env))
WRAP_CODE(pthread_create, (pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg), (t, attr, fn, arg))

ssize_t
writev(int fd, const struct iovec *v, int n)
{
	bool less = false;
	REAL(writev);

	if (hits(CALL_writev, &less))
		return -1;
	return less ? write(fd, v[0].iov_base, half(v[0].iov_len)) : real(fd, v, n);
}

ssize_t
preadv2(int fd, const struct iovec *v, int n, off_t at, int flags)
{
	bool less = false;
	struct iovec first = v[0];
	REAL(preadv2);

	if (hits(CALL_preadv2, &less))
		return -1;
	first.iov_len = half(first.iov_len);
	return less ? real(fd, &first, 1, at, flags) : real(fd, v, n, at, flags);
}

/* Linux lets go of the descriptor also when close() fails. */
int
close(int fd)
{
	bool bad;
	int error;
	REAL(close);

	bad = hits(CALL_close, NULL);
	error = errno;
	if (!bad)
		return real(fd);
	(void)real(fd);
	errno = error;
	return -1;
}

int
fcntl(int fd, int op, ...)
{
	va_list ap;
	void *arg;
	REAL(fcntl);

	va_start(ap, op);
	arg = va_arg(ap, void *);
	va_end(ap);
	return hits(CALL_fcntl, NULL) ? -1 : real(fd, op, arg);
}

struct dirent *
readdir(DIR *d)
{
	REAL(readdir);

	return hits(CALL_readdir, NULL) ? NULL : real(d);
}

DIR *
fdopendir(int fd)
{
	REAL(fdopendir);

	return hits(CALL_fdopendir, NULL) ? NULL : real(fd);
}

int
poll(struct pollfd *v, nfds_t n, int ms)
{
	REAL(poll);

	return hits(CALL_poll, NULL) ? -1 : real(v, n, ms);
}

/* What poll() is called by programs that were built with bounds checks. */
int __poll_chk(struct pollfd *v, nfds_t n, int ms, size_t room);
int
__poll_chk(struct pollfd *v, nfds_t n, int ms, size_t room)
{
	REAL(__poll_chk);

	return hits(CALL_poll, NULL) ? -1 : real(v, n, ms, room);
}

/* dlsym() itself may allocate, so these go to libc by its own names. */
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t each);
extern void *__libc_realloc(void *p, size_t n);
void *malloc(size_t n)              { return hits(CALL_malloc, NULL) ? NULL : __libc_malloc(n); }
void *calloc(size_t n, size_t each) { return hits(CALL_calloc, NULL) ? NULL : __libc_calloc(n, each); }
void *realloc(void *p, size_t n)    { return hits(CALL_realloc, NULL) ? NULL : __libc_realloc(p, n); }
