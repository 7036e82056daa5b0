/* SPDX-License-Identifier: Apache-2.0 */
/* content.h - the bytes after DATA, made into the one form that is stored: every line ends in CRLF, dot-stuffing is undone, and no
 * CR or LF stands alone, so that what goes out again cannot be read in two ways (SMTP smuggling).  Pure; works on any split of
 * the stream; holds back at most a line's first dot and the CRs before a possible LF. */
#ifndef SMTPD_CONTENT_H
#define SMTPD_CONTENT_H

#include "util/str.h"

/* smtpd_forbid_bare_newline.  NORMALIZE and REJECT: only CRLF.CRLF ends the message; a line of one dot where it or the line before
 * ended in a bare LF is dropped; one CR is taken off a CRCRLF.  NO: LF ends a line as CRLF does, also around the dot, and
 * all CRs before it go.  REJECT differs from NORMALIZE in what is answered (bare_lf). */
enum newlines { NEWLINES_NORMALIZE, NEWLINES_REJECT, NEWLINES_NO };

struct content {
	enum newlines mode;
	/* Takes what is to be stored, in order, borrowed for the call.  WAITS if it likes. */
	void        (*emit)(void *arg, struct str run);
	void         *arg;
	unsigned      flags;                           /* MF_8BIT MF_DOTS MF_LONG MF_NUL of what was emitted */
	bool          ended;                           /* the end of data was found */
	bool          bare_lf;                         /* some line ended in a bare LF */
	/* the rest is the scanner's own */
	uint64_t      crs;                             /* CRs held back: the end of a line, or strays */
	uint64_t      column;                          /* stored bytes of this line so far */
	bool          dot;                             /* held back: a dot that starts the line */
	bool          inside;                          /* something of this line was seen */
	bool          after_bare;                      /* the line before ended in a bare LF */
	bool          opened;                          /* past the first line's first bytes */
	uint8_t       from_n;                          /* how much of "From " the message starts with */
	uint64_t      angles;                          /* '>' before that */
};

void   content_init(struct content *c, enum newlines mode, void (*emit)(void *arg, struct str run), void *arg);
/* How many bytes of `in` were content, end of data included: all unless c->ended. */
size_t content_scan(struct content *c, struct str in);

#endif
