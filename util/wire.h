/* SPDX-License-Identifier: Apache-2.0 */
/* wire.h - one way to describe a record; the compiler writes the rest.
 *
 * A record is a list of fields: F(kind, name).  From it come the struct, the encoder, the decoder and
 * the printer, for messages between processes, envelope records in the spool, and journal entries.
 * Integers are little-endian and fixed; text is a u32 length and the bytes.  A field of kind str may
 * carry a list of other records put one after another (rec_put), read back with rec_take(). */
#ifndef UTIL_WIRE_H
#define UTIL_WIRE_H

#include <stdint.h>

#include "util/buf.h"
#include "util/err.h"

typedef uint8_t    wire_u8;
typedef uint16_t   wire_u16;
typedef uint32_t   wire_u32;
typedef uint64_t   wire_u64;
typedef int64_t    wire_i64;
typedef struct str wire_str;                   /* borrowed from the frame when decoded */

/* put: false when the buf's ceiling would be passed (the buf may then hold a part of the record). */
bool wire_put_u8(struct buf *b, uint8_t v);
bool wire_put_u16(struct buf *b, uint16_t v);
bool wire_put_u32(struct buf *b, uint32_t v);
bool wire_put_u64(struct buf *b, uint64_t v);
bool wire_put_i64(struct buf *b, int64_t v);
bool wire_put_str(struct buf *b, struct str v);
/* get: false on truncation. */
bool wire_get_u8(struct str *in, uint8_t *v);
bool wire_get_u16(struct str *in, uint16_t *v);
bool wire_get_u32(struct str *in, uint32_t *v);
bool wire_get_u64(struct str *in, uint64_t *v);
bool wire_get_i64(struct str *in, int64_t *v);
bool wire_get_str(struct str *in, struct str *v);
void wire_show_u8(struct buf *b, const char *name, uint8_t v);
void wire_show_u16(struct buf *b, const char *name, uint16_t v);
void wire_show_u32(struct buf *b, const char *name, uint32_t v);
void wire_show_u64(struct buf *b, const char *name, uint64_t v);
void wire_show_i64(struct buf *b, const char *name, int64_t v);
void wire_show_str(struct buf *b, const char *name, struct str v);

#define WIRE_FIELD(kind, name) wire_##kind name;
#define WIRE_PUT(kind, name)   && wire_put_##kind(b, m->name)
#define WIRE_GET(kind, name)   && wire_get_##kind(in, &m->name)
#define WIRE_SHOW(kind, name)  wire_show_##kind(b, #name, m->name);

/* rec_get wants exactly one record (E_IPC on truncation and on trailing bytes); rec_take takes one off
 * the front of *in, false on truncation.  rec_show appends " name=value" for each field. */
#define WIRE_DECLARE(rec, FIELDS) \
	struct rec { FIELDS(WIRE_FIELD) }; \
	bool rec##_put(struct buf *b, const struct rec *m); \
	bool rec##_take(struct str *in, struct rec *m); \
	enum err rec##_get(struct str in, struct rec *m) MUST_USE; \
	void rec##_show(struct buf *b, const struct rec *m);

#define WIRE_DEFINE(rec, FIELDS) \
	bool rec##_put(struct buf *b, const struct rec *m) { return true FIELDS(WIRE_PUT); } \
	bool rec##_take(struct str *in, struct rec *m) { return true FIELDS(WIRE_GET); } \
	void rec##_show(struct buf *b, const struct rec *m) { FIELDS(WIRE_SHOW) } \
	enum err rec##_get(struct str in, struct rec *m) { \
		if (rec##_take(&in, m) && in.n == 0) \
			return OK; \
		return fail(E_IPC, "malformed " #rec); \
	}

#endif
