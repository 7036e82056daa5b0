/* SPDX-License-Identifier: Apache-2.0 */
#include "master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mail/identity.h"
#include "master/board.h"
#include "util/fault.h"
#include "util/log.h"
#include "util/mem.h"

/* A command line under construction; words that need memory are in it until it is freed. */
struct command {
	char      **argv;
	size_t      n;
	struct buf  path;
	struct buf  numbers[4];
};

static void
add(struct command *c, const char *option, const char *value)
{
	c->argv[c->n++] = (char *)(uintptr_t)option;
	if (value)
		c->argv[c->n++] = (char *)(uintptr_t)value;
}

static void
add_number(struct command *c, const char *option, size_t i, size_t value)
{
	buf_printf(&c->numbers[i], "%zu", value);
	add(c, option, c->numbers[i].p);
}

/* See mail/service.h. */
static void
command_make(struct command *c, const struct master *m, const struct crew *crew, unsigned slot)
{
	enum { OWN_WORDS = 24 };
	const struct table_entry *e = crew->entry;

	*c = (struct command){ 0 };
	c->argv = mem_array(OWN_WORDS + 2 * e->noverrides + e->nargs, sizeof *c->argv);
	buf_printf(&c->path, "%s/%s", m->params.daemon_directory, e->prog);
	add(c, e->prog, NULL);
	add(c, "-n", e->name);
	add(c, "-t", table_type_name(e->type));
	add(c, "-c", m->config_dir);
	if (crew->nlisteners)
		add_number(c, "-s", 0, crew->nlisteners);
	add_number(c, "-p", 3, crew->limit);
	add_number(c, "-S", 1, slot);
	add_number(c, "-g", 2, m->generation);
	if (e->unpriv && geteuid() == 0 && !m->all_as_root)
		add(c, "-u", identity_used(&m->params, identity_of(str_of(e->prog))));
	if (e->chroot)
		add(c, "-r", m->params.queue_directory);
	if (e->verbose || m->verbose)
		add(c, "-v", NULL);
	for (size_t i = 0; i < e->noverrides; i++)
		add(c, "-o", e->overrides[i].text);
	if (e->nargs)
		add(c, "--", NULL);
	for (size_t i = 0; i < e->nargs; i++)
		add(c, e->args[i], NULL);
}

static void
command_free(struct command *c)
{
	free(c->argv);
	buf_free(&c->path);
	for (size_t i = 0; i < countof(c->numbers); i++)
		buf_free(&c->numbers[i]);
}

/* It may take memory to have a descriptor with a higher number. */
static bool
place(int from, int to)
{
	if (from < 0)
		return close(to) == 0 || errno == EBADF;
	return dup2(from, to) >= 0;                    /* clears close-on-exec; from is never to */
}

/* When memory is short let the kernel take a worker, which is started again, and not master, whom nobody starts.
 * More than that little would make mail the first victim of others on the host. */
static void
be_the_victim(void)
{
	static const char more[] = "20";
	int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
	char now[8];

	/* What an administrator has said of the whole service is left alone. */
	if (fd >= 0 && read(fd, now, sizeof now) == 2 && now[0] == '0')
		(void)!pwrite(fd, more, sizeof more - 1, 0);
	if (fd >= 0)
		close(fd);
}

/* In the child of a process with threads: async-signal-safe calls only. */
static void
__attribute__((noreturn))
become(const struct master *m, const struct crew *c, const struct command *cmd, int status_fd)
{
	bool placed = place(m->log_fd, SERVICE_FD_LOG) && place(m->board_fd, SERVICE_FD_BOARD) &&
	    place(status_fd, SERVICE_FD_STATUS);
	char words[2] = "E";
	sigset_t none;

	for (size_t i = 0; placed && i < c->nlisteners; i++)
		placed = place(c->listeners[i]->fd, SERVICE_FD_LISTEN + (int)i);
	if (placed) {
		close_range(SERVICE_FD_LISTEN + (unsigned)c->nlisteners, ~0U, 0);
		signal(SIGPIPE, SIG_DFL);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		be_the_victim();
		execv(cmd->path.p, cmd->argv);
	}
	words[1] = (char)errno;
	(void)!write(placed ? SERVICE_FD_STATUS : status_fd, words, sizeof words);
	_exit(127);
}

/* The socket pair: ends[0] stays here, ends[1] is the child's. */
static bool
make_channel(int ends[2])
{
	int low[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, low) < 0)
		return false;
	for (int i = 0; i < 2; i++)
		ends[i] = fd_high(low[i]);
	if (ends[0] >= 0 && ends[1] >= 0)
		return true;
	for (int i = 0; i < 2; i++)
		close(ends[i] >= 0 ? ends[i] : low[i]);
	return false;
}

static struct worker *
worker_new(const struct master *m, struct crew *c, unsigned slot, const struct command *cmd)
{
	struct worker *w = mem_new(sizeof *w);

	w->crew = c;
	w->program = c->program;
	w->slot = slot;
	w->generation = m->generation;
	w->service = mem_dup(m->board->slot[slot].service);
	w->path = mem_dup(cmd->path.p);
	w->started = w->active = time_now();
	list_push(&c->workers, &w->link);
	return w;
}

