/* SPDX-License-Identifier: Apache-2.0 */
#include "master/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "mail/service.h"
#include "master/endpoint.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/proc.h"
#include "util/time.h"

enum { BACKLOG = 4096, RETRY_MS = 50 }; /* the kernel cuts the backlog to net.core.somaxconn */

int
fd_high(int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, FD_HIGH);

	if (high >= 0)
		close(fd);
	return high;
}

void
listeners_init(struct listeners *l)
{
	list_init(&l->all);
}

void
listeners_begin(struct listeners *l)
{
	LIST_EACH(&l->all, one, struct listener, link)
		one->wanted = one->fresh = false;
}

static struct listener *
find(struct listeners *l, const char *key)
{
	LIST_EACH(&l->all, one, struct listener, link)
		if (strcmp(one->key, key) == 0)
			return one;
	return NULL;
}

static enum err
listen_once(const char *key, const struct addr *a, int *fd)
{
	return a ? net_listen(a, BACKLOG, fd) : net_listen_unix(key, BACKLOG, 0666, fd);
}

/* Workers of a master that was killed may take a moment to let go. */
static enum err
listen_patiently(const char *key, const struct addr *a, int patience, int *fd)
{
	struct time limit = time_after(time_now(), patience);
	enum err e;

	while ((e = listen_once(key, a, fd)) == E_BUSY && time_before(time_now(), limit))
		poll(NULL, 0, RETRY_MS);
	return e;
}

/* a: NULL for a UNIX socket, whose key is its path. */
static enum err
want(
    struct listeners *l, const char *key, const struct addr *a, int patience, struct listener **out)
{
	struct listener *one = find(l, key);
	int fd, high;

	if (one && one->wanted)
		return fail(E_BUSY, "another service listens on %s", key);
	if (one == NULL) {
		TRY(listen_patiently(key, a, patience, &fd));
		if ((high = fd_high(fd)) < 0) {
			enum err e = fail_errno("listen on %s", key);

			close(fd);
			return e;
		}
		one = mem_new(sizeof *one);
		one->key = mem_dup(key);
		one->is_unix = a == NULL;
		one->fd = high;
		one->fresh = true;
		list_push(&l->all, &one->link);
	}
	one->wanted = true;
	*out = one;
	return OK;
}

static enum err
want_inet(struct listeners *l, const struct table_entry *e, const struct params *p, int patience,
    struct listener **out, size_t *n)
{
	struct addr addrs[SERVICE_LISTEN_MAX];
	char text[ADDR_TEXT], key[ADDR_TEXT + 16];
	size_t count;
	enum err err;

	TRY(endpoint_addresses(e->host, e->port, str_of(p->inet_interfaces),
	    str_of(p->inet_protocols), addrs, countof(addrs), &count));
	for (size_t i = 0; i < count; i++) {
		bool v6 = addrs[i].sa.sa_family == AF_INET6;

		snprintf(
		    key, sizeof key, v6 ? "[%s]:%u" : "%s:%u", addr_text(&addrs[i], text), e->port);
		err = want(l, key, &addrs[i], patience, &out[*n]);
		if (err == OK) {
			++*n;
		} else if (v6 && *n > 0 && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)) {
			/* "all" on a host that has no IPv6. */
			log_warn("%s: %s; going on without", e->name, err_why());
		} else {
			return err;
		}
	}
	return OK;
}

enum err
listeners_want(struct listeners *l, const struct table_entry *e, const struct params *p,
    int patience, struct listener **out, size_t *n)
{
	char path[sizeof((struct sockaddr_un *)0)->sun_path + 32];

	*n = 0;
	if (e->type == TYPE_INET)
		return want_inet(l, e, p, patience, out, n);
	snprintf(path, sizeof path, "%s/%s", e->private ? "private" : "public", e->name);
	TRY(want(l, path, NULL, patience, &out[0]));
	*n = 1;
	return OK;
}

static void
drop(struct listener *one)
{
	list_remove(&one->link);
	if (one->is_unix)
		unlink(one->key);
	close(one->fd);
	free(one->key);
	free(one);
}

void
listeners_commit(struct listeners *l)
{
	LIST_EACH(&l->all, one, struct listener, link)
		if (!one->wanted)
			drop(one);
}

void
listeners_rollback(struct listeners *l)
{
	LIST_EACH(&l->all, one, struct listener, link)
		if (one->fresh)
			drop(one);
}

void
listeners_fini(struct listeners *l)
{
	LIST_EACH(&l->all, one, struct listener, link)
		drop(one);
}

bool
listeners_pending(struct listener *const *l, size_t n)
{
	struct pollfd p[SERVICE_LISTEN_MAX];

	for (size_t i = 0; i < n; i++)
		p[i] = (struct pollfd){ .fd = l[i]->fd, .events = POLLIN };
	return poll(p, n, 0) > 0;
}
