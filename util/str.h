/* SPDX-License-Identifier: Apache-2.0 */
/* str.h - borrowed text: a pointer and a length.  Never freed here, never NUL-terminated. */
#ifndef UTIL_STR_H
#define UTIL_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
	const char *p;
	size_t      n;
};

#define STR(lit)   ((struct str){ "" lit, sizeof(lit) - 1 })
#define STR_ARG(s) (int)(s).n, (s).p                   /* for "%.*s" */

static inline struct str str_of(const char *z) { return (struct str){ z, strlen(z) }; }

/* Bytes [from, from+n) of s, clipped to what there is. */
struct str str_sub(struct str s, size_t from, size_t n);
bool       str_eq(struct str a, struct str b);
bool       str_ieq(struct str a, struct str b);                /* ASCII case-insensitive */
int        str_cmp(struct str a, struct str b);                /* bytewise, like memcmp */
bool       str_starts(struct str s, struct str prefix);
bool       str_istarts(struct str s, struct str prefix);
bool       str_ends(struct str s, struct str suffix);
bool       str_iends(struct str s, struct str suffix);
/* Index of the first (last) c in s, or s.n when there is none. */
size_t     str_find(struct str s, char c);
size_t     str_rfind(struct str s, char c);
bool       str_ascii(struct str s);                            /* no byte over 127 */
struct str str_trim(struct str s);                             /* blanks and tabs, CR and LF, both ends */
/* Take the text up to sep off the front of *rest; false when *rest is empty. */
bool       str_cut(struct str *rest, char sep, struct str *head);
/* Take the next word off *rest; words are separated by any byte of seps.  False at the end. */
bool       str_word(struct str *rest, const char *seps, struct str *word);
/* Whole of s is a decimal (or hexadecimal) number that fits; false otherwise, *v untouched. */
bool       str_u64(struct str s, uint64_t *v);
bool       str_i64(struct str s, int64_t *v);
bool       str_hex(struct str s, uint64_t *v);
bool       str_is_utf8(struct str s);
/* A NUL-terminated copy on the heap; free() it. */
char      *str_dup(struct str s);
/* Fewest single-byte edits that turn a into b; for "did you mean".  Inputs are cut at 64 bytes. */
unsigned   str_distance(struct str a, struct str b);
uint64_t   str_hash(struct str s);                             /* not for hostile keys across processes */
uint64_t   str_ihash(struct str s);                            /* same for any ASCII case */

#endif
