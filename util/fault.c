/* SPDX-License-Identifier: Apache-2.0 */
#include "util/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"

enum { MOST_RULES = 16, LAST_ERRNO = 133 };

/* What a rule does, when it is not an errno. */
enum { DO_SHORT = -1, DO_KILL = -2 };

struct rule {
	enum fault_call  call;
	uint64_t         n;
	bool             onwards;                      /* from the n-th on, not once */
	int              action;                       /* an errno or DO_* */
	_Atomic uint64_t seen;
};

bool fault_armed;
static struct rule rules[MOST_RULES];
static size_t nrules;

static bool
parse_call(struct str word, enum fault_call *call)
{
#define X(call) #call,
	static const char *const names[] = { FAULT_CALLS(X) };
#undef X

	for (size_t i = 0; i < countof(names); i++)
		if (str_eq(word, str_of(names[i]))) {
			*call = (enum fault_call)i;
			return true;
		}
	return false;
}

static bool
parse_action(struct str word, int *action)
{
	if (str_eq(word, STR("SHORT"))) {
		*action = DO_SHORT;
		return true;
	}
	if (str_eq(word, STR("KILL"))) {
		*action = DO_KILL;
		return true;
	}
	for (int e = 1; e <= LAST_ERRNO; e++) {
		const char *name = strerrorname_np(e);

		if (name && str_eq(word, str_of(name))) {
			*action = e;
			return true;
		}
	}
	return false;
}

/* A rule for another program is read all the same: a typing error must not make a test pass. */
static bool
parse_rule(struct str text, const char *prog)
{
	struct str who, call, n;
	struct rule r = { 0 };

	if (!str_cut(&text, ':', &who) || !str_cut(&text, ':', &call) || !str_cut(&text, ':', &n))
		return false;
	if (str_ends(n, STR("+"))) {
		r.onwards = true;
		n.n--;
	}
	if (!parse_call(call, &r.call) || !str_u64(n, &r.n) || r.n == 0 || !parse_action(text, &r.action))
		return false;
	if (!str_eq(who, str_of(prog)))
		return true;
	if (nrules == MOST_RULES)
		return false;
	rules[nrules].call = r.call;
	rules[nrules].n = r.n;
	rules[nrules].onwards = r.onwards;
	rules[nrules].action = r.action;
	rules[nrules].seen = 0;
	nrules++;
	return true;
}

void
fault_init(const char *prog)
{
	const char *env = getenv("POSTROAD_FAULT");
	struct str rest, rule;

	nrules = 0;
	fault_armed = false;
	if (env == NULL)
		return;
	rest = str_of(env);
	while (str_cut(&rest, ',', &rule))
		if (!parse_rule(str_trim(rule), prog))
			log_fatal("POSTROAD_FAULT: bad rule \"%.*s\"", STR_ARG(rule));
	fault_armed = nrules > 0;
}

bool
fault_hits(enum fault_call call, bool *shorten)
{
	int action = 0;

	for (size_t i = 0; i < nrules; i++) {
		struct rule *r = &rules[i];
		uint64_t count;

		if (r->call != call)
			continue;
		count = atomic_fetch_add(&r->seen, 1) + 1;
		if (count == r->n || (r->onwards && count > r->n))
			action = r->action;
	}
	switch (action) {
	case 0:
		return false;
	case DO_KILL:
		kill(getpid(), SIGKILL);
		for (;;)
			pause();
	case DO_SHORT:
		if (shorten)
			*shorten = true;
		errno = EIO;
		return true;
	default:
		errno = action;
		return true;
	}
}

/* For calls that write: how many of n bytes to write, or -1 with errno. */
static ssize_t
to_write(enum fault_call call, size_t n)
{
	bool shorten = false;

	if (__builtin_expect(!fault_armed, 1) || !fault_hits(call, &shorten))
		return (ssize_t)n;
	return shorten ? (ssize_t)(n - n / 2) : -1;
}

int
sys_open(const char *path, int flags, mode_t mode)
{
	return FAULT(open) ? -1 : open(path, flags, mode);
}

int
sys_openat(int dir, const char *path, int flags, mode_t mode)
{
	return FAULT(open) ? -1 : openat(dir, path, flags, mode);
}

ssize_t
sys_write(int fd, const void *p, size_t n)
{
	ssize_t m = to_write(FAULT_write, n);

	return m < 0 ? -1 : write(fd, p, (size_t)m);
}

ssize_t
sys_writev(int fd, const struct iovec *v, int n)
{
	size_t total = 0;
	ssize_t m;
	int i = 0;

	if (__builtin_expect(!fault_armed, 1))
		return writev(fd, v, n);
	while (i < n)
		total += v[i++].iov_len;
	if ((m = to_write(FAULT_write, total)) < 0)
		return -1;
	if ((size_t)m == total)
		return writev(fd, v, n);
	/* The pieces that fit in m bytes, or a part of the first. */
	for (i = 0; i < n && v[i].iov_len <= (size_t)m; i++)
		m -= (ssize_t)v[i].iov_len;
	return i > 0 ? writev(fd, v, i) : write(fd, v[0].iov_base, (size_t)m);
}

ssize_t
sys_pwrite(int fd, const void *p, size_t n, off_t at)
{
	ssize_t m = to_write(FAULT_pwrite, n);

	return m < 0 ? -1 : pwrite(fd, p, (size_t)m, at);
}

/* A file system that shuts itself down (its log cannot be written) in the middle of a sync throws away what was to be
 * synced, and may then call the sync a success, as nothing is left to be done: XFS, and ext4 when blocks that the
 * file had just been given were written but could not be recorded.  From just before that XFS answers every fstat()
 * with EIO, and both every write to a regular file, be it of nothing. */
int
sys_alive(int fd)
{
	struct stat st;

	if (FAULT(fstat) || fstat(fd, &st) != 0)
		return -1;
	return !S_ISREG(st.st_mode) || pwrite(fd, "", 0, 0) == 0 || errno == EBADF ? 0 : -1;
}

static int
confirmed(int fd, int rc)
{
	return rc == 0 ? sys_alive(fd) : rc;
}

int
sys_fsync(int fd)
{
	return FAULT(fsync) ? -1 : confirmed(fd, fsync(fd));
}

int
sys_fdatasync(int fd)
{
	return FAULT(fdatasync) ? -1 : confirmed(fd, fdatasync(fd));
}

int
sys_syncfs(int fd)
{
	return FAULT(syncfs) ? -1 : confirmed(fd, syncfs(fd));
}

int
sys_renameat(int d1, const char *from, int d2, const char *to)
{
	return FAULT(rename) ? -1 : renameat(d1, from, d2, to);
}

int
sys_unlinkat(int dir, const char *path, int flags)
{
	return FAULT(unlink) ? -1 : unlinkat(dir, path, flags);
}

/* Linux lets go of the descriptor also when close() fails. */
int
sys_close(int fd)
{
	bool hit = FAULT(close);
	int saved = errno, rc = close(fd);

	if (!hit)
		return rc;
	errno = saved;
	return -1;
}
