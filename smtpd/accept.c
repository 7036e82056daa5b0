/* SPDX-License-Identifier: Apache-2.0 */
#include <netinet/tcp.h>
#include <unistd.h>

#include "smtpd/session.h"
#include "util/log.h"

enum { RETRY_MS = 200 };

struct acceptor {
	struct smtpd *smtpd;
	int           fd;
};

static bool
is_full(const struct smtpd *d)
{
	return d->nsessions >= (size_t)d->params->smtpd_client_limit;
}

/* While we are full, connections must wake our siblings and not us: the socket leaves the loop, and the list of those
 * that the service closes when it is told to end. */
static void
leave(struct acceptor *a)
{
	struct service *s = a->smtpd->service;
	size_t i = 0;

	while (i < s->nlisten && s->listen[i] != a->fd)
		i++;
	ENSURE(i < s->nlisten);
	s->listen[i] = s->listen[--s->nlisten];
	task_fd_del(a->fd);
}

static enum err
rejoin(struct acceptor *a)
{
	struct service *s = a->smtpd->service;

	TRY(task_fd_add_shared(a->fd));
	s->listen[s->nlisten++] = a->fd;
	return OK;
}

static WAITS enum err
wait_for_room(struct acceptor *a)
{
	struct smtpd *d = a->smtpd;
	enum err e = OK;

	service_full(true);
	leave(a);
	while (e == OK && service_phase() == PHASE_RUN && is_full(d))
		e = wait_park(&d->room, TIME_NEVER);
	if (e != OK || service_phase() != PHASE_RUN) {
		close(a->fd);
		return E_STOPPED;
	}
	wait_wake(&d->room);                           /* there may be room for another acceptor too */
	service_full(false);
	return rejoin(a);
}

/* Out of descriptors or memory: what is there must do, until sessions end. */
static WAITS enum err
next_client(struct acceptor *a)
{
	struct addr client;
	int fd;
	enum err e = net_accept(a->fd, &fd, &client, TIME_NEVER);

	if (e == OK) {
		session_start(a->smtpd, fd, &client);
		return OK;
	}
	if (e == E_STOPPED || e == E_EOF || service_phase() != PHASE_RUN)
		return E_STOPPED;
	log_warn("%s", err_why());
	return task_sleep(time_after_ms(time_now(), RETRY_MS));
}

static void
accept_clients(void *arg)
{
	struct acceptor *a = arg;
	enum err e = OK;

	while (e == OK && service_phase() == PHASE_RUN)
		e = is_full(a->smtpd) ? wait_for_room(a) : next_client(a);
	if (e != OK && e != E_STOPPED)
		log_error("no longer accepting: %s", err_why());
	free(a);
}

void
accept_start(struct smtpd *smtpd, struct tasks *g)
{
	struct service *s = smtpd->service;

	for (size_t i = 0; i < s->nlisten; i++) {
		struct acceptor *a = mem_new(sizeof *a);

		a->smtpd = smtpd;
		a->fd = s->listen[i];
		/* Replies leave in whole writes, and acknowledge what they answer; accepted sockets inherit this.
		 * Harmless on a UNIX socket. */
		setsockopt(a->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
		setsockopt(a->fd, IPPROTO_TCP, TCP_QUICKACK, &(int){ 0 }, sizeof(int));
		if (task_start(g, "accept", accept_clients, a) == NULL)
			log_starved("no memory for a task");
	}
}
