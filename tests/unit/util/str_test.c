/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"
#include "util/mem.h"

static const struct str a_nul_b = { "a\0b", 3 };

static void
a_sub_string_is_clipped_to_what_there_is(void)
{
	static const struct { size_t from, n; const char *want; } cases[] = {
		{ 0, 3, "abc" }, { 1, 1, "b" }, { 1, 99, "bc" }, { 3, 1, "" }, { 4, 1, "" },
		{ SIZE_MAX, SIZE_MAX, "" }, { 1, SIZE_MAX, "bc" },
	};

	for (size_t i = 0; i < countof(cases); i++)
		CHECK_STR(str_sub(STR("abc"), cases[i].from, cases[i].n), cases[i].want);
}

static void
equality_sees_every_byte_also_after_a_nul(void)
{
	CHECK(str_eq(STR(""), (struct str){ NULL, 0 }));
	CHECK(str_eq(a_nul_b, a_nul_b));
	CHECK(!str_eq(a_nul_b, ((struct str){ "a\0c", 3 })));
	CHECK(!str_ieq(a_nul_b, ((struct str){ "a\0c", 3 })));
	CHECK(str_ieq(a_nul_b, ((struct str){ "A\0B", 3 })));
	CHECK(str_ieq(STR("EXAMPLE.Com"), STR("example.cOM")));
	CHECK(!str_ieq(STR("[a"), STR("{a")));         /* 0x20 apart, and no letters */
	CHECK(!str_ieq(STR("\xc4"), STR("\xe4")));
	CHECK(!str_eq(STR("ab"), STR("abc")));
}

static void
comparison_is_bytewise_and_unsigned(void)
{
	CHECK(str_cmp(STR("a"), STR("a")) == 0);
	CHECK(str_cmp(STR("a"), STR("ab")) < 0);
	CHECK(str_cmp(STR("b"), STR("ab")) > 0);
	CHECK(str_cmp(STR("\xff"), STR("a")) > 0);
	CHECK(str_cmp(STR(""), (struct str){ NULL, 0 }) == 0);
}

static void
starts_and_ends_are_found(void)
{
	CHECK(str_starts(STR("abc"), STR("ab")) && str_starts(STR("abc"), STR("")));
	CHECK(!str_starts(STR("ab"), STR("abc")) && !str_starts(STR("Abc"), STR("ab")));
	CHECK(str_istarts(STR("Abc"), STR("aB")) && !str_istarts(STR("Abc"), STR("b")));
	CHECK(str_ends(STR("abc"), STR("bc")) && !str_ends(STR("abc"), STR("ab")));
	CHECK(str_iends(STR("a.COM"), STR(".com")) && !str_ends(STR("a.COM"), STR(".com")));
	CHECK(str_find(STR("abcb"), 'b') == 1 && str_rfind(STR("abcb"), 'b') == 3);
	CHECK(str_find(STR("abc"), 'x') == 3 && str_rfind(STR("abc"), 'x') == 3);
	CHECK(str_find((struct str){ NULL, 0 }, 'x') == 0);
}

static void
trimming_takes_blanks_and_line_ends_off_both_ends(void)
{
	CHECK_STR(str_trim(STR(" \t a b\r\n")), "a b");
	CHECK_STR(str_trim(STR(" \r\n\t")), "");
	CHECK_STR(str_trim(STR("")), "");
	CHECK_STR(str_trim(STR("\va\f")), "\va\f");
}

static void
cutting_yields_every_part_but_an_empty_last_one(void)
{
	struct str rest = STR("a::b:"), head;

	CHECK(str_cut(&rest, ':', &head) && str_eq(head, STR("a")));
	CHECK(str_cut(&rest, ':', &head) && str_eq(head, STR("")));
	CHECK(str_cut(&rest, ':', &head) && str_eq(head, STR("b")));
	CHECK(!str_cut(&rest, ':', &head));
}

static void
words_are_what_stands_between_separators(void)
{
	struct str rest = STR(", a,b \t c,, "), word = STR("untouched");

	CHECK(str_word(&rest, ", \t", &word) && str_eq(word, STR("a")));
	CHECK(str_word(&rest, ", \t", &word) && str_eq(word, STR("b")));
	CHECK(str_word(&rest, ", \t", &word) && str_eq(word, STR("c")));
	CHECK(!str_word(&rest, ", \t", &word) && rest.n == 0);
	CHECK_STR(word, "c");
	rest = a_nul_b;                                /* a NUL is no separator */
	CHECK(str_word(&rest, ",", &word) && word.n == 3);
}

