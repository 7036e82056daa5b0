/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors in the event loop.
 *
 * A descriptor is told to epoll when someone first waits for it, so one that never makes us wait
 * costs no call, and asking for it then reports what is ready already.  Edges that come while
 * nobody waits are kept as `hot`; a peer's close is kept for good, for no second edge follows
 * it.  Writing is watched only once it had to be waited for: on a UNIX socket every byte the
 * peer takes would be an event. */
#include "util/task.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "util/fault.h"
#include "util/log.h"
#include "util/loop.h"

enum kind { FD_NONE, FD_EDGE, FD_SHARED };
enum { EVENTS = 256, LISTEN_AGAIN_MS = 50 };

struct slot {
	struct fd_wait *waiter[2];                     /* reading, writing */
	/* tells an old descriptor's last events from the new one's */
	uint32_t        use;
	uint8_t         kind;
	uint8_t         armed;                         /* directions epoll watches */
	uint8_t         hot;                           /* directions with an edge nobody took */
	uint8_t         hup;                           /* directions the peer has closed */
};

static struct {
	struct slot *slots;
	size_t       n;
	int          epoll;
	int         *shared;                           /* listeners; few */
	size_t       nshared;
} fds = { .epoll = -1 };

int fd_loop(void) { return fds.epoll; }

static struct slot *
slot_of(int fd)
{
	ENSURE(fd >= 0 && (size_t)fd < fds.n && fds.slots[fd].kind != FD_NONE);
	return &fds.slots[fd];
}

static struct fd_wait **
waiter_of(struct slot *s, int direction)
{
	return &s->waiter[direction == FD_WRITE];
}

/* Hand an event to who waits for it; false when nobody took it. */
static bool
give(struct slot *s, int direction, enum err e)
{
	struct fd_wait **at = waiter_of(s, direction), *w = *at;

	*at = NULL;
	return w && w->ready(w, e);
}

static bool
control(int op, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events };

	ev.data.u64 = (uint64_t)fds.slots[fd].use << 32 | (uint32_t)fd;
	return !FAULT(epoll_ctl) && epoll_ctl(fds.epoll, op, fd, &ev) == 0;
}

static enum err
arm(struct slot *s, int fd, int direction)
{
	uint8_t want = (uint8_t)(s->armed | FD_READ | direction);
	uint32_t events = EPOLLIN | EPOLLRDHUP | EPOLLET | (want & FD_WRITE ? EPOLLOUT : 0U);
	bool done;

	if (want == s->armed)
		return OK;
	if (s->kind == FD_SHARED) {
		ENSURE(direction == FD_READ);
		events = EPOLLIN | EPOLLEXCLUSIVE;
	}
	done = control(s->armed ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, events);
	if (!done && errno == EEXIST && s->kind == FD_EDGE)    /* left over from an earlier use */
		done = control(EPOLL_CTL_MOD, fd, events);
	if (!done)
		return fail_errno("epoll_ctl");
	s->armed = want;
	return OK;
}

static void
disarm(struct slot *s, int fd)
{
	struct epoll_event none = { 0 };

	if (s->armed && fds.epoll >= 0)
		epoll_ctl(fds.epoll, EPOLL_CTL_DEL, fd, &none);
	s->armed = 0;
}

static enum err
add(int fd, enum kind kind)
{
	struct slot *s;
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || (!(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0))
		return fail_errno("fcntl");
	if ((size_t)fd >= fds.n) {
		size_t n = fds.n ? fds.n : 64;

		while (n <= (size_t)fd)
			n *= 2;
		fds.slots = mem_grow(fds.slots, n * sizeof *fds.slots);
		memset(fds.slots + fds.n, 0, (n - fds.n) * sizeof *fds.slots);
		fds.n = n;
	}
	s = &fds.slots[fd];
	if (s->kind != FD_NONE)
		fd_forget(fd);                         /* it was closed behind our back */
	s->kind = (uint8_t)kind;
	return OK;
}

enum err task_fd_add(int fd) { return add(fd, FD_EDGE); }

enum err
task_fd_add_shared(int fd)
{
	TRY(add(fd, FD_SHARED));
	fds.shared = mem_grow(fds.shared, (fds.nshared + 1) * sizeof *fds.shared);
	fds.shared[fds.nshared++] = fd;
	return OK;
}

void
fd_forget(int fd)
{
	struct slot *s = slot_of(fd);

	if (s->kind == FD_SHARED) {
		size_t i = 0;

		while (i < fds.nshared && fds.shared[i] != fd)
			i++;
		if (i < fds.nshared)
			fds.shared[i] = fds.shared[--fds.nshared];
	}
	s->kind = FD_NONE;
	s->armed = s->hot = s->hup = 0;
	s->use++;
	give(s, FD_READ, E_EOF);
	give(&fds.slots[fd], FD_WRITE, E_EOF);
}

