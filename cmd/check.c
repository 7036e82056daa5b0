/* SPDX-License-Identifier: Apache-2.0 */
/* check: what a start would stumble over. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/instance.h"
#include "spool/spool.h"
#include "util/mem.h"

bool
check_configuration(const struct cmd *c, const struct params *p)
{
	int status = 1;
	pid_t pid;

	fflush(NULL);
	if ((pid = fork()) == 0) {
		exec_master(c, p, "-C", -1);
		_exit(1);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		cmd_warn(c, "error: run master: %s", strerror(errno));
	return status == 0;
}

/* Can path be a directory of ours: is it one, or could it be made? */
static bool
directory_is_usable(const struct cmd *c, const char *setting, struct str path)
{
	char *copy = str_dup(path), *slash;
	bool usable;
	struct stat st;

	while (stat(copy, &st) < 0 && errno == ENOENT && (slash = strrchr(copy, '/')) != NULL && slash > copy)
		*slash = '\0';
	usable = stat(copy, &st) == 0 && S_ISDIR(st.st_mode) && access(copy, W_OK | X_OK) == 0;
	if (!usable)
		cmd_warn(c, "error: %s: %s: %s", setting, copy,
		    stat(copy, &st) == 0 && !S_ISDIR(st.st_mode) ? "not a directory" : strerror(errno));
	free(copy);
	return usable;
}

static bool
directories_are_usable(const struct cmd *c, const struct params *p)
{
	struct str log = str_of(p->maillog_file);
	bool good = directory_is_usable(c, "queue_directory", str_of(p->queue_directory));

	good = directory_is_usable(c, "data_directory", str_of(p->data_directory)) && good;
	if (log.n > 0 && !str_starts(log, STR("/dev/")) && str_rfind(log, '/') < log.n)
		good = directory_is_usable(c, "maillog_file", str_sub(log, 0, str_rfind(log, '/') + 1)) && good;
	return good;
}

/* Is the spool's file system fit for it? */
static bool
spool_is_fit(const struct cmd *c, const struct params *p)
{
	struct spool *s = NULL;
	enum err e;

	if (access(p->queue_directory, F_OK) != 0)
		return true;                           /* it will be made by the first start */
	e = spool_open(p->queue_directory, spool_sync_of(p->spool_sync), false, &s);
	if (e == OK)
		e = spool_self_test(s);
	if (e != OK)
		cmd_warn(c, "error: %s", err_why());
	spool_close(&s);
	return e == OK;
}

int
cmd_check(struct cmd *c, int argc, char **argv)
{
	struct params p;
	bool good;

	(void)argc;
	(void)argv;
	if (!cmd_params(c, &p))
		return 1;
	good = check_configuration(c, &p);
	if (directories_are_usable(c, &p))
		good = spool_is_fit(c, &p) && good;
	else
		good = false;
	params_fini(&p);
	return good ? 0 : 1;
}
