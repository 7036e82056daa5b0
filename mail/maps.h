/* SPDX-License-Identifier: Apache-2.0 */
/* maps.h - lookup tables, as settings name them: "hash:/etc/aliases, inline:{ {a=b} }, unix:passwd.byname"; separated by
 * commas or blanks outside braces.  Types: hash btree cdb texthash inline static regexp pcre cidr unix fail; "proxy:" before a
 * type is taken and has no effect.
 *
 * A changed source is picked up without reload: files are looked at once a second at most.  FILE.db (hash, btree) and
 * FILE.cdb (cdb) are what postmap makes; while FILE itself is newer, or there is nothing but FILE, the text is read into an index
 * of this process's own, so that a forgotten postmap is no trouble.  A new version that cannot be parsed is reported and the
 * one before stays in use. */
#ifndef MAIL_MAPS_H
#define MAIL_MAPS_H

#include "util/buf.h"
#include "util/err.h"
#include "util/task.h"

struct maps;

/* Open the tables of spec.  what: the setting's name, for messages.  dir: configuration directory, for relative paths.  An empty
 * spec gives NULL, which finds nothing.  E_SYNTAX: unknown type or malformed list (err_why() says which and the nearest known
 * type).  A file that is missing or cannot be read is no error here: lookups in it fail with E_IO until it is there, and
 * that is logged once.  Reads no file: the first lookup does.  In a task, patterns in the spec itself are compiled by a helper
 * thread while the task waits. */
WAITS enum err maps_open(struct str spec, const char *what, const char *dir, struct maps **out) MUST_USE;
/* The same, where the text form of hash, btree, cdb and texthash is that of aliases(5): "name: value". */
WAITS enum err maps_open_aliases(struct str spec, const char *what, const char *dir, struct maps **out) MUST_USE;
/* A file of names, for match.h. */
enum err maps_open_names(struct str path, const char *what, struct maps **out) MUST_USE;
void     maps_close(struct maps **m);                  /* no lookup may be under way */

/* MAPS_FIXED skips pattern tables (regexp, pcre, cidr).  MAPS_NOSUB: pattern tables are asked, but a match whose result has a $1
 * is refused with E_SYNTAX.  MAPS_ASIS: the key is not folded to lower case.  MAPS_BELOW: of a file of names. */
enum { MAPS_FIXED = 1, MAPS_NOSUB = 2, MAPS_ASIS = 4, MAPS_BELOW = 8 };
/* First value found, tables in order; value holds it and nothing else.  OK with *found false: none has it.  Any error: a table
 * could not answer, which is temporary for the mail.  Fixed-string tables are asked for the key in lower case (ASCII); regexp and
 * pcre match it as written and expand $1, ${1} and $(1).  In a task the logic thread never waits for a disk: tables in memory
 * answer at once, files are read by helper threads; outside any task it blocks. */
WAITS enum err maps_find(struct maps *m, struct str key, unsigned flags, struct buf *value, bool *found) MUST_USE;
/* The types of tables there are, by number; NULL after the last. */
const char *maps_type(size_t i);
/* True when no table of it can ever wait (all in memory). */
bool     maps_instant(const struct maps *m);

/* Address lookup in Postfix's order: user+ext@domain, user@domain, user+ext, user (these two when the domain is $myorigin, in
 * mydestination or an own address: own), @domain.  delimiters: recipient_delimiter; the first of its bytes in the local part
 * separates, except in mailer-daemon, postmaster, double-bounce, owner-x and x-request.  ext holds what follows the delimiter
 * when the match ignored it, and is empty otherwise.  Pattern tables are asked for the whole address only. */
WAITS enum err maps_find_address(struct maps *m, struct str addr, const char *delimiters, bool own, struct buf *value,
    struct buf *ext, bool *found) MUST_USE;
/* The same, which also says under which key it was found (NULL: of no interest). */
WAITS enum err maps_find_address_key(struct maps *m, struct str addr, const char *delimiters, bool own, struct buf *value,
    struct buf *ext, struct buf *key, bool *found) MUST_USE;

#endif
