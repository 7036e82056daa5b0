/* SPDX-License-Identifier: Apache-2.0 */
/* io.h - a buffered stream on a socket, used from one task at a time.  Output is gathered and leaves in one write at
 * io_flush() (or when io_line() is about to wait).  Input memory is held only while there is input.
 * E_EOF: the peer closed; E_TIMEOUT, E_STOPPED as in task.h; E_IO: anything else, words in err_why(). */
#ifndef UTIL_IO_H
#define UTIL_IO_H

#include <sys/types.h>

#include "util/buf.h"
#include "util/err.h"
#include "util/task.h"

struct io;

/* Takes over fd (non-blocking, registered with the loop).  line_max: longest line io_line() returns, its end included;
 * the input buffer never grows past max(line_max, 32 KiB). */
struct io     *io_new(int fd, size_t line_max);
void           io_close(struct io **io);               /* what was not flushed is lost; NULL is a no-op */
int            io_fd(const struct io *io);

/* Next line without its line end; valid until the next io call.  *ending says how it ended; a line ends at LF.
 * A line longer than line_max: E_TOOLONG, the rest of the line is read and dropped first (the next call starts on
 * the next line), giving up with E_TOOLONG_EOF semantics (E_EOF) after 1 MiB.  At end of file a partial line is dropped: E_EOF.
 * Flushes pending output before it waits. */
enum io_ending { END_CRLF, END_LF, END_CRCRLF };
WAITS enum err io_line(struct io *io, struct str *line, enum io_ending *ending, struct time deadline) MUST_USE;
bool           io_has_line(const struct io *io);       /* a whole line is already here */
bool           io_has_input(const struct io *io);      /* any unread byte is already here */
/* Some bytes, at least one, at most what is buffered or one read; valid until the next io call; io_ate() says how many
 * were used.  For message content, which is scanned in place. */
WAITS enum err io_some(struct io *io, struct str *bytes, struct time deadline) MUST_USE;
void           io_ate(struct io *io, size_t n);

/* Queue output; the bytes are copied.  Nothing is written before io_flush() or a wait for input, save that a buffer over
 * 64 KiB is an assertion failure: flush large output as you go. */
void           io_put(struct io *io, struct str s);
void           io_print(struct io *io, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
WAITS enum err io_flush(struct io *io, struct time deadline) MUST_USE;
/* The same for the last words: they leave when io_close() follows, in one packet with the end of the stream. */
WAITS enum err io_flush_last(struct io *io, struct time deadline) MUST_USE;
/* Flush, then send [from, from+n) of file (sendfile; a regular file in the page cache).  */
WAITS enum err io_send_file(struct io *io, int file, off_t from, size_t n, struct time deadline) MUST_USE;
/* Bytes received and sent so far; for minimum data rates. */
uint64_t       io_received(const struct io *io);
uint64_t       io_sent(const struct io *io);
/* The peer has closed or reset an otherwise idle connection (checked without waiting). */
bool           io_is_dead(struct io *io);

#endif
