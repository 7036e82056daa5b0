/* SPDX-License-Identifier: Apache-2.0 */
#include "util/net.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/fault.h"

enum { SOCKET_FLAGS = SOCK_NONBLOCK | SOCK_CLOEXEC };

static enum err
close_and(int fd, enum err e)
{
	close(fd);
	return e;
}

enum err
net_listen(const struct addr *a, int backlog, int *fd)
{
	static const int on = 1;
	char text[ADDR_TEXT];
	int s = socket(a->sa.sa_family, SOCK_STREAM | SOCKET_FLAGS, 0);

	addr_text(a, text);
	if (s < 0)
		return fail_errno("socket for %s", text);
	/* Accepted sockets inherit TCP_NODELAY: io.h gathers output already. */
	if (setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
	    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
	    (a->sa.sa_family == AF_INET6 &&
		setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0))
		return close_and(s, fail_errno("set up the socket for %s", text));
	if (bind(s, &a->sa, a->len) != 0 || listen(s, backlog) != 0) {
		enum err e = fail_errno("listen on %s port %u", text, addr_port(a));

		return close_and(s, errno == EADDRINUSE ? E_BUSY : e);
	}
	*fd = s;
	return OK;
}

static enum err
unix_addr(const char *path, struct addr *a)
{
	*a = (struct addr){ .len = sizeof a->un };
	a->un.sun_family = AF_UNIX;
	if (strlen(path) >= sizeof a->un.sun_path)
		return fail(E_IO, "%s: name too long for a socket", path);
	memcpy(a->un.sun_path, path, strlen(path) + 1);
	return OK;
}

/* Remove the socket at path if nobody listens on it. */
static enum err
remove_stale(const struct addr *a)
{
	const char *path = a->un.sun_path;
	struct stat st;
	int probe, rc, saved;

	if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return fail(E_EXISTS, "%s exists and is not a socket", path);
	if ((probe = socket(AF_UNIX, SOCK_STREAM | SOCKET_FLAGS, 0)) < 0)
		return fail_errno("socket");
	rc = connect(probe, &a->sa, a->len);
	saved = errno;
	close(probe);
	if (rc == 0 || (saved != ECONNREFUSED && saved != ENOENT))
		return fail(E_BUSY, "%s is in use", path);
	if (unlink(path) != 0 && errno != ENOENT)
		return fail_errno("remove %s", path);
	return OK;
}

/* Nobody can connect before listen(), so the mode is right before anyone comes. */
static enum err
listen_at(int s, const struct addr *a, int backlog, unsigned mode)
{
	const char *path = a->un.sun_path;
	int rc = bind(s, &a->sa, a->len);

	if (rc != 0 && errno == EADDRINUSE) {
		TRY(remove_stale(a));
		rc = bind(s, &a->sa, a->len);
	}
	if (rc != 0)
		return fail_errno("bind %s", path);
	if (chmod(path, mode) != 0 || listen(s, backlog) != 0)
		return fail_errno("listen on %s", path);
	return OK;
}

enum err
net_listen_unix(const char *path, int backlog, unsigned mode, int *fd)
{
	struct addr a;
	enum err e;
	int s;

	TRY(unix_addr(path, &a));
	if ((s = socket(AF_UNIX, SOCK_STREAM | SOCKET_FLAGS, 0)) < 0)
		return fail_errno("socket for %s", path);
	if ((e = listen_at(s, &a, backlog, mode)) != OK)
		return close_and(s, e);
	*fd = s;
	return OK;
}

enum err
net_accept(int listen_fd, int *fd, struct addr *peer, struct time deadline)
{
	for (;;) {
		struct addr a = { .len = sizeof a.un };
		int s = FAULT(accept) ? -1 : accept4(listen_fd, &a.sa, &a.len, SOCKET_FLAGS);

		if (s >= 0) {
			addr_unmap(&a);
			if (peer)
				*peer = a;
			*fd = s;
			return OK;
		}
		switch (errno) {
		case EAGAIN:
			TRY(task_wait_fd(listen_fd, FD_READ, deadline));
			break;
		/* The trouble of one connection that came and went: accept(2) says to go on. */
		case EINTR: case ECONNABORTED: case ENETDOWN: case EPROTO: case ENOPROTOOPT: case EHOSTDOWN:
		case ENONET: case EHOSTUNREACH: case ENETUNREACH: case EPERM:
			break;
		default:
			return fail_errno("accept");
		}
	}
}

