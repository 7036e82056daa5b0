/* SPDX-License-Identifier: Apache-2.0 */
/* log.h - log lines in Postfix's grammar: "Mon dd hh:mm:ss host NAME/PROG[pid]: text".
 *
 * Logging never blocks: a line goes into a bounded ring that a thread writes out, many lines a write;
 * what does not fit is counted and the count is logged when there is room again.  A dying process
 * writes what is left (log_crash).  Text from outside goes through buf_add_clean() first; log_line()
 * also replaces any control byte, so that one call is one line whatever comes in. */
#ifndef UTIL_LOG_H
#define UTIL_LOG_H

#include "util/err.h"
#include <stdbool.h>

#include "util/str.h"

enum log_level { LOG_L_INFO, LOG_L_WARN, LOG_L_ERROR, LOG_L_FATAL, LOG_L_PANIC };

/* Where lines go.  fd >= 0: that descriptor (a file opened O_APPEND, a pipe, a terminal), each line with
 * its time stamp and host.  fd < 0: datagrams to /dev/log, facility mail.  Starts the writer thread.
 * name is "postroad" (syslog_name), prog "smtpd" or "submission/smtpd"; both are copied. */
void log_open(int fd, const char *name, const char *prog, const char *host);
/* The same in two steps, for who has something to do (util/sandbox.h) before there is a second thread: until log_start() a line is
 * written at once, and may wait. */
void log_prepare(int fd, const char *name, const char *prog, const char *host);
void log_start(void);
/* Before log_open() and after log_close() lines go to stderr as "prog: text". */
void log_stderr(const char *prog);
void log_close(void);                                  /* write what is left, waiting at most 1 s */
void log_verbose(bool on);

void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* INFO has no prefix; the others are "warning: ", "error: ", "fatal: ", "panic: ". */
#define log_info(...)  log_line(LOG_L_INFO, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_L_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_L_ERROR, __VA_ARGS__)
/* As if the program prog said it: a line that log tools look for under the name of a Postfix process that is none here. */
void log_info_as(const char *prog, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Debugging chatter, only with log_verbose(true). */
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Say why and exit(1) / abort(). */
void log_fatal(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
/* The same for want of memory, threads or descriptors; exit status 75 (EX_TEMPFAIL): the program itself is well. */
void log_starved(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
void log_panic(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
/* Write the ring out directly; async-signal-safe.  Installed for SIGSEGV, SIGBUS, SIGABRT by log_open(). */
void log_crash(void);
/* The same, with a panic line behind it; for a handler that ends the process whatever it interrupted. */
void log_last_words(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
uint64_t log_dropped(void);
extern const char *log_socket;                         /* "/dev/log"; tests point it elsewhere before log_open() */

/* Kept in release builds: the impossible is death, and death is cheap. */
#define ENSURE(cond) ((cond) ? (void)0 : log_panic("%s:%d: not so: %s", __FILE__, __LINE__, #cond))

#endif
