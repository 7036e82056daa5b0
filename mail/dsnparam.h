/* SPDX-License-Identifier: Apache-2.0 */
/* dsnparam.h - what a sender asks of delivery reports, RFC 3461: the parameters RET and ENVID of MAIL, NOTIFY and ORCPT of RCPT. */
#ifndef MAIL_DSNPARAM_H
#define MAIL_DSNPARAM_H

#include "util/buf.h"

/* What he wants to be told (0: nothing was said, which is FAILURE | DELAY), and how much of the message he wants back. */
enum { NOTIFY_NEVER = 1, NOTIFY_SUCCESS = 2, NOTIFY_FAILURE = 4, NOTIFY_DELAY = 8 };
enum { RET_UNSAID, RET_FULL, RET_HDRS };
/* Most bytes of ENVID as it was before encoding, and of ORCPT as it is sent (sections 4.4 and 4.2). */
enum { ENVID_MAX = 100, ORCPT_MAX = 500 };

/* "NEVER", or "SUCCESS,FAILURE,DELAY" in any order and case; false: neither. */
bool notify_parse(struct str text, uint8_t *notify);
/* What is left to ask of the recipients that one stands for, when its own sender is told that it was expanded (section 5.2.7). */
static inline uint8_t
notify_less_success(uint8_t notify)
{
	uint8_t rest = notify & (uint8_t)~NOTIFY_SUCCESS;

	return notify != 0 && rest == 0 ? NOTIFY_NEVER : rest;
}
bool ret_parse(struct str text, uint8_t *ret);         /* "FULL", "HDRS" */

/* xtext: bytes that cannot stand for themselves are "+XX".  decode: false unless all of it is xtext whose bytes are printable
 * ASCII (a control character would end up in our own records and headers).  encode never fails but for out's ceiling. */
bool xtext_decode(struct str in, struct buf *out);
bool xtext_encode(struct str in, struct buf *out);
/* ENVID= as xtext of at most ENVID_MAX bytes. */
bool envid_decode(struct str in, struct buf *out);
/* "rfc822;user+2Btag@example.com" and "rfc822;user+tag@example.com".  An address of type utf-8 (RFC 6533 section 3) has "\x{C4}" in the
 * place of "+XX"; with utf8 its bytes over 127 may stand for themselves. */
bool orcpt_decode(struct str in, bool utf8, struct buf *out);
bool orcpt_encode(struct str in, bool utf8, struct buf *out);

#endif
