/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "tests/unit/check.h"
#include "util/wire.h"

#define SAMPLE(F) F(u8, a) F(u16, b) F(u32, c) F(u64, d) F(i64, e) F(str, f)
#define PAIR(F)   F(u32, id) F(str, name)
/* clang-format off */
WIRE_DECLARE(sample, SAMPLE)
WIRE_DEFINE(sample, SAMPLE)
WIRE_DECLARE(pair, PAIR)
WIRE_DEFINE(pair, PAIR)
/* clang-format on */

static const struct sample full = { .a = 0xfe, .b = 0xfedc, .c = 0xfedcba98, .d = 0xfedcba9876543210,
	.e = INT64_MIN, .f = { "x\0\n", 3 } };

static void
a_record_comes_back_as_it_went(void)
{
	struct buf b = BUF(0);
	struct sample out;

	CHECK(sample_put(&b, &full));
	CHECK(b.n == 1 + 2 + 4 + 8 + 8 + 4 + 3);
	CHECK(sample_get(buf_str(&b), &out) == OK);
	CHECK(out.a == full.a && out.b == full.b && out.c == full.c && out.d == full.d && out.e == full.e);
	CHECK(str_eq(out.f, full.f));
	CHECK(out.f.p > b.p && out.f.p < b.p + b.n);   /* borrowed from the frame */
	buf_free(&b);
}

static void
integers_are_little_endian(void)
{
	struct buf b = BUF(0);

	CHECK(wire_put_u32(&b, 0x04030201) && wire_put_i64(&b, -2));
	CHECK(b.n == 12 && memcmp(b.p, "\1\2\3\4\xfe\xff\xff\xff\xff\xff\xff\xff", 12) == 0);
	buf_free(&b);
}

static void
every_truncation_and_every_trailing_byte_is_refused(void)
{
	struct buf b = BUF(0);
	struct sample out;

	CHECK(sample_put(&b, &full));
	for (size_t n = 0; n < b.n; n++) {
		/* On the heap and exactly as long, so that reading past the end shows. */
		char *copy = str_dup(str_sub(buf_str(&b), 0, n));

		CHECK(sample_get((struct str){ copy, n }, &out) == E_IPC);
		free(copy);
	}
	CHECK(buf_addc(&b, '\0'));
	CHECK(sample_get(buf_str(&b), &out) == E_IPC);
	CHECK(strcmp(err_why(), "malformed sample") == 0);
	buf_free(&b);
}

static void
a_text_longer_than_the_frame_is_refused(void)
{
	struct str in = STR("\xff\xff\xff\xffzz"), v;

	CHECK(!wire_get_str(&in, &v));
}

static void
records_one_after_another_are_taken_off_the_front(void)
{
	struct buf b = BUF(0);
	struct pair p;
	struct str in;

	for (uint32_t i = 0; i < 3; i++)
		CHECK(pair_put(&b, &(struct pair){ i, STR("n") }));
	in = buf_str(&b);
	for (uint32_t i = 0; i < 3; i++)
		CHECK(pair_take(&in, &p) && p.id == i && str_eq(p.name, STR("n")));
	CHECK(in.n == 0 && !pair_take(&in, &p));
	buf_free(&b);
}

static void
putting_past_the_ceiling_says_so(void)
{
	for (size_t max = 1; max < 30; max++) {
		struct buf b = BUF(max);

		CHECK(!sample_put(&b, &full) && b.n <= max);
		buf_free(&b);
	}
}

static void
the_printer_shows_each_field_and_no_raw_bytes(void)
{
	struct buf b = BUF(0);

	sample_show(&b, &full);
	CHECK_STR(buf_str(&b), " a=254 b=65244 c=4275878552 d=18364758544493064720 "
			       "e=-9223372036854775808 f=<x\?\?>");
	buf_free(&b);
}

SUITE(wire, TEST(a_record_comes_back_as_it_went), TEST(integers_are_little_endian),
    TEST(every_truncation_and_every_trailing_byte_is_refused),
    TEST(a_text_longer_than_the_frame_is_refused),
    TEST(records_one_after_another_are_taken_off_the_front), TEST(putting_past_the_ceiling_says_so),
    TEST(the_printer_shows_each_field_and_no_raw_bytes));
