/* SPDX-License-Identifier: Apache-2.0 */
#include "util/heap.h"

#include "util/log.h"
#include "util/mem.h"

/* Four children a node: half as deep as a binary heap, and they share a cache line of pointers. */
enum { ARITY = 4 };

static void
place(struct heap *h, size_t at, struct heap_node *n)
{
	h->v[at] = n;
	n->at = (uint32_t)at + 1;
}

static void
rise(struct heap *h, size_t at)
{
	struct heap_node *n = h->v[at];

	while (at > 0) {
		size_t parent = (at - 1) / ARITY;

		if (h->v[parent]->key <= n->key)
			break;
		place(h, at, h->v[parent]);
		at = parent;
	}
	place(h, at, n);
}

static void
sink(struct heap *h, size_t at)
{
	struct heap_node *n = h->v[at];

	for (;;) {
		size_t first = at * ARITY + 1, least = first;

		if (first >= h->n)
			break;
		for (size_t c = first + 1; c < first + ARITY && c < h->n; c++)
			if (h->v[c]->key < h->v[least]->key)
				least = c;
		if (n->key <= h->v[least]->key)
			break;
		place(h, at, h->v[least]);
		at = least;
	}
	place(h, at, n);
}

void
heap_fini(struct heap *h)
{
	for (size_t i = 0; i < h->n; i++)
		h->v[i]->at = 0;
	free(h->v);
	*h = (struct heap){ 0 };
}

void
heap_put(struct heap *h, struct heap_node *n, int64_t key)
{
	n->key = key;
	if (!heap_linked(n)) {
		ENSURE(h->n < UINT32_MAX);
		if (h->n == h->cap) {
			h->cap = h->cap ? 2 * h->cap : 16;
			h->v = mem_grow(h->v, h->cap * sizeof(struct heap_node *));
		}
		place(h, h->n++, n);
	}
	rise(h, n->at - 1);
	sink(h, n->at - 1);
}

void
heap_del(struct heap *h, struct heap_node *n)
{
	struct heap_node *last;
	size_t at;

	if (!heap_linked(n))
		return;
	at = n->at - 1;
	ENSURE(at < h->n && h->v[at] == n);
	n->at = 0;
	last = h->v[--h->n];
	if (last == n)
		return;
	place(h, at, last);
	rise(h, at);
	sink(h, last->at - 1);
}

struct heap_node *
heap_min(const struct heap *h)
{
	return h->n ? h->v[0] : NULL;
}
