/* SPDX-License-Identifier: Apache-2.0 */
/* world.h - a session of smtpd's over a socket pair, with a spool of its own; for tests. */
#ifndef TESTS_UNIT_SMTPD_WORLD_H
#define TESTS_UNIT_SMTPD_WORLD_H

#include <stdio.h>
#include <unistd.h>

#include "intake/intake.h"
#include "smtpd/clients.h"
#include "smtpd/session.h"
#include "tests/unit/check.h"
#include "tests/unit/scratch.h"
#include "util/log.h"
#include "util/proc.h"

struct world {
	char           dir[64];
	struct service service;
	struct smtpd   smtpd;
	struct tasks   own;
	struct addr    client;
	struct io     *peer;                           /* the client's end */
};

static struct time later(void) { return time_after(time_now(), 60); }

/* A server with these settings ("name=value", up to a NULL) on top of the usual ones. */
static void
set_up(struct world *w, const char *const *settings)
{
	char queue[96], data[96], main_cf[96];
	const char *set[32] = { queue, data, "local_recipient_maps=", "myhostname=mx.test", "mydestination=here.test", "relay_domains=",
		"mynetworks=10.0.0.0/8", "smtpd_peername_lookup=no", "spool_sync=none", "queue_minfree_inodes=0",
		"smtpd_soft_error_limit=100000", "smtpd_hard_error_limit=100000", "smtpd_junk_command_limit=100000" };
	size_t n = 13;

	memset(w, 0, sizeof *w);
	log_stderr("session_test");
	strcpy(w->dir, "/tmp/postroad-session-XXXXXX");
	CHECK(mkdtemp(w->dir) != NULL);
	snprintf(main_cf, sizeof main_cf, "%s/main.cf", w->dir);
	CHECK(proc_write_file(main_cf, STR(""), 0600) == OK);
	snprintf(queue, sizeof queue, "queue_directory=%s/spool", w->dir);
	snprintf(data, sizeof data, "data_directory=%s", w->dir);
	while (settings && *settings)
		set[n++] = *settings++;
	CHECK(params_load(&w->service.params, w->dir, set, n) == OK);
	w->service.name = "smtp";
	w->service.board = mem_new(sizeof *w->service.board);
	w->smtpd.service = &w->service;
	w->smtpd.params = &w->service.params;
	CHECK(spool_open(w->service.params.queue_directory, SYNC_NONE, false, &w->smtpd.spool) == OK);
	list_init(&w->smtpd.sessions);
	wait_init(&w->smtpd.room);
	wait_init(&w->smtpd.drained);
	wait_init(&w->smtpd.occupied);
	tasks_init(&w->smtpd.group);
	tasks_init(&w->own);
	w->smtpd.clients = clients_open(&w->service);
	w->service.config_dir = w->dir;
	CHECK(intake_start(&w->service, "smtpd", w->smtpd.spool, &w->own, &w->smtpd.intake) == OK);
	CHECK(addr_parse(STR("192.0.2.1"), 0, &w->client) == OK);
}

static void
tear_down(struct world *w)
{
	tasks_wait(&w->smtpd.group);
	CHECK(w->smtpd.nsessions == 0 && w->smtpd.memory == 0);
	tasks_stop(&w->own);
	intake_free(&w->smtpd.intake);
	clients_close(&w->smtpd.clients);
	spool_close(&w->smtpd.spool);
	params_fini(&w->service.params);
	free(w->service.board);
	scratch_remove(w->dir);
}

static void
call(struct world *w)
{
	int fd[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == 0);
	CHECK(task_fd_add(fd[1]) == OK);
	w->peer = io_new(fd[1], 4096);
	CHECK(session_start(&w->smtpd, fd[0], &w->client));
}

/* The code of the next reply; 0: the server hung up.  text gets its last line. */
static int
hear(struct world *w, struct buf *text)
{
	struct str line = STR("");
	enum io_ending ending;
	uint64_t code = 0;

	do
		if (io_line(w->peer, &line, &ending, later()) != OK)
			return 0;
	while (line.n > 3 && line.p[3] == '-');
	CHECK(ending == END_CRLF);
	CHECK(str_u64(str_sub(line, 0, 3), &code));
	if (text) {
		buf_clear(text);
		CHECK(buf_add(text, line));
	}
	return (int)code;
}

static int
tell(struct world *w, const char *line)
{
	io_print(w->peer, "%s\r\n", line);
	CHECK(io_flush(w->peer, later()) == OK);
	return hear(w, NULL);
}

static void
hang_up(struct world *w)
{
	io_close(&w->peer);
	tasks_wait(&w->smtpd.group);
}

static void
count_id(void *arg, uint64_t id)
{
	(void)id;
	++*(size_t *)arg;
}

static size_t
messages(struct world *w)
{
	size_t n = 0;

	CHECK(spool_ids(w->smtpd.spool, SPOOL_INCOMING, count_id, &n) == OK);
	return n;
}

#endif
