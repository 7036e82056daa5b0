/* SPDX-License-Identifier: Apache-2.0 */
/* rdata.h - the data of DNS records, off the wire and within bounds.  Names come uncompressed (the resolver library did that);
 * whatever does not fit its type exactly is malformed. */
#ifndef MAIL_RDATA_H
#define MAIL_RDATA_H

#include "mail/msgs.h"

enum { RDATA_RECORDS_MAX = 100, RDATA_TEXT_MAX = 65535 };

/* Append one record as msg_record says (text of MX: host name, "" for the root).  False, and nothing added: malformed, or no room.
 * Names may hold letters, digits, '-', '_' and '/' only: all else has no business in a host name, and may do harm in a log. */
bool rdata_put(struct buf *records, uint16_t type, struct str rdata);
/* A name of labels, from the front of *rdata; appended without its final dot. */
bool rdata_name(struct str *rdata, struct buf *out);

#endif
