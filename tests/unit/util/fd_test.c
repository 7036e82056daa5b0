/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/check.h"
#include "util/fault.h"
#include "util/task.h"

static struct time soon(int64_t ms) { return time_after_ms(time_now(), ms); }

/* One task for each kind of wait. */
static struct wait nobody_wakes;
static int silent[2];

static void
in_sleep(void *arg)
{
	*(enum err *)arg = task_sleep(TIME_NEVER);
}

static void
in_park(void *arg)
{
	*(enum err *)arg = wait_park(&nobody_wakes, TIME_NEVER);
}

static void
in_read(void *arg)
{
	*(enum err *)arg = task_wait_fd(silent[0], FD_READ, TIME_NEVER);
}

static void
in_write(void *arg)
{
	char junk[4096] = { 0 };

	while (send(silent[0], junk, sizeof junk, MSG_NOSIGNAL) > 0)
		;
	do
		*(enum err *)arg = task_wait_fd(silent[0], FD_WRITE, TIME_NEVER);
	while (*(enum err *)arg == OK && send(silent[0], junk, sizeof junk, MSG_NOSIGNAL) < 0);
}

static void
a_stop_ends_each_kind_of_wait_and_all_later_ones(void)
{
	static void (*const waits[])(void *) = { in_sleep, in_park, in_read, in_write };
	enum err result[countof(waits)] = { 0 };
	struct tasks g;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, silent) == 0);
	CHECK(task_fd_add(silent[0]) == OK);
	wait_init(&nobody_wakes);
	tasks_init(&g);
	for (size_t i = 0; i < countof(waits); i++)
		task_start(&g, "waits", waits[i], &result[i]);
	task_yield();
	tasks_stop(&g);
	for (size_t i = 0; i < countof(waits); i++)
		CHECK(result[i] == E_STOPPED);
	task_fd_del(silent[0]);
	close(silent[0]);
	close(silent[1]);
}

static void
woken_by_data(void *arg)
{
	*(enum err *)arg = task_wait_fd(silent[0], FD_READ, time_after(time_now(), 10));
}

static void
descriptors_wake_their_reader(void)
{
	enum err result = E_IO;
	struct tasks g;
	char c;

	tasks_init(&g);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, silent) == 0);
	CHECK(task_fd_add(silent[0]) == OK);
	CHECK(task_wait_fd(silent[0], FD_READ, soon(5)) == E_TIMEOUT);
	task_start(&g, "reader", woken_by_data, &result);
	task_yield();
	CHECK(write(silent[1], "x", 1) == 1);
	tasks_wait(&g);
	CHECK(result == OK);
	CHECK(read(silent[0], &c, 1) == 1);

	/* An edge that came while nobody waited is not lost. */
	CHECK(write(silent[1], "x", 1) == 1);
	CHECK(task_sleep(soon(5)) == OK);
	CHECK(task_wait_fd(silent[0], FD_READ, TIME_NEVER) == OK);
	CHECK(read(silent[0], &c, 1) == 1);

	/* A close stays known. */
	close(silent[1]);
	CHECK(task_wait_fd(silent[0], FD_READ, TIME_NEVER) == OK);
	CHECK(task_wait_fd(silent[0], FD_READ, TIME_NEVER) == OK);
	CHECK(read(silent[0], &c, 1) == 0);
	task_fd_del(silent[0]);
	close(silent[0]);
}

static void
taking_a_descriptor_away_ends_the_wait_for_it(void)
{
	enum err result = E_IO;
	struct tasks g;

	tasks_init(&g);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, silent) == 0);
	CHECK(task_fd_add(silent[0]) == OK);
	task_start(&g, "reader", woken_by_data, &result);
	task_yield();
	task_fd_del(silent[0]);
	close(silent[0]);
	close(silent[1]);
	tasks_wait(&g);
	CHECK(result == E_EOF);
	CHECK(task_fd_add(-1) != OK);
}

static void
a_shared_listener_wakes_who_waits_and_is_left_alone_when_nobody_does(void)
{
	struct sockaddr_un any = { .sun_family = AF_UNIX }, where;     /* any free abstract name */
	socklen_t n = sizeof where;
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), client, got;

	CHECK(bind(listener, (struct sockaddr *)&any, sizeof any.sun_family) == 0);
	CHECK(listen(listener, 5) == 0);
	CHECK(getsockname(listener, (struct sockaddr *)&where, &n) == 0);
	CHECK(task_fd_add_shared(listener) == OK);
	for (int i = 0; i < 3; i++) {
		client = socket(AF_UNIX, SOCK_STREAM, 0);
		CHECK(task_wait_fd(listener, FD_READ, soon(3)) == E_TIMEOUT);
		CHECK(connect(client, (struct sockaddr *)&where, n) == 0);
		if (i == 1)
			CHECK(task_sleep(soon(5)) == OK);
		CHECK(task_wait_fd(listener, FD_READ, time_after(time_now(), 10)) == OK);
		got = accept(listener, NULL, NULL);
		CHECK(got >= 0);
		close(got);
		close(client);
	}
	task_fd_del(listener);
	close(listener);
}

static void
in_listen(void *arg)
{
	*(enum err *)arg = task_listen_fd(silent[0]);
}

static void
who_listens_for_life_asks_the_kernel_again(void)
{
	enum err result = E_IO;
	struct tasks g;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, silent) == 0);
	CHECK(task_fd_add(silent[0]) == OK);
	setenv("POSTROAD_FAULT", "test:epoll_ctl:1:ENOMEM,test:epoll_ctl:2:ENOMEM", 1);
	fault_init("test");
	unsetenv("POSTROAD_FAULT");
	tasks_init(&g);
	task_start(&g, "listens", in_listen, &result);
	task_yield();
	CHECK(!tasks_empty(&g));
	CHECK(send(silent[1], "x", 1, 0) == 1);
	tasks_wait(&g);
	CHECK(result == OK);
	fault_init("test");
	task_start(&g, "listens", in_listen, &result);
	tasks_stop(&g);
	CHECK(result == E_STOPPED);
	task_fd_del(silent[0]);
	close(silent[0]);
	close(silent[1]);
}

/* It is raised as high as it goes, or a hundred times: that is one word to who waits. */
static void
an_eventfd_that_is_raised_wakes(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	uint64_t n = UINT64_MAX - 1;

	CHECK(task_fd_add(fd) == OK);
	CHECK(task_wait_fd(fd, FD_READ, soon(20)) == E_TIMEOUT);
	for (int i = 0; i < 100; i++)
		task_raise(fd);
	CHECK(task_wait_fd(fd, FD_READ, soon(1000)) == OK && read(fd, &n, sizeof n) == sizeof n && n == 100);
	n = UINT64_MAX - 1;
	CHECK(write(fd, &n, sizeof n) == sizeof n);
	task_raise(fd);
	CHECK(task_wait_fd(fd, FD_READ, soon(1000)) == OK && read(fd, &n, sizeof n) == sizeof n && n == UINT64_MAX - 1);
	task_fd_del(fd);
	close(fd);
}

SUITE(fd, TASK_TEST(a_stop_ends_each_kind_of_wait_and_all_later_ones),
    TASK_TEST(descriptors_wake_their_reader), TASK_TEST(who_listens_for_life_asks_the_kernel_again),
    TASK_TEST(taking_a_descriptor_away_ends_the_wait_for_it),
    TASK_TEST(a_shared_listener_wakes_who_waits_and_is_left_alone_when_nobody_does),
    TASK_TEST(an_eventfd_that_is_raised_wakes));