static void
numbers_are_read_whole_or_not_at_all(void)
{
	static const struct { const char *text; bool ok; uint64_t v; } u64[] = {
		{ "0", true, 0 }, { "007", true, 7 }, { "18446744073709551615", true, UINT64_MAX },
		{ "18446744073709551616", false, 0 }, { "99999999999999999999", false, 0 }, { "", false, 0 },
		{ "1 ", false, 0 }, { "-1", false, 0 }, { "+1", false, 0 }, { "1x", false, 0 },
	};
	static const struct { const char *text; bool ok; int64_t v; } i64[] = {
		{ "-9223372036854775808", true, INT64_MIN }, { "-9223372036854775809", false, 0 },
		{ "9223372036854775807", true, INT64_MAX }, { "9223372036854775808", false, 0 },
		{ "+5", true, 5 }, { "-", false, 0 }, { "--1", false, 0 }, { "", false, 0 }, { "-0", true, 0 },
	};
	static const struct { const char *text; bool ok; uint64_t v; } hex[] = {
		{ "fF", true, 255 }, { "ffffffffffffffff", true, UINT64_MAX }, { "10000000000000000", false, 0 },
		{ "0x1", false, 0 }, { "", false, 0 }, { "g", false, 0 },
	};

	for (size_t i = 0; i < countof(u64); i++) {
		uint64_t v = 42;

		CHECK(str_u64(str_of(u64[i].text), &v) == u64[i].ok && v == (u64[i].ok ? u64[i].v : 42));
	}
	for (size_t i = 0; i < countof(i64); i++) {
		int64_t v = 42;

		CHECK(str_i64(str_of(i64[i].text), &v) == i64[i].ok && v == (i64[i].ok ? i64[i].v : 42));
	}
	for (size_t i = 0; i < countof(hex); i++) {
		uint64_t v = 42;

		CHECK(str_hex(str_of(hex[i].text), &v) == hex[i].ok && v == (hex[i].ok ? hex[i].v : 42));
	}
}

static void
a_copy_ends_in_a_nul(void)
{
	char *z = str_dup(str_sub(STR("abc"), 0, 2));

	CHECK(strcmp(z, "ab") == 0);
	free(z);
	z = str_dup((struct str){ NULL, 0 });
	CHECK(*z == '\0');
	free(z);
}

static void
distance_counts_edits(void)
{
	static const struct { const char *a, *b; unsigned want; } cases[] = {
		{ "", "", 0 }, { "", "abc", 3 }, { "abc", "", 3 }, { "kitten", "sitting", 3 },
		{ "mynetwork", "mynetworks", 1 }, { "flaw", "lawn", 2 }, { "abc", "abc", 0 },
	};
	char a[100], b[100];

	for (size_t i = 0; i < countof(cases); i++)
		CHECK(str_distance(str_of(cases[i].a), str_of(cases[i].b)) == cases[i].want);
	memset(a, 'a', sizeof a);
	memset(b, 'b', sizeof b);
	CHECK(str_distance((struct str){ a, 100 }, (struct str){ b, 100 }) == 64);
}

static void
hashes_differ_where_keys_differ(void)
{
	char key[40] = { 0 };
	uint64_t seen[41];

	for (size_t n = 0; n <= 40; n++) {             /* also for keys of NULs of each length */
		seen[n] = str_hash((struct str){ key, n });
		for (size_t i = 0; i < n; i++)
			CHECK(seen[i] != seen[n]);
	}
	for (size_t i = 0; i < sizeof key; i++) {
		key[i] = 1;
		CHECK(str_hash((struct str){ key, 40 }) != seen[40]);
		key[i] = 0;
	}
	CHECK(str_hash(STR("a")) != str_hash(STR("A")));
}

static void
the_caseless_hash_is_that_of_the_lower_case_text(void)
{
	char text[256], low[256];

	for (size_t i = 0; i < sizeof text; i++) {
		text[i] = (char)i;
		low[i] = (char)(i >= 'A' && i <= 'Z' ? i + 32 : i);
	}
	for (size_t n = 0; n <= sizeof text; n++)
		CHECK(str_ihash((struct str){ text, n }) == str_hash((struct str){ low, n }));
}

SUITE(str, TEST(a_sub_string_is_clipped_to_what_there_is), TEST(equality_sees_every_byte_also_after_a_nul),
    TEST(comparison_is_bytewise_and_unsigned), TEST(starts_and_ends_are_found),
    TEST(trimming_takes_blanks_and_line_ends_off_both_ends),
    TEST(cutting_yields_every_part_but_an_empty_last_one), TEST(words_are_what_stands_between_separators),
    TEST(numbers_are_read_whole_or_not_at_all), TEST(a_copy_ends_in_a_nul), TEST(distance_counts_edits),
    TEST(hashes_differ_where_keys_differ), TEST(the_caseless_hash_is_that_of_the_lower_case_text));
