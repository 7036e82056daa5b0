/* SPDX-License-Identifier: Apache-2.0 */
/* newlines.h - text of any origin as lines that end in CRLF, the form the spool keeps (docs/SPOOL.md), and what a next hop must
 * know of it.  LF and CRLF end a line; a CR elsewhere becomes a blank, lest anyone take it for a line end. */
#ifndef INTAKE_NEWLINES_H
#define INTAKE_NEWLINES_H

#include "spool/spool.h"
#include "util/buf.h"

struct newlines {
	uint32_t flags;                                /* MF_8BIT MF_DOTS MF_LONG MF_NUL, of all so far */
	size_t   column;
	bool     cr;                                   /* the last byte was a CR whose meaning is not yet known */
};

/* Appends to out, at most twice the size of in and one byte; false when out has no room.  n is zeroed before the first piece. */
bool newlines_add(struct newlines *n, struct str in, struct buf *out);
/* The end: a last line without line end gets one. */
bool newlines_end(struct newlines *n, struct buf *out);

/* The flags of a text whose lines end in CRLF already. */
uint32_t newlines_flags(struct str text);

#endif
