/* SPDX-License-Identifier: Apache-2.0 */
/* list.h - doubly linked intrusive list with a sentinel head.  All operations O(1). */
#ifndef UTIL_LIST_H
#define UTIL_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "util/mem.h"

struct list { struct list *prev, *next; };             /* both the head and a member's link */

#define LIST_INIT(l) ((struct list){ &(l), &(l) })
static inline void list_init(struct list *l) { l->prev = l->next = l; }
static inline bool list_empty(const struct list *l) { return l->next == l; }
static inline bool list_linked(const struct list *e) { return e->next != NULL && e->next != e; }
static inline void list_add_between(struct list *e, struct list *a, struct list *b)
{
	e->prev = a;
	e->next = b;
	a->next = e;
	b->prev = e;
}
static inline void list_push(struct list *l, struct list *e) { list_add_between(e, l->prev, l); }        /* at the tail */
static inline void list_push_front(struct list *l, struct list *e) { list_add_between(e, l, l->next); }
static inline void list_remove(struct list *e)         /* harmless on an unlinked, initialised member */
{
	e->prev->next = e->next;
	e->next->prev = e->prev;
	e->prev = e->next = e;
}
static inline struct list *list_first(struct list *l) { return list_empty(l) ? NULL : l->next; }
static inline struct list *list_pop(struct list *l)
{
	struct list *e = list_first(l);

	if (e)
		list_remove(e);
	return e;
}
/* Walk members e (struct type with link member m); the member may be removed inside the loop. */
#define LIST_EACH(l, e, type, m) \
	for (type *e = container_of((l)->next, type, m), *next_ = container_of(e->m.next, type, m); \
	     &e->m != (l); e = next_, next_ = container_of(e->m.next, type, m))

#endif
