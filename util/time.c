/* SPDX-License-Identifier: Apache-2.0 */
#include "util/time.h"

#include <endian.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const int64_t NS = 1000000000;

/* The file of POSTROAD_CLOCK, or NULL. */
static const int64_t *offset_file;
static pthread_once_t offset_once = PTHREAD_ONCE_INIT;

static void
map_offset(void)
{
	const char *path = getenv("POSTROAD_CLOCK");
	struct stat st;
	void *p;
	int fd;

	if (path == NULL || *path == '\0')
		return;
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		return;
	/* Reading a mapping past the end of its file is SIGBUS. */
	if (fstat(fd, &st) == 0 && st.st_size >= (off_t)sizeof *offset_file) {
		p = mmap(NULL, sizeof *offset_file, PROT_READ, MAP_SHARED, fd, 0);
		if (p != MAP_FAILED)
			offset_file = p;
	}
	close(fd);
}

static int64_t
offset_seconds(void)
{
	pthread_once(&offset_once, map_offset);
	if (__builtin_expect(offset_file == NULL, 1))
		return 0;
	return (int64_t)le64toh((uint64_t)__atomic_load_n(offset_file, __ATOMIC_RELAXED));
}

bool
clock_is_settable(void)
{
	pthread_once(&offset_once, map_offset);
	return offset_file != NULL;
}

struct time
time_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (struct time){ ts.tv_sec * NS + ts.tv_nsec };
}

static struct time
after(struct time t, int64_t count, int64_t unit)
{
	int64_t ns;

	if (t.ns == INT64_MAX)
		return TIME_NEVER;
	if (__builtin_mul_overflow(count, unit, &ns) || __builtin_add_overflow(t.ns, ns, &ns))
		return count < 0 ? (struct time){ INT64_MIN } : TIME_NEVER;
	return (struct time){ ns };
}

struct time
time_after(struct time t, int64_t seconds)
{
	return after(t, seconds, NS);
}

struct time
time_after_ms(struct time t, int64_t ms)
{
	return after(t, ms, NS / 1000);
}

int64_t
time_ms_until(struct time t)
{
	int64_t now = time_now().ns, ms;

	if (t.ns <= now)
		return 0;
	ms = (t.ns - now - 1) / (NS / 1000) + 1;
	return ms < INT_MAX ? ms : INT_MAX;
}

double
time_seconds(struct time from, struct time to)
{
	return ((double)to.ns - (double)from.ns) / (double)NS;
}

struct wall
wall_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (struct wall){ (ts.tv_sec + offset_seconds()) * 1000000 + ts.tv_nsec / 1000 };
}

struct time
sched_now(void)
{
	return time_after(time_now(), offset_seconds());
}

static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep",
	"Oct", "Nov", "Dec" };

/* The C library locks and looks up the zone for each call; most calls are for the same second. */
static const struct tm *
local(struct wall w)
{
	static _Thread_local struct tm tm;
	static _Thread_local time_t second = -1;
	time_t now = (time_t)(w.us / 1000000 - (w.us % 1000000 < 0));

	if (now != second || now == -1) {
		if (localtime_r(&now, &tm) == NULL)
			tm = (struct tm){ .tm_mday = 1, .tm_year = 70, .tm_wday = 4 };
		second = now;
	}
	return &tm;
}

/* Minutes east of Greenwich as hours and minutes, and the sign. */
static char
zone(const struct tm *tm, int *hours, int *minutes)
{
	int east = (int)(tm->tm_gmtoff / 60), size = east < 0 ? -east : east;

	*hours = size / 60 % 100;
	*minutes = size % 60;
	return east < 0 ? '-' : '+';
}

void
wall_rfc5322(struct wall w, char out[TIME_RFC5322])
{
	const struct tm *tm = local(w);
	int hours, minutes;
	char sign = zone(tm, &hours, &minutes);

	snprintf(out, TIME_RFC5322, "%s, %02d %s %d %02d:%02d:%02d %c%02d%02d", days[tm->tm_wday],
	    tm->tm_mday, months[tm->tm_mon], tm->tm_year + 1900, tm->tm_hour, tm->tm_min, tm->tm_sec,
	    sign, hours, minutes);
}

void
wall_syslog(struct wall w, char out[TIME_SYSLOG])
{
	const struct tm *tm = local(w);

	snprintf(out, TIME_SYSLOG, "%s %2u %02u:%02u:%02u", months[tm->tm_mon], (unsigned)tm->tm_mday % 100,
	    (unsigned)tm->tm_hour % 100, (unsigned)tm->tm_min % 100, (unsigned)tm->tm_sec % 100);
}

void
wall_iso(struct wall w, char out[TIME_ISO])
{
	const struct tm *tm = local(w);
	int hours, minutes;
	char sign = zone(tm, &hours, &minutes);
	int64_t us = w.us % 1000000;

	snprintf(out, TIME_ISO, "%d-%02u-%02uT%02u:%02u:%02u.%06u%c%02u:%02u", tm->tm_year + 1900,
	    (unsigned)(tm->tm_mon + 1) % 100, (unsigned)tm->tm_mday % 100, (unsigned)tm->tm_hour % 100,
	    (unsigned)tm->tm_min % 100, (unsigned)tm->tm_sec % 100, (unsigned)(us < 0 ? us + 1000000 : us),
	    sign, (unsigned)hours % 100, (unsigned)minutes % 100);
}
