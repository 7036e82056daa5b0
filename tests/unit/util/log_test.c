/* SPDX-License-Identifier: Apache-2.0 */
#include "util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/check.h"
#include "util/buf.h"
#include "util/mem.h"
#include "util/time.h"

enum { PLENTY = 32 << 20 };

/* Read to the end: every writer must have closed. */
static struct buf
drain(int fd)
{
	struct buf b = BUF(PLENTY);
	ssize_t n;

	while ((n = read(fd, buf_room(&b, 65536), 65536)) > 0)
		buf_grew(&b, (size_t)n);
	close(fd);
	return b;
}

static size_t
count_lines(const struct buf *b, const char *with)
{
	struct str rest = buf_str(b), line;
	size_t n = 0;

	while (str_cut(&rest, '\n', &line))
		n += memmem(line.p, line.n, with, strlen(with)) != NULL;
	return n;
}

/* What run() logs in a child whose log is a pipe; its exit status in *status. */
static struct buf
logged_by_child(void (*run)(void), bool open_log, int *status)
{
	int fds[2];
	pid_t pid;

	CU_ASSERT_FATAL(pipe(fds) == 0);
	if ((pid = fork()) == 0) {
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
		close(fds[0]);
		if (freopen("/dev/null", "w", stdout) == NULL)
			_exit(99);
		dup2(fds[1], STDERR_FILENO);
		if (open_log)
			log_open(fds[1], "postroad", "test", "mx");
		run();
		log_close();
		_exit(0);
	}
	close(fds[1]);
	{
		struct buf b = drain(fds[0]);

		CHECK(waitpid(pid, status, 0) == pid);
		return b;
	}
}

static void
log_each_level(void)
{
	log_info("queue %d", 7);
	log_warn("w");
	log_error("e");
	log_debug("not shown");
	log_verbose(true);
	log_debug("shown");
	log_info_as("cleanup", "as %s", "another");
}

static void
lines_have_postfix_s_grammar(void)
{
	static const char *const want[] = { "queue 7", "warning: w", "error: e", "shown", "as another" };
	int status;
	struct buf b = logged_by_child(log_each_level, true, &status);
	struct str rest = buf_str(&b), line;
	char month[4], clock[9], text[64], host[8], prog[16];
	int day, pid, end;
	size_t i = 0;

	CHECK(status == 0);
	for (; str_cut(&rest, '\n', &line) && i < countof(want); i++) {
		char *z = str_dup(line);

		CHECK(sscanf(z, "%3s %d %8s %7s postroad/%15[^[][%d]: %63[^\n]%n", month, &day, clock, host, prog,
			  &pid, text, &end) == 7);
		CU_ASSERT_STRING_EQUAL(prog, i + 1 == countof(want) ? "cleanup" : "test");
		CU_ASSERT_STRING_EQUAL(text, want[i]);
		CU_ASSERT_STRING_EQUAL(host, "mx");
		CHECK(pid > 1 && clock[2] == ':' && clock[5] == ':' && z[15] == ' ');
		free(z);
	}
	CHECK(i == countof(want) && rest.n == 0);
	buf_free(&b);
}

static void
lines_go_to_stderr_before_and_after(void)
{
	int status;
	struct buf b;

	log_stderr("prog");
	b = logged_by_child(log_each_level, false, &status);
	CHECK_STR(buf_str(&b), "prog: queue 7\nprog: warning: w\nprog: error: e\nprog: shown\nprog: as another\n");
	buf_free(&b);
}

