/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "tests/unit/check.h"
#include "util/map.h"
#include "util/mem.h"

enum { MANY = 3000 };

struct thing {
	struct map_node node;
	char            name[32];
	int             visits;
};

static struct thing *
many_things(struct map *m)
{
	struct thing *t = mem_array(MANY, sizeof *t);

	for (int i = 0; i < MANY; i++) {
		snprintf(t[i].name, sizeof t[i].name, "name-%d", i);
		CHECK(map_put(m, str_of(t[i].name), &t[i].node) == &t[i].node);
	}
	return t;
}

static void
every_member_is_found_and_nothing_else(void)
{
	struct map m = { 0 };
	struct thing *t = many_things(&m);

	CHECK(m.n == MANY);
	for (int i = 0; i < MANY; i++)
		CHECK(map_get(&m, str_of(t[i].name)) == &t[i].node);
	CHECK(map_get(&m, STR("name-")) == NULL && map_get(&m, STR("")) == NULL);
	for (int i = 0; i < MANY; i += 2)
		map_del(&m, &t[i].node);
	for (int i = 0; i < MANY; i++)
		CHECK(map_get(&m, str_of(t[i].name)) == (i % 2 ? &t[i].node : NULL));
	CHECK(m.n == MANY / 2);
	map_fini(&m);
	free(t);
}

static void
the_first_member_at_a_key_stays(void)
{
	struct map m = { 0 };
	struct thing a = { .visits = 0 }, b = { .visits = 0 };

	CHECK(map_get(&m, STR("k")) == NULL);
	CHECK(map_put(&m, STR("k"), &a.node) == &a.node);
	CHECK(map_put(&m, STR("k"), &b.node) == &a.node);
	CHECK(map_put(&m, STR("K"), &b.node) == &b.node);
	CHECK(m.n == 2);
	map_del(&m, &a.node);
	CHECK(map_put(&m, STR("k"), &a.node) == &a.node);
	map_fini(&m);
}

static void
keys_are_bytes_of_any_length(void)
{
	static const char zeros[40];
	struct thing t[countof(zeros)] = { 0 };
	struct map m = { 0 };

	for (size_t i = 0; i < countof(zeros); i++)
		CHECK(map_put(&m, (struct str){ zeros, i }, &t[i].node) == &t[i].node);
	for (size_t i = 0; i < countof(zeros); i++)
		CHECK(map_get(&m, (struct str){ zeros, i }) == &t[i].node);
	map_fini(&m);
}

static void
a_walk_meets_each_member_once_and_may_delete_it(void)
{
	struct map m = { 0 };
	struct thing *t = many_things(&m);
	struct map_iter it = { 0 };
	struct map_node *n;
	int met = 0;

	while ((n = map_next(&m, &it)) != NULL) {
		container_of(n, struct thing, node)->visits++;
		if (met++ % 3)
			map_del(&m, n);
	}
	CHECK(met == MANY && m.n == MANY / 3);
	for (int i = 0; i < MANY; i++)
		CHECK(t[i].visits == 1);
	map_fini(&m);
	it = (struct map_iter){ 0 };
	CHECK(map_next(&m, &it) == NULL);
	free(t);
}

static void
the_table_grows_with_its_members(void)
{
	struct map m = { 0 };
	struct thing *t = many_things(&m);
	size_t longest = 0;

	CHECK(m.nslots >= MANY && m.nslots <= 4 * (size_t)MANY);
	for (size_t i = 0; i < m.nslots; i++) {
		size_t chain = 0;

		for (struct map_node *n = m.slots[i]; n; n = n->next)
			chain++;
		longest = chain > longest ? chain : longest;
	}
	CHECK(longest < 16);
	map_fini(&m);
	free(t);
}

SUITE(map, TEST(every_member_is_found_and_nothing_else), TEST(the_first_member_at_a_key_stays),
    TEST(keys_are_bytes_of_any_length), TEST(a_walk_meets_each_member_once_and_may_delete_it),
    TEST(the_table_grows_with_its_members));
