/* SPDX-License-Identifier: Apache-2.0 */
/* words.h - the words of a logical line of master.cf. */
#ifndef MASTER_WORDS_H
#define MASTER_WORDS_H

#include "util/err.h"
#include "util/str.h"

struct word {
	struct str text;                               /* without its braces and the blanks inside them */
	size_t     at;                                 /* byte of the line where it starts, brace included */
	bool       braced;
};

/* The next word of line from *at on.  E_EOF at the end of the line; E_SYNTAX, words set: a brace without partner or with text
 * right behind its partner, w->at is where. */
enum err word_next(struct str line, size_t *at, struct word *w) MUST_USE;
/* "name = value" with or without the blanks; false when there is no name or no '='. */
bool     word_pair(struct str text, struct str *name, struct str *value);

#endif
