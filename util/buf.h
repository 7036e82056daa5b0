/* SPDX-License-Identifier: Apache-2.0 */
/* buf.h - owned, growing bytes with a hard ceiling.  NUL-terminated past the end once anything was added. */
#ifndef UTIL_BUF_H
#define UTIL_BUF_H

#include <stdarg.h>

#include "util/str.h"

struct buf {
	char  *p;
	size_t n;             /* bytes in use */
	size_t cap;           /* bytes allocated */
	size_t max;           /* refuse to grow past this; 0 means BUF_MAX */
};

enum { BUF_MAX = 1 << 20 };

#define BUF(limit) ((struct buf){ .max = (limit) })

void buf_free(struct buf *b);                          /* safe on a zeroed buf; keeps max */
void buf_clear(struct buf *b);                         /* keep the memory */
/* All adders: false, and nothing added, when the ceiling would be passed. */
bool buf_add(struct buf *b, struct str s);
bool buf_addc(struct buf *b, char c);
bool buf_adds(struct buf *b, const char *z);
bool buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool buf_vprintf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
/* Make room for n more bytes and point at it (NULL: would pass max); buf_grew() then says how many came. */
char *buf_room(struct buf *b, size_t n);
void buf_grew(struct buf *b, size_t n);
void buf_drop(struct buf *b, size_t n);                /* forget the first n bytes; the rest moves down */
void buf_cut(struct buf *b, size_t n);                 /* keep only the first n bytes */
/* Outside bytes made safe for a log line: controls, 8-bit and backslash become '?', as Postfix does. */
bool buf_add_clean(struct buf *b, struct str s);
/* s as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
bool buf_add_json(struct buf *b, struct str s);

static inline struct str buf_str(const struct buf *b) { return (struct str){ b->p ? b->p : "", b->n }; }
/* The text as a C string; the buf must stay untouched while it is in use. */
static inline const char *buf_cstr(const struct buf *b) { return b->p ? b->p : ""; }

#endif
