/* SPDX-License-Identifier: Apache-2.0 */
/* postmap_entries.h - the entries of a table that is written as a whole, one a key, in the order they came in. */
#ifndef CMD_POSTMAP_ENTRIES_H
#define CMD_POSTMAP_ENTRIES_H

#include "util/err.h"
#include "util/list.h"
#include "util/map.h"

struct entries {
	struct map  by_key;
	struct list in_order;
};

void     entries_init(struct entries *e);
void     entries_fini(struct entries *e);
/* Copies both.  True: there was one with this key; it stays, or, with replace, gets the new value. */
bool     entries_put(struct entries *e, struct str key, struct str value, bool replace);
/* Until each() gives an error, which is then returned. */
enum err entries_each(struct entries *e, enum err (*each)(void *arg, struct str key, struct str value), void *arg) MUST_USE;

#endif
