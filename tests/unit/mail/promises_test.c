/* SPDX-License-Identifier: Apache-2.0 */
/* Each promise in a process of its own: what it says can be done, and what it does not say cannot. */
#include "mail/promises.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/check.h"
#include "util/fault.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/proc.h"

static char dir[64];
static int log_file;

static void
make_file(const char *name)
{
	int fd = openat(AT_FDCWD, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	CHECK(fd >= 0 && write(fd, "x", 1) == 1);
	close(fd);
}

/* A queue with one message everywhere, a configuration, and something that is nobody's business. */
static void
set_up(void)
{
	static const char *const made[] = { "incoming", "deferred", "hold", "active", "corrupt", "maildrop", "pid", "data", "etc",
		"tables", "boxes", "elsewhere" };
	char path[128];

	snprintf(dir, sizeof dir, "/tmp/promises_test.XXXXXX");
	CHECK(mkdtemp(dir) != NULL && chdir(dir) == 0);
	for (size_t i = 0; i < countof(made); i++) {
		snprintf(path, sizeof path, "%s", made[i]);
		CHECK(mkdir(path, 0700) == 0);
		snprintf(path, sizeof path, "%s/a", made[i]);
		make_file(path);
	}
	make_file("log");
	CHECK(symlink("../elsewhere/a", "tables/link") == 0);
}

static void
tear_down(void)
{
	char command[96];

	CHECK(chdir("/") == 0);
	snprintf(command, sizeof command, "rm -r %s", dir);
	CHECK(system(command) == 0);
}

static bool
opens(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static bool read_incoming(void)   { return opens("incoming/a", O_RDONLY); }
static bool read_deferred(void)   { return opens("deferred/a", O_RDONLY); }
static bool read_corrupt(void)    { return opens("corrupt/a", O_RDONLY); }
static bool read_maildrop(void)   { return opens("maildrop/a", O_RDONLY); }
static bool read_data(void)       { return opens("data/a", O_RDONLY); }
static bool read_config(void)     { return opens("etc/a", O_RDONLY); }
static bool read_table(void)      { return opens("tables/a", O_RDONLY); }
static bool read_elsewhere(void)  { return opens("elsewhere/a", O_RDONLY); }
static bool read_passwd(void)     { return opens("/etc/passwd", O_RDONLY); }
static bool read_shadow(void)     { return opens("/etc/shadow", O_RDONLY); }
static bool write_config(void)    { return opens("etc/a", O_WRONLY); }
static bool write_deferred(void)  { return opens("deferred/a", O_WRONLY | O_APPEND); }
static bool make_deferred(void)   { return opens("deferred/b", O_WRONLY | O_CREAT | O_EXCL) && unlink("deferred/b") == 0; }
static bool make_incoming(void)   { return opens("incoming/b", O_WRONLY | O_CREAT | O_EXCL) && unlink("incoming/b") == 0; }
static bool make_hash(void)       { return mkdir("incoming/AA", 0700) == 0; }
static bool make_in_tmp(void)     { return opens("/tmp/promises_test", O_WRONLY | O_CREAT) && unlink("/tmp/promises_test") == 0; }
static bool write_box(void)       { return opens("boxes/b", O_WRONLY | O_CREAT) && unlink("boxes/b") == 0; }
static bool move(void)            { return rename("incoming/a", "deferred/c") == 0 && rename("deferred/c", "incoming/a") == 0; }
static bool write_counters(void)  { return opens("data/b", O_RDWR | O_CREAT) && unlink("data/b") == 0; }

static bool
makes_socket(int family, int type)
{
	int fd = socket(family, type | SOCK_CLOEXEC, 0);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static bool unix_socket(void)     { return makes_socket(AF_UNIX, SOCK_STREAM) && makes_socket(AF_UNIX, SOCK_DGRAM); }
static bool tcp_socket(void)      { return makes_socket(AF_INET, SOCK_STREAM) && makes_socket(AF_INET6, SOCK_STREAM); }
static bool udp_socket(void)      { return makes_socket(AF_INET, SOCK_DGRAM); }
static bool raw_socket(void)      { return makes_socket(AF_PACKET, SOCK_RAW) || makes_socket(AF_INET, SOCK_RAW); }

static void *nothing(void *arg) { return arg; }

static bool
thread(void)
{
	pthread_t t;

	return pthread_create(&t, NULL, nothing, NULL) == 0 && pthread_join(t, NULL) == 0;
}

static bool
code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p != MAP_FAILED)
		return true;
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return mprotect(p, 4096, PROT_READ | PROT_EXEC) == 0;
}

static bool
deliver(void)
{
	int status = -1;
	pid_t pid = vfork();

	if (pid == 0) {
		execl("/bin/true", "true", NULL);
		_exit(1);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/* The interpreter is allowed, so a program below the daemons' directory could start; any other cannot. */
#define EVERYBODY_CAN { read_config, 1, "read the configuration" }, { unix_socket, 1, "make a UNIX socket" }, \
	{ thread, 1, "start a thread" }, { write_config, 0, "change the configuration" }, { make_in_tmp, 0, "write in /tmp" }, \
	{ read_elsewhere, 0, "read what is elsewhere" }, { raw_socket, 0, "make a raw socket" }

struct act { bool (*fn)(void); bool can; const char *what; };
static const struct role {
	const char *promises;
	struct act  acts[20];
} roles[] = {
	{ "", { EVERYBODY_CAN, { read_incoming, 0, "read mail" }, { make_incoming, 0, "make mail" }, { tcp_socket, 0, "TCP" },
		{ read_shadow, 0, "read passwords" }, { code, 0, "make code" }, { udp_socket, 0, "UDP" } } },
	{ "spool-read", { EVERYBODY_CAN, { read_incoming, 1, "read mail" }, { read_deferred, 1, "read deferred mail" },
		{ make_incoming, 0, "make mail" }, { write_deferred, 0, "change mail" }, { read_corrupt, 0, "read what is set aside" },
		{ read_maildrop, 0, "read maildrop" }, { tcp_socket, 0, "TCP" }, { read_shadow, 0, "read passwords" } } },
	{ "spool-create", { EVERYBODY_CAN, { make_incoming, 1, "make mail" }, { make_hash, 1, "make a hash directory" },
		{ read_incoming, 0, "read mail" }, { write_deferred, 0, "change mail" }, { make_deferred, 0, "make deferred mail" },
		{ move, 0, "move mail" }, { read_shadow, 0, "read passwords" }, { tcp_socket, 0, "TCP" } } },
	{ "spool-change tables", { EVERYBODY_CAN, { move, 1, "move mail" }, { write_deferred, 1, "change mail" },
		{ make_deferred, 1, "make deferred mail" }, { read_corrupt, 1, "read what is set aside" }, { read_table, 1, "read tables" },
		{ tcp_socket, 0, "TCP" }, { udp_socket, 0, "UDP" }, { read_maildrop, 0, "read maildrop" },
		{ read_shadow, 0, "read passwords" }, { read_data, 0, "read data_directory" } } },
	{ "maildrop", { EVERYBODY_CAN, { read_maildrop, 1, "read maildrop" }, { read_incoming, 0, "read mail" },
		{ read_shadow, 0, "read passwords" } } },
	{ "counters", { EVERYBODY_CAN, { write_counters, 1, "write in data_directory" }, { make_incoming, 0, "make mail" } } },
	{ "accounts", { EVERYBODY_CAN, { read_passwd, 1, "read /etc/passwd" }, { tcp_socket, 0, "TCP" }, { code, 0, "make code" } } },
	{ "inet-client", { EVERYBODY_CAN, { tcp_socket, 1, "TCP" }, { udp_socket, 0, "UDP" }, { read_shadow, 0, "read passwords" } } },
	{ "dns", { EVERYBODY_CAN, { tcp_socket, 1, "TCP" }, { udp_socket, 1, "UDP" }, { make_incoming, 0, "make mail" } } },
	{ "start-deliver", { EVERYBODY_CAN, { write_box, 1, "write mailboxes" }, { deliver, 0, "start other programs than deliver" },
		{ read_shadow, 0, "read passwords" } } },
};

static void
settings(struct params *p, const char *more)
{
	char text[1024];

	snprintf(text, sizeof text, "queue_directory = %s\ndata_directory = %s/data\nmail_owner = root\nvirtual_mailbox_base = %s/boxes\n"
	    "daemon_directory = %s/etc\nmyhostname = mx.test\ncanonical_maps = hash:%s/tables/a\n%s", dir, dir, dir, dir, dir, more);
	CHECK(proc_write_file("etc/main.cf", str_of(text), 0600) == OK);
	snprintf(text, sizeof text, "%s/etc", dir);
	CHECK(params_load(p, text, NULL, 0) == OK);
}

static bool
landlock_is_there(void)
{
	return sandbox_landlock_version() >= 2;
}

static bool
is_about_files(const struct act *a)
{
	return a->fn != tcp_socket && a->fn != udp_socket && a->fn != raw_socket && a->fn != code && a->fn != thread;
}

/* In the child.  What went wrong is said on stderr. */
static int
act_out(const struct role *r, const struct params *p)
{
	int wrong = 0;

	log_prepare(log_file, "test", "promises", "host");
	if (promises_keep(p, "promises", r->promises) != OK) {
		fprintf(stderr, "%s: %s\n", r->promises, err_why());
		return 99;
	}
	for (const struct act *a = r->acts; a->fn; a++) {
		if (!a->can && is_about_files(a) && !landlock_is_there())
			continue;
		if (a->fn() != a->can) {
			fprintf(stderr, "\"%s\": %s %s (%s)\n", r->promises, a->can ? "cannot" : "can", a->what, strerror(errno));
			wrong++;
		}
	}
	return wrong;
}

static int
in_a_child(int (*fn)(const struct role *r, const struct params *p), const struct role *r, const struct params *p)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(fn(r, p));
	CHECK(waitpid(pid, &status, 0) == pid);
	return status;
}

static void
a_process_can_do_what_its_line_says_and_nothing_else(void)
{
	struct params p;

	if (!sandbox_is_built())
		return;
	set_up();
	settings(&p, "");
	log_file = open("log", O_WRONLY | O_APPEND | O_CLOEXEC);
	for (size_t i = 0; i < countof(roles); i++)
		CHECK(in_a_child(act_out, &roles[i], &p) == 0);
	close(log_file);
	params_fini(&p);
	tear_down();
}

static int
execute(const struct role *r, const struct params *p)
{
	(void)p, (void)r;
	log_prepare(log_file, "test", "smtpd", "host");
	if (promises_keep(p, "smtpd", r->promises) != OK)
		return 99;
	execl("/bin/true", "true", NULL);
	return 98;
}

static int
trace(const struct role *r, const struct params *p)
{
	log_prepare(log_file, "test", "smtpd", "host");
	if (promises_keep(p, "smtpd", r->promises) != OK)
		return 99;
	ptrace(PTRACE_ATTACH, getppid(), 0, 0);
	return 98;
}

static int
split(const struct role *r, const struct params *p)
{
	log_prepare(log_file, "test", "smtpd", "host");
	if (promises_keep(p, "smtpd", r->promises) != OK)
		return 99;
	return fork() < 0 ? 97 : 98;
}

static int
try_something_new(const struct role *r, const struct params *p)
{
	log_prepare(log_file, "test", "smtpd", "host");
	if (promises_keep(p, "smtpd", r->promises) != OK)
		return 99;
	/* Twice, told once; and a number that no kernel has. */
	if (syscall(SYS_mlockall, 0) != -1 || errno != ENOSYS || syscall(SYS_mlockall, 0) != -1)
		return 97;
	return syscall(1000, 0) == -1 && errno == ENOSYS ? 0 : 98;
}

static size_t
times_in_log(const char *words)
{
	struct buf log = BUF(0);
	size_t n = 0;

	CHECK(proc_read_file("log", &log) == OK);
	for (struct str s = buf_str(&log); s.n > 0; n++) {
		const char *at = memmem(s.p, s.n, words, strlen(words));

		if (at == NULL)
			break;
		s = str_sub(s, (size_t)(at - s.p) + strlen(words), s.n);
	}
	buf_free(&log);
	return n;
}

/* Whatever else was promised. */
static void
what_only_an_intruder_would_try_is_death_with_a_word(void)
{
	static const struct { int (*fn)(const struct role *r, const struct params *p); const char *words; } tried[] = {
		{ execute, "panic: system call execve (" },
		{ trace,   "panic: system call ptrace (" },
		{ split,   "panic: system call clone (" },
	};
	struct params p;
	int status;

	if (!sandbox_is_built())
		return;
	set_up();
	settings(&p, "");
	log_file = open("log", O_WRONLY | O_APPEND | O_CLOEXEC);
	for (size_t i = 0; i < countof(tried); i++) {
		size_t deaths = 0;

		for (size_t k = 0; k < countof(roles); k++) {
			if (strstr(roles[k].promises, "start-") && tried[i].fn != trace)
				continue;
			status = in_a_child(tried[i].fn, &roles[k], &p);
			CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
			deaths++;
		}
		CHECK(times_in_log(tried[i].words) == deaths);
	}
	close(log_file);
	params_fini(&p);
	tear_down();
}

static void
what_a_newer_library_may_try_fails_and_is_told_once(void)
{
	struct params p;

	if (!sandbox_is_built())
		return;
	set_up();
	settings(&p, "");
	log_file = open("log", O_WRONLY | O_APPEND | O_CLOEXEC);
	CHECK(in_a_child(try_something_new, &roles[0], &p) == 0);
	CHECK(times_in_log("warning: system call mlockall (") == 1);
	CHECK(times_in_log("warning: system call unknown (1000) is not among the promises of smtpd") == 1);
	close(log_file);
	params_fini(&p);
	tear_down();
}

static void
patterns_may_be_compiled_to_code_where_there_are_any(void)
{
	static const struct role with = { "tables", { { code, 1, "make code" }, { read_table, 1, "read tables" } } };
	struct params p;

	if (!sandbox_is_built())
		return;
	set_up();
	settings(&p, "virtual_alias_maps = pcre:/etc/x\n");
	CHECK(in_a_child(act_out, &with, &p) == 0);
	params_fini(&p);
	tear_down();
}

static void
a_table_that_is_a_link_can_be_read_where_it_lies(void)
{
	static const struct role with = { "tables", { { read_elsewhere, 1, "read what a link leads to" } } };
	struct params p;
	char more[128];

	if (!sandbox_is_built())
		return;
	set_up();
	snprintf(more, sizeof more, "virtual_alias_maps = proxy:hash:%s/tables/link\n", dir);
	settings(&p, more);
	CHECK(in_a_child(act_out, &with, &p) == 0);
	params_fini(&p);
	tear_down();
}

/* Each in its own process: 0 when it gave up rather than going on without a place. */
static int
give_up(const struct role *r, const struct params *p)
{
	setenv("POSTROAD_FAULT", r->acts[0].what, 1);
	fault_init("promises");
	return promises_keep(p, "promises", r->promises) == OK;
}

static void
a_place_that_cannot_be_looked_at_is_not_left_out(void)
{
	static const struct role cases[] = {
		{ "tables", { { NULL, 0, "promises:open:1:EIO" } } },
		{ "spool-change", { { NULL, 0, "promises:open:3:EMFILE" } } },
		{ "spool-change", { { NULL, 0, "promises:fstat:2:ENOMEM" } } },
	};
	struct params p;

	if (!sandbox_is_built() || !landlock_is_there())
		return;
	set_up();
	settings(&p, "");
	for (size_t i = 0; i < countof(cases); i++)
		CHECK(in_a_child(give_up, &cases[i], &p) == 0);
	params_fini(&p);
	tear_down();
}

static void
sandbox_no_leaves_no_new_privileges_only(void)
{
	static const struct role free_role = { "", { { tcp_socket, 1, "TCP" }, { read_elsewhere, 1, "read all" }, { code, 1, "code" } } };
	struct params p;

	set_up();
	settings(&p, "sandbox = no\n");
	CHECK(in_a_child(act_out, &free_role, &p) == 0);
	params_fini(&p);
	tear_down();
}

static void
new_places_in_the_settings_need_a_new_process(void)
{
	static const struct { const char *more; bool tables, others; } cases[] = {
		{ "", true, true },
		{ "message_size_limit = 5\n", true, true },
		{ "virtual_alias_maps = hash:$queue_directory/tables/other\n", true, true },
		{ "virtual_alias_maps = hash:/srv/tables\n", false, true },
		{ "virtual_alias_maps = pcre:$queue_directory/tables/other\n", false, true },
		{ "sandbox = no\n", false, false },
	};
	struct params now, next;

	set_up();
	for (size_t i = 0; i < countof(cases); i++) {
		settings(&now, "");
		settings(&next, cases[i].more);
		CHECK(promises_cover(&now, &next, "spool-change tables") == cases[i].tables);
		CHECK(promises_cover(&now, &next, "spool-read") == cases[i].others);
		params_fini(&now);
		params_fini(&next);
	}
	tear_down();
}

static void
a_line_has_known_words_only(void)
{
	CHECK(promises_check("") == OK);
	CHECK(promises_check("spool-read  inet-client") == OK);
	CHECK(promises_check("spool-read inet") == E_SYNTAX);
}

SUITE(promises, TEST(a_line_has_known_words_only), TEST(a_process_can_do_what_its_line_says_and_nothing_else),
    TEST(what_only_an_intruder_would_try_is_death_with_a_word), TEST(what_a_newer_library_may_try_fails_and_is_told_once),
    TEST(patterns_may_be_compiled_to_code_where_there_are_any), TEST(a_table_that_is_a_link_can_be_read_where_it_lies),
    TEST(a_place_that_cannot_be_looked_at_is_not_left_out), TEST(sandbox_no_leaves_no_new_privileges_only),
    TEST(new_places_in_the_settings_need_a_new_process));
