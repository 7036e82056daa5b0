/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/service.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "mail/promises.h"
#include "mail/service_status.h"
#include "util/fault.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/proc.h"

enum { OVERRIDES_MAX = 256 };

static struct {
	struct service             service;
	const struct service_spec *spec;
	const char                *overrides[OVERRIDES_MAX];
	size_t                     noverrides;
	const char                *account;            /* NULL: as we are */
	const char                *root;               /* NULL: no chroot */
	size_t                     nlisten;
	bool                       has_master;
	bool                       in_queue_directory;
} self;

static unsigned
number(const char *what, const char *text, unsigned max)
{
	uint64_t v;

	if (!str_u64(str_of(text), &v) || v > max)
		log_fatal("-%s %s: expected a number up to %u", what, text, max);
	return (unsigned)v;
}

static void
parse(int argc, char **argv)
{
	struct service *s = &self.service;
	int c;

	while ((c = getopt(argc, argv, "+n:t:c:s:p:S:g:u:r:vo:")) != -1) {
		switch (c) {
		case 'n': s->name = optarg; break;
		case 't': break;
		case 'c': s->config_dir = optarg; break;
		case 's': self.nlisten = number("s", optarg, SERVICE_LISTEN_MAX); break;
		case 'p': s->processes = number("p", optarg, UINT32_MAX); break;
		case 'S': s->slot = number("S", optarg, BOARD_SLOTS - 1); break;
		case 'g': s->generation = number("g", optarg, UINT32_MAX); self.has_master = true; break;
		case 'u': self.account = optarg; break;
		case 'r': self.root = optarg; break;
		case 'v': log_verbose(true); break;
		case 'o':
			if (self.noverrides == OVERRIDES_MAX)
				log_fatal("more than %d times -o", (int)OVERRIDES_MAX);
			self.overrides[self.noverrides++] = optarg;
			break;
		default: log_fatal("usage: this program is started by master");
		}
	}
	s->args = argv + optind;
	if (s->name == NULL)
		s->name = s->prog;
	if (s->config_dir == NULL)
		s->config_dir = POSTROAD_SYSCONF;
}

/* SIGTERM is read from a descriptor; a ^C at start-fg's terminal is master's to act on. */
static void
set_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static bool
is_open(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0;
}

static void
start_log(const struct params *p)
{
	const char *name = p ? p->syslog_name : "postroad";
	char host[256] = "localhost";

	if (!self.has_master)
		return;
	if (p == NULL)
		gethostname(host, sizeof host - 1);
	tzset();
	log_prepare(is_open(SERVICE_FD_LOG) ? SERVICE_FD_LOG : -1, name, self.service.prog,
	    p ? p->myhostname : host);
}

/* Below a new root queue_directory is all there is, and has another name. */
static void
plan_root(void)
{
	if (self.root == NULL)
		return;
	if (geteuid() != 0) {
		self.root = NULL;                      /* only root could; then nothing is the way it says anyway */
		return;
	}
	if (self.noverrides == OVERRIDES_MAX)
		log_fatal("more than %d times -o", (int)OVERRIDES_MAX);
	self.overrides[self.noverrides++] = "queue_directory=/";
}

static void
load(void)
{
	struct service *s = &self.service;
	char why[ERR_WHY_MAX];
	struct str rest, line;

	if (params_load(&s->params, s->config_dir, self.overrides, self.noverrides) == OK) {
		start_log(&s->params);
		return;
	}
	snprintf(why, sizeof why, "%s", err_why());
	start_log(NULL);
	rest = str_of(why);
	while (str_cut(&rest, '\n', &line))
		log_error("%.*s", STR_ARG(line));
	log_fatal("the settings in %s cannot be used", s->config_dir);
}

