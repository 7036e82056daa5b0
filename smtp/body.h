/* SPDX-License-Identifier: Apache-2.0 */
/* body.h - sending a message's content: from the file as it is where that will do, with dots stuffed and long lines broken
 * where it will not (RFC 5321 sections 4.5.2 and 4.5.3.1.6). */
#ifndef SMTP_BODY_H
#define SMTP_BODY_H

#include "mail/msgs.h"
#include "mail/params.h"
#include "spool/spool.h"
#include "util/io.h"

struct body {
	int             fd;                            /* -1: all of it is in text */
	struct buf      text;
	uint64_t        at, size;
	uint32_t        flags;                         /* MF_ */
};

/* Open, and read what is small.  E_NOENT, E_IO, E_CORRUPT (it is not what was committed): nothing may be
 * sent. */
WAITS enum err body_open(struct spool *s, const struct msg_deliver *m, struct body *b) MUST_USE;
void           body_close(struct body *b);
/* Has it lines that must be broken? */
bool           body_is_wrapped(const struct params *p, const struct body *b);
/* All of it and the final dot; flushed.  seven: as mail/mime7.h turns it. */
WAITS enum err body_send(const struct params *p, const struct body *b, struct io *io, bool seven) MUST_USE;
/* Are there bytes over 127 in the header? */
WAITS enum err body_header_8bit(const struct body *b, bool *has) MUST_USE;

/* The transformation: dots stuffed, lines broken at line_limit bytes (0: never), every line end made CRLF.  w is zeroed before the
 * first piece.  out grows by twice the size of in at most.  At the end the last line lacks its end if
 * inside or cr is set. */
struct wrap {
	bool   inside;                                 /* a line */
	bool   cr;                                     /* the last byte was a CR that is not yet written */
	size_t column;
};
void           body_wrap(struct wrap *w, struct str in, size_t line_limit, struct buf *out);

#endif
