/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"
#include "util/heap.h"
#include "util/mem.h"

enum { MANY = 2000 };

static uint32_t
next_random(uint32_t *state)
{
	*state = *state * 1664525U + 1013904223U;
	return *state >> 8;
}

static bool
in_order(const struct heap *h)
{
	for (size_t i = 0; i < h->n; i++)
		if (h->v[i]->at != i + 1 || (i > 0 && h->v[(i - 1) / 4]->key > h->v[i]->key))
			return false;
	return true;
}

static void
members_come_out_by_key(void)
{
	static const int64_t keys[] = { 5, -1, INT64_MAX, 5, 0, INT64_MIN, 3 };
	static const int64_t want[] = { INT64_MIN, -1, 0, 3, 5, 5, INT64_MAX };
	struct heap_node n[countof(keys)] = { 0 };
	struct heap h = { 0 };

	CHECK(heap_min(&h) == NULL);
	for (size_t i = 0; i < countof(keys); i++)
		heap_put(&h, &n[i], keys[i]);
	for (size_t i = 0; i < countof(want); i++) {
		struct heap_node *min = heap_min(&h);

		CU_ASSERT_FATAL(min != NULL);
		CHECK(min->key == want[i]);
		heap_del(&h, min);
		CHECK(!heap_linked(min));
		heap_del(&h, min);                     /* harmless */
	}
	CHECK(heap_min(&h) == NULL);
	heap_fini(&h);
}

static void
any_mix_of_adding_changing_and_removing_keeps_the_order(void)
{
	struct heap_node *n = mem_array(MANY, sizeof *n);
	struct heap h = { 0 };
	uint32_t random = 1;
	size_t linked = 0;
	int64_t last = INT64_MIN;

	for (int i = 0; i < 5 * MANY; i++) {
		struct heap_node *x = &n[next_random(&random) % MANY];

		if (next_random(&random) % 3 == 0)
			heap_del(&h, x);
		else
			heap_put(&h, x, next_random(&random) % 1000);
		if (i % 100 == 0)
			CHECK(in_order(&h));
	}
	for (size_t i = 0; i < MANY; i++)
		linked += heap_linked(&n[i]);
	CHECK(linked == h.n);
	for (struct heap_node *x; (x = heap_min(&h)) != NULL; heap_del(&h, x)) {
		CHECK(x->key >= last);
		last = x->key;
	}
	heap_fini(&h);
	free(n);
}

static void
an_ended_heap_leaves_its_members_unlinked(void)
{
	struct heap_node n[3] = { 0 };
	struct heap h = { 0 };

	for (int i = 0; i < 3; i++)
		heap_put(&h, &n[i], i);
	heap_fini(&h);
	CHECK(!heap_linked(&n[0]) && !heap_linked(&n[1]) && !heap_linked(&n[2]));
}

SUITE(heap, TEST(members_come_out_by_key), TEST(any_mix_of_adding_changing_and_removing_keeps_the_order),
    TEST(an_ended_heap_leaves_its_members_unlinked));
