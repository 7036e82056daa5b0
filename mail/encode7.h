/* SPDX-License-Identifier: Apache-2.0 */
/* encode7.h - quoted-printable and base64 as streams (RFC 2045 sections 6.7 and 6.8): lines go in, lines of at most 76 bytes come out.
 * Pure.  Output grows by a little more than three times the input. */
#ifndef MAIL_ENCODE7_H
#define MAIL_ENCODE7_H

#include "util/buf.h"

enum encoding7 { ENCODE_NOTHING, ENCODE_QP, ENCODE_BASE64 };

/* Zero it and set kind before the first byte; after encode7_end() it is as new, with kind NOTHING. */
struct encode7 {
	enum encoding7 kind;
	unsigned       column;
	char           blank;                          /* QP: one whose line may end after it; 0: none */
	bool           broken;                         /* QP: this line begins after a soft break */
	unsigned char  group[3];                       /* base64: bytes of an unfinished one */
	unsigned       n;
};

/* Bytes of a line, none of them its end. */
void encode7_text(struct encode7 *e, struct str s, struct buf *out);
/* The end of a line that is content. */
void encode7_line_end(struct encode7 *e, struct buf *out);
/* The end of the content; the line of output that it leaves is not ended. */
void encode7_end(struct encode7 *e, struct buf *out);

#endif
