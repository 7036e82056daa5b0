/* SPDX-License-Identifier: Apache-2.0 */
/* mime7.h - a message with 8-bit content turned into one of 7 bits, part by part, for servers without 8BITMIME (RFC 6152 section 3).
 *
 * The same content goes through twice: the first pass looks what each part is and holds, the second turns it.  Parts that hold bytes
 * over 127 become quoted-printable (text) or base64 (anything else), with the header fields that say so; labels of 8bit and
 * binary on what is 7-bit by then become 7bit.  Multiparts and message/rfc822 are walked through and never encoded themselves
 * (RFC 2045 section 6.4).  All else stays as it is, byte for byte: parts that are 7-bit, or encoded already, or of a type that
 * must not be encoded (message/partial, …), and all of what is in multipart/signed and multipart/encrypted (RFC 1847 section 2.1);
 * likewise bytes over 127 where MIME has no code for them, in headers and before and after the parts of a multipart.
 *
 * Bounds: nested MIME7_DEPTH_MAX deep, boundaries of MIME7_BOUNDARY_MAX bytes, MIME7_PARTS_MAX parts; what exceeds them is not
 * looked into and stays as it is.  Memory is about 50 KiB whatever comes in.  Lines come out with CRLF. */
#ifndef MAIL_MIME7_H
#define MAIL_MIME7_H

#include "util/buf.h"

enum { MIME7_DEPTH_MAX = 100, MIME7_BOUNDARY_MAX = 250, MIME7_PARTS_MAX = 10000, MIME7_LINE_MAX = 4096 };

struct mime7;
struct mime7 *mime7_new(void);
void          mime7_free(struct mime7 **m);            /* NULL is a no-op */
/* The first pass: content in pieces of any size. */
void          mime7_look(struct mime7 *m, struct str piece);
/* The second, of the same content; out grows by at most MIME7_GROWTH bytes for each of the piece and of a line. */
enum { MIME7_GROWTH = 32 };
void          mime7_turn(struct mime7 *m, struct str piece, struct buf *out);
/* After the last piece.  Content that does not end in a line end does not get one. */
void          mime7_end(struct mime7 *m, struct buf *out);

#endif
