/* SPDX-License-Identifier: Apache-2.0 */
/* conf.h - the syntax of main.cf, not its meaning (mail/params.h): logical lines, "name = value", $name expansion.
 *
 * A line that starts with a blank continues the one before; lines whose first non-blank is '#' and empty lines are
 * skipped, also between continuation lines.  Errors read "FILE:LINE:COLUMN: what is wrong". */
#ifndef UTIL_CONF_H
#define UTIL_CONF_H

#include "util/buf.h"
#include "util/err.h"
#include "util/map.h"

struct conf_entry {
	struct map_node node;                          /* key: name */
	char           *name;
	char           *value;                         /* joined, trimmed, not expanded */
	unsigned        line, column;                  /* of the value's first byte; line 0: set from outside (-o) */
	bool            used;                          /* by conf_used(), or as $name in another value */
};

struct conf {
	struct map   entries;
	char        *file;
};

/* One logical line of a file in this syntax; false at the end.  text is the joined line, valid until the next call.
 * *offsets maps a byte of text back to line:column for messages (conf_position). */
struct conf_lines;
struct conf_lines *conf_lines_open(struct str whole_file);
bool     conf_lines_next(struct conf_lines *l, struct str *text, unsigned *line);
void     conf_position(const struct conf_lines *l, size_t byte_of_text, unsigned *line, unsigned *column);
void     conf_lines_close(struct conf_lines **l);

enum err conf_load(struct conf *c, const char *file) MUST_USE;
enum err conf_parse(struct conf *c, const char *file_name, struct str text) MUST_USE;   /* later entries win */
void     conf_set(struct conf *c, struct str name, struct str value);                   /* -o name=value */
const struct conf_entry *conf_get(const struct conf *c, struct str name);
void     conf_used(struct conf *c, struct str name);                                    /* harmless when there is none */
void     conf_fini(struct conf *c);

/* Expand $name, ${name}, ${name?text}, ${name?{text}}, ${name?{text}:{text}}, ${name:text}, ${name:{text}}, $$ in value.
 * lookup gives the unexpanded value of a name (NULL: unknown, expands to nothing), so that defaults take part; nesting is
 * limited to 100.  Names used are reported through lookup as well. */
enum err conf_expand(struct str value, const char *(*lookup)(void *arg, struct str name), void *arg, struct buf *out) MUST_USE;

#endif
