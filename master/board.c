/* SPDX-License-Identifier: Apache-2.0 */
#include "master/board.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/listen.h"
#include "util/fault.h"
#include "util/log.h"
#include "util/proc.h"

enum { LOCK_RETRY_MS = 20, KILLED_LIMIT = 5 };

static unsigned last_slot;

/* Only a process that has this very file open at a child's place for it is one of ours. */
static bool
has_open(pid_t pid, int fd)
{
	char path[64];
	struct stat theirs, ours;

	snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, (int)SERVICE_FD_BOARD);
	return stat(path, &theirs) == 0 && fstat(fd, &ours) == 0 && theirs.st_dev == ours.st_dev &&
	    theirs.st_ino == ours.st_ino;
}

static void
kill_former_children(const struct board *b, int fd)
{
	for (size_t i = 1; i < BOARD_SLOTS; i++) {
		pid_t pid = b->slot[i].pid;

		if (pid > 1 && has_open(pid, fd)) {
			log_warn("killing process %d of a former master, which does not end", (int)pid);
			kill(pid, SIGKILL);
		}
	}
}

static bool
lock(int fd, int patience)
{
	struct time limit = time_after(time_now(), patience);

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (!time_before(time_now(), limit))
			return false;
		poll(NULL, 0, LOCK_RETRY_MS);
	}
	return true;
}

enum err
board_open(const char *data_directory, int *fd)
{
	struct buf path = BUF(0);
	enum err e = OK;
	int low;

	buf_printf(&path, "%s/board", data_directory);
	low = sys_open(buf_cstr(&path), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (low < 0 || (*fd = fd_high(low)) < 0) {
		e = fail_errno("open %s", buf_cstr(&path));
		if (low >= 0)
			close(low);
	} else if (ftruncate(*fd, sizeof(struct board)) < 0) {
		e = fail_errno("resize %s", buf_cstr(&path));
	} else if ((errno = posix_fallocate(*fd, 0, sizeof(struct board))) != 0) {
		/* Rather than SIGBUS at a page that a full disk has no room for. */
		e = fail_errno("resize %s", buf_cstr(&path));
	}
	buf_free(&path);
	return e;
}

enum err
board_take_over(int fd, int patience, struct board **board)
{
	struct board *b = FAULT(mmap) ? MAP_FAILED
				      : mmap(NULL, sizeof *b, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (b == MAP_FAILED)
		return fail_errno("map the board");
	if (!lock(fd, patience)) {
		kill_former_children(b, fd);
		if (!lock(fd, KILLED_LIMIT))
			return fail(E_BUSY, "processes of a former master are still there: they hold the board");
	}
	memset((void *)b, 0, sizeof *b);
	/* Where the round starts: not where a master that was just replaced had started its own. */
	last_slot = (unsigned)(wall_seconds(wall_now()) * 61 % (BOARD_SLOTS - 1));
	*board = b;
	return OK;
}

static void
name_service(char out[sizeof((struct board_slot *)0)->service], const char *name, const char *prog)
{
	bool same = strcmp(name, prog) == 0;

	snprintf(out, sizeof((struct board_slot *)0)->service, "%s%s%s", prog, same ? "" : " ", same ? "" : name);
}

unsigned
board_take(struct board *b, const char *name, const char *prog, unsigned generation)
{
	for (unsigned tries = 1; tries < BOARD_SLOTS; tries++) {
		unsigned i = last_slot = last_slot % (BOARD_SLOTS - 1) + 1;
		struct board_slot *s = &b->slot[i];

		if (s->pid != 0)
			continue;
		s->pid = -1;
		s->generation = generation;
		s->beats = s->served = 0;
		s->sessions = s->given = 0;
		s->overloaded_until = 0;
		name_service(s->service, name, prog);
		return i;
	}
	return 0;
}

void
board_give_back(struct board *b, unsigned slot)
{
	b->slot[slot].pid = 0;
	b->slot[slot].sessions = b->slot[slot].given = 0;
	b->slot[slot].overloaded_until = 0;
}

/* NULL: it has none. */
static struct board_trouble *
trouble_of(struct board *b, const char *service)
{
	for (size_t i = 0; i < BOARD_TROUBLES; i++)
		if (b->trouble[i].deaths > 0 && strcmp(b->trouble[i].service, service) == 0)
			return &b->trouble[i];
	return NULL;
}

/* NULL: very many have trouble, and one more does not matter. */
static struct board_trouble *
trouble_new(struct board *b, const char *service)
{
	for (size_t i = 0; i < BOARD_TROUBLES; i++) {
		struct board_trouble *t = &b->trouble[i];

		if (t->deaths > 0)
			continue;
		snprintf(t->service, sizeof t->service, "%s", service);
		t->since = wall_now().us;
		return t;
	}
	return NULL;
}

void
board_fails(struct board *b, const char *name, const char *prog, unsigned deaths, int seconds, const char *why)
{
	char service[sizeof((struct board_slot *)0)->service];
	struct board_trouble *t;

	name_service(service, name, prog);
	if ((t = trouble_of(b, service)) == NULL && (t = trouble_new(b, service)) == NULL)
		return;
	snprintf(t->why, sizeof t->why, "%s", why);
	t->next = wall_now().us + (int64_t)seconds * 1000000;
	t->deaths = deaths;
}

void
board_works(struct board *b, const char *name, const char *prog)
{
	char service[sizeof((struct board_slot *)0)->service];
	struct board_trouble *t;

	name_service(service, name, prog);
	if ((t = trouble_of(b, service)) != NULL)
		t->deaths = 0;
}
