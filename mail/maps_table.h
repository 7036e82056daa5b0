/* SPDX-License-Identifier: Apache-2.0 */
/* maps_table.h - what the kinds of lookup tables share.  Included by mail/maps*.c and mail/match.c alone.
 *
 * What a table knows at one moment is a `content`, which does not change once it is made: a new version of a file is a new
 * content, made by a helper thread and put in place by the logic thread, while lookups under way finish in the old one. */
#ifndef MAIL_MAPS_TABLE_H
#define MAIL_MAPS_TABLE_H

#include "mail/maps.h"

/* One question, and its answer. */
struct ask {
	struct str  key;                               /* as written */
	struct str  folded;                            /* what fixed-string tables are asked for */
	unsigned    flags;
	struct buf *value;                             /* empty before */
	bool        found;
	bool        thorough;                          /* in a helper thread: take the time it takes */
	bool        put_off;                           /* not answered: ask again in a helper thread */
	bool        stale;                             /* not found in a file that was replaced since it was opened */
};

struct content;
struct content_type {
	enum err (*find)(struct content *c, struct ask *a);
	void     (*free)(struct content *c);           /* c itself too */
	bool       quick;                              /* in memory: find() does not block, though it may put off */
	bool       instant;                            /* nor put off */
};
struct content {
	const struct content_type *type;
	unsigned                   users;              /* the table, and lookups under way; logic thread only */
};
void content_drop(struct content **c);                 /* one user less; the last one frees it */
/* found, with this value. */
enum err ask_answer(struct ask *a, struct str value) MUST_USE;

/* Makers.  text: what stands after "type:".  E_SYNTAX for what cannot be right, with words that say what and where. */
enum err inline_content(struct str text, struct content **out) MUST_USE;       /* "{ a=b, { c = d e } }" */
enum err static_content(struct str text, struct content **out) MUST_USE;
enum err unix_content(struct str text, struct content **out) MUST_USE;
enum err fail_content(struct str text, struct content **out) MUST_USE;
/* An index of the text of a table, whose name is file.  The first of several entries with one key counts. */
enum err index_content(const char *file, struct str text, bool aliases, struct content **out) MUST_USE;
/* One to be filled before it is used: keys as given, the first of several counts.  index is the content; for map_db_each(). */
struct content *index_empty(void);
enum err        index_put(void *index, struct str key, struct str value);
/* A file of names in a match list: maps_names.c. */
enum err names_content(const char *file, struct str text, struct content **out) MUST_USE;
/* Files made by postmap; a small one is read into an index, so that no lookup waits for another thread. */
enum err db_content(const char *path, struct content **out) MUST_USE;
enum err cdb_content(const char *path, struct content **out) MUST_USE;
/* The text of a pattern table. */
enum err regexp_content(const char *file, struct str text, struct content **out) MUST_USE;
enum err pcre_content(const char *file, struct str text, struct content **out) MUST_USE;
enum err cidr_content(const char *file, struct str text, struct content **out) MUST_USE;

/* "{ text }" without braces and the blanks inside them; E_SYNTAX when they are not there or do not pair. */
enum err in_braces(struct str s, struct str *inside) MUST_USE;
/* Next element of a list separated by commas and blanks, those in braces belonging to their element.  OK with an empty one at
 * the end; E_SYNTAX: braces that do not pair. */
enum err take_element(struct str *rest, struct str *element) MUST_USE;

/* A kind of table. */
struct table_type {
	struct str  name;
	bool        pattern;
	const char *suffix;                            /* of the file that postmap makes: ".db"; NULL: none */
	enum err  (*from_spec)(struct str text, struct content **out);
	enum err  (*from_made)(const char *path, struct content **out);
	/* Of the text; NULL: key and value, index_content(). */
	enum err  (*from_text)(const char *file, struct str text, struct content **out);
};

/* A table whose content comes from files and follows them. */
extern int64_t file_table_look_ms;                     /* between looks at the files; tests change it */
extern int64_t file_table_settled_s;                   /* a text that was changed less long ago may be half written; tests change it */
struct file_table;
struct file_table *file_table_new(const struct table_type *type, const char *name, const char *path, bool aliases);
void               file_table_free(struct file_table **t);
WAITS enum err     file_table_find(struct file_table *t, struct ask *a) MUST_USE;
/* Ask c, in a helper thread if it must be one. */
WAITS enum err     content_find(struct content *c, struct ask *a) MUST_USE;

#endif
