/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/postmap_entries.h"

struct entry {
	struct map_node node;
	struct list link;
	struct str value;
};

void
entries_init(struct entries *e)
{
	e->by_key = (struct map){ .n = 0 };
	list_init(&e->in_order);
}

static void
free_text(struct str s)
{
	free((char *)(uintptr_t)s.p);
}

void
entries_fini(struct entries *e)
{
	LIST_EACH (&e->in_order, one, struct entry, link) {
		free_text(one->node.key);
		free_text(one->value);
		free(one);
	}
	map_fini(&e->by_key);
	entries_init(e);
}

static struct str
copy(struct str s)
{
	return (struct str){ str_dup(s), s.n };
}

bool
entries_put(struct entries *e, struct str key, struct str value, bool replace)
{
	struct map_node *there = map_get(&e->by_key, key);
	struct entry *one;

	if (there == NULL) {
		one = mem_new(sizeof *one);
		one->value = copy(value);
		map_put(&e->by_key, copy(key), &one->node);
		list_push(&e->in_order, &one->link);
		return false;
	}
	one = container_of(there, struct entry, node);
	if (replace) {
		free_text(one->value);
		one->value = copy(value);
	}
	return true;
}

enum err
entries_each(
    struct entries *e, enum err (*each)(void *arg, struct str key, struct str value), void *arg)
{
	LIST_EACH (&e->in_order, one, struct entry, link)
		TRY(each(arg, one->node.key, one->value));
	return OK;
}
