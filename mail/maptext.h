/* SPDX-License-Identifier: Apache-2.0 */
/* maptext.h - the text that lookup tables are made from, read entry by entry.
 *
 * Logical lines as in main.cf (util/conf.h): a line that starts with a blank continues the one before; empty lines and those
 * whose first non-blank is '#' are skipped.  Errors are E_SYNTAX with "FILE:LINE:COLUMN: what is wrong"; reading goes on
 * after them. */
#ifndef MAIL_MAPTEXT_H
#define MAIL_MAPTEXT_H

#include <stdbool.h>

#include "util/err.h"
#include "util/str.h"

enum maptext_form {
	MAPTEXT_TABLE,                                 /* "key value"; a quoted part of the key may hold blanks, its quotes stay */
	MAPTEXT_ALIASES,                               /* aliases(5): "name: value"; quotes of the name are taken off */
};

struct maptext;
/* name: of the file, for messages.  Both are borrowed. */
struct maptext *maptext_open(const char *name, struct str whole);
void     maptext_close(struct maptext **t);

/* Next logical line, blanks at its ends taken off; valid until the next call.  OK with *more false at the end. */
enum err maptext_line(struct maptext *t, struct str *line, bool *more) MUST_USE;
/* Next entry, in the case it is written in; valid until the next call.  OK with *more false at the end. */
enum err maptext_entry(struct maptext *t, enum maptext_form form, struct str *key, struct str *value, bool *more) MUST_USE;
/* The error for what is at this byte of the present line; NULL: for the line. */
enum err maptext_error(const struct maptext *t, const char *at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

unsigned maptext_number(const struct maptext *t);       /* of the line that the present one starts with */

/* s with A-Z as a-z added to out; false: too long. */
struct buf;
bool     maptext_fold(struct str s, struct buf *out);

#endif
