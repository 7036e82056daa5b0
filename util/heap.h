/* SPDX-License-Identifier: Apache-2.0 */
/* heap.h - intrusive 4-ary min-heap on an int64 key; members know their place, so removal and change
 * are O(log n).  A zeroed node is not a member. */
#ifndef UTIL_HEAP_H
#define UTIL_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
	int64_t  key;
	uint32_t at;                                   /* place + 1; 0: not in a heap */
};

struct heap {
	struct heap_node **v;
	size_t             n, cap;
};

void              heap_fini(struct heap *h);
static inline bool heap_linked(const struct heap_node *n) { return n->at != 0; }
void              heap_put(struct heap *h, struct heap_node *n, int64_t key);   /* add, or change the key */
void              heap_del(struct heap *h, struct heap_node *n);                /* harmless when not a member */
struct heap_node *heap_min(const struct heap *h);                               /* NULL when empty */

#endif
