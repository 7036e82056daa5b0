/* SPDX-License-Identifier: Apache-2.0 */
#include "util/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/check.h"
#include "util/mem.h"
#include "util/proc.h"

static void
arm(const char *rules, const char *prog)
{
	setenv("POSTROAD_FAULT", rules, 1);
	fault_init(prog);
	unsetenv("POSTROAD_FAULT");
}

static void
disarm(void)
{
	fault_init("test");
	CHECK(!fault_armed);
}

/* Which of five calls to fsync fail: a bit each. */
static unsigned
failing_fsyncs(int fd)
{
	unsigned failed = 0;

	for (unsigned i = 0; i < 5; i++)
		if (sys_fsync(fd) != 0)
			failed |= 1U << i;
	return failed;
}

static int
scratch(void)
{
	char path[] = "/tmp/fault.XXXXXX";
	int fd = mkstemp(path);

	unlink(path);
	return fd;
}

static void
the_calls_that_a_rule_names_fail(void)
{
	static const struct { const char *rules; bool armed; unsigned failing; int errnum; } cases[] = {
		{ "", false, 0, 0 },
		{ "test:fsync:1:EIO", true, 1, EIO },
		{ "test:fsync:3:ENOSPC", true, 1 << 2, ENOSPC },
		{ "test:fsync:4+:EDQUOT", true, 1 << 3 | 1 << 4, EDQUOT },
		{ "test:fsync:2:EIO, test:fsync:4:EIO", true, 1 << 1 | 1 << 3, EIO },
		{ "other:fsync:1+:EIO", false, 0, 0 },
		{ "tes:fsync:1+:EIO", false, 0, 0 },
		{ "test:fdatasync:1+:EIO", true, 0, 0 },
		{ "other:fsync:1+:EIO,test:fsync:5:EIO", true, 1 << 4, EIO },
		{ "test:fsync:1:SHORT", true, 1, EIO },
	};
	int fd = scratch();

	for (size_t i = 0; i < countof(cases); i++) {
		arm(cases[i].rules, "test");
		CHECK(fault_armed == cases[i].armed);
		errno = 0;
		CHECK(failing_fsyncs(fd) == cases[i].failing);
		CHECK(errno == cases[i].errnum);
	}
	disarm();
	CHECK(failing_fsyncs(fd) == 0);
	close(fd);
}

static void
a_bad_rule_ends_the_program(void)
{
	static const char *const bad[] = { "test", "test:fsync", "test:fsync:0:EIO", "test:fsync:x:EIO",
		"test:fsync:1:EWHAT", "test:sleep:1:EIO", "other:fsync:1:eio", "test:fsync:1:EIO:", "test:fsync:+:EIO" };

	for (size_t i = 0; i < countof(bad); i++) {
		int status = 0;
		pid_t pid = fork();

		if (pid == 0) {
			close(STDERR_FILENO);
			if (freopen("/dev/null", "w", stdout) == NULL)
				_exit(0);
			setenv("POSTROAD_FAULT", bad[i], 1);
			fault_init("test");
			_exit(0);
		}
		CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 1);
	}
}

static void
a_short_write_writes_half_and_the_rest_follows(void)
{
	struct iovec v[3] = { { (char[]){ "abc" }, 3 }, { (char[]){ "defg" }, 4 }, { (char[]){ "h" }, 1 } };
	int fd = scratch();
	char text[16];

	arm("test:write:1+:SHORT,test:pwrite:1:SHORT", "test");
	CHECK(sys_write(fd, "123456", 6) == 3);
	CHECK(sys_write(fd, "7", 1) == 1);
	CHECK(sys_pwrite(fd, "ABCD", 4, 0) == 2 && sys_pwrite(fd, "ABCD", 4, 0) == 4);
	CHECK(sys_writev(fd, v, 3) == 3);
	CHECK(sys_writev(fd, v + 1, 1) == 2);
	CHECK(lseek(fd, 0, SEEK_SET) == 0);
	CHECK(fd_write_all(fd, STR("hello, world"), -1) == OK);
	CHECK(fd_read_all(fd, text, 12, 0) == OK && memcmp(text, "hello, world", 12) == 0);
	disarm();
	CHECK(sys_writev(fd, v, 3) == 8);
	close(fd);
}

static void
a_close_that_fails_has_closed(void)
{
	int fd = scratch();

	arm("test:close:1:EIO", "test");
	errno = 0;
	CHECK(sys_close(fd) == -1 && errno == EIO);
	CHECK(fcntl(fd, F_GETFD) < 0);
	disarm();
}

static void
every_kind_of_call_can_fail(void)
{
	arm("test:open:1+:EMFILE,test:rename:1:EXDEV,test:unlink:1:EROFS,test:syncfs:1:EIO,test:fdatasync:1:EIO",
	    "test");
	CHECK(sys_open("/dev/null", O_RDONLY, 0) == -1 && errno == EMFILE);
	CHECK(sys_openat(AT_FDCWD, "/dev/null", O_RDONLY, 0) == -1 && errno == EMFILE);
	CHECK(sys_renameat(AT_FDCWD, "/nonexistent", AT_FDCWD, "/x") == -1 && errno == EXDEV);
	CHECK(sys_unlinkat(AT_FDCWD, "/nonexistent", 0) == -1 && errno == EROFS);
	CHECK(sys_unlinkat(AT_FDCWD, "/nonexistent", 0) == -1 && errno == ENOENT);
	CHECK(sys_syncfs(-1) == -1 && errno == EIO);
	CHECK(sys_fdatasync(-1) == -1 && errno == EIO);
	disarm();
}

static void
kill_ends_the_process_on_the_spot(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		arm("test:fsync:2:KILL", "test");
		sys_fsync(-1);
		sys_fsync(-1);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

SUITE(fault, TEST(the_calls_that_a_rule_names_fail), TEST(a_bad_rule_ends_the_program),
    TEST(a_short_write_writes_half_and_the_rest_follows), TEST(a_close_that_fails_has_closed),
    TEST(every_kind_of_call_can_fail), TEST(kill_ends_the_process_on_the_spot));
