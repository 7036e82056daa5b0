/* SPDX-License-Identifier: Apache-2.0 */
/* maps_rules.h - tables of patterns: what regexp, pcre and cidr have in common.  Included by mail/maps_*.c alone. */
#ifndef MAIL_MAPS_RULES_H
#define MAIL_MAPS_RULES_H

#include "mail/maps_table.h"
#include "util/map_pcre.h"
#include "util/net.h"

enum { GROUPS_MAX = 99 };                              /* highest $n */

/* What patterns are tried on. */
struct subject {
	struct str  text;
	struct addr addr;                              /* with by_address: the text as an address */
	bool        thorough;
};

/* NEITHER: the pattern is not about such a subject, and its opposite is not either. */
enum match { MATCH_NO, MATCH_YES, MATCH_NEITHER };

struct rule_kind {
	bool by_address;                               /* patterns are words, not /between delimiters/flags */
	bool helper_only;                              /* the matcher has no limits: never in the logic thread */
	/* E_SYNTAX: *at is the byte of pattern that the words are about. */
	enum err (*compile)(struct str pattern, struct str flags, void **out, unsigned *groups, size_t *at);
	/* E_BUSY without s->thorough: it takes longer than the logic thread has time. */
	enum err (*match)(const void *compiled, const struct subject *s, struct map_pcre_span *spans, size_t n, enum match *match);
	void     (*free)(void *compiled);
};
extern const struct rule_kind rule_regexp, rule_pcre, rule_cidr;

/* file: name for messages. */
enum err rules_content(const struct rule_kind *kind, const char *file, struct str text, struct content **out) MUST_USE;

#endif
