/* SPDX-License-Identifier: Apache-2.0 */
#include "util/log.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <syslog.h>
#include <unistd.h>

#include "util/log_ring.h"
#include "util/mem.h"
#include "util/time.h"

const char *log_socket = "/dev/log";

static const struct { const char *prefix; int priority; } levels[] = {
	[LOG_L_INFO] = { "", LOG_MAIL | LOG_INFO },
	[LOG_L_WARN] = { "warning: ", LOG_MAIL | LOG_WARNING },
	[LOG_L_ERROR] = { "error: ", LOG_MAIL | LOG_ERR },
	[LOG_L_FATAL] = { "fatal: ", LOG_MAIL | LOG_CRIT },
	[LOG_L_PANIC] = { "panic: ", LOG_MAIL | LOG_CRIT },
};

static atomic_bool is_open, verbose;
static bool datagrams;
static char prog_name[64] = "postroad", log_name[64], host_name[256];
static char middle[LOG_LINE_MAX - LOG_TEXT_MAX - 64];  /* " host name/prog[pid]: " */

static void
middle_of(const char *prog, char out[sizeof middle])
{
	snprintf(out, sizeof middle, "%s%s %s/%s[%d]: ", datagrams ? "" : " ", datagrams ? "" : host_name, log_name,
	    prog, (int)getpid());
}

static void
make_middle(void)
{
	middle_of(prog_name, middle);
}

void
log_forked(void)
{
	make_middle();
}

/* Once a second is enough: most lines come in crowds. */
static const char *
time_stamp(void)
{
	static _Thread_local char text[TIME_SYSLOG];
	static _Thread_local int64_t second = -1;
	struct wall now = wall_now();

	if (wall_seconds(now) != second) {
		wall_syslog(now, text);
		second = wall_seconds(now);
	}
	return text;
}

/* The text of one line: its level's prefix, no control bytes, cut at LOG_TEXT_MAX; then '\n'.  Its length. */
static size_t
__attribute__((format(printf, 3, 0)))
make_text(char out[LOG_TEXT_MAX + 2], enum log_level level, const char *fmt, va_list ap)
{
	size_t prefix = strlen(levels[level].prefix), n = prefix;
	int added;

	memcpy(out, levels[level].prefix, prefix);
	added = vsnprintf(out + prefix, LOG_TEXT_MAX + 1 - prefix, fmt, ap);
	if (added > 0)
		n += (size_t)added;
	if (n > LOG_TEXT_MAX)
		n = LOG_TEXT_MAX;
	for (size_t i = prefix; i < n; i++)
		if ((unsigned char)out[i] < ' ' || out[i] == 0x7f)
			out[i] = '?';
	out[n] = '\n';
	return n + 1;
}

static size_t
__attribute__((format(printf, 4, 0)))
make_line(char out[LOG_LINE_MAX], enum log_level level, const char *who, const char *fmt, va_list ap)
{
	int n;

	if (datagrams)
		n = snprintf(out, LOG_LINE_MAX, "<%d>%s%s", levels[level].priority, time_stamp(), who);
	else
		n = snprintf(out, LOG_LINE_MAX, "%s%s", time_stamp(), who);
	return (size_t)n + make_text(out + n, level, fmt, ap);
}

static size_t
__attribute__((format(printf, 2, 3)))
make_warning(char out[LOG_LINE_MAX], const char *fmt, ...)
{
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	n = make_line(out, LOG_L_WARN, middle, fmt, ap);
	va_end(ap);
	return n;
}

size_t
log_make_notice(char out[LOG_LINE_MAX], uint64_t missing)
{
	return make_warning(out, "%llu log lines are missing here", (unsigned long long)missing);
}

static void
write_stderr(char *line, size_t n)
{
	while (n > 0) {
		ssize_t wrote = write(STDERR_FILENO, line, n);

		if (wrote <= 0 && errno != EINTR)
			return;
		if (wrote > 0)
			line += wrote, n -= (size_t)wrote;
	}
}

