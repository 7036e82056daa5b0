/* SPDX-License-Identifier: Apache-2.0 */
/* A command: in a process group of its own, content on its standard input, the end of what it says
 * kept; what its exit status means stands in sysexits.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "deliver/deliver.h"
#include "util/mem.h"
#include "util/proc.h"

enum { SAID_MAX = 8 << 10 };

static const struct {
	int status;
	const char *esc, *words;
} meanings[] = {
	{EX_USAGE,        "5.3.0", "command line usage error"     },
	{ EX_DATAERR,     "5.6.0", "data format error"            },
	{ EX_NOINPUT,     "5.3.0", "cannot open input"            },
	{ EX_NOUSER,      "5.1.1", "user unknown"                 },
	{ EX_NOHOST,      "5.1.2", "host name unknown"            },
	{ EX_UNAVAILABLE, "5.3.0", "service unavailable"          },
	{ EX_SOFTWARE,    "5.3.0", "internal software error"      },
	{ EX_OSERR,       "4.3.0", "system resource problem"      },
	{ EX_OSFILE,      "5.3.0", "critical OS file missing"     },
	{ EX_CANTCREAT,   "5.2.0", "can't create user output file"},
	{ EX_IOERR,       "5.3.0", "input/output error"           },
	{ EX_TEMPFAIL,    "4.3.0", "temporary failure"            },
	{ EX_PROTOCOL,    "5.5.0", "remote error in protocol"     },
	{ EX_NOPERM,      "5.7.0", "permission denied"            },
	{ EX_CONFIG,      "5.3.5", "local configuration error"    },
};

/* NUL-ended texts one after another as a vector. */
static char **
vector(struct str all, size_t *n)
{
	size_t most = 1;
	char **v, *copy = str_dup(all);

	for (size_t i = 0; i < all.n; i++)
		most += all.p[i] == '\0';
	v = mem_array(most + 1, sizeof *v);
	*n = 0;
	for (size_t at = 0; at < all.n; at += strlen(copy + at) + 1)
		v[(*n)++] = copy + at;
	return v;
}

static bool
needs_shell(const char *word)
{
	return strpbrk(word, "\t\n !\"#$&'()*;<=>?[\\]^`{|}~%") != NULL;
}

