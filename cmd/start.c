/* SPDX-License-Identifier: Apache-2.0 */
/* start, start-fg and set-permissions: they become, or wait for, master. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/instance.h"

enum { START_SECONDS = 60 };

/* What master says on the pipe: "ready", or why not, or nothing when it died. */
static enum err
await(int fd, struct buf *said)
{
	struct time end = time_after(time_now(), START_SECONDS);

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int got = poll(&p, 1, (int)time_ms_until(end));
		char piece[512];
		ssize_t n;

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return fail(
			    E_TIMEOUT, "not ready after %d seconds; see the log", START_SECONDS);
		n = read(fd, piece, sizeof piece);
		if (n <= 0 || !buf_add(said, (struct str){ piece, (size_t)n }))
			return OK;
	}
}

static int
outcome(const struct cmd *c, int fd)
{
	struct buf said = BUF(0);
	enum err e = await(fd, &said);
	bool good = e == OK && str_eq(buf_str(&said), STR("ready"));
	struct str rest = buf_str(&said), line;

	if (!good && said.n == 0)
		cmd_warn(c, "fatal: %s", e == OK ? "master died; see the log" : err_why());
	while (!good && str_cut(&rest, '\n', &line))
		cmd_warn(c, "fatal: %.*s", STR_ARG(line));
	buf_free(&said);
	return good ? 0 : 1;
}

/* In a child: leave our terminal and session for good.  A second child is nobody's, so that nobody
 * need wait for it. */
static void
__attribute__((noreturn))
detach(const struct cmd *c, const struct params *p, int ready)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (setsid() < 0 || fork() != 0)
		_exit(0);
	/* A group of its own, for one signal to reach all of it.  Standard error is master's to
	 * close: until then it may be needed to say that there is no master to run. */
	setpgid(0, 0);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	exec_master(c, p, NULL, ready);
	_exit(1);
}

int
cmd_start(struct cmd *c, int argc, char **argv)
{
	struct params p;
	int ends[2], status;
	pid_t pid;

	(void)argc;
	(void)argv;
	if (!cmd_params(c, &p))
		return 1;
	if (pipe2(ends, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		cmd_warn(c, "fatal: %s", strerror(errno));
		params_fini(&p);
		return 1;
	}
	if (pid == 0)
		detach(c, &p, ends[1]);
	close(ends[1]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	status = outcome(c, ends[0]);
	close(ends[0]);
	params_fini(&p);
	return status;
}

/* Become master; returns only when that cannot be. */
static int
become_master(struct cmd *c, const char *how)
{
	struct params p;

	if (!cmd_params(c, &p))
		return 1;
	exec_master(c, &p, how, -1);
	params_fini(&p);
	return 1;
}

int
cmd_set_permissions(struct cmd *c, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return become_master(c, "-p");
}

int
cmd_start_fg(struct cmd *c, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return become_master(c, "-f");
}
