/* SPDX-License-Identifier: Apache-2.0 */
/* header.h - what the mail system itself wants to know of a message's header (RFC 5322 section 2.2), read as the content streams
 * by.  Memory is bounded whatever comes in; content is passed on untouched. */
#ifndef MAIL_HEADER_H
#define MAIL_HEADER_H

#include "util/buf.h"
#include "util/time.h"

/* Longest header name told apart from others, and most bytes of a value that are kept. */
enum { HEADER_NAME_MAX = 32, HEADER_VALUE_MAX = 998 };

struct header_scan {
	unsigned   received;                           /* Received: fields seen */
	struct buf message_id;                         /* value of the first Message-ID:, unfolded; empty: none */
	bool       done;                               /* the header has ended, or the limit was reached */
	size_t     left;                               /* bytes that may still be looked at */
	char       name[HEADER_NAME_MAX];
	uint8_t    name_n;
	uint8_t    state;
	bool       keep;                               /* the field being read is the one to keep */
	bool       kept;
};

/* limit: most bytes that are looked at (header_size_limit). */
void header_scan_init(struct header_scan *h, size_t limit);
void header_scan_fini(struct header_scan *h);
/* More content, in pieces of any size; lines end in CRLF or LF.  The header ends at an empty line or at a line that is neither a
 * field nor a continuation.  Cheap once done. */
void header_scan_add(struct header_scan *h, struct str content);

/* The name of the field that a line begins, "" when it begins none.  Blanks before the colon are tolerated and not part of it. */
struct str header_field_name(struct str line);
/* The message id that we give a message which has none: "<YYYYMMDDhhmmss.ID@host>". */
/* The field of a message that did not come by SMTP (RFC 5321 section 4.4), with its CRLF. */
bool received_put(struct wall arrived, uint64_t id, const char *host, const char *mail_name, struct buf *out);
bool message_id_put(struct wall arrived, uint64_t id, const char *host, struct buf *out);
/* "ID: message-id=<...>", as log tools look for it. */
void header_scan_log(const struct header_scan *h, const char *id);

#endif