/* In the child.  Returns only when it could not. */
static void
become_command(const struct delivering *d, int in, int said)
{
	size_t nargs, nenv;
	char **argv = vector(d->r.argv, &nargs), **env = vector(d->r.env, &nenv);
	char *shell[] = { mem_dup("sh"), mem_dup("-c"), argv[0], NULL }, *dir = str_dup(d->r.path);

	setpgid(0, 0);
	/* If deliver is killed nobody would end it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(in, 0) < 0 || dup2(said, 1) < 0 || dup2(said, 2) < 0)
		_exit(EX_TEMPFAIL);
	proc_close_from(3);
	signal(SIGPIPE, SIG_DFL);
	if (chdir(d->r.path.n > 0 ? dir : "/") != 0) {
		dprintf(2, "4.3.5 cannot change to directory %s: %s\n", dir, strerror(errno));
		_exit(EX_TEMPFAIL);
	}
	if (nargs == 1 && !(d->r.flags & DROP_NO_SHELL) && needs_shell(argv[0]))
		execve("/bin/sh", shell, env);
	else if (nargs > 0)
		execvpe(argv[0], argv, env);
	dprintf(2, "4.3.5 cannot run %s: %s\n", nargs > 0 ? argv[0] : "nothing", strerror(errno));
	_exit(EX_TEMPFAIL);
}

/* A command under way. */
struct running {
	struct delivering *d;
	pid_t pid;
	int to, from; /* -1: closed */
	struct timespec end;
	struct buf said;
	bool timed_out;
};

static int
left_ms(const struct running *r)
{
	struct timespec now;
	int64_t ms;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ms =
	    (int64_t)(r->end.tv_sec - now.tv_sec) * 1000 + (r->end.tv_nsec - now.tv_nsec) / 1000000;
	return ms <= 0 ? 0 : ms > 3600000 ? 3600000 : (int)ms;
}

static void
hear(struct running *r)
{
	char piece[4096];
	ssize_t n = read(r->from, piece, sizeof piece);

	if (n > 0) {
		if (r->said.n + (size_t)n > SAID_MAX)
			buf_drop(&r->said, r->said.n < (size_t)n ? r->said.n : (size_t)n);
		(void)!buf_add(&r->said, (struct str){ piece, (size_t)n });
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		close(r->from);
		r->from = -1;
	}
}

/* Wait until more can be written, listening meanwhile.  False: time is up. */
static bool
wait_for_it(struct running *r)
{
	struct pollfd p[2] = {
		{.fd = r->from, .events = POLLIN },
                { .fd = r->to,  .events = POLLOUT}
	};
	int ms = left_ms(r);

	if (ms == 0 || (poll(p, 2, ms) < 0 && errno != EINTR)) {
		r->timed_out = true;
		return false;
	}
	if (p[0].revents)
		hear(r);
	return true;
}

/* One that does not want to hear it all is not at fault. */
static enum err
write_command(void *arg, struct str piece)
{
	struct running *r = arg;

	while (piece.n > 0 && r->to >= 0) {
		ssize_t n = write(r->to, piece.p, piece.n);

		if (n > 0) {
			piece = str_sub(piece, (size_t)n, piece.n);
		} else if (errno == EAGAIN) {
			if (!wait_for_it(r))
				return E_TIMEOUT;
		} else if (errno != EINTR) {
			close(r->to);
			r->to = -1;
		}
	}
	return OK;
}

/* After all was written: until it has said everything, or time is up; then its exit status. */
static int
finish(struct running *r)
{
	int status = 0;
	pid_t ended = 0;

	if (r->to >= 0)
		close(r->to);
	r->to = -1;
	while (!r->timed_out && ended == 0) {
		if (r->from >= 0 ? !wait_for_it(r) : left_ms(r) == 0)
			r->timed_out = true;
		ended = waitpid(r->pid, &status, WNOHANG);
		if (ended == 0 && r->from < 0)
			usleep(10000);
	}
	if (ended == 0) {
		kill(-r->pid, SIGKILL);
		kill(r->pid, SIGKILL);
		while (waitpid(r->pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	/* What it said just before its end; children that it left behind may keep the pipe open. */
	for (int i = 0; i < 16 && r->from >= 0; i++) {
		struct pollfd p = { .fd = r->from, .events = POLLIN };

		if (poll(&p, 1, 0) <= 0)
			break;
		hear(r);
	}
	return status;
}

/* "5.7.1 text" at the start of what it said is its own verdict. */
static bool
own_code(struct str said, char esc[ESC_MAX], struct str *text)
{
	size_t n = esc_length(said, 4);

	if (n == 0)
		n = esc_length(said, 5);
	if (n == 0)
		return false;
	snprintf(esc, ESC_MAX, "%.*s", STR_ARG(str_sub(said, 0, n)));
	*text = str_trim(str_sub(said, n, said.n));
	return true;
}

static enum err
judge(struct running *r, int status)
{
	struct delivering *d = r->d;
	struct str said, text;
	struct buf clean = BUF(2 * SAID_MAX);
	char own[ESC_MAX], words[64];
	const char *esc = "5.3.0", *what = words;
	enum err e;
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);

	(void)!buf_add_clean(&clean, str_trim(buf_str(&r->said)));
	said = text = buf_str(&clean);
	d->status = code;
	(void)!buf_add(&d->output, said);
	if (r->timed_out) {
		esc = "4.3.0";
		what = "Command time limit exceeded";
	} else if (code == 0) {
		buf_free(&clean);
		return OK;
	} else if (WIFSIGNALED(status)) {
		esc = "4.3.0";
		snprintf(words, sizeof words, "Command died with signal %d", WTERMSIG(status));
	} else {
		snprintf(words, sizeof words, "Command died with status %d", code);
		for (size_t i = 0; i < countof(meanings); i++)
			if (meanings[i].status == code) {
				esc = meanings[i].esc;
				what = meanings[i].words;
			}
		if (own_code(said, own, &text))
			esc = own;
	}
	e = deliver_fail(d, esc[0] == '4' ? E_DEFERRED : E_REFUSED, esc, "%s%s%.*s", what,
	    text.n > 0 ? ". Command output: " : "", STR_ARG(str_sub(text, 0, 200)));
	buf_free(&clean);
	return e;
}

enum err
deliver_command(struct delivering *d)
{
	struct running r = { .d = d, .said = BUF(2 * SAID_MAX) };
	int in[2], said[2], status;
	enum err e = OK;

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(said, O_CLOEXEC) < 0)
		return fail_errno("pipe");
	clock_gettime(CLOCK_MONOTONIC, &r.end);
	r.end.tv_sec += d->r.seconds;
	signal(SIGPIPE, SIG_IGN);
	if ((r.pid = fork()) < 0)
		return fail_errno("fork");
	if (r.pid == 0)
		become_command(d, in[0], said[1]);
	close(in[0]);
	close(said[1]);
	r.to = in[1];
	r.from = said[0];
	TRY(fd_nonblock(r.to, true));
	TRY(fd_nonblock(r.from, true));
	if (!(d->r.flags & DROP_NO_CONTENT))
		e = deliver_copy(d, write_command, &r);
	/* The message could not be read to its end: the command must not believe that it has seen
	 * it. */
	if (e != OK && e != E_TIMEOUT) {
		char why[ERR_WHY_MAX];

		snprintf(why, sizeof why, "%s", err_why());
		kill(-r.pid, SIGKILL);
		kill(r.pid, SIGKILL);
		(void)finish(&r);
		return fail(e, "%s", why);
	}
	status = finish(&r);
	e = judge(&r, status);
	buf_free(&r.said);
	return e;
}
