/* SPDX-License-Identifier: Apache-2.0 */
#include "util/notify.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "util/str.h"
#include "util/time.h"

enum { TEXT_MAX = 2048 };

static struct {
	int                fd;                         /* -1: nobody to tell */
	struct sockaddr_un to;
	socklen_t          to_length;
	int64_t            watchdog_ms;                /* 0: not asked for */
	struct time        fed;
} self = { .fd = -1 };

/* A path, or with @ a name without a file. */
static bool
set_address(const char *name)
{
	size_t n = strlen(name);

	if ((name[0] != '/' && name[0] != '@') || n >= sizeof self.to.sun_path)
		return false;
	self.to = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(self.to.sun_path, name, n);
	if (name[0] == '@')
		self.to.sun_path[0] = '\0';
	self.to_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	return true;
}

/* The watchdog is meant for one process, which may not be us. */
static int64_t
watchdog_ms(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *whose = getenv("WATCHDOG_PID");
	uint64_t v, pid;

	if (usec == NULL || !str_u64(str_of(usec), &v) || v > INT64_MAX / 2)
		return 0;
	if (whose && (!str_u64(str_of(whose), &pid) || pid != (uint64_t)getpid()))
		return 0;
	return (int64_t)(v / 1000);
}

void
notify_open(int lowest)
{
	const char *name = getenv("NOTIFY_SOCKET");
	int low;

	if (name && set_address(name) && (low = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) >= 0) {
		self.fd = fcntl(low, F_DUPFD_CLOEXEC, lowest);
		close(low);
		self.watchdog_ms = watchdog_ms();
	}
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

static void
put(const char *text, size_t n)
{
	(void)!sendto(self.fd, text, n, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&self.to, self.to_length);
}

static size_t
__attribute__((format(printf, 3, 0)))
fill(char *out, size_t size, const char *fmt, va_list ap)
{
	int n = vsnprintf(out, size, fmt, ap);

	return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}

void
notify_send(const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	if (self.fd < 0)
		return;
	va_start(ap, fmt);
	put(text, fill(text, sizeof text, fmt, ap));
	va_end(ap);
}

void
notify_status(bool ready, const char *fmt, ...)
{
	char text[TEXT_MAX];
	size_t prefix, n;
	va_list ap;

	if (self.fd < 0)
		return;
	prefix = (size_t)snprintf(text, sizeof text, "%sSTATUS=", ready ? "READY=1\n" : "");
	va_start(ap, fmt);
	n = prefix + fill(text + prefix, sizeof text - prefix, fmt, ap);
	va_end(ap);
	for (size_t i = prefix; i < n; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			text[i] = ' ';
	put(text, n);
}

void
notify_reloading(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	notify_send("RELOADING=1\nMONOTONIC_USEC=%" PRId64, t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000);
}

void
notify_watchdog(void)
{
	struct time now = time_now();

	if (self.watchdog_ms == 0 || time_before(now, time_after_ms(self.fed, self.watchdog_ms / 2)))
		return;
	self.fed = now;
	notify_send("WATCHDOG=1");
}

void
notify_close(void)
{
	if (self.fd >= 0)
		close(self.fd);
	self.fd = -1;
	self.watchdog_ms = 0;
	self.fed = (struct time){ 0 };
}
