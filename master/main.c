/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/board.h"
#include "master/master.h"
#include "util/fault.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/notify.h"
#include "util/proc.h"

enum { START_LIMIT = 30, LISTEN_PATIENCE = 5, BOARD_PATIENCE = 2, FILES_WANTED = 8192 };

static struct master master = { .log_fd = -1, .ready_fd = -1, .stdout_fd = -1 };

static void
usage(void)
{
	log_fatal("usage: master -c config_dir [-C | -p] [-f] [-v] [-w ready_fd] (see postroad start)");
}

static const char *
absolute(const char *dir)
{
	char *full = realpath(dir, NULL);

	if (full == NULL)
		log_fatal("configuration directory %s: %s", dir, strerror(errno));
	return full;
}

/* What it is started for. */
enum errand { RUN, CHECK_ONLY, PREPARE_ONLY };

/* -c: where; -C: only check and say what is wrong; -p: only make directories and set permissions; -f: stay in the
 * foreground; -w: say there when all is ready. */
static enum errand
parse(int argc, char **argv)
{
	enum errand errand = RUN;
	uint64_t fd;
	int c;

	while ((c = getopt(argc, argv, "c:Cfpvw:")) != -1) {
		switch (c) {
		case 'c': master.config_dir = absolute(optarg); break;
		case 'C': errand = CHECK_ONLY; break;
		case 'f': master.foreground = true; break;
		case 'p': errand = PREPARE_ONLY; break;
		case 'v': master.verbose = true; break;
		case 'w':
			if (!str_u64(str_of(optarg), &fd) || fd > INT_MAX)
				usage();
			master.ready_fd = (int)fd;
			break;
		default: usage();
		}
	}
	if (optind != argc || master.config_dir == NULL)
		usage();
	return errand;
}

static void
print_lines(const char *prefix, struct str rest)
{
	struct str line;

	while (str_cut(&rest, '\n', &line))
		fprintf(stderr, "%s%.*s\n", prefix, STR_ARG(line));
}

static int
check_only(void)
{
	struct buf errors = BUF(0), warnings = BUF(0);
	enum err e = setup_load(master.config_dir, &master.params, &master.table, &errors, &warnings);

	print_lines("warning: ", buf_str(&warnings));
	print_lines("error: ", buf_str(&errors));
	buf_free(&errors);
	buf_free(&warnings);
	return e != OK;
}

/* Whoever waits for us gets the words; so does the log, or a terminal. */
static int
give_up(const char *words)
{
	log_line(LOG_L_FATAL, "%s", words);
	notify_status(false, "%s", words);
	if (master.ready_fd >= 0)
		(void)!write(master.ready_fd, words, strlen(words));
	log_close();
	return 1;
}

/* Nothing that our caller had open must stay open, here or in a child. */
static enum err
tidy_descriptors(void)
{
	int null, keep;

	if (master.ready_fd >= 0 && (master.ready_fd = fd_high(master.ready_fd)) < 0)
		return fail_errno("the starter's pipe");
	if (master.foreground && (master.stdout_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, FD_HIGH)) < 0)
		return fail_errno("standard output");
	keep = master.ready_fd > master.stdout_fd ? master.ready_fd : master.stdout_fd;
	if (keep < 0)
		keep = FD_HIGH;
	close_range(STDERR_FILENO + 1, FD_HIGH - 1, 0);
	close_range((unsigned)keep + 1, ~0U, 0);
	if ((null = open("/dev/null", O_RDWR | O_CLOEXEC)) < 0)
		return fail_errno("open /dev/null");
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	if (!master.foreground)
		dup2(null, STDERR_FILENO);
	if (null > STDERR_FILENO)
		close(null);
	return OK;
}

static enum err
load(void)
{
	struct buf errors = BUF(0), warnings = BUF(0);
	enum err e = setup_load(master.config_dir, &master.params, &master.table, &errors, &warnings);

	if (master.foreground)
		print_lines("postroad: warning: ", buf_str(&warnings));
	while (errors.n > 0 && errors.p[errors.n - 1] == '\n')
		buf_cut(&errors, errors.n - 1);
	if (e != OK)
		e = fail(e, "%s", buf_cstr(&errors));
	master.all_as_root = e == OK && setup_all_as_root(&master.params);
	buf_free(&errors);
	buf_free(&warnings);
	return e;
}

