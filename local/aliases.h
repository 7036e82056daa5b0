/* SPDX-License-Identifier: Apache-2.0 */
/* aliases.h - alias_maps: what a name stands for, and with whose rights that is done. */
#ifndef LOCAL_ALIASES_H
#define LOCAL_ALIASES_H

#include <sys/types.h>

#include "util/buf.h"
#include "util/err.h"
#include "util/task.h"

struct aliases;
struct alias_table;                                    /* one of them */

/* dir: configuration directory.  E_SYNTAX. */
WAITS enum err aliases_open(struct str alias_maps, const char *dir, struct aliases **out) MUST_USE;
void           aliases_close(struct aliases **a);      /* no lookup may be under way */
/* The first table that has the name; *table NULL: none has.  Patterns with $1 are refused, E_SYNTAX: what a sender writes would
 * become part of a command. */
WAITS enum err aliases_find(struct aliases *a, struct str name, struct buf *value, const struct alias_table **table) MUST_USE;
/* Who owns the files of a table: root (0) unless one of them belongs to somebody else; also for tables without file. */
WAITS enum err alias_owner(const struct alias_table *t, uid_t *owner) MUST_USE;

#endif
