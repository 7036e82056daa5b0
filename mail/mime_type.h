/* SPDX-License-Identifier: Apache-2.0 */
/* mime_type.h - what a header says in the words of MIME: MIME-Version, Content-Type and Content-Transfer-Encoding, read as leniently as
 * mail programs write them (RFC 2045 sections 4 to 6).  Pure. */
#ifndef MAIL_MIME_TYPE_H
#define MAIL_MIME_TYPE_H

#include "util/buf.h"

struct mime_type {
	struct str type, subtype;                      /* borrowed from the value; empty: it is no type */
	struct buf boundary;                           /* without its quotes; empty: none */
};

/* value: unfolded.  boundary_max: a longer one counts as none.  False: not type/subtype. */
bool mime_type_parse(struct str value, size_t boundary_max, struct mime_type *t);
void mime_type_fini(struct mime_type *t);

/* The fields, as a header's lines go by.  Of several of a name the first counts; of a value too long its beginning. */
enum { MIME_VALUE_MAX = 4096 };
enum mime_field { MIME_OTHER, MIME_VERSION, MIME_TYPE, MIME_ENCODING, MIME_FIELD_COUNT };
struct mime_fields {
	bool            has[MIME_FIELD_COUNT];
	enum mime_field now;                           /* whose lines these are */
	struct buf      type, encoding;                /* values, unfolded */
	bool            conflict;                      /* several encodings that differ */
};
void            mime_fields_init(struct mime_fields *f);
void            mime_fields_fini(struct mime_fields *f);
void            mime_fields_clear(struct mime_fields *f);      /* ready for the next header */
/* A line that begins a field; which it is. */
enum mime_field mime_fields_add(struct mime_fields *f, struct str line);
void            mime_fields_continue(struct mime_fields *f, struct str line);
/* The encoding in one word, "8bit"; empty: none. */
struct str      mime_fields_encoding(const struct mime_fields *f);

#endif
