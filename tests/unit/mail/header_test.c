/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/header.h"
#include "tests/unit/check.h"
#include "util/mem.h"

static const struct {
	const char *content;
	unsigned    received;
	const char *message_id;
} cases[] = {
	{ "Subject: x\r\n\r\nReceived: in the body\r\n", 0, "" },
	{ "Received: a\r\nRECEIVED : b\r\nreceived:c\r\n\r\n", 3, "" },
	{ "Received: a\r\n Received: folded\r\n\tReceived: too\r\nX: y\r\n", 1, "" },
	{ "X-Received: a\r\nReceivedX: b\r\nReceived\r\n", 0, "" },
	{ "Message-ID: <a@b>\r\n\r\n", 0, "<a@b>" },
	{ "message-id:<a@b>  \r\nX: y\r\n", 0, "<a@b>" },
	{ "Message-Id:\r\n <a@b>\r\n\r\n", 0, "<a@b>" },
	{ "Message-ID: <a\r\n @b>\r\nX: y\r\n\r\n", 0, "<a @b>" },
	{ "Message-ID: first\r\nMessage-ID: second\r\n\r\n", 0, "first" },
	{ "Resent-Message-ID: <r>\r\n\r\n", 0, "" },
	{ "Message-ID: <lf@b>\nReceived: x\n\n", 1, "<lf@b>" },
	{ "not a header line\r\nReceived: x\r\n", 0, "" },
	{ "\r\nMessage-ID: <body@b>\r\n", 0, "" },
	{ ": no name\r\nReceived: x\r\n", 0, "" },
	{ "A-name-that-is-longer-than-what-is-kept-of-it: x\r\nReceived: x\r\n\r\n", 1, "" },
	{ "Message-ID:\r\n\r\n", 0, "" },
};

static bool
is_right(size_t i, size_t split)
{
	struct str all = str_of(cases[i].content);
	struct header_scan h;
	bool right;

	header_scan_init(&h, 1 << 20);
	header_scan_add(&h, str_sub(all, 0, split));
	header_scan_add(&h, str_sub(all, split, all.n));
	right = h.received == cases[i].received && str_eq(buf_str(&h.message_id), str_of(cases[i].message_id));
	header_scan_fini(&h);
	return right;
}

static void
fields_are_found_wherever_the_content_is_split(void)
{
	for (size_t i = 0; i < countof(cases); i++)
		for (size_t split = 0; split <= strlen(cases[i].content); split++)
			CHECK(is_right(i, split));
}

static void
the_scan_ends_at_its_limit(void)
{
	struct header_scan h;

	header_scan_init(&h, strlen("Received: a\r\nRec"));
	header_scan_add(&h, STR("Received: a\r\nReceived: b\r\n"));
	CHECK(h.received == 1);
	CHECK(h.done);
	header_scan_fini(&h);
}

static void
a_long_value_is_cut_and_takes_no_more_memory(void)
{
	struct header_scan h;

	header_scan_init(&h, SIZE_MAX);
	header_scan_add(&h, STR("Message-ID: <"));
	for (int i = 0; i < 10000; i++)
		header_scan_add(&h, STR("0123456789\r\n "));
	header_scan_add(&h, STR("\r\nReceived: x\r\n\r\n"));
	CHECK(h.message_id.n <= HEADER_VALUE_MAX && h.message_id.cap <= HEADER_VALUE_MAX + 1);
	CHECK(h.received == 1);
	header_scan_fini(&h);
}

SUITE(header, TEST(fields_are_found_wherever_the_content_is_split), TEST(the_scan_ends_at_its_limit),
    TEST(a_long_value_is_cut_and_takes_no_more_memory));
