/* SPDX-License-Identifier: Apache-2.0 */
/* log_ring.h - for log.c only: the bounded ring of finished lines and the thread that writes them out. */
#ifndef UTIL_LOG_RING_H
#define UTIL_LOG_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/str.h"

/* Longest text of a line, and of a finished line with all that stands before it.  A finished line ends in '\n'; the
 * second must stay below PIPE_BUF, so that a line goes into a pipe whole. */
enum { LOG_TEXT_MAX = 2000, LOG_LINE_MAX = 2600 };

/* fd < 0: datagrams to the socket at `path`.  Until the writer is started lines are written by whoever has them. */
void     log_ring_open(int fd, const char *path);
void     log_ring_start(void);
void     log_ring_add(struct str line);                /* never waits; counts what it cannot take */
void     log_ring_close(void);                         /* writes what is left, for at most a second */
void     log_ring_crash(void);                         /* async-signal-safe */
void     log_ring_last(struct str line);               /* log_ring_crash(), then this line; takes no lock either */
uint64_t log_ring_dropped(void);

/* From log.c: the finished line that tells how many lines are missing; its length. */
size_t   log_make_notice(char out[LOG_LINE_MAX], uint64_t missing);
/* From log.c: runs in the child after fork(), where there is no writer. */
void     log_forked(void);

#endif
