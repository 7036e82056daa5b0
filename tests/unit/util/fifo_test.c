/* SPDX-License-Identifier: Apache-2.0 */
#include "util/fifo.h"

#include "tests/unit/check.h"

static void
what_goes_in_first_comes_out_first_however_the_ring_has_turned(void)
{
	struct fifo f = { 0 };
	uint64_t in = 0, out = 0, x;

	CHECK(!fifo_pop(&f, &x) && !fifo_ends_with(&f, 0));
	for (int round = 0; round < 50; round++) {
		for (int i = 0; i < 7 * round; i++) {
			fifo_push(&f, in);
			CHECK(fifo_ends_with(&f, in));
			CHECK(!fifo_ends_with(&f, in + 1));
			in++;
		}
		for (int i = 0; i < 6 * round; i++)
			CHECK(fifo_pop(&f, &x) && x == out++);
	}
	while (fifo_pop(&f, &x))
		CHECK(x == out++);
	CHECK(in == out && f.n == 0);
	fifo_fini(&f);
}

static void
an_empty_ring_holds_no_memory_that_a_crowd_once_needed(void)
{
	struct fifo f = { 0 };
	uint64_t x;

	for (uint64_t i = 0; i < 10000; i++)
		fifo_push(&f, i);
	while (fifo_pop(&f, &x))
		;
	CHECK(f.cap == 0 && f.v == NULL);
	fifo_push(&f, 1);
	CHECK(fifo_pop(&f, &x) && x == 1);
	fifo_fini(&f);
}

SUITE(fifo, TEST(what_goes_in_first_comes_out_first_however_the_ring_has_turned),
    TEST(an_empty_ring_holds_no_memory_that_a_crowd_once_needed));