void
worker_free(struct worker *w)
{
	list_remove(&w->link);
	if (w->status_fd >= 0)
		close(w->status_fd);
	free(w->service);
	free(w->path);
	free(w);
}

struct worker *
child_start(struct master *m, struct crew *c)
{
	const struct table_entry *e = c->entry;
	unsigned slot = board_take(m->board, e->name, e->prog, m->generation);
	struct worker *w = NULL;
	struct command cmd;
	int ends[2];
	pid_t pid = -1;

	if (slot == 0) {
		snprintf(c->unmade, sizeof c->unmade, "all %d places for processes are taken", (int)BOARD_SLOTS - 1);
		log_warn("service %s: %s", e->name, c->unmade);
		return NULL;
	}
	command_make(&cmd, m, c, slot);
	if (!make_channel(ends)) {
		snprintf(c->unmade, sizeof c->unmade, "status channel: %s", strerror(errno));
		log_warn("service %s: %s", e->name, c->unmade);
	} else if (FAULT(fork) || (pid = fork()) < 0) {
		snprintf(c->unmade, sizeof c->unmade, "fork: %s", strerror(errno));
		log_warn("fork for %s: %s", cmd.path.p, strerror(errno));
		close(ends[0]);
		close(ends[1]);
	} else if (pid == 0) {
		become(m, c, &cmd, ends[1]);
	} else {
		close(ends[1]);
		w = worker_new(m, c, slot, &cmd);
		w->pid = pid;
		w->status_fd = ends[0];
		m->board->slot[slot].pid = pid;
		log_debug("service %s: process %d started, generation %u", w->service, (int)pid, w->generation);
	}
	command_free(&cmd);
	if (w == NULL)
		board_give_back(m->board, slot);
	return w;
}

void
child_say(struct worker *w, char what)
{
	/* A full socket: it is frozen, and the limits will deal with it. */
	if (w->status_fd >= 0)
		(void)!send(w->status_fd, &what, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void
child_send_reload(struct master *m, struct worker *w)
{
	union {
		char           space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	char what = 'L';
	struct iovec iov = { &what, 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control,
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	if (m->log_fd < 0) {
		child_say(w, what);
		return;
	}
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof m->log_fd);
	memcpy(CMSG_DATA(c), &m->log_fd, sizeof m->log_fd);
	if (w->status_fd >= 0)
		(void)!sendmsg(w->status_fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void
understand(struct master *m, struct worker *w, char what)
{
	switch (what) {
	case 'C': w->can_reload = true; break;
	case 'F': w->full = true; break;
	case 'A': w->full = false; break;
	case 'R':
		if (w->ready && w->can_reload) {       /* said again: it has read its settings anew */
			w->outdated = false;
			w->generation = m->generation;
			m->board->slot[w->slot].generation = m->generation;
		}
		w->ready = true;
		if (w->crew) {
			w->crew->worked = w->generation;
			board_works(m->board, w->crew->entry->name, w->crew->entry->prog);
		}
		break;
	default: break;
	}
}

void
child_hear(struct master *m, struct worker *w)
{
	char said[64];
	ssize_t n;

	if (w->status_fd < 0)
		return;
	n = recv(w->status_fd, said, sizeof said, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		close(w->status_fd);
		w->status_fd = -1;
		return;
	}
	for (ssize_t i = 0; i < n; i++) {
		if (said[i] == 'E') {
			w->exec_error = i + 1 < n ? (unsigned char)said[i + 1] : ENOEXEC;
			break;
		}
		understand(m, w, said[i]);
	}
}

void
child_kill(struct worker *w)
{
	w->leaving = true;
	kill(w->pid, SIGKILL);
}

static struct worker *found;
static pid_t sought;

static void
match(struct master *m, struct worker *w)
{
	(void)m;
	if (w->pid == sought)
		found = w;
}

static void
buried(struct master *m, struct worker *w, int status)
{
	/* What it said last may still be unread. */
	child_hear(m, w);
	if (w->exec_error)
		log_line(LOG_L_FATAL, "exec %s: %s", w->path, strerror(w->exec_error));
	if (WIFSIGNALED(status) && !(w->leaving && WTERMSIG(status) == SIGKILL))
		log_warn("process %s pid %d killed by signal %d", w->path, (int)w->pid, WTERMSIG(status));
	else if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
		log_warn("process %s pid %d exit status %d", w->path, (int)w->pid, WEXITSTATUS(status));
	else
		log_debug("service %s: process %d ended", w->service, (int)w->pid);
	if (w->crew)
		crew_died(m, w, status);
	board_give_back(m->board, w->slot);
	worker_free(w);
}

void
children_reap(struct master *m)
{
	int status;

	while ((sought = waitpid(-1, &status, WNOHANG)) > 0) {
		found = NULL;
		each_worker(m, match);
		if (found)
			buried(m, found, status);
	}
}
