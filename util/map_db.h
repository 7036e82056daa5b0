/* SPDX-License-Identifier: Apache-2.0 */
/* map_db.h - Berkeley DB files (libdb 5.3) as tables of key and value.
 *
 * Postfix ends keys and values with a NUL byte, unless it is told not to; readers try both, and give values without it.
 * A handle may be used by several threads.  All calls may wait for the disk. */
#ifndef UTIL_MAP_DB_H
#define UTIL_MAP_DB_H

#include <stdbool.h>
#include <sys/types.h>

#include "util/buf.h"
#include "util/err.h"

enum map_db_kind { MAP_DB_HASH, MAP_DB_BTREE };

struct map_db;

/* For reading, whatever kind the file is.  E_BUSY: somebody has locked it (flock) to write in it. */
enum err map_db_open(const char *path, struct map_db **out) MUST_USE;
/* An empty table in a file that is there and empty; or one with contents, to be changed.  Takes no lock. */
enum err map_db_create(const char *path, enum map_db_kind kind, struct map_db **out) MUST_USE;
enum err map_db_update(const char *path, struct map_db **out) MUST_USE;
/* What was put is on disk.  Closing without it may lose any of it. */
enum err map_db_sync(struct map_db *db) MUST_USE;
void     map_db_close(struct map_db **db);

/* value gets what is found added. */
enum err map_db_get(struct map_db *db, struct str key, struct buf *value, bool *found) MUST_USE;
/* nul: both end in a NUL byte.  replace: of an entry that is there already, in either form; else it stays.  *was: there was one. */
enum err map_db_put(struct map_db *db, struct str key, struct str value, bool nul, bool replace, bool *was) MUST_USE;
enum err map_db_del(struct map_db *db, struct str key, bool *was) MUST_USE;      /* in either form */
/* All entries, in the file's order, without their NULs, until each() gives an error, which is then returned. */
enum err map_db_each(struct map_db *db, enum err (*each)(void *arg, struct str key, struct str value), void *arg) MUST_USE;

#endif
