/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/drop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/drop_wire.h"
#include "util/ipc.h"
#include "util/log.h"
#include "util/proc.h"

WIRE_DEFINE(drop_request, DROP_REQUEST)
WIRE_DEFINE(drop_answer, DROP_ANSWER)

/* deliver ends a command in time by itself; this is for a deliver that hangs. */
enum { GRACE_SECONDS = 30 };

void
drop_fini(struct drop *d)
{
	buf_free(&d->output);
}

/* Starting and reaping a process is done by a helper thread. */
struct child {
	const struct params *params;
	int                  content, socket;          /* descriptors it gets as 0 and 3; -1: none */
	pid_t                pid;
};

static enum err
spawn(void *arg)
{
	struct child *c = arg;
	const char *dir = c->params->daemon_directory[0] ? c->params->daemon_directory : proc_self_dir();
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	char path[4200], *argv[] = { path, NULL }, *env[] = { NULL };
	sigset_t none, all;
	int rc;

	snprintf(path, sizeof path, "%s/deliver", dir);
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	/* dup2() of a descriptor onto itself would leave it to be closed at exec: both are far above these. */
	if (c->content >= 0)
		posix_spawn_file_actions_adddup2(&files, c->content, 0);
	else
		posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&files, c->socket, DROP_FD);
	posix_spawn_file_actions_addclosefrom_np(&files, DROP_FD + 1);
	rc = posix_spawn(&c->pid, path, &files, &attr, argv, env);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	errno = rc;
	return rc == 0 ? OK : fail_errno("%s", path);
}

static enum err
reap(void *arg)
{
	const struct child *c = arg;

	while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
		;
	return OK;
}

static bool
put_request(const struct job *j, const struct drop *d, struct buf *out)
{
	return drop_request_put(out, &(struct drop_request){
	    .kind = (uint8_t)d->kind, .has_user = d->user != NULL, .user = str_of(d->user ? d->user : ""),
	    .uid = d->uid, .gid = d->gid, .path = d->path, .chroot = d->chroot, .argv = d->argv, .env = d->env,
	    .head = d->head, .flags = d->flags, .size_limit = d->size_limit, .seconds = (uint32_t)d->seconds,
	    .at = j->m.content_at, .size = j->m.size, .host = str_of(j->params->myhostname) });
}

static enum err
take_answer(struct drop *d, struct str body)
{
	struct drop_answer a;

	TRY(drop_answer_get(body, &a));
	d->status = (int)a.status;
	snprintf(d->esc, sizeof d->esc, "%.*s", STR_ARG(a.esc));
	if (!buf_add(&d->output, a.output))
		return fail(E_NOSPACE, "no memory");
	return a.err == OK ? OK : fail((enum err)a.err, "%.*s", STR_ARG(a.why));
}

static WAITS enum err
converse(struct job *j, struct drop *d, int fd)
{
	struct time limit = time_after(time_now(), d->seconds + GRACE_SECONDS);
	struct ipc *c = ipc_new(fd, DROP_FRAME_MAX, DROP_FRAME_MAX);
	struct buf *out = ipc_begin(c, DROP_TAG_REQUEST);
	bool fits = out && put_request(j, d, out);
	struct str body;
	uint16_t tag;
	enum err e = OK;

	if (!fits)
		e = fail(E_TOOBIG, "the delivery is too large to describe");
	else
		ipc_end(c);
	if (e == OK)
		e = ipc_flush(c, limit);
	if (e == OK)
		e = ipc_recv(c, &tag, &body, limit);
	if (e == OK)
		e = take_answer(d, body);
	else if (e == E_EOF)
		e = fail(E_IO, "deliver ended without an answer");
	ipc_free(&c);
	return e;
}

static WAITS enum err
run_child(struct job *j, struct drop *d, struct child *c, int fd)
{
	enum err e = task_offload(spawn, c);
	char why[ERR_WHY_MAX];

	close(c->socket);
	if (e == OK)
		e = task_fd_add(fd);
	if (e != OK) {
		close(fd);
		return e;
	}
	e = converse(j, d, fd);
	snprintf(why, sizeof why, "%s", err_why());
	if (e == E_TIMEOUT || e == E_STOPPED)
		kill(c->pid, SIGKILL);
	(void)!task_offload(reap, c);
	return e == OK ? OK : fail(e, "%s", why);
}

enum err
drop_run(struct job *j, struct drop *d)
{
	struct child c = { .params = j->params, .content = -1 };
	int ends[2];
	enum err e = OK;

	d->output = BUF(DROP_OUTPUT_MAX);
	d->status = 0;
	snprintf(d->esc, sizeof d->esc, "4.3.0");
	if (d->kind != DROP_READ && !(d->flags & DROP_NO_CONTENT))
		TRY(job_content(j, &c.content));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
		e = fail_errno("socketpair");
	} else {
		c.socket = ends[1];
		e = run_child(j, d, &c, ends[0]);
	}
	if (c.content >= 0)
		close(c.content);
	return e;
}
