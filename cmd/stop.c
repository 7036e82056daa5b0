/* SPDX-License-Identifier: Apache-2.0 */
/* stop, abort and reload: words with a running master. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#include "cmd/instance.h"

enum { STOP_GRACE_SECONDS = 10, ABORT_SECONDS = 5, RELOAD_SECONDS = 60, STEP_MS = 20 };

/* 0, having said so, when it is not running. */
static pid_t
find(struct cmd *c, const struct instance *i)
{
	pid_t pid = instance_pid(i);

	if (pid == 0)
		cmd_warn(c, "fatal: the Postroad mail system is not running");
	return pid;
}

static bool
tell(struct cmd *c, pid_t pid, int sig)
{
	if (kill(pid, sig) == 0 || errno == ESRCH)
		return true;
	cmd_warn(c, "fatal: signal to master, pid %d: %s", (int)pid, strerror(errno));
	return false;
}

/* sig asks for the end; who is still there after so many seconds is killed. */
static int
end(struct cmd *c, const struct params *p, int sig, int64_t seconds)
{
	struct instance i;
	bool down = false;
	pid_t pid;

	instance_open(&i, p);
	if ((pid = find(c, &i)) != 0 && tell(c, pid, sig)) {
		down = instance_await_end(&i, seconds);
		if (!down) {
			cmd_warn(c, "warning: it does not end; killing it");
			instance_kill(&i);
			down = instance_await_end(&i, ABORT_SECONDS);
			if (!down)
				cmd_warn(c, "fatal: something is still running");
		}
	}
	instance_close(&i);
	return down ? 0 : 1;
}

/* Settings are read only to find the instance, and for how long a stop may take. */
static int
end_with(struct cmd *c, int sig)
{
	struct params p;
	int status;

	if (!cmd_params(c, &p))
		return 1;
	status = end(c, &p, sig, sig == SIGTERM ? p.stop_drain_time + STOP_GRACE_SECONDS : ABORT_SECONDS);
	params_fini(&p);
	return status;
}

int
cmd_stop(struct cmd *c, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return end_with(c, SIGTERM);
}

int
cmd_abort(struct cmd *c, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return end_with(c, SIGQUIT);
}

/* Master counts the reloads it has done, and those it refused, on its place of the board. */
static bool
reload(struct cmd *c, const struct instance *i, pid_t pid)
{
	const struct board_slot *m = i->board ? &i->board->slot[0] : NULL;
	uint64_t done = m ? m->served : 0;
	uint32_t refused = m ? m->sessions : 0;
	struct time limit = time_after(time_now(), RELOAD_SECONDS);

	if (!tell(c, pid, SIGHUP))
		return false;
	while (m && m->served == done) {
		if (m->sessions != refused) {
			cmd_warn(c, "fatal: master refused the new settings and goes on with the "
				    "old ones; see the log");
			return false;
		}
		if (instance_pid(i) != pid) {
			cmd_warn(c, "fatal: master is gone; see the log");
			return false;
		}
		if (!time_before(time_now(), limit)) {
			cmd_warn(c,
			    "warning: after %d seconds some services still run with the old "
			    "settings; see the log",
			    RELOAD_SECONDS);
			return false;
		}
		poll(NULL, 0, STEP_MS);
	}
	return true;
}

/* A configuration that cannot be used is refused here, where somebody reads the words; master would
 * refuse it too. */
int
cmd_reload(struct cmd *c, int argc, char **argv)
{
	struct instance i;
	struct params p;
	bool good = false;
	pid_t pid;

	(void)argc;
	(void)argv;
	if (!cmd_params(c, &p))
		return 1;
	instance_open(&i, &p);
	if ((pid = find(c, &i)) != 0 && check_configuration(c, &p))
		good = reload(c, &i, pid);
	instance_close(&i);
	params_fini(&p);
	return good ? 0 : 1;
}
