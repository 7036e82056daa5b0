/* SPDX-License-Identifier: Apache-2.0 */
#include "master/master.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "util/log.h"
#include "util/notify.h"

enum { TURN_MS = 500, BUSY_TURN_MS = 50 };

static void
each_of(struct master *m, struct list *workers, void (*each)(struct master *m, struct worker *w))
{
	LIST_EACH(workers, w, struct worker, link)
		each(m, w);
}

void
each_worker(struct master *m, void (*each)(struct master *m, struct worker *w))
{
	LIST_EACH(&m->crews, c, struct crew, link)
		each_of(m, &c->workers, each);
	each_of(m, &m->leaving, each);
}

bool
any_worker(struct master *m)
{
	LIST_EACH(&m->crews, c, struct crew, link)
		if (!list_empty(&c->workers))
			return true;
	return !list_empty(&m->leaving);
}

enum err
loop_setup_signals(struct master *m)
{
	static const int signals[] = { SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGQUIT };
	sigset_t set;
	int fd;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
		signal(signals[i], SIG_DFL);
		sigaddset(&set, signals[i]);
	}
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 ||
	    (fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)) < 0)
		return fail_errno("signalfd");
	if ((m->signal_fd = fd_high(fd)) < 0)
		return fail_errno("signalfd");
	return OK;
}

/* Descriptors and whose they are, made anew each turn; the first is the signals'. */
static struct {
	struct pollfd  fds[1 + BOARD_SLOTS];
	struct worker *workers[1 + BOARD_SLOTS];
	nfds_t         n;
} turn;

static void
add(struct master *m, struct worker *w)
{
	(void)m;
	if (w->status_fd < 0 || turn.n == sizeof turn.fds / sizeof *turn.fds)
		return;
	turn.workers[turn.n] = w;
	turn.fds[turn.n++] = (struct pollfd){ .fd = w->status_fd, .events = POLLIN };
}

/* Bad news: whoever waits sees the end of the pipe when we are gone, so that nothing is left when a
 * start has failed. */
static void
tell_starter(struct master *m, const char *text)
{
	if (m->ready_fd < 0)
		return;
	(void)!write(m->ready_fd, text, strlen(text));
	if (m->state == RUNNING)
		close(m->ready_fd);
	m->ready_fd = -1;
}

static void
hear_signal(struct master *m, int sig)
{
	switch (sig) {
	case SIGHUP:
		reload(m);
		break;
	case SIGINT:
	case SIGTERM:
		if (m->state == STOPPING)
			break;
		log_info("terminating on signal %d", sig);
		tell_starter(m, "stopped before it was ready");
		stop_begin(m, (int)m->params.stop_drain_time);
		break;
	case SIGQUIT:
		log_info("terminating at once on signal %d", sig);
		stop_at_once(m);
		break;
	default:
		break;
	}
}

static void
hear_signals(struct master *m)
{
	struct signalfd_siginfo info;

	while (read(m->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
		hear_signal(m, (int)info.ssi_signo);
	children_reap(m);
}

static bool
all_ready(struct master *m)
{
	LIST_EACH(&m->crews, c, struct crew, link)
		if (!crew_is_ready(c))
			return false;
	return true;
}

static void
name_the_late(struct master *m)
{
	LIST_EACH(&m->crews, c, struct crew, link)
		if (!crew_is_ready(c) && m->failure[0] == '\0')
			snprintf(m->failure, sizeof m->failure, "service %s (%s) is not ready in time", c->entry->name,
			    c->entry->prog);
}

/* Good news: all services are ready, in the generation of settings that was asked for last. */
static void
tell_manager(const struct master *m)
{
	notify_status(true, "takes and delivers mail; configuration %s, generation %u", m->config_dir, m->generation);
}

static void
tend_start(struct master *m, struct time now)
{
	enum { FAILED_DRAIN = 1 };

	if (!time_before(now, m->start_limit))
		name_the_late(m);
	if (m->failure[0]) {
		log_line(LOG_L_FATAL, "%s", m->failure);
		notify_status(false, "%s", m->failure);
		stop_begin(m, FAILED_DRAIN);
	} else if (all_ready(m)) {
		m->state = RUNNING;
		log_info("daemon started -- version %s, configuration %s", m->params.mail_version, m->config_dir);
		notify_send("MAINPID=%d", (int)getpid());
		tell_manager(m);
		tell_starter(m, "ready");
	}
}

static void
tend(struct master *m)
{
	struct time now = time_now();

	if (m->state == STOPPING)
		return;
	if (m->failure[0] == '\0') {
		watch(m, now);
		LIST_EACH(&m->crews, c, struct crew, link)
			crew_tend(m, c, now);
	}
	if (m->state == STARTING)
		tend_start(m, now);
	if (m->reloading && all_ready(m)) {
		m->reloading = false;
		m->board->slot[0].served++;
		log_debug("reload is done");
		tell_manager(m);
	}
}

/* Without memory, or with more descriptors than we may have by now, nobody can tell which have something to say: then
 * all are asked. */
static void
wait_for_news(int milliseconds)
{
	if (poll(turn.fds, turn.n, milliseconds) >= 0 || errno == EINTR)
		return;
	if (errno != ENOMEM && errno != EAGAIN && errno != EINVAL)
		log_fatal("poll: %s", strerror(errno));
	nanosleep(&(struct timespec){ .tv_nsec = 50 * 1000 * 1000 }, NULL);
	for (nfds_t i = 0; i < turn.n; i++)
		turn.fds[i].revents = POLLIN;
}

void
loop_run(struct master *m)
{
	for (;;) {
		notify_watchdog();
		tend(m);
		if (m->state == STOPPING && stop_advance(m, time_now()))
			break;
		turn.n = 0;
		turn.fds[turn.n++] = (struct pollfd){ .fd = m->signal_fd, .events = POLLIN };
		each_worker(m, add);
		wait_for_news(m->state == RUNNING ? TURN_MS : BUSY_TURN_MS);
		/* Before the signals: they may bury a worker. */
		for (nfds_t i = 1; i < turn.n; i++)
			if (turn.fds[i].revents)
				child_hear(m, turn.workers[i]);
		if (turn.fds[0].revents)
			hear_signals(m);
	}
	tell_starter(m, m->failure);
}