void
task_fd_del(int fd)
{
	disarm(slot_of(fd), fd);
	fd_forget(fd);
}

enum err
fd_ask(int fd, int direction, struct fd_wait *w)
{
	struct slot *s = slot_of(fd);

	ENSURE(direction == FD_READ || direction == FD_WRITE);
	ENSURE(*waiter_of(s, direction) == NULL);
	TRY(arm(s, fd, direction));
	*waiter_of(s, direction) = w;
	return OK;
}

void
fd_withdraw(int fd, int direction, struct fd_wait *w)
{
	if ((size_t)fd < fds.n && *waiter_of(&fds.slots[fd], direction) == w)
		*waiter_of(&fds.slots[fd], direction) = NULL;
}

static bool wake_task(struct fd_wait *w, enum err e) { return loop_wake(w->arg, e); }

enum err
task_wait_fd(int fd, int direction, struct time deadline)
{
	struct slot *s = slot_of(fd);
	struct fd_wait w = { .ready = wake_task, .arg = loop.self };
	enum err e;

	ENSURE(loop.self);
	if (loop.self->stopping)
		return E_STOPPED;
	if ((s->hot | s->hup) & direction) {
		s->hot = (uint8_t)(s->hot & ~direction);
		return OK;
	}
	TRY(fd_ask(fd, direction, &w));
	e = loop_wait(deadline, true);
	fd_withdraw(fd, direction, &w);
	return e;
}

enum err
task_listen_fd(int fd)
{
	enum err e;

	while ((e = task_wait_fd(fd, FD_READ, TIME_NEVER)) != OK && e != E_STOPPED && e != E_EOF)
		TRY(task_sleep(time_after_ms(time_now(), LISTEN_AGAIN_MS)));
	return e;
}

static void
deliver(int fd, uint32_t events)
{
	struct slot *s = &fds.slots[fd];
	bool in = events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
	bool out = events & (EPOLLOUT | EPOLLHUP | EPOLLERR);

	if (s->kind == FD_SHARED) {
		if (!give(s, FD_READ, OK))
			disarm(s, fd);
		return;
	}
	if (events & EPOLLHUP)
		s->hup = FD_READ | FD_WRITE;
	else if (events & EPOLLRDHUP)
		s->hup |= FD_READ;
	if (in && !give(s, FD_READ, OK))
		s->hot |= FD_READ;
	if (out && !give(&fds.slots[fd], FD_WRITE, OK)) {
		s = &fds.slots[fd];
		if (in || !(s->armed & FD_WRITE))
			s->hot |= FD_WRITE;
		else if (control(EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLRDHUP | EPOLLET))
			s->armed = FD_READ;            /* nobody wants to know any more */
	}
}

/* A connection wakes one of the processes that sleep on the listener.  If that one has nobody to
 * accept it, the connection would lie there unseen; so it does not sleep on it. */
static void
leave_unattended(void)
{
	for (size_t i = 0; i < fds.nshared; i++) {
		struct slot *s = &fds.slots[fds.shared[i]];

		if (s->armed && s->waiter[0] == NULL)
			disarm(s, fds.shared[i]);
	}
}

void
fd_poll(int timeout_ms)
{
	struct epoll_event events[EVENTS];
	int n;

	if (timeout_ms != 0)
		leave_unattended();
	n = epoll_wait(fds.epoll, events, EVENTS, timeout_ms);
	ENSURE(n >= 0 || errno == EINTR);
	for (int i = 0; i < n; i++) {
		uint32_t fd = (uint32_t)events[i].data.u64;

		if (fd < fds.n && fds.slots[fd].kind != FD_NONE &&
		    fds.slots[fd].use == events[i].data.u64 >> 32)
			deliver((int)fd, events[i].events);
	}
}

void
fd_begin(void)
{
	fds.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (fds.epoll < 0)
		log_panic("epoll_create1: %s", strerror(errno));
}

/* Descriptors stay added, for the next task_run(). */
void
fd_end(void)
{
	close(fds.epoll);
	fds.epoll = -1;
	for (size_t i = 0; i < fds.n; i++) {
		struct slot *s = &fds.slots[i];

		s->waiter[0] = s->waiter[1] = NULL;
		s->armed = s->hot = s->hup = 0;
	}
}

void
task_raise(int eventfd)
{
	ssize_t n;

	do
		n = write(eventfd, &(uint64_t){ 1 }, sizeof(uint64_t));
	while (n < 0 && errno == EINTR);
	/* Were it lost, somebody would wait for ever; a process that ends is started anew.
	 * EAGAIN: it is raised as high as can be. */
	ENSURE(n == sizeof(uint64_t) || (n < 0 && errno == EAGAIN));
}