static void
log_what_is_no_text(void)
{
	char longest[5000];

	memset(longest, 'L', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	log_info("a\nb\rc\td\x1b\x7f" "e%s", "\nwarning: forged");
	log_info("%s", longest);
	log_warn("%s", longest);
	log_info("%s", "");
	errno = ENOTTY;
	log_info("errno");
	log_info(errno == ENOTTY ? "kept" : "lost");
}

static void
one_call_is_one_line_whatever_comes_in(void)
{
	int status;
	struct buf b = logged_by_child(log_what_is_no_text, true, &status);
	struct str rest = buf_str(&b), line;

	CHECK(status == 0 && count_lines(&b, "mx postroad/test[") == 6 && count_lines(&b, "") == 6);
	CHECK(count_lines(&b, ": a?b?c?d??e?warning: forged") == 1 && count_lines(&b, "]: kept") == 1);
	for (int i = 0; str_cut(&rest, '\n', &line); i++) {
		size_t text = str_find(line, ']') + 3;

		CHECK(i == 1 || i == 2 ? line.n - text == 2000 : line.n < 200);
	}
	buf_free(&b);
}

static void *
drain_thread(void *arg)
{
	int *fd = arg;
	struct buf *b = mem_new(sizeof *b);

	*b = drain(*fd);
	return b;
}

static uint64_t
sum_of_notices(const struct buf *b)
{
	struct str rest = buf_str(b), line;
	uint64_t sum = 0, n;

	while (str_cut(&rest, '\n', &line))
		if (str_ends(line, STR(" log lines are missing here"))) {
			struct str word;

			str_cut(&line, ']', &word);
			line = str_sub(line, strlen(": warning: "), line.n);
			CHECK(str_word(&line, " ", &word) && str_u64(word, &n));
			sum += n;
		}
	return sum;
}

static void
what_nobody_reads_is_dropped_and_counted_and_never_waited_for(void)
{
	enum { LINES = 20000 };
	uint64_t before = log_dropped(), dropped;
	struct time began = time_now();
	pthread_t reader;
	struct buf *b;
	int fds[2];
	void *got;

	CU_ASSERT_FATAL(pipe(fds) == 0);
	log_open(fds[1], "postroad", "test", "mx");
	for (int i = 0; i < LINES; i++)
		log_info("line %d of a crowd, with a text that is about as long as lines are in a mail log", i);
	dropped = log_dropped() - before;
	CHECK(dropped > 1000 && dropped < LINES);
	CHECK(time_seconds(began, time_now()) < 20);
	CHECK(pthread_create(&reader, NULL, drain_thread, &fds[0]) == 0);
	log_close();
	close(fds[1]);
	pthread_join(reader, &got);
	b = got;
	CHECK(log_dropped() - before == dropped);
	CHECK(count_lines(b, ": line ") == LINES - dropped);
	CHECK(sum_of_notices(b) == dropped);
	CHECK(count_lines(b, "mx postroad/test[") == count_lines(b, ""));
	CHECK(b->p[b->n - 1] == '\n');
	buf_free(b);
	free(b);
}

static void
closing_gives_up_on_a_reader_that_is_stuck(void)
{
	struct time began;
	struct buf b;
	int fds[2];

	CU_ASSERT_FATAL(pipe(fds) == 0);
	log_open(fds[1], "postroad", "test", "mx");
	for (int i = 0; i < 2000; i++)
		log_info("line %d of a crowd, with a text that is about as long as lines are in a mail log", i);
	began = time_now();
	log_close();
	CHECK(time_seconds(began, time_now()) > 0.9 && time_seconds(began, time_now()) < 5);
	close(fds[1]);
	b = drain(fds[0]);
	CHECK(count_lines(&b, ": line ") > 100 && count_lines(&b, ": line ") < 2000);
	buf_free(&b);
}

static void *
log_much(void *arg)
{
	for (int i = 0; i < 2000; i++)
		log_info("thread %d says %d and some more text to make the line as long as one", *(int *)arg, i);
	return NULL;
}

static void
lines_of_many_threads_come_whole_and_in_order(void)
{
	enum { THREADS = 4 };
	char path[] = "/tmp/log.XXXXXX", what[32];
	int fd = mkostemp(path, O_APPEND), numbers[THREADS];
	pthread_t t[THREADS];
	struct buf b;

	log_open(fd, "postroad", "test", "mx");
	for (int i = 0; i < THREADS; i++) {
		numbers[i] = i;
		CHECK(pthread_create(&t[i], NULL, log_much, &numbers[i]) == 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	log_close();
	close(fd);
	b = drain(open(path, O_RDONLY));
	unlink(path);
	for (int i = 0; i < THREADS; i++) {
		struct str rest = buf_str(&b), line;
		uint64_t next = 0, n;

		snprintf(what, sizeof what, ": thread %d says ", i);
		while (str_cut(&rest, '\n', &line)) {
			const char *at = memmem(line.p, line.n, what, strlen(what));
			struct str word;

			if (at == NULL)
				continue;
			line = str_sub(line, (size_t)(at - line.p) + strlen(what), line.n);
			CHECK(str_word(&line, " ", &word) && str_u64(word, &n) && n == next);
			CHECK(str_eq(line, STR(" and some more text to make the line as long as one")));
			next++;
		}
		CHECK(next == 2000);
	}
	CHECK(count_lines(&b, "") == (size_t)THREADS * 2000);
	buf_free(&b);
}

static void
log_in_a_grandchild(void)
{
	pid_t pid;
	int status;

	log_info("before the fork");
	if ((pid = fork()) == 0) {
		log_info("straight through, by %d", (int)getpid());
		log_open(STDERR_FILENO, "postroad", "grandchild", "mx");
		log_info("by a writer of its own");
		log_close();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	log_info("after the child's end, status %d", status);
}

static void
a_child_logs_what_is_its_own_and_can_open_anew(void)
{
	int status;
	struct buf b = logged_by_child(log_in_a_grandchild, true, &status);

	CHECK(status == 0 && count_lines(&b, "") == 4);
	CHECK(count_lines(&b, "postroad/test[") == 3 && count_lines(&b, ": straight through, by ") == 1);
	CHECK(count_lines(&b, "postroad/grandchild[") == 1);
	CHECK(count_lines(&b, ": after the child's end, status 0") == 1);
	buf_free(&b);
}

static void
crash(void)
{
	for (int i = 0; i < 300; i++)
		log_info("line %d", i);
	ENSURE(1 + 1 == 3);
}

static void
crash_by_signal(void)
{
	for (int i = 0; i < 300; i++)
		log_info("line %d", i);
	raise(SIGABRT);
}

static void
end_fatally(void)
{
	log_info("line 0");
	log_fatal("no %s", "hope");
}

static void
a_dying_process_writes_what_is_left(void)
{
	int status;
	struct buf b = logged_by_child(crash, true, &status);

	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	CHECK(count_lines(&b, ": line ") == 300 && count_lines(&b, ": panic: ") == 1);
	CHECK(count_lines(&b, "not so: 1 + 1 == 3") == 1);
	buf_free(&b);
	b = logged_by_child(crash_by_signal, true, &status);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	CHECK(count_lines(&b, ": line ") == 300);
	buf_free(&b);
	b = logged_by_child(end_fatally, true, &status);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	CHECK(count_lines(&b, "]: fatal: no hope") == 1 && count_lines(&b, ": line ") == 1);
	buf_free(&b);
}

static int
listen_for_datagrams(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	unlink(path);
	snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	CHECK(bind(fd, (struct sockaddr *)&a, sizeof a) == 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ .tv_sec = 10 }, sizeof(struct timeval));
	return fd;
}

static void
expect_datagram(int fd, const char *priority, const char *end)
{
	char got[4096];
	struct str s = { got, 0 };
	ssize_t n;

	while ((n = recv(fd, got, sizeof got, 0)) < 0 && errno == EINTR)
		;
	s.n = n > 0 ? (size_t)n : 0;
	CHECK(str_starts(s, str_of(priority)) && str_ends(s, str_of(end)));
	CHECK(memmem(s.p, s.n, " postroad/test[", 15) != NULL && memmem(s.p, s.n, " mx ", 4) == NULL);
}

static void
the_system_s_logger_gets_datagrams_also_after_its_restart(void)
{
	char path[] = "/tmp/devlog.XXXXXX";
	const char *usual = log_socket;
	int fd;

	close(mkstemp(path));
	fd = listen_for_datagrams(path);
	log_socket = path;
	log_open(-1, "postroad", "test", "mx");
	log_info("one");
	log_warn("two");
	log_error("three");
	expect_datagram(fd, "<22>", "]: one");
	expect_datagram(fd, "<20>", "]: warning: two");
	expect_datagram(fd, "<19>", "]: error: three");
	close(fd);
	log_info("while it is away");
	fd = listen_for_datagrams(path);
	expect_datagram(fd, "<22>", "]: while it is away");
	log_info("last");
	log_close();
	expect_datagram(fd, "<22>", "]: last");
	close(fd);
	unlink(path);
	/* With no logger at all the lines are lost, and closing does not wait for one. */
	log_open(-1, "postroad", "test", "mx");
	log_info("lost");
	log_close();
	log_socket = usual;
}

SUITE(log, TEST(lines_have_postfix_s_grammar), TEST(lines_go_to_stderr_before_and_after),
    TEST(one_call_is_one_line_whatever_comes_in),
    TEST(what_nobody_reads_is_dropped_and_counted_and_never_waited_for),
    TEST(closing_gives_up_on_a_reader_that_is_stuck), TEST(lines_of_many_threads_come_whole_and_in_order),
    TEST(a_child_logs_what_is_its_own_and_can_open_anew), TEST(a_dying_process_writes_what_is_left),
    TEST(the_system_s_logger_gets_datagrams_also_after_its_restart));
