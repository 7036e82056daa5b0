/* SPDX-License-Identifier: Apache-2.0 */
/* A service in a process of its own, and this one in the place of master. */
#include "mail/service.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/check.h"
#include "util/mem.h"
#include "util/proc.h"

enum { LIMIT_MS = 10000, HIGH = 200, EXIT_RETIRED = 10, EXIT_HURRIED = 11, EXIT_WRONG = 12 };

static char dir[64];
static int status_fd, listen_fd, board_fd;
static struct board *board;
static pid_t child;
static int result;

static void
write_settings(const char *more)
{
	char path[128], text[512];

	snprintf(path, sizeof path, "%s/main.cf", dir);
	snprintf(text, sizeof text,
	    "queue_directory = %s\ndata_directory = %s\nmyhostname = mx.test\nmail_owner = root\n%s", dir, dir, more);
	CHECK(proc_write_file(path, str_of(text), 0640) == OK);
}

static void
acceptor(void *arg)
{
	int fd;

	/* Ends by itself once the sockets are taken away. */
	while (net_accept(*(int *)arg, &fd, NULL, TIME_NEVER) == OK)
		close(fd);
}

/* Ready at once; ends when told to, and says with its exit status how that was. */
static void
run(struct service *s)
{
	struct tasks own;
	int fd = s->nlisten ? s->listen[0] : -1;

	tasks_init(&own);
	if (fd >= 0)
		task_start(&own, "acceptor", acceptor, &fd);
	service_ready();
	service_full(false);                           /* says nothing: it was not full */
	service_full(true);
	service_full(true);
	service_full(false);
	service_wait(PHASE_RUN);
	tasks_wait(&own);
	result = service_phase() == PHASE_RETIRE ? EXIT_RETIRED : EXIT_HURRIED;
	if (s->nlisten != 0 || (service_deadline().ns == TIME_NEVER.ns) != (result == EXIT_RETIRED))
		result = EXIT_WRONG;
}

static void
reload(struct service *s, const struct params *former)
{
	if (former->message_size_limit == 1000 && s->params.message_size_limit == 2000)
		s->board->slot[s->slot].served = 77;
}

static void
__attribute__((noreturn))
be_child(int status, bool can_reload)
{
	static const char *argv[] = { "t", "-n", "thing", "-t", "unix", "-c", dir, "-s", "1", "-S", "5", "-g", "3", "-o",
		"smtpd_banner=x y", "--", "-argument", NULL };
	const struct service_spec spec = { .prog = "thing", .promises = "", .run = run, .reload = can_reload ? reload : NULL };
	int from[] = { open("/dev/null", O_WRONLY), board_fd, status, listen_fd };

	for (int i = 0; i < 4; i++)
		from[i] = fcntl(from[i], F_DUPFD, HIGH);
	for (int i = 0; i < 4; i++)
		dup2(from[i], SERVICE_FD_LOG + i);
	close_range(SERVICE_FD_LISTEN + 1, ~0U, 0);
	if (service_main(countof(argv) - 1, (char **)(uintptr_t)argv, &spec) != 0)
		result = EXIT_WRONG;
	if (strcmp(service_self()->params.smtpd_banner, "x y") != 0 || strcmp(service_self()->args[0], "-argument") != 0)
		result = EXIT_WRONG;
	_exit(result);
}

static void
begin(bool can_reload)
{
	struct addr any;
	int ends[2];

	strcpy(dir, "/tmp/service_test.XXXXXX");
	CHECK(mkdtemp(dir) != NULL);
	write_settings("message_size_limit = 1000\n");
	CHECK(addr_parse(STR("127.0.0.1"), 0, &any) == OK && net_listen(&any, 5, &listen_fd) == OK);
	board_fd = memfd_create("board", MFD_CLOEXEC);
	CHECK(ftruncate(board_fd, sizeof *board) == 0);
	board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, board_fd, 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	status_fd = ends[0];
	fflush(NULL);
	if ((child = fork()) == 0)
		be_child(ends[1], can_reload);
	close(ends[1]);
}

/* The child's next n bytes are these. */
static bool
hear(const char *words)
{
	struct pollfd p = { .fd = status_fd, .events = POLLIN };
	char c = 0;

	for (; *words; words++)
		if (poll(&p, 1, LIMIT_MS) != 1 || read(status_fd, &c, 1) != 1 || c != *words)
			return false;
	return true;
}

