/* SPDX-License-Identifier: Apache-2.0 */
#include "spool/layout.h"

#include "spool/crc.h"
#include "tests/unit/spool/fixture.h"

static void
crc32c_gives_the_published_values(void)
{
	char zeros[32] = { 0 }, ones[32], up[32];
	struct { const void *p; size_t n; uint32_t crc; } cases[] = {
		{ "", 0, 0 },
		{ "a", 1, 0xC1D04330 },
		{ "123456789", 9, 0xE3069283 },
		{ zeros, 32, 0x8A9136AA },             /* these three: RFC 3720, B.4 */
		{ ones, 32, 0x62A8AB43 },
		{ up, 32, 0x46DD794E },
	};

	memset(ones, 0xFF, sizeof ones);
	for (size_t i = 0; i < sizeof up; i++)
		up[i] = (char)i;
	for (size_t i = 0; i < countof(cases); i++) {
		CHECK(crc32c(0, cases[i].p, cases[i].n) == cases[i].crc);
		CHECK(crc32c_portable(0, cases[i].p, cases[i].n) == cases[i].crc);
	}
}

static void
crc32c_is_the_same_in_pieces_and_in_plain_c(void)
{
	char *p = bytes(1000);

	for (size_t from = 0; from < 9; from++)
		for (size_t n = 0; n < 700; n += 13) {
			uint32_t whole = crc32c(0, p + from, n);

			CHECK(crc32c_portable(0, p + from, n) == whole);
			CHECK(crc32c(crc32c(0, p + from, n / 3), p + from + n / 3, n - n / 3) == whole);
		}
	free(p);
}

static void
a_header_is_the_bytes_that_the_documentation_says(void)
{
	struct layout_header h = {
		.id = 0x0102030405060708, .arrived = 1, .size = 2, .content_at = 100, .flags = 3, .nrcpts = 4, .envelope_crc = 5,
		.content_crc = 6,
	}, back;
	char b[LAYOUT_HEADER];

	layout_header_put(&h, b);
	CHECK(memcmp(b, "POSTROAD\2\0\0\0", 12) == 0);
	CHECK(memcmp(b + 16, "\x08\x07\x06\x05\x04\x03\x02\x01" "\1\0\0\0\0\0\0\0" "\2\0\0\0\0\0\0\0" "d\0\0\0", 28) == 0);
	CHECK(memcmp(b + 44, "\3\0\0\0" "\4\0\0\0" "\5\0\0\0" "\6\0\0\0" "\0\0\0\0", 20) == 0);
	CHECK(layout_header_get(b, &back) && memcmp(&h, &back, sizeof h) == 0);
	for (size_t i = 0; i < sizeof b; i++) {
		b[i] ^= 1;
		CHECK(!layout_header_get(b, &back));
		b[i] ^= 1;
	}
}

static void
a_mark_holds_only_for_its_own_message_and_place(void)
{
	struct layout_header h = { .id = 77, .size = 1000, .content_at = 100 };
	char header[LAYOUT_HEADER], b[LAYOUT_MARK];
	uint32_t crc = 0;

	layout_header_put(&h, header);
	layout_mark_put(&h, b);
	CHECK(layout_mark_get(b, 77, 1100, &crc) && crc == h.header_crc);
	CHECK(!layout_mark_get(b, 78, 1100, &crc));
	CHECK(!layout_mark_get(b, 77, 1101, &crc));
	for (size_t i = 0; i < sizeof b; i++) {
		b[i] ^= 1;
		CHECK(!layout_mark_get(b, 77, 1100, &crc));
		b[i] ^= 1;
	}
}

static void
queue_ids_are_unique_and_rise(void)
{
	uint64_t before = 0, id, parsed;
	char text[QID_TEXT], older[QID_TEXT] = "";

	qid_setup(255, 1023);
	for (int i = 0; i < 10000; i++) {
		id = qid_new();
		CHECK(id > before);
		qid_text(id, text);
		CHECK(strcmp(text, older) > 0);
		CHECK(qid_parse(str_of(text), &parsed) && parsed == id);
		CHECK((id >> 4 & 1023) == 1023 && (id >> 14 & 255) == 255);
		memcpy(older, text, sizeof older);
		before = id;
	}
	qid_setup(0, 0);
}

static void
queue_ids_rise_while_the_clock_goes_back(void)
{
	struct wall now = { 2000000 };
	uint64_t was = qid_count(0, now), next;

	for (int i = 0; i < 1000; i++, was = next) {
		now.us -= 1500;
		next = qid_count(was, now.us > 0 ? now : (struct wall){ 0 });
		CHECK(next == was + 1);
	}
	now.us = 3000000;
	CHECK(qid_count(was, now) == 3000 << 4);
}

static void
only_sixteen_upper_case_digits_are_a_queue_id(void)
{
	static const char *const bad[] = {
		"", "0", "0123456789ABCDE", "0123456789ABCDEF0", "0123456789abcdef", "0123456789ABCDEG", "0123456789ABCDE.",
		"-123456789ABCDEF", " 123456789ABCDEF",
	};
	uint64_t id = 5;

	for (size_t i = 0; i < countof(bad); i++)
		CHECK(!qid_parse(str_of(bad[i]), &id) && id == 5);
	CHECK(!qid_parse((struct str){ "0123456789ABCD\0F", 16 }, &id));
	CHECK(qid_parse(STR("0123456789ABCDEF"), &id) && id == 0x0123456789ABCDEF);
}

static void
messages_of_one_second_share_a_hash_directory(void)
{
	char path[SPOOL_PATH];
	uint64_t id = (uint64_t)0xAB << 32 | (uint64_t)3 << 40;

	CHECK(strcmp(spool_path(SPOOL_DEFERRED, id, path), "deferred/AB/000003AB00000000") == 0);
	CHECK(spool_hash(id + 0xFFFFFFFF) == 0xAB);
	CHECK(spool_hash(id + 0x100000000) == 0xAC);
}

SUITE(layout, TEST(crc32c_gives_the_published_values), TEST(crc32c_is_the_same_in_pieces_and_in_plain_c),
    TEST(a_header_is_the_bytes_that_the_documentation_says), TEST(a_mark_holds_only_for_its_own_message_and_place),
    TEST(queue_ids_are_unique_and_rise), TEST(queue_ids_rise_while_the_clock_goes_back),
    TEST(only_sixteen_upper_case_digits_are_a_queue_id), TEST(messages_of_one_second_share_a_hash_directory));
