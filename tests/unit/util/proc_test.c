/* SPDX-License-Identifier: Apache-2.0 */
#include "util/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/check.h"
#include "util/mem.h"

static char dir[] = "/tmp/proc.XXXXXX";

/* A name below a directory of this run; up to four at a time. */
static const char *
at(const char *name)
{
	static char paths[4][64];
	static unsigned next;
	static bool made;
	char *path = paths[next++ % 4];

	if (!made && mkdtemp(dir) == NULL)
		abort();
	made = true;
	snprintf(path, sizeof paths[0], "%s/%s", dir, name);
	return path;
}

static void
a_file_is_replaced_whole_and_nothing_else_is_left(void)
{
	struct buf b = BUF(0);
	struct stat st;
	char command[128];

	CHECK(proc_write_file(at("w"), STR("old"), 0644) == OK);
	CHECK(proc_write_file(at("w"), STR("new content"), 0640) == OK);
	CHECK(proc_read_file(at("w"), &b) == OK);
	CHECK_STR(buf_str(&b), "new content");
	CHECK(stat(at("w"), &st) == 0 && (st.st_mode & 07777) == 0640);
	snprintf(command, sizeof command, "test \"$(ls %s)\" = w", dir);
	CHECK(system(command) == 0);
	CHECK(proc_write_file(at("none/w"), STR("x"), 0600) == E_NOENT);
	CHECK(unlink(at("w")) == 0);
	buf_free(&b);
}

static void
a_file_larger_than_the_buffer_is_refused(void)
{
	struct buf exact = BUF(5), small = BUF(4);

	CHECK(proc_write_file(at("f"), STR("12345"), 0600) == OK);
	CHECK(proc_read_file(at("f"), &exact) == OK && exact.n == 5);
	CHECK(proc_read_file(at("f"), &small) == E_TOOBIG);
	CHECK(proc_read_file(at("missing"), &small) == E_NOENT);
	CHECK(unlink(at("f")) == 0);
	buf_free(&exact);
	buf_free(&small);
}

static void
directories_are_made_down_the_path(void)
{
	struct stat st;

	CHECK(proc_mkdirs(at("a/b//c/"), 0755) == OK);
	CHECK(stat(at("a/b/c"), &st) == 0 && S_ISDIR(st.st_mode));
	CHECK(proc_mkdirs(at("a/b/c"), 0700) == OK);
	CHECK(proc_write_file(at("a/file"), STR(""), 0600) == OK);
	CHECK(proc_mkdirs(at("a/file/x"), 0755) == E_EXISTS);
	CHECK(unlink(at("a/file")) == 0);
	CHECK(rmdir(at("a/b/c")) == 0 && rmdir(at("a/b")) == 0 && rmdir(at("a")) == 0);
}

static void
a_lock_is_held_by_one_process_until_it_ends(void)
{
	int told[2], hold[2], status, fd = -1;
	char c;
	pid_t pid;

	CHECK(proc_lock_holder(at("lock")) == 0);
	CHECK(pipe(told) == 0 && pipe(hold) == 0);
	if ((pid = fork()) == 0) {
		close(hold[1]);
		_exit(proc_lock(at("lock"), &fd) != OK || write(told[1], "x", 1) != 1 || read(hold[0], &c, 1) != 0);
	}
	close(hold[0]);
	CHECK(read(told[0], &c, 1) == 1);
	CHECK(proc_lock_holder(at("lock")) == pid);
	CHECK(proc_lock(at("lock"), &fd) == E_BUSY && fd == -1);
	close(hold[1]);                                /* lets it end */
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	CHECK(proc_lock_holder(at("lock")) == 0);      /* its pid is in the file, but it holds nothing */
	CHECK(proc_lock(at("lock"), &fd) == OK && proc_lock_holder(at("lock")) == getpid());
	close(fd);
	close(told[0]);
	close(told[1]);
	CHECK(unlink(at("lock")) == 0);
}

static void
a_process_is_seen_to_work_and_to_be_stopped(void)
{
	struct proc_look l;
	uint64_t used;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_NAME, "a) R (b");
		for (;;)
			;
	}
	while (proc_look(pid, &l) && l.cpu_ms < 20)
		;
	CHECK(l.cpu_ms >= 20 && strcmp(l.name, "a) R (b") == 0);
	CHECK(l.state == 'R' && l.age >= 0 && l.age < 60);
	CHECK(kill(pid, SIGSTOP) == 0 && waitpid(pid, &status, WUNTRACED) == pid);
	CHECK(proc_look(pid, &l) && l.state == 'T');
	used = l.cpu_ms;
	CHECK(proc_look(pid, &l) && l.cpu_ms == used);
	CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid);
	CHECK(!proc_look(pid, &l) && !proc_look(0, &l));
}

