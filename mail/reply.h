/* SPDX-License-Identifier: Apache-2.0 */
/* reply.h - what an SMTP server answers, read within bounds and made safe to log (RFC 5321 section 4.2, RFC 2034).
 *
 * A server may send anything: lines are cut at REPLY_LINE_MAX, REPLY_LINES_KEPT of them and REPLY_TEXT_MAX bytes in all are
 * kept, controls, 8-bit bytes and backslashes become '?', and a reply that does not end after REPLY_LINES_MAX lines is
 * malformed. */
#ifndef MAIL_REPLY_H
#define MAIL_REPLY_H

#include "util/buf.h"
#include "util/err.h"
#include "util/io.h"

enum {
	REPLY_LINE_MAX = 2048,
	REPLY_IO_LINE = 8192,                          /* line_max for io_new(): longer lines are malformed */
	REPLY_LINES_KEPT = 100,
	REPLY_LINES_MAX = 1000,
	REPLY_TEXT_MAX = 4096,
	ESC_MAX = 12,                                  /* "5.123.123" */
};

struct reply {
	int        code;                               /* 200-599 once it is whole, that of its last line; else 0 */
	unsigned   lines;
	struct buf text;                               /* codes included, lines joined by a blank: "250-a 250 b" */
	char       esc[ESC_MAX];                       /* enhanced status code of the last line if its class fits; else "" */
};

void reply_clear(struct reply *r);                     /* ready for the next one; a zeroed reply is ready too */
void reply_fini(struct reply *r);

/* Take one line, its end removed.  BAD: not a reply line, or one too many; the words are in text all the same. */
enum reply_step { REPLY_MORE, REPLY_DONE, REPLY_BAD };
enum reply_step reply_add(struct reply *r, struct str line);
/* Read a whole reply, all of it before the deadline however slowly it drips.  E_SYNTAX: malformed; E_TIMEOUT, E_EOF, E_IO,
 * E_STOPPED.  each, if not NULL, sees the text after the code of every line kept. */
WAITS enum err  reply_read(struct io *io, struct reply *r, void (*each)(void *arg, struct str text), void *arg,
    struct time deadline) MUST_USE;

static inline int reply_class(const struct reply *r) { return r->code / 100; }
/* The enhanced status code the server gave, else X.0.0 with the class of its reply. */
const char *reply_esc(const struct reply *r, char out[ESC_MAX]);
/* Is s (up to its first blank) an enhanced status code of this class (2, 4, 5)?  Its length, or 0. */
size_t      esc_length(struct str s, int class);

#endif
