/* SPDX-License-Identifier: Apache-2.0 */
/* map_cdb.h - constant databases (tinycdb) as tables of key and value, in Postfix's form: no NUL at the end of either, but
 * one is taken off or tried where somebody else put it.
 *
 * Such a file is made as a whole and never changed, only replaced.  A handle may be used by several threads.  All calls may
 * wait for the disk. */
#ifndef UTIL_MAP_CDB_H
#define UTIL_MAP_CDB_H

#include <stdbool.h>

#include "util/buf.h"
#include "util/err.h"

struct map_cdb;
enum err map_cdb_open(const char *path, struct map_cdb **out) MUST_USE;
void     map_cdb_close(struct map_cdb **c);
/* value gets what is found added. */
enum err map_cdb_get(struct map_cdb *c, struct str key, struct buf *value, bool *found) MUST_USE;
/* All entries, in the file's order, until each() gives an error, which is then returned. */
enum err map_cdb_each(struct map_cdb *c, enum err (*each)(void *arg, struct str key, struct str value), void *arg) MUST_USE;

/* Make one: fd is of an empty file, stays open, and is not synced. */
struct map_cdb_maker;
enum err map_cdb_begin(int fd, struct map_cdb_maker **out) MUST_USE;
enum err map_cdb_add(struct map_cdb_maker *m, struct str key, struct str value, bool nul) MUST_USE;
/* Write what finds the entries; frees m, also when it fails.  With only_free nothing is written. */
enum err map_cdb_end(struct map_cdb_maker **m, bool only_free);

#endif