static void
descriptors_are_closed_from_a_number_on(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		bool ok = dup2(1, 100) == 100 && dup2(1, 101) == 101 && dup2(1, 99) == 99;

		proc_close_from(100);
		_exit(!(ok && fcntl(99, F_GETFD) >= 0 && fcntl(100, F_GETFD) < 0 && fcntl(101, F_GETFD) < 0));
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static void
flags_of_a_descriptor_go_on_and_off(void)
{
	int fds[2];

	CHECK(pipe(fds) == 0);
	CHECK(fd_cloexec(fds[0], true) == OK && fcntl(fds[0], F_GETFD) == FD_CLOEXEC);
	CHECK(fd_cloexec(fds[0], false) == OK && fcntl(fds[0], F_GETFD) == 0);
	CHECK(fd_nonblock(fds[0], true) == OK && (fcntl(fds[0], F_GETFL) & O_NONBLOCK));
	CHECK(fd_nonblock(fds[0], false) == OK && !(fcntl(fds[0], F_GETFL) & O_NONBLOCK));
	close(fds[0]);
	close(fds[1]);
	CHECK(fd_nonblock(fds[0], true) == E_IO && fd_cloexec(fds[0], true) == E_IO);
}

static void
all_bytes_are_written_and_read_where_they_belong(void)
{
	int fd = open(at("rw"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	char text[8] = "";

	CHECK(fd_write_all(fd, STR("abcdef"), -1) == OK);
	CHECK(fd_write_all(fd, STR("XY"), 2) == OK);
	CHECK(fd_read_all(fd, text, 6, 0) == OK && strcmp(text, "abXYef") == 0);
	CHECK(fd_read_all(fd, text, 4, 3) == E_EOF);
	CHECK(lseek(fd, 4, SEEK_SET) == 4 && fd_read_all(fd, text, 2, -1) == OK && memcmp(text, "ef", 2) == 0);
	CHECK(fd_read_all(fd, text, 0, 999) == OK);
	close(fd);
	CHECK(fd_write_all(fd, STR("x"), -1) == E_IO);
	CHECK(unlink(at("rw")) == 0);
}

static void
a_full_disk_is_told_from_other_trouble(void)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	CHECK(fd_write_all(fd, STR("x"), -1) == E_NOSPACE);
	close(fd);
}

static void
the_limit_of_files_is_raised_as_far_as_allowed(void)
{
	struct rlimit before, now;

	getrlimit(RLIMIT_NOFILE, &before);
	CHECK(proc_limit_files(1) == OK);
	getrlimit(RLIMIT_NOFILE, &now);
	CHECK(now.rlim_cur == before.rlim_cur);
	CHECK(proc_limit_files((size_t)before.rlim_max) == OK);
	getrlimit(RLIMIT_NOFILE, &now);
	CHECK(now.rlim_cur == before.rlim_max);
	CHECK(proc_limit_files((size_t)1 << 40) == OK);        /* beyond what the kernel gives to anyone */
	setrlimit(RLIMIT_NOFILE, &before);
}

static void
identity_is_changed_for_good(void)
{
	int status;
	pid_t pid;

	if (geteuid() != 0) {
		CHECK(proc_become("no-such-user", "no-such-group", false, NULL) == OK);
		return;
	}
	CHECK(proc_become("no-such-user", "daemon", false, NULL) == E_NOENT);
	CHECK(proc_become("daemon", "no-such-group", false, NULL) == E_NOENT);
	if ((pid = fork()) == 0) {
		gid_t groups[4];
		bool ok = proc_become("nobody", "daemon", false, NULL) == OK && getuid() != 0 && geteuid() != 0;

		ok = ok && getgroups(4, groups) == 1 && groups[0] == getgid() && setuid(0) != 0;
		_exit(!ok);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static void
the_program_knows_where_it_is(void)
{
	struct stat st;

	CHECK(proc_self_dir()[0] == '/' && stat(proc_self_dir(), &st) == 0 && S_ISDIR(st.st_mode));
	CHECK(rmdir(dir) == 0);                        /* every test above has cleaned up */
}

SUITE(proc, TEST(a_file_is_replaced_whole_and_nothing_else_is_left),
    TEST(a_file_larger_than_the_buffer_is_refused), TEST(directories_are_made_down_the_path),
    TEST(a_lock_is_held_by_one_process_until_it_ends), TEST(a_process_is_seen_to_work_and_to_be_stopped),
    TEST(descriptors_are_closed_from_a_number_on),
    TEST(flags_of_a_descriptor_go_on_and_off), TEST(all_bytes_are_written_and_read_where_they_belong),
    TEST(a_full_disk_is_told_from_other_trouble), TEST(the_limit_of_files_is_raised_as_far_as_allowed),
    TEST(identity_is_changed_for_good), TEST(the_program_knows_where_it_is));
