/* SPDX-License-Identifier: Apache-2.0 */
/* stop, abort, reload and status: words with a running master. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "mail/service.h"
#include "util/proc.h"

enum { STEP_US = 20000, STOP_GRACE_SECONDS = 10, ABORT_SECONDS = 5 };

static pid_t
running(const struct params *p)
{
	char path[4200];

	snprintf(path, sizeof path, "%s/master.lock", p->data_directory);
	return proc_lock_holder(path);
}

static const struct board *
board(const struct params *p)
{
	char path[4200];
	struct stat st;
	void *m = MAP_FAILED;
	int fd;

	snprintf(path, sizeof path, "%s/board", p->data_directory);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		return NULL;
	if (fstat(fd, &st) == 0 && (size_t)st.st_size >= sizeof(struct board))
		m = mmap(NULL, sizeof(struct board), PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	return m == MAP_FAILED ? NULL : m;
}

/* Is anything of this instance alive: master, or a child that outlived it? */
static bool
all_down(const struct params *p, const struct board *b)
{
	if (running(p) != 0)
		return false;
	for (size_t i = 0; b && i < BOARD_SLOTS; i++)
		if (b->slot[i].pid > 0 && i > 0 && kill(b->slot[i].pid, 0) == 0)
			return false;
	return true;
}

static bool
wait_down(const struct params *p, int64_t seconds)
{
	struct time end = time_after(time_now(), seconds);
	const struct board *b = board(p);

	while (!all_down(p, b)) {
		if (!time_before(time_now(), end))
			return false;
		usleep(STEP_US);
	}
	return true;
}

/* The signal to master's whole process group: nothing of it may stay. */
static void
kill_all(const struct params *p, pid_t master)
{
	const struct board *b = board(p);

	if (master > 0) {
		kill(-master, SIGKILL);
		kill(master, SIGKILL);
	}
	for (size_t i = 1; b && i < BOARD_SLOTS; i++)
		if (b->slot[i].pid > 1)
			kill(b->slot[i].pid, SIGKILL);
}

static int
end(struct cmd *c, bool gently)
{
	struct params p;
	pid_t pid;
	bool down;

	if (!cmd_params(c, &p))
		return 1;
	pid = running(&p);
	if (pid == 0) {
		cmd_warn(c, "the mail system is not running");
		params_fini(&p);
		return 1;
	}
	if (gently && kill(pid, SIGTERM) < 0) {
		cmd_warn(c, "pid %d: %s", (int)pid, strerror(errno));
		params_fini(&p);
		return 1;
	}
	down = gently && wait_down(&p, p.stop_drain_time + STOP_GRACE_SECONDS);
	if (!down) {
		kill_all(&p, pid);
		down = wait_down(&p, ABORT_SECONDS);
	}
	if (!down)
		cmd_warn(c, "something is still running");
	params_fini(&p);
	return down ? 0 : 1;
}

int
cmd_stop(struct cmd *c, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return end(c, true);
}

int
cmd_abort(struct cmd *c, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return end(c, false);
}

/* A configuration that cannot be used is refused here, where somebody reads the words; master would
 * refuse it too. */
int
cmd_reload(struct cmd *c, int argc, char **argv)
{
	struct params p;
	int status = cmd_check(c, argc, argv);
	pid_t pid;

	if (status != 0 || !cmd_params(c, &p))
		return 1;
	pid = running(&p);
	if (pid == 0)
		cmd_warn(c, "the mail system is not running");
	else if (kill(pid, SIGHUP) < 0)
		cmd_warn(c, "pid %d: %s", (int)pid, strerror(errno));
	params_fini(&p);
	return pid == 0;
}

struct sum {
	const char *service;
	unsigned processes;
	uint64_t sessions, served;
};

static size_t
add_up(const struct board *b, struct sum *sums, size_t max)
{
	size_t n = 0, k;

	for (size_t i = 0; i < BOARD_SLOTS; i++) {
		const struct board_slot *s = &b->slot[i];

		if (s->pid <= 0)
			continue;
		for (k = 0; k < n && strcmp(sums[k].service, s->service) != 0; k++)
			;
		if (k == max)
			continue;
		if (k == n)
			sums[n++] = (struct sum){ .service = s->service };
		sums[k].processes++;
		sums[k].sessions += s->sessions;
		sums[k].served += s->served;
	}
	return n;
}

int
cmd_status(struct cmd *c, int argc, char **argv)
{
	struct params p;
	struct sum sums[64];
	const struct board *b;
	size_t n = 0;
	pid_t pid;

	(void)argc;
	(void)argv;
	if (!cmd_params(c, &p))
		return 1;
	pid = running(&p);
	b = board(&p);
	if (pid != 0 && b)
		n = add_up(b, sums, 64);
	if (c->json)
		printf("{\"running\": %s, \"pid\": %d, \"services\": [", pid ? "true" : "false",
		    (int)pid);
	else if (pid)
		printf("The mail system is running, pid %d.\n%-28s %9s %9s %9s\n", (int)pid,
		    "service", "processes", "sessions", "served");
	else
		printf("The mail system is not running.\n");
	for (size_t i = 0; i < n; i++)
		printf(c->json ? "%s{\"service\": \"%s\", \"processes\": %u, \"sessions\": %" PRIu64
				 ", \"served\": %" PRIu64 "}"
			       : "%s%-28s %9u %9" PRIu64 " %9" PRIu64 "\n",
		    c->json && i > 0 ? ", " : "", sums[i].service, sums[i].processes,
		    sums[i].sessions, sums[i].served);
	if (c->json)
		printf("]}\n");
	params_fini(&p);
	return pid ? 0 : 1;
}
