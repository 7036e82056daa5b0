/* SPDX-License-Identifier: Apache-2.0 */
#include "util/notify.h"

#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/check.h"
#include "util/time.h"

enum { LOWEST = 200 };

/* A manager: its socket, named in the environment.  name: a path, or @ and a name without a file. */
static int
manager(const char *name)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	memcpy(at.sun_path, name, strlen(name));
	if (name[0] == '@')
		at.sun_path[0] = '\0';
	else
		unlink(name);
	CHECK(bind(fd, (struct sockaddr *)&at, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))) == 0);
	setenv("NOTIFY_SOCKET", name, 1);
	return fd;
}

/* The next datagram, "" when there is none. */
static const char *
heard(int fd)
{
	static char text[4096];
	ssize_t n = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static const char *
name(bool file)
{
	static char text[64];

	snprintf(text, sizeof text, "%s.%d", file ? "/tmp/notify-test" : "@notify-test", (int)getpid());
	return text;
}

static void
words_arrive_at_a_path_and_at_a_name_without_one(void)
{
	for (int file = 0; file <= 1; file++) {
		int fd = manager(name(file));

		notify_open(LOWEST);
		notify_send("READY=%d\nMAINPID=%d", 1, 7);
		CHECK(strcmp(heard(fd), "READY=1\nMAINPID=7") == 0);
		notify_reloading();
		CHECK(strncmp(heard(fd), "RELOADING=1\nMONOTONIC_USEC=", 27) == 0);
		notify_close();
		notify_send("READY=1");
		CHECK(heard(fd)[0] == '\0');
		close(fd);
	}
	unlink(name(true));
}

static void
no_child_inherits_the_manager(void)
{
	int fd = manager(name(false));

	setenv("WATCHDOG_USEC", "1000000", 1);
	setenv("WATCHDOG_PID", "1", 1);
	CHECK(fcntl(LOWEST, F_GETFD) < 0);
	notify_open(LOWEST);
	CHECK(fcntl(LOWEST, F_GETFD) == FD_CLOEXEC);
	CHECK(getenv("NOTIFY_SOCKET") == NULL && getenv("WATCHDOG_USEC") == NULL && getenv("WATCHDOG_PID") == NULL);
	/* It was another process that should feed the watchdog. */
	notify_watchdog();
	CHECK(heard(fd)[0] == '\0');
	notify_close();
	close(fd);
}

static void
a_status_is_one_line_whatever_it_holds(void)
{
	int fd = manager(name(false));
	char longer[5000];

	notify_open(LOWEST);
	notify_status(true, "%s", "two\nMAINPID=1\x7f lines");
	CHECK(strcmp(heard(fd), "READY=1\nSTATUS=two MAINPID=1  lines") == 0);
	memset(longer, 'x', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	notify_status(false, "%s", longer);
	CHECK(strlen(heard(fd)) == 2047);
	notify_close();
	close(fd);
}

static void
the_watchdog_is_fed_twice_in_its_time(void)
{
	int fd = manager(name(false));
	char pid[16];
	struct time last = time_now(), first = last;

	snprintf(pid, sizeof pid, "%d", (int)getpid());
	setenv("WATCHDOG_USEC", "200000", 1);
	setenv("WATCHDOG_PID", pid, 1);
	notify_open(LOWEST);
	for (int words = 0; words < 4;) {
		struct time asked = time_now();

		notify_watchdog();
		if (strcmp(heard(fd), "WATCHDOG=1") == 0) {
			words++;
			last = time_now();
		} else if (!time_before(asked, time_after_ms(last, 100))) {
			CHECK(!"fed in time");
			break;
		}
		poll(NULL, 0, 5);
	}
	CHECK(!time_before(last, time_after_ms(first, 300)));  /* and not more often than that */
	notify_close();
	close(fd);
}

static void
a_manager_that_does_not_listen_holds_up_nobody(void)
{
	struct time began = time_now();
	int fd = manager(name(false));

	notify_open(LOWEST);
	for (int i = 0; i < 10000; i++)
		notify_send("STATUS=%d", i);
	close(fd);
	notify_send("STATUS=into the void");
	CHECK(time_seconds(began, time_now()) < 5);
	CHECK(strcmp(heard(fd), "") == 0);
	notify_close();
}

static void
nobody_to_tell_is_no_error(void)
{
	static const char *const bad[] = { "", "relative", "/a/name/that/is/longer/than/a/socket/may/have/"
		"a/name/that/is/longer/than/a/socket/may/have/a/name/that/is/longer/than/a/socket/may/have" };

	notify_open(LOWEST);
	notify_send("READY=1");
	notify_close();
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		setenv("NOTIFY_SOCKET", bad[i], 1);
		notify_open(LOWEST);
		CHECK(fcntl(LOWEST, F_GETFD) < 0);
		notify_send("READY=1");
		notify_watchdog();
		notify_close();
		CHECK(getenv("NOTIFY_SOCKET") == NULL);
	}
}

SUITE(notify, TEST(words_arrive_at_a_path_and_at_a_name_without_one), TEST(no_child_inherits_the_manager),
    TEST(a_status_is_one_line_whatever_it_holds), TEST(the_watchdog_is_fed_twice_in_its_time),
    TEST(a_manager_that_does_not_listen_holds_up_nobody), TEST(nobody_to_tell_is_no_error));
