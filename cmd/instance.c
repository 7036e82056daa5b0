/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/queue_sum.h"
#include "util/proc.h"

enum { STEP_MS = 20 };

static void
map_board(struct instance *i)
{
	struct stat st;
	void *m = MAP_FAILED;

	if ((i->board_fd = open(i->board_file, O_RDONLY | O_CLOEXEC)) < 0)
		return;
	if (fstat(i->board_fd, &st) == 0 && (size_t)st.st_size >= sizeof(struct board))
		m = mmap(NULL, sizeof(struct board), PROT_READ, MAP_SHARED, i->board_fd, 0);
	if (m != MAP_FAILED)
		i->board = m;
}

void
instance_open(struct instance *i, const struct params *p)
{
	*i = (struct instance){ .board_fd = -1 };
	/* Of master's two locks the one in a directory that is root's: what it says is believed
	 * when there is killing to do. */
	snprintf(i->lock, sizeof i->lock, "%s/pid/master.pid", p->queue_directory);
	snprintf(i->board_file, sizeof i->board_file, "%s/board", p->data_directory);
	map_board(i);
}

void
instance_close(struct instance *i)
{
	if (i->board)
		munmap((void *)(uintptr_t)i->board, sizeof *i->board);
	if (i->board_fd >= 0)
		close(i->board_fd);
	*i = (struct instance){ .board_fd = -1 };
}

pid_t
instance_pid(const struct instance *i)
{
	return proc_lock_holder(i->lock);
}

int64_t
instance_uptime(const struct instance *i)
{
	struct stat st;

	if (stat(i->lock, &st) < 0)
		return 0;
	return wall_seconds(wall_now()) - st.st_mtim.tv_sec;
}

bool
instance_owns(const struct instance *i, unsigned slot)
{
	pid_t pid = i->board ? i->board->slot[slot].pid : 0;
	struct stat theirs, ours;
	char path[64];

	if (slot == 0 || pid <= 1)
		return false;
	snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, (int)SERVICE_FD_BOARD);
	return stat(path, &theirs) == 0 && fstat(i->board_fd, &ours) == 0 &&
	    theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino;
}

/* What stands on the board may have been written over by a process that went mad. */
static bool
is_of(const char *field, size_t size, const char *service)
{
	size_t n = strlen(service);

	return n < size && memcmp(field, service, n) == 0 && field[n] == '\0';
}

pid_t
instance_process(const struct instance *i, const char *service)
{
	for (unsigned slot = 1; slot < BOARD_SLOTS && i->board; slot++) {
		const struct board_slot *s = &i->board->slot[slot];

		if (is_of(s->service, sizeof s->service, service) && instance_owns(i, slot))
			return s->pid;
	}
	return 0;
}

const struct board_trouble *
instance_trouble(const struct instance *i, const char *service)
{
	for (size_t n = 0; n < BOARD_TROUBLES && i->board; n++) {
		const struct board_trouble *t = &i->board->trouble[n];

		if (t->deaths > 0 && is_of(t->service, sizeof t->service, service))
			return t;
	}
	return NULL;
}

void
trouble_text(const struct board_trouble *t, struct buf *out)
{
	int64_t now = wall_now().us, wait = (t->next - now + 999999) / 1000000;
	char age[SHORT_TEXT];

	(void)buf_add_clean(out, (struct str){ t->why, strnlen(t->why, sizeof t->why) });
	buf_adds(out, " (");
	if (t->deaths > 1)
		buf_printf(out, "%u times in %s, ", t->deaths, text_of_age((now - t->since) / 1000000, age));
	if (wait > 0)
		buf_printf(out, "next try in %s)", text_of_age(wait, age));
	else
		buf_adds(out, "being tried again)");
}

static bool
has_ended(const struct instance *i)
{
	if (instance_pid(i) != 0)
		return false;
	for (unsigned slot = 1; slot < BOARD_SLOTS; slot++)
		if (instance_owns(i, slot))
			return false;
	return true;
}

bool
instance_await_end(const struct instance *i, int64_t seconds)
{
	struct time end = time_after(time_now(), seconds);

	while (!has_ended(i)) {
		if (!time_before(time_now(), end))
			return false;
		poll(NULL, 0, STEP_MS);
	}
	return true;
}

void
instance_kill(const struct instance *i)
{
	pid_t master = instance_pid(i);

	if (master > 0) {
		kill(master, SIGKILL);
		/* Its children are in its group, unless it runs in the foreground of somebody
		 * else's. */
		kill(-master, SIGKILL);
	}
	for (unsigned slot = 1; slot < BOARD_SLOTS; slot++)
		if (instance_owns(i, slot))
			kill(i->board->slot[slot].pid, SIGKILL);
}

void
exec_master(const struct cmd *c, const struct params *p, const char *how, int ready)
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
		fcntl(ready, F_SETFD, 0);
	}
	execv(path, (char **)(uintptr_t)argv);
	cmd_warn(c, "%s: %s", path, strerror(errno));
}
