/* SPDX-License-Identifier: Apache-2.0 */
/* What io and ipc have in common: one try at a socket, and memory for input. */
#include <errno.h>
#include <sys/socket.h>

#include "util/loop.h"

#ifdef __SANITIZE_ADDRESS__
/* so that a line kept too long is found out */
enum { IN_CACHED = 0 };
#else
enum { IN_CACHED = 64 };
#endif

enum err
fd_trouble(const char *what)
{
	switch (errno) {
	case ECONNRESET:
	case EPIPE:
	case ENOTCONN:
	case ETIMEDOUT:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case ENETDOWN:
	case EHOSTDOWN:
		return fail(E_EOF, "%s: %s", what, strerror(errno));
	default:
		return fail(E_IO, "%s: %s", what, strerror(errno));
	}
}

enum err
fd_recv(int fd, char *p, size_t room, size_t *n)
{
	ssize_t r;

	do
		r = recv(fd, p, room, MSG_DONTWAIT);
	while (r < 0 && errno == EINTR);
	*n = r > 0 ? (size_t)r : 0;
	if (r > 0 || (r < 0 && errno == EAGAIN))
		return OK;
	return r == 0 ? fail(E_EOF, "connection closed by peer") : fd_trouble("recv");
}

enum err
fd_send(int fd, struct str s, int flags, size_t *n)
{
	ssize_t r;

	do
		r = send(fd, s.p, s.n, flags | MSG_NOSIGNAL | MSG_DONTWAIT);
	while (r < 0 && errno == EINTR);
	*n = r > 0 ? (size_t)r : 0;
	return r >= 0 || errno == EAGAIN ? OK : fd_trouble("send");
}

static struct {
	char  *free[IN_CACHED + 1];
	size_t n;
} in_cache;

char *
in_take(void)
{
	return in_cache.n > 0 ? in_cache.free[--in_cache.n] : mem_grow(NULL, IN_SIZE);
}

void
in_give(char *p)
{
	if (in_cache.n + 1 <= IN_CACHED)
		in_cache.free[in_cache.n++] = p;
	else
		free(p);
}
