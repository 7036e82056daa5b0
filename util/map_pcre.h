/* SPDX-License-Identifier: Apache-2.0 */
/* map_pcre.h - Perl-compatible regular expressions (PCRE2), compiled for speed where the system allows it (JIT), with a limit
 * on what a match may cost: a pattern that backtracks without end must not stop a mail system.
 * A compiled pattern may be used by several threads at once. */
#ifndef UTIL_MAP_PCRE_H
#define UTIL_MAP_PCRE_H

#include <stdbool.h>

#include "util/err.h"
#include "util/str.h"

/* Bits are ours, not the library's. */
enum map_pcre_flags {
	MAP_PCRE_ICASE = 1, MAP_PCRE_MULTILINE = 2, MAP_PCRE_DOTALL = 4, MAP_PCRE_EXTENDED = 8,
	MAP_PCRE_ANCHORED = 16, MAP_PCRE_DOLLAR_ENDONLY = 32, MAP_PCRE_UNGREEDY = 64
};
/* Part of the subject that a group matched; at == SIZE_MAX: it took no part. */
struct map_pcre_span { size_t at, n; };
/* Steps of backtracking: what costs well under a millisecond, and what costs tens of them. */
enum { MAP_PCRE_QUICK = 10000, MAP_PCRE_THOROUGH = 2000000 };

struct map_pcre;
/* A pattern with non-ASCII text that is UTF-8 is matched by characters, every other one by bytes.  E_SYNTAX: *at is the byte of the
 * pattern that the words are about. */
enum err map_pcre_compile(struct str pattern, unsigned flags, struct map_pcre **out, size_t *at) MUST_USE;
void     map_pcre_free(struct map_pcre **p);
unsigned map_pcre_groups(const struct map_pcre *p);    /* highest $n */
/* spans[0] is the whole match, the rest its groups; those past n are not told.  E_BUSY: it would take more than limit steps, or
 * more memory than is reasonable. */
enum err map_pcre_match(const struct map_pcre *p, struct str subject, unsigned limit, struct map_pcre_span *spans, size_t n,
    bool *matched) MUST_USE;

#endif