static void
attach_board(void)
{
	struct service *s = &self.service;
	int flags = self.has_master ? MAP_SHARED : MAP_SHARED | MAP_ANONYMOUS;
	int fd = self.has_master ? SERVICE_FD_BOARD : -1;

	s->board = mmap(NULL, sizeof *s->board, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (s->board == MAP_FAILED)
		log_fatal("map the board: %s", strerror(errno));
}

static void
find_accounts(void)
{
	struct service *s = &self.service;
	gid_t gid;
	bool own;

	for (enum identity a = 0; a < IDENTITY_COUNT; a++)
		if (self.account == NULL || !identity_find(&s->params, a, &s->uids[a], &gid, &own))
			s->uids[a] = geteuid();
}

/* From here on the process can do only what its line says. */
static void
drop_powers(void)
{
	const struct params *p = &self.service.params;

	bool own_group = identity_of(str_of(self.spec->prog)) == IDENTITY_QUEUE;

	find_accounts();
	if (self.account && proc_become(self.account, p->mail_group, own_group, self.root) != OK)
		log_fatal("become %s: %s", self.account, err_why());
	if (self.account == NULL && self.root && chroot(self.root) < 0)
		log_fatal("chroot %s: %s", self.root, strerror(errno));
	if (chdir(p->queue_directory) < 0)
		log_fatal("chdir %s: %s", p->queue_directory, strerror(errno));
	self.in_queue_directory = true;
	(void)wall_now();                              /* a test's calendar is a file, opened at the first question */
	if (promises_keep(p, self.service.prog, self.spec->promises) != OK)
		log_fatal("%s", err_why());
	if (self.has_master)
		log_start();
}

static void
reload(void)
{
	struct service *s = &self.service;
	struct params former = s->params, next;
	char why[ERR_WHY_MAX];

	if (params_load(&next, s->config_dir, self.overrides, self.noverrides) != OK) {
		snprintf(why, sizeof why, "%s", err_why());
		log_warn("settings are kept as they were: %s", why);
		return;
	}
	if (!promises_cover(&former, &next, self.spec->promises)) {
		/* What was given up for good would be needed: another process has to be started. */
		log_info("settings name files that this process may not read: making room for another");
		params_fini(&next);
		status_retire();
		return;
	}
	s->params = next;
	self.spec->reload(s, &former);
	params_fini(&former);
}

static void
beat(void)
{
	struct board_slot *b = &self.service.board->slot[self.service.slot];

	atomic_store_explicit(&b->beats, atomic_load_explicit(&b->beats, memory_order_relaxed) + 1,
	    memory_order_relaxed);
}

static void
live(void *arg)
{
	struct service *s = arg;
	struct tasks own;

	tasks_init(&own);
	for (; s->nlisten < self.nlisten; s->nlisten++) {
		int fd = SERVICE_FD_LISTEN + (int)s->nlisten;

		if (fd_cloexec(fd, true) != OK || task_fd_add_shared(fd) != OK)
			log_fatal("listening socket %zu: %s", s->nlisten, err_why());
		s->listen[s->nlisten] = fd;
	}
	task_on_turn(beat);
	status_start(&own);
	/* A new root hides the files that would have to be read again. */
	if (self.spec->reload && self.root == NULL)
		status_say('C');
	self.spec->run(s);
	tasks_stop(&own);
	task_exit();
}

int
service_main(int argc, char **argv, const struct service_spec *spec)
{
	struct service *s = &self.service;
	bool can_reload;

	self.spec = spec;
	s->prog = spec->prog;
	s->processes = 1;
	log_stderr(spec->prog);
	set_signals();
	parse(argc, argv);
	if (!self.has_master && isatty(STDIN_FILENO))
		log_fatal("do not run this command by hand");
	fault_init(spec->prog);
	umask(002);                                    /* modes are said where files are made */
	plan_root();
	load();
	if (self.has_master) {
		for (int fd = SERVICE_FD_LOG; fd < SERVICE_FD_LISTEN; fd++)
			if (is_open(fd) && fd_cloexec(fd, true) != OK)
				log_fatal("descriptor %d: %s", fd, err_why());
	}
	if (proc_limit_files(1 << 20) != OK)
		log_debug("open files: %s", err_why());
	attach_board();
	drop_powers();
	can_reload = spec->reload && self.root == NULL;
	status_setup(s, self.has_master ? SERVICE_FD_STATUS : -1, can_reload ? reload : NULL);
	task_run(live, s, spec->helpers);
	log_close();
	return 0;
}

/* By the relative name wherever it holds: it is as short as the system's limit for such names wants it. */
const char *
service_path(const struct params *p, const char *name, char out[108])
{
	const char *dir = strcmp(name, "qmgr") == 0 ? "public" : "private";
	struct stat here, queue;
	bool inside = self.in_queue_directory;
	int n;

	if (!inside)
		inside = stat(".", &here) == 0 && stat(p->queue_directory, &queue) == 0 &&
		    here.st_dev == queue.st_dev && here.st_ino == queue.st_ino;
	if (!inside) {
		n = snprintf(out, 108, "%s/%s/%s", p->queue_directory, dir, name);
		if (n > 0 && n < 108)
			return out;
	}
	snprintf(out, 108, "%s/%s", dir, name);
	return out;
}