static void
say(const char *word)
{
	CHECK(write(status_fd, word, 1) == 1);
}

static void
end(int expected)
{
	struct pollfd p = { .fd = status_fd, .events = 0 };
	char path[128];
	int status = 0;

	/* The end of the process is the end of its channel. */
	if (status_fd >= 0 && poll(&p, 1, LIMIT_MS) != 1)
		kill(child, SIGKILL);
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == expected);
	munmap(board, sizeof *board);
	close(board_fd);
	close(listen_fd);
	if (status_fd >= 0)
		close(status_fd);
	snprintf(path, sizeof path, "%s/main.cf", dir);
	unlink(path);
	rmdir(dir);
}

static void
it_says_ready_full_and_free_and_retires(void)
{
	begin(false);
	CHECK(hear("RFA"));
	say("Q");
	end(EXIT_RETIRED);
}

static void
it_hurries_when_told(void)
{
	begin(false);
	CHECK(hear("RFA"));
	say("X");
	end(EXIT_HURRIED);
}

static void
it_hurries_at_sigterm(void)
{
	begin(false);
	CHECK(hear("RFA"));
	kill(child, SIGTERM);
	end(EXIT_HURRIED);
}

static void
when_master_dies_it_ends_and_the_address_is_free(void)
{
	struct addr a = { .len = sizeof a.un };
	int again = -1;

	begin(false);
	CHECK(hear("RFA"));
	CHECK(getsockname(listen_fd, &a.sa, &a.len) == 0);
	close(status_fd);
	status_fd = -1;
	/* Although the socket is still open here. */
	for (int waited = 0; waited < LIMIT_MS && net_listen(&a, 5, &again) != OK; waited += 10)
		poll(NULL, 0, 10);
	CHECK(again >= 0);
	close(again);
	end(EXIT_HURRIED);
}

static void
it_reads_settings_again_and_says_so(void)
{
	begin(true);
	CHECK(hear("CRFA"));
	write_settings("message_size_limit = 2000\n");
	say("L");
	CHECK(hear("R"));
	CHECK(board->slot[5].served == 77);
	/* Broken ones change nothing. */
	board->slot[5].served = 0;
	write_settings("message_size_limit = lots\n");
	say("L");
	CHECK(hear("R"));
	CHECK(board->slot[5].served == 0);
	say("Q");
	end(EXIT_RETIRED);
}

static void
a_probe_is_answered_by_a_beat(void)
{
	uint64_t beats;
	int waited = 0;

	begin(false);
	CHECK(hear("RFA"));
	/* It sleeps now, or is about to: either way there is a turn after the probe. */
	beats = board->slot[5].beats;
	say("P");
	while (board->slot[5].beats == beats && waited++ < LIMIT_MS)
		poll(NULL, 0, 1);
	CHECK(board->slot[5].beats > beats);
	say("X");
	end(EXIT_HURRIED);
}

static void
paths_are_short_where_they_must_be(void)
{
	struct params p = { .queue_directory = "/var/spool/postroad" };
	char out[108], cwd[4096], deep[256];

	CHECK_STR(str_of(service_path(&p, "qmgr", out)), "/var/spool/postroad/public/qmgr");
	CHECK_STR(str_of(service_path(&p, "smtp", out)), "/var/spool/postroad/private/smtp");
	memset(deep, 'd', sizeof deep - 1);
	deep[0] = '/';
	deep[sizeof deep - 1] = '\0';
	p.queue_directory = deep;
	CHECK_STR(str_of(service_path(&p, "smtp", out)), "private/smtp");
	CHECK(getcwd(cwd, sizeof cwd) != NULL);
	p.queue_directory = cwd;
	CHECK_STR(str_of(service_path(&p, "qmgr", out)), "public/qmgr");
}

SUITE(service, TEST(it_says_ready_full_and_free_and_retires), TEST(it_hurries_when_told), TEST(it_hurries_at_sigterm),
    TEST(when_master_dies_it_ends_and_the_address_is_free), TEST(it_reads_settings_again_and_says_so),
    TEST(a_probe_is_answered_by_a_beat), TEST(paths_are_short_where_they_must_be));
