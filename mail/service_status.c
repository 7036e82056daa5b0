/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/service_status.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/log.h"
#include "util/proc.h"

enum { RETRY_MS = 50 };

static struct {
	struct service    *service;
	int                fd;
	void             (*reload)(void);
	enum service_phase phase;
	struct time        deadline;
	bool               ready;
	bool               full;
	struct wait        changed;
} status = { .fd = -1, .deadline = { INT64_MAX } };

void
status_setup(struct service *s, int fd, void (*reload)(void))
{
	status.service = s;
	status.fd = fd;
	status.reload = reload;
	status.phase = PHASE_RUN;
	status.deadline = TIME_NEVER;
	status.ready = status.full = false;
	wait_init(&status.changed);
}

struct service *
service_self(void)
{
	return status.service;
}

bool
status_say(char what)
{
	if (status.fd < 0)
		return true;
	/* Master reads at once or is dead; a full socket buffer means the latter. */
	return send(status.fd, &what, 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
}

void
service_ready(void)
{
	if (!status.ready)
		status.ready = status_say('R');
}

void
service_full(bool full)
{
	if (full != status.full && status_say(full ? 'F' : 'A'))
		status.full = full;
}

enum service_phase
service_phase(void)
{
	return status.phase;
}

struct time
service_deadline(void)
{
	return status.deadline;
}

void
service_wait(enum service_phase phase)
{
	while (status.phase == phase)
		if (wait_park(&status.changed, TIME_NEVER) != OK)
			return;
}

/* A process that takes no more must leave the event on a shared socket to its siblings, and must
 * not keep the socket of a service that is gone alive.  The descriptor's number stays taken, so
 * that an acceptor that tries once more finds /dev/null there and not a stranger. */
static void
stop_listening(bool master_gone)
{
	struct service *s = status.service;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (size_t i = 0; i < s->nlisten; i++) {
		/* All who share it are leaving: free the address for the next master, whoever is
		 * slow. */
		if (master_gone)
			shutdown(s->listen[i], SHUT_RDWR);
		task_fd_del(s->listen[i]);
		if (null >= 0)
			dup3(null, s->listen[i], O_CLOEXEC);
	}
	s->nlisten = 0;
	if (null >= 0)
		close(null);
}

static void
enter(enum service_phase phase, bool master_gone)
{
	if (phase <= status.phase)
		return;
	if (status.phase == PHASE_RUN)
		stop_listening(master_gone);
	status.phase = phase;
	if (phase == PHASE_HURRY)
		status.deadline = time_after(time_now(), status.service->params.stop_drain_time);
	wait_wake_all(&status.changed);
}

void
status_retire(void)
{
	enter(PHASE_RETIRE, false);
}

static void
obey(char what)
{
	switch (what) {
	case 'L':
		if (status.reload && status.phase == PHASE_RUN)
			status.reload();
		if (status.phase == PHASE_RUN)
			status_say('R');
		break;
	case 'Q':
		enter(PHASE_RETIRE, false);
		break;
	case 'X':
		enter(PHASE_HURRY, false);
		break;
	default:                                       /* 'P': to be woken is the answer */
		break;
	}
}

/* The log file comes along with 'L' when it was opened anew. */
static void
take_log(struct msghdr *m)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(m);
	int fd;

	if (c == NULL || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
	    c->cmsg_len != CMSG_LEN(sizeof fd))
		return;
	memcpy(&fd, CMSG_DATA(c), sizeof fd);
	dup3(fd, SERVICE_FD_LOG, O_CLOEXEC);
	close(fd);
}

static ssize_t
read_channel(char *bytes, size_t size)
{
	union {
		char           space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { bytes, size };
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control,
	};
	ssize_t n = recvmsg(status.fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n > 0)
		take_log(&m);
	return n;
}

static void
listen_to_master(void *arg)
{
	char bytes[16];
	ssize_t n;

	(void)arg;
	for (;;) {
		n = read_channel(bytes, sizeof bytes);
		for (ssize_t i = 0; i < n; i++)
			obey(bytes[i]);
		if (n > 0 || (n < 0 && errno == EINTR))
			continue;
		if (n == 0)
			break;
		/* Only the end of the channel says that master is gone: for any other trouble the sockets that all
		 * share must not be shut down. */
		if (errno == EAGAIN ? task_listen_fd(status.fd) != OK :
		    task_sleep(time_after_ms(time_now(), RETRY_MS)) != OK)
			return;
	}
	log_debug("master is gone");
	enter(PHASE_HURRY, true);
}

static void
listen_to_signals(void *arg)
{
	struct signalfd_siginfo info;
	sigset_t set;
	int fd;

	(void)arg;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0 || task_fd_add(fd) != OK) {
		log_warn("signalfd: %s; a TERM signal will not be heard", strerror(errno));
		if (fd >= 0)
			close(fd);
		return;
	}
	for (;;) {
		if (read(fd, &info, sizeof info) == (ssize_t)sizeof info)
			enter(PHASE_HURRY, false);
		else if (task_listen_fd(fd) != OK)
			break;
	}
	task_fd_del(fd);
	close(fd);
}

void
status_start(struct tasks *g)
{
	if (status.fd >= 0) {
		if (task_fd_add(status.fd) != OK)
			log_fatal("status channel: %s", err_why());
		if (task_start(g, "status", listen_to_master, NULL) == NULL)
			log_starved("no memory for a task");
	}
	if (task_start(g, "signals", listen_to_signals, NULL) == NULL)
		log_starved("no memory for a task");
}
