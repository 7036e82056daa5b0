/* SPDX-License-Identifier: Apache-2.0 */
/* check: what a start would stumble over. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/check.h"
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
directory_is_usable(struct check *k, const char *setting, struct str path)
{
	char *copy = str_dup(path), *slash;
	bool usable;
	struct stat st;

	while (stat(copy, &st) < 0 && errno == ENOENT && (slash = strrchr(copy, '/')) != NULL && slash > copy)
		*slash = '\0';
	usable = stat(copy, &st) == 0 && S_ISDIR(st.st_mode) && access(copy, W_OK | X_OK) == 0;
	if (!usable)
		check_error(k, "%s: %s: %s", setting, copy,
		    stat(copy, &st) == 0 && !S_ISDIR(st.st_mode) ? "not a directory" : strerror(errno));
	free(copy);
	return usable;
}

static bool
directories_are_usable(struct check *k)
{
	const struct params *p = k->p;
	struct str log = str_of(p->maillog_file);
	bool good = directory_is_usable(k, "queue_directory", str_of(p->queue_directory));

	good = directory_is_usable(k, "data_directory", str_of(p->data_directory)) && good;
	if (log.n > 0 && !str_starts(log, STR("/dev/")) && str_rfind(log, '/') < log.n)
		good = directory_is_usable(k, "maillog_file", str_sub(log, 0, str_rfind(log, '/') + 1)) && good;
	return good;
}

/* Is the spool's file system fit for it? */
static void
spool_is_fit(struct check *k)
{
	const struct params *p = k->p;
	struct spool *s = NULL;
	enum err e;

	if (access(p->queue_directory, F_OK) != 0)
		return;                                /* it will be made by the first start */
	e = spool_open(p->queue_directory, spool_sync_of(p->spool_sync), false, &s);
	if (e == OK)
		e = spool_self_test(s);
	if (e != OK)
		check_error(k, "%s", err_why());
	spool_close(&s);
}

/* What master finds in its files; a line each. */
static void
note_lines(struct check *k, FILE *from)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t n;

	while ((n = getline(&line, &room, from)) > 0) {
		struct str text = str_trim((struct str){ line, (size_t)n });
		bool warning = str_starts(text, STR("warning: "));

		if (warning || str_starts(text, STR("error: ")))
			text = str_sub(text, warning ? 9 : 7, text.n);
		if (text.n > 0)
			check_note(k, warning ? SEVERITY_WARNING : SEVERITY_ERROR, "%.*s", STR_ARG(text));
	}
	free(line);
}

static void
check_with_master(struct check *k)
{
	int ends[2], status = 1;
	FILE *from;
	pid_t pid;

	fflush(NULL);
	if (pipe(ends) != 0 || (pid = fork()) < 0) {
		check_error(k, "run master: %s", strerror(errno));
		return;
	}
	if (pid == 0) {
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		exec_master(k->c, k->p, "-C", -1);
		_exit(1);
	}
	close(ends[1]);
	if ((from = fdopen(ends[0], "r")) != NULL) {
		size_t before = k->n;

		note_lines(k, from);
		fclose(from);
		if (waitpid(pid, &status, 0) == pid && status != 0 && k->n == before)
			check_error(k, "master refuses the configuration and does not say why");
	}
}

/* main.cf cannot be used: its errors are all there is to say. */
static int
report_settings(const struct cmd *c)
{
	struct params none = { 0 };
	struct check k = { .c = c, .p = &none };
	struct str why = str_of(err_why()), line;

	while (str_cut(&why, '\n', &line))
		check_error(&k, "%.*s", STR_ARG(line));
	return check_report(&k);
}

static int
check_all(struct cmd *c, struct params *p)
{
	struct check k = { .c = c, .p = p };

	check_with_master(&k);
	check_tables(&k);
	check_names(&k);
	check_relay(&k);
	check_services(&k);
	check_files(&k);
	if (directories_are_usable(&k))
		spool_is_fit(&k);
	return check_report(&k);
}

int
cmd_check(struct cmd *c, int argc, char **argv)
{
	bool spool = argc == 2 && strcmp(argv[1], "--spool") == 0;
	struct params p;
	int status;

	if (argc > 1 && !spool) {
		cmd_warn(c, "usage: postroad check [--spool] [--json]");
		return 64;
	}
	if (params_load(&p, c->dir, NULL, 0) != OK)
		return report_settings(c);
	status = spool ? check_spool(c, &p) : check_all(c, &p);
	params_fini(&p);
	return status;
}