static enum err
cannot_connect(int errnum)
{
	char text[128];

	return fail(E_CONNECT, "%s", strerror_r(errnum, text, sizeof text));
}

/* After EINPROGRESS: wake-ups may be for nothing, so ask the socket. */
static enum err
await_connection(int s, struct time deadline)
{
	for (;;) {
		struct pollfd p = { .fd = s, .events = POLLOUT };
		socklen_t len = sizeof(int);
		int errnum = 0;
		enum err e;

		if (poll(&p, 1, 0) > 0) {
			if (getsockopt(s, SOL_SOCKET, SO_ERROR, &errnum, &len) != 0)
				errnum = errno;
			return errnum ? cannot_connect(errnum) : OK;
		}
		e = task_wait_fd(s, FD_WRITE, deadline);
		if (e == E_TIMEOUT)
			return cannot_connect(ETIMEDOUT);
		if (e != OK)
			return e;
	}
}

static enum err
connect_socket(int s, const struct addr *to, struct time deadline)
{
	enum { BACKLOG_PAUSE_MS = 10 };

	for (;;) {
		struct time now;

		if (!FAULT(connect) && connect(s, &to->sa, to->len) == 0)
			return OK;
		switch (errno) {
		case EINPROGRESS:
		case EINTR:
			return await_connection(s, deadline);
		case EAGAIN:
			if (to->sa.sa_family != AF_UNIX)
				return cannot_connect(errno);
			/* The listener's backlog is full, and nothing tells when it is not. */
			now = time_now();
			if (!time_before(now, deadline))
				return cannot_connect(ETIMEDOUT);
			TRY(task_sleep(time_min(deadline, time_after_ms(now, BACKLOG_PAUSE_MS))));
			break;
		default:
			return cannot_connect(errno);
		}
	}
}

static enum err
bind_from(int s, const struct addr *from)
{
	static const int on = 1;
	char text[ADDR_TEXT];

	/* With port 0 the kernel then chooses one that is free towards this peer, not towards all. */
	setsockopt(s, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
	if (bind(s, &from->sa, from->len) != 0)
		return fail(E_CONNECT, "cannot use local address %s: %m", addr_text(from, text));
	return OK;
}

static enum err
connect_new(const struct addr *to, const struct addr *from, struct time deadline, int *fd)
{
	static const int on = 1;
	int s = socket(to->sa.sa_family, SOCK_STREAM | SOCKET_FLAGS, 0);
	enum err e = OK;

	if (s < 0)
		return fail_errno("socket");
	if (to->sa.sa_family != AF_UNIX)
		setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (from && (e = bind_from(s, from)) != OK)
		return close_and(s, e);
	if ((e = task_fd_add(s)) != OK)
		return close_and(s, e);
	if ((e = connect_socket(s, to, deadline)) != OK) {
		task_fd_del(s);
		return close_and(s, e);
	}
	*fd = s;
	return OK;
}

enum err
net_connect(const struct addr *to, const struct addr *from, struct time deadline, int *fd)
{
	return connect_new(to, from, deadline, fd);
}

enum err
net_connect_unix(const char *path, struct time deadline, int *fd)
{
	struct addr a;

	TRY(unix_addr(path, &a));
	return connect_new(&a, NULL, deadline, fd);
}

enum err
net_peer_cred(int fd, int *pid, unsigned *uid)
{
	struct ucred c;
	socklen_t len = sizeof c;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len) != 0)
		return fail_errno("peer credentials");
	*pid = c.pid;
	*uid = c.uid;
	return OK;
}