static void
__attribute__((format(printf, 2, 0)))
vlog(enum log_level level, const char *fmt, va_list ap)
{
	int saved = errno;
	char line[LOG_LINE_MAX];

	if (is_open) {
		log_ring_add((struct str){ line, make_line(line, level, middle, fmt, ap) });
	} else {
		int n = snprintf(line, sizeof line, "%s: ", prog_name);

		write_stderr(line, (size_t)n + make_text(line + n, level, fmt, ap));
	}
	errno = saved;
}

static void
crashed(int sig)
{
	log_crash();
	signal(sig, SIG_DFL);
	raise(sig);
}

/* On a stack of its own, since a task's may be what ran out; not where a sanitizer listens already. */
static void
catch_crashes(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGABRT };
	static char stack[64 << 10];
	struct sigaction old, act = { .sa_handler = crashed, .sa_flags = SA_ONSTACK | SA_NODEFER };
	stack_t alternate = { .ss_sp = stack, .ss_size = sizeof stack }, present;

	if (sigaltstack(NULL, &present) == 0 && (present.ss_flags & SS_DISABLE))
		sigaltstack(&alternate, NULL);
	for (size_t i = 0; i < countof(signals); i++)
		if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
			sigaction(signals[i], &act, NULL);
}

void
log_prepare(int fd, const char *name, const char *prog, const char *host)
{
	log_close();
	datagrams = fd < 0;
	snprintf(log_name, sizeof log_name, "%s", name);
	snprintf(host_name, sizeof host_name, "%s", host);
	log_stderr(prog);
	make_middle();
	catch_crashes();
	log_ring_open(fd, log_socket);
	is_open = true;
}

void
log_start(void)
{
	log_ring_start();
}

void
log_open(int fd, const char *name, const char *prog, const char *host)
{
	log_prepare(fd, name, prog, host);
	log_start();
}

void
log_stderr(const char *prog)
{
	snprintf(prog_name, sizeof prog_name, "%s", prog);
}

void
log_close(void)
{
	if (atomic_exchange(&is_open, false))
		log_ring_close();
}

void
log_verbose(bool on)
{
	verbose = on;
}

void
log_line(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(level, fmt, ap);
	va_end(ap);
}

void
log_info_as(const char *prog, const char *fmt, ...)
{
	char who[sizeof middle], line[LOG_LINE_MAX];
	va_list ap;

	va_start(ap, fmt);
	if (is_open) {
		middle_of(prog, who);
		log_ring_add((struct str){ line, make_line(line, LOG_L_INFO, who, fmt, ap) });
	} else {
		vlog(LOG_L_INFO, fmt, ap);
	}
	va_end(ap);
}

void
log_debug(const char *fmt, ...)
{
	va_list ap;

	if (!verbose)
		return;
	va_start(ap, fmt);
	vlog(LOG_L_INFO, fmt, ap);
	va_end(ap);
}

void
log_fatal(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(LOG_L_FATAL, fmt, ap);
	va_end(ap);
	log_close();
	exit(1);
}

void
log_starved(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(LOG_L_FATAL, fmt, ap);
	va_end(ap);
	log_close();
	exit(EX_TEMPFAIL);
}

void
log_panic(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(LOG_L_PANIC, fmt, ap);
	va_end(ap);
	log_crash();
	abort();
}

void
log_crash(void)
{
	if (is_open)
		log_ring_crash();
}

void
log_last_words(const char *fmt, ...)
{
	char line[LOG_LINE_MAX];
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	n = make_line(line, LOG_L_PANIC, middle, fmt, ap);
	va_end(ap);
	if (is_open)
		log_ring_last((struct str){ line, n });
	else
		write_stderr(line, n);
}

uint64_t
log_dropped(void)
{
	return log_ring_dropped();
}