static enum err
lock(const char *path)
{
	enum err e;
	int fd;

	if ((e = proc_lock(path, &fd)) == E_BUSY)
		return fail(e, "the Postroad mail system is already running (pid %d)", (int)proc_lock_holder(path));
	return e;                                      /* held until we end */
}

/* data_directory is its owner's: what is opened there is opened as the owner, who may have left a link there to a file
 * that only root may touch. */
static enum err
open_data(struct master *m)
{
	struct buf path = BUF(0);
	enum err e;

	buf_printf(&path, "%s/master.lock", m->params.data_directory);
	e = lock(buf_cstr(&path));
	buf_free(&path);
	return e == OK ? board_open(m->params.data_directory, &m->board_fd) : e;
}

static enum err
enter_queue_directory(void)
{
	const struct params *p = &master.params;

	TRY(proc_mkdirs(p->queue_directory, 0755));
	if (chdir(p->queue_directory) < 0)
		return fail_errno("chdir %s", p->queue_directory);
	TRY(proc_mkdirs("pid", 0755));
	TRY(lock("pid/master.pid"));
	return setup_data_directory(&master);
}

static enum err
lock_all(void)
{
	TRY(enter_queue_directory());
	return setup_as_owner(&master, open_data);
}

static enum err
make_crews(void)
{
	for (size_t i = 0; i < master.table.n; i++) {
		struct crew *c = crew_new(&master.table.entries[i]);

		list_push(&master.crews, &c->link);
		crew_set_limits(c, &master.params);
		TRY(listeners_want(&master.listeners, c->entry, &master.params, LISTEN_PATIENCE, c->listeners,
		    &c->nlisteners));
	}
	return OK;
}

static void
warn_of_accounts(void)
{
	struct buf words = BUF(0);

	setup_missing_accounts(&master.params, &words);
	if (words.n > 0)
		log_warn("%.*s", (int)words.n - 1, words.p);
	buf_free(&words);
}

static enum err
start(void)
{
	int patience;

	TRY(tidy_descriptors());
	notify_open(FD_HIGH);
	TRY(load());
	TRY(loop_setup_signals(&master));              /* before the log's thread, which inherits what is blocked */
	TRY(lock_all());
	TRY(setup_log(&master));
	if (master.all_as_root)
		log_warn("no account of its own for the mail system (mail_owner): all processes run as root");
	else if (geteuid() == 0)
		warn_of_accounts();
	if (proc_limit_files(FILES_WANTED) != OK)
		log_warn("open files: %s", err_why());
	TRY(setup_directories(&master));
	patience = (int)master.params.stop_drain_time + BOARD_PATIENCE;
	TRY(board_take_over(master.board_fd, patience, &master.board));
	master.board->slot[0].pid = getpid();
	snprintf(master.board->slot[0].service, sizeof master.board->slot[0].service, "master");
	return make_crews();
}

/* What start() does of it, by somebody who may set more permissions than the service may. */
static int
prepare_only(void)
{
	enum err e = load();

	if (e == OK)
		e = enter_queue_directory();
	if (e == OK)
		e = setup_directories(&master);
	if (e == OK)
		return 0;
	print_lines("postroad: fatal: ", str_of(err_why()));
	return 1;
}

int
main(int argc, char **argv)
{
	enum errand errand;

	log_stderr("postroad");
	list_init(&master.crews);
	list_init(&master.leaving);
	listeners_init(&master.listeners);
	errand = parse(argc, argv);
	umask(022);
	if (errand != RUN)
		return errand == CHECK_ONLY ? check_only() : prepare_only();
	fault_init("master");
	mem_be_patient();
	if (start() != OK)
		return give_up(err_why());
	master.generation = 1;
	master.board->slot[0].generation = 1;
	master.start_limit = time_after(time_now(), START_LIMIT);
	loop_run(&master);
	listeners_fini(&master.listeners);
	log_close();
	return master.failure[0] != '\0';
}
