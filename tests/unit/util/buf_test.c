/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"
#include "util/buf.h"
#include "util/mem.h"

static void
every_adder_ends_the_text_with_a_nul(void)
{
	struct buf b = BUF(0);

	CHECK(strcmp(buf_cstr(&b), "") == 0 && buf_str(&b).n == 0);
	CHECK(buf_add(&b, STR("ab")) && b.p[2] == '\0');
	CHECK(buf_addc(&b, 'c') && b.p[3] == '\0');
	CHECK(buf_adds(&b, "de") && b.p[5] == '\0');
	CHECK(buf_printf(&b, "%d", 7) && b.p[6] == '\0');
	CHECK_STR(buf_str(&b), "abcde7");
	buf_free(&b);
	CHECK(buf_add(&b, (struct str){ NULL, 0 }) && strcmp(buf_cstr(&b), "") == 0);
	buf_free(&b);
}

static void
nothing_is_added_past_the_ceiling(void)
{
	struct buf b = BUF(8);

	CHECK(buf_adds(&b, "1234567"));
	CHECK(!buf_adds(&b, "89") && !buf_printf(&b, "%s", "89") && !buf_add_clean(&b, STR("89")));
	CHECK(!buf_add_json(&b, STR("")));             /* two quotes */
	CHECK(buf_room(&b, 2) == NULL);
	CHECK_STR(buf_str(&b), "1234567");
	CHECK(b.p[7] == '\0');
	CHECK(buf_addc(&b, '8') && !buf_addc(&b, '9'));
	CHECK_STR(buf_str(&b), "12345678");
	CHECK(!buf_add(&b, (struct str){ "", SIZE_MAX }));
	buf_free(&b);
	CHECK(b.max == 8);
}

static void
small_text_takes_little_memory_and_growth_is_geometric(void)
{
	struct buf b = BUF(0);
	size_t moves = 0, cap = 0;

	buf_addc(&b, 'x');
	CHECK(b.cap == 64);
	for (size_t i = 1; i < BUF_MAX; i++) {
		CU_ASSERT_FATAL(buf_addc(&b, 'x'));
		moves += b.cap != cap;
		cap = b.cap;
	}
	CHECK(moves < 20 && b.cap <= BUF_MAX + 1);
	CHECK(!buf_addc(&b, 'x'));
	buf_free(&b);
}

static void
long_printed_text_comes_whole(void)
{
	struct buf b = BUF(0);
	char text[301];

	memset(text, 'y', 300);
	text[300] = '\0';
	for (int i = 0; i < 3; i++)
		CHECK(buf_printf(&b, "%s.", text));
	CHECK(b.n == 903 && strlen(b.p) == 903 && b.p[300] == '.' && b.p[902] == '.');
	buf_free(&b);
}

static void
dropping_and_cutting_keep_the_other_end(void)
{
	struct buf b = BUF(0);

	buf_drop(&b, 5);
	buf_cut(&b, 5);
	buf_clear(&b);
	buf_adds(&b, "abcdef");
	buf_drop(&b, 2);
	CHECK(strcmp(b.p, "cdef") == 0 && b.n == 4);
	buf_cut(&b, 9);
	CHECK(b.n == 4);
	buf_cut(&b, 2);
	CHECK(strcmp(b.p, "cd") == 0 && b.n == 2);
	buf_drop(&b, 99);
	CHECK(b.n == 0 && *b.p == '\0');
	buf_free(&b);
}

static void
room_is_filled_in_place(void)
{
	struct buf b = BUF(100);
	char *p = buf_room(&b, 100);

	CU_ASSERT_FATAL(p != NULL);
	memset(p, 'z', 100);
	buf_grew(&b, 100);
	CHECK(b.n == 100 && strlen(b.p) == 100);
	buf_free(&b);
}

static void
outside_bytes_are_made_safe_for_a_log_line(void)
{
	struct buf b = BUF(0);

	CHECK(buf_add_clean(&b, (struct str){ "a\0\r\n\x1b\x7f\xc3\xa4\\~ z", 12 }));
	CHECK_STR(buf_str(&b), "a????????~ z");
	buf_free(&b);
}

static void
json_text_is_escaped_and_is_utf_8(void)
{
	static const struct { struct str in; const char *want; } cases[] = {
		{ { "", 0 }, "\"\"" },
		{ { "a\"b\\c/", 6 }, "\"a\\\"b\\\\c/\"" },
		{ { "\b\f\n\r\t", 5 }, "\"\\b\\f\\n\\r\\t\"" },
		{ { "\0\x1f\x7f", 3 }, "\"\\u0000\\u001f\\u007f\"" },
		{ { "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9 }, "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"" },
		{ { "\xc0\x80", 2 }, "\"\xef\xbf\xbd\xef\xbf\xbd\"" },                  /* overlong */
		{ { "\xed\xa0\x80", 3 }, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },  /* surrogate */
		{ { "\xf4\x90\x80\x80", 4 },
		    "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },           /* past U+10FFFF */
		{ { "\xe2\x82", 2 }, "\"\xef\xbf\xbd\xef\xbf\xbd\"" },                  /* cut short */
		{ { "\xe2\x82z", 3 }, "\"\xef\xbf\xbd\xef\xbf\xbdz\"" },
		{ { "\xffz", 2 }, "\"\xef\xbf\xbdz\"" },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct buf b = BUF(0);

		CHECK(buf_add_json(&b, cases[i].in));
		CHECK_STR(buf_str(&b), cases[i].want);
		buf_free(&b);
	}
}

SUITE(buf, TEST(every_adder_ends_the_text_with_a_nul), TEST(nothing_is_added_past_the_ceiling),
    TEST(small_text_takes_little_memory_and_growth_is_geometric), TEST(long_printed_text_comes_whole),
    TEST(dropping_and_cutting_keep_the_other_end), TEST(room_is_filled_in_place),
    TEST(outside_bytes_are_made_safe_for_a_log_line), TEST(json_text_is_escaped_and_is_utf_8));
