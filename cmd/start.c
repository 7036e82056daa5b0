/* SPDX-License-Identifier: Apache-2.0 */
/* start, start-fg and check: they run master, which knows how. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "spool/spool.h"
#include "util/proc.h"

enum { START_SECONDS = 60 };

static void
run_master(const struct cmd *c, const struct params *p, const char *how, int ready)
{
	char path[4200], fd[16];
	const char *argv[8] = { path, "-c", c->dir };
	int n = 3;

	snprintf(path, sizeof path, "%s/master", p->daemon_directory);
	if (how)
		argv[n++] = how;
	if (c->verbose)
		argv[n++] = "-v";
	if (ready >= 0) {
		snprintf(fd, sizeof fd, "%d", ready);
		argv[n++] = "-w";
		argv[n++] = fd;
	}
	execv(path, (char **)argv);
	cmd_warn(c, "%s: %s", path, strerror(errno));
	_exit(1);
}

/* What master says on the pipe: "ready", or why not, or nothing when it died. */
static enum err
await(int fd, struct buf *said)
{
	struct time end = time_after(time_now(), START_SECONDS);

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		char piece[512];
		ssize_t n;

		if (poll(&p, 1, (int)time_ms_until(end)) <= 0)
			return fail(
			    E_TIMEOUT, "not ready after %d seconds; see the log", START_SECONDS);
		n = read(fd, piece, sizeof piece);
		if (n <= 0)
			return OK;
		if (!buf_add(said, (struct str){ piece, (size_t)n }))
			return OK;
	}
}

static int
outcome(const struct cmd *c, const struct params *p, int fd)
{
	struct buf said = BUF(0);
	enum err e = await(fd, &said);
	bool good = e == OK && str_eq(str_trim(buf_str(&said)), STR("ready"));
	struct str rest = buf_str(&said), line;

	(void)p;
	if (!good && said.n == 0)
		cmd_warn(c, "%s", e == OK ? "master died; see the log" : err_why());
	while (!good && str_cut(&rest, '\n', &line))
		cmd_warn(c, "fatal: %.*s", STR_ARG(line));
	buf_free(&said);
	return good ? 0 : 1;
}

int
cmd_start(struct cmd *c, int argc, char **argv)
{
	struct params p;
	int pipe_fd[2], status;
	pid_t pid;

	(void)argc;
	(void)argv;
	if (!cmd_params(c, &p))
		return 1;
	if (pipe2(pipe_fd, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		cmd_warn(c, "%s", strerror(errno));
		return 1;
	}
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		/* A second child is nobody's, so that nobody need wait for it. */
		if (setsid() < 0 || fork() != 0)
			_exit(0);
		fcntl(pipe_fd[1], F_SETFD, 0);
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		run_master(c, &p, NULL, pipe_fd[1]);
	}
	close(pipe_fd[1]);
	waitpid(pid, &status, 0);
	status = outcome(c, &p, pipe_fd[0]);
	params_fini(&p);
	return status;
}

int
cmd_start_fg(struct cmd *c, int argc, char **argv)
{
	struct params p;

	(void)argc;
	(void)argv;
	if (!cmd_params(c, &p))
		return 1;
	run_master(c, &p, "-f", -1);
	return 1;
}

/* Is the spool's file system fit for it? */
static bool
spool_is_fit(const struct cmd *c, const struct params *p)
{
	struct spool *s = NULL;
	enum err e;

	if (access(p->queue_directory, F_OK) != 0)
		return true; /* it will be made by the first start */
	e = spool_open(p->queue_directory, spool_sync_of(p->spool_sync), false, &s);
	if (e == OK)
		e = spool_self_test(s);
	if (e != OK)
		cmd_warn(c, "error: %s", err_why());
	spool_close(&s);
	return e == OK;
}

int
cmd_check(struct cmd *c, int argc, char **argv)
{
	struct params p;
	int status = 1;
	bool fit;
	pid_t pid;

	(void)argc;
	(void)argv;
	if (!cmd_params(c, &p))
		return 1;
	fflush(NULL);
	if ((pid = fork()) == 0)
		run_master(c, &p, "-C", -1);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		cmd_warn(c, "%s", strerror(errno));
	fit = spool_is_fit(c, &p);
	params_fini(&p);
	return status == 0 && fit ? 0 : 1;
}
