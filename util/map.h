/* SPDX-License-Identifier: Apache-2.0 */
/* map.h - intrusive hash table from a struct str key to a struct that embeds struct map_node.
 * Keys are borrowed: the embedding struct owns the bytes and must outlive its membership.
 * Seeded per process against chosen keys.  Expected O(1); grows by doubling. */
#ifndef UTIL_MAP_H
#define UTIL_MAP_H

#include "util/str.h"

struct map_node {
	struct map_node *next;
	struct str       key;
	uint64_t         hash;
};

struct map {
	struct map_node **slots;
	size_t            nslots;
	size_t            n;                           /* members */
};

void             map_fini(struct map *m);              /* frees the table, not the members */
struct map_node *map_get(const struct map *m, struct str key);
/* The member now at key: n itself, or the one that was there before (n is then not added). */
struct map_node *map_put(struct map *m, struct str key, struct map_node *n);
void             map_del(struct map *m, struct map_node *n);
/* Any order; NULL starts and ends.  The member just returned may be deleted before the next call. */
struct map_iter { size_t slot; struct map_node *next; };
struct map_node *map_next(const struct map *m, struct map_iter *it);

#endif
