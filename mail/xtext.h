/* SPDX-License-Identifier: Apache-2.0 */
/* xtext.h - text as it stands in the parameters ENVID and ORCPT (RFC 3461 section 4, RFC 6533 section 3).  Pure. */
#ifndef MAIL_XTEXT_H
#define MAIL_XTEXT_H

#include "util/buf.h"

/* Append s: what is not printable ASCII, and + and =, as +HH.  utf8: bytes over 127 stay as they are, which only a message sent with
 * SMTPUTF8 may have.  False: out's ceiling. */
bool xtext_put(struct str s, bool utf8, struct buf *out);

#endif
