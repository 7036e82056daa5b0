/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/check.h"
#include "util/mem.h"
#include "util/time.h"

static const int64_t second = 1000000000;

static void
deadlines_saturate(void)
{
	struct time t = { 5 };

	CHECK(time_after(t, 2).ns == 2 * second + 5);
	CHECK(time_after_ms(t, -1).ns == 5 - 1000000);
	CHECK(time_after(t, INT64_MAX).ns == INT64_MAX);
	CHECK(time_after(t, INT64_MAX / second).ns == INT64_MAX / second * second + 5);
	CHECK(time_after((struct time){ INT64_MAX - 1 }, 1).ns == INT64_MAX);
	CHECK(time_after(TIME_NEVER, -5).ns == INT64_MAX);
	CHECK(time_after_ms(TIME_NEVER, 1).ns == INT64_MAX);
	CHECK(time_after(t, INT64_MIN).ns == INT64_MIN);
}

static void
waits_are_rounded_up_and_bounded(void)
{
	struct time now = time_now();

	CHECK(time_ms_until(now) == 0);
	CHECK(time_ms_until((struct time){ now.ns - second }) == 0);
	CHECK(time_ms_until(TIME_NEVER) == INT_MAX);
	CHECK(time_ms_until(time_after(time_now(), 100)) > 90000);
	CHECK(time_ms_until(time_after(time_now(), 100)) <= 100000);
	now = time_now();
	CHECK(time_ms_until((struct time){ now.ns + second / 2 + 1 }) <= 501);
	CHECK(time_before(now, time_after(now, 1)) && !time_before(now, now));
	CHECK(time_min(now, TIME_NEVER).ns == now.ns);
	CHECK(time_seconds(now, time_after_ms(now, 1500)) > 1.499);
}

static void
dates_are_written_in_the_local_zone(void)
{
	static const struct { const char *zone; int64_t us; const char *rfc5322, *syslog, *iso; } cases[] = {
		{ "UTC0", 1795476721123456, "Mon, 23 Nov 2026 23:32:01 +0000", "Nov 23 23:32:01",
		    "2026-11-23T23:32:01.123456+00:00" },
		{ "UTC0", 1793577600000000, "Mon, 02 Nov 2026 00:00:00 +0000", "Nov  2 00:00:00",
		    "2026-11-02T00:00:00.000000+00:00" },
		{ "XXX-5:30", 1795476721000001, "Tue, 24 Nov 2026 05:02:01 +0530", "Nov 24 05:02:01",
		    "2026-11-24T05:02:01.000001+05:30" },
		{ "XXX3:30", 1795476721000000, "Mon, 23 Nov 2026 20:02:01 -0330", "Nov 23 20:02:01",
		    "2026-11-23T20:02:01.000000-03:30" },
		{ "UTC0", -1, "Wed, 31 Dec 1969 23:59:59 +0000", "Dec 31 23:59:59",
		    "1969-12-31T23:59:59.999999+00:00" },
	};
	char rfc5322[TIME_RFC5322], syslog[TIME_SYSLOG], iso[TIME_ISO];

	for (size_t i = 0; i < countof(cases); i++) {
		struct wall w = { cases[i].us };

		setenv("TZ", cases[i].zone, 1);
		tzset();
		wall_syslog((struct wall){ 0 }, syslog);       /* another second: the cache must notice */
		wall_rfc5322(w, rfc5322);
		wall_syslog(w, syslog);
		wall_iso(w, iso);
		CU_ASSERT_STRING_EQUAL(rfc5322, cases[i].rfc5322);
		CU_ASSERT_STRING_EQUAL(syslog, cases[i].syslog);
		CU_ASSERT_STRING_EQUAL(iso, cases[i].iso);
	}
	unsetenv("TZ");
	tzset();
}

static void
the_calendar_follows_the_system(void)
{
	time_t now = time(NULL);

	CHECK(wall_seconds(wall_now()) - now <= 1 && now - wall_seconds(wall_now()) <= 0);
	CHECK(!clock_is_settable());
	CHECK(sched_now().ns - time_now().ns < second);
}

/* The variable is read once: this program runs itself with it, this one test only. */
static void
run_with_clock(char *file)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	int status = -1;
	pid_t pid;

	CU_ASSERT_FATAL(n > 0);
	self[n] = '\0';
	if ((pid = fork()) == 0) {
		setenv("POSTROAD_CLOCK", file, 1);
		if (freopen("/dev/null", "w", stdout) != NULL)
			execl(self, self, "clock", (char *)NULL);
		_exit(127);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static void
the_calendar_can_be_pushed_while_the_program_runs(void)
{
	char file[] = "/tmp/clock.XXXXXX";
	int64_t offset = 3600;
	int fd;

	if (getenv("POSTROAD_CLOCK") == NULL) {
		fd = mkstemp(file);
		CHECK(write(fd, &offset, sizeof offset) == sizeof offset);
		close(fd);
		run_with_clock(file);
		unlink(file);
		return;
	}
	CHECK(clock_is_settable());
	CHECK(wall_seconds(wall_now()) - time(NULL) >= 3600);
	CHECK(time_seconds(time_now(), sched_now()) > 3599);
	fd = open(getenv("POSTROAD_CLOCK"), O_WRONLY);
	offset = 7200;
	CHECK(pwrite(fd, &offset, sizeof offset, 0) == sizeof offset);
	close(fd);
	CHECK(wall_seconds(wall_now()) - time(NULL) >= 7200);
	CHECK(time_seconds(time_now(), sched_now()) > 7199);
}

SUITE(time, TEST(deadlines_saturate), TEST(waits_are_rounded_up_and_bounded),
    TEST(dates_are_written_in_the_local_zone), TEST(the_calendar_follows_the_system));
SUITE(clock, TEST(the_calendar_can_be_pushed_while_the_program_runs));
