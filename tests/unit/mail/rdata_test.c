/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/rdata.h"

#include "mail/dns.h"
#include "tests/unit/check.h"
#include "util/mem.h"

#define LABEL_63 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggg"

enum { MX_PREF = 0x0102 };

static void
data_that_fits_its_type_becomes_one_record(void)
{
	static const struct { uint16_t type; struct str rdata; uint16_t pref; struct str text; } cases[] = {
		{ DNS_A, STR("\300\0\002\001"), 0, STR("\300\0\002\001") },
		{ DNS_AAAA, STR("0123456789abcdef"), 0, STR("0123456789abcdef") },
		{ DNS_MX, STR("\1\2\2mx\4test\0"), MX_PREF, STR("mx.test") },
		{ DNS_MX, STR("\377\377\1a\0"), 65535, STR("a") },
		{ DNS_MX, STR("\0\0\0"), 0, STR("") },
		{ DNS_PTR, STR("\3A-_\2/9\0"), 0, STR("A-_./9") },
		{ DNS_CNAME, STR("\77" LABEL_63 "\0"), 0, STR(LABEL_63) },
		{ DNS_CNAME, STR("\0"), 0, STR("") },
		{ DNS_TXT, STR("\5v=spf\3 -a\0\2ll"), 0, STR("v=spf -all") },
		{ DNS_TXT, STR("\3\0\n\377"), 0, STR("\0\n\377") },
		{ DNS_TXT, STR("\0"), 0, STR("") },
		{ DNS_TLSA, STR("\3\1\1x"), 0, STR("\3\1\1x") },
		{ 99, STR("any\0thing"), 0, STR("any\0thing") },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct buf records = BUF(1000);
		struct msg_record r;
		struct str rest;

		CHECK(buf_adds(&records, "before"));
		CHECK(rdata_put(&records, cases[i].type, cases[i].rdata));
		rest = str_sub(buf_str(&records), 6, records.n);
		CHECK(msg_record_take(&rest, &r) && rest.n == 0);
		CHECK(r.pref == cases[i].pref && str_eq(r.text, cases[i].text));
		buf_free(&records);
	}
}

static void
malformed_data_adds_nothing(void)
{
	static const struct { uint16_t type; struct str rdata; } cases[] = {
		{ DNS_A, STR("") }, { DNS_A, STR("123") }, { DNS_A, STR("12345") },
		{ DNS_AAAA, STR("1234") }, { DNS_AAAA, STR("0123456789abcde") }, { DNS_AAAA, STR("0123456789abcdef0") },
		{ DNS_MX, STR("") }, { DNS_MX, STR("\0") }, { DNS_MX, STR("\0\1") }, { DNS_MX, STR("\0\1\1a") },
		{ DNS_MX, STR("\0\1\1a\0x") }, { DNS_MX, STR("\0\1\0\0") },
		{ DNS_CNAME, STR("") }, { DNS_CNAME, STR("\1") }, { DNS_CNAME, STR("\2a\0") }, { DNS_CNAME, STR("\1a\1") },
		{ DNS_CNAME, STR("\300\14") },          /* a compression pointer */
		{ DNS_CNAME, STR("\100" LABEL_63 "g\0") },
		{ DNS_PTR, STR("\1a\0\1b\0") }, { DNS_PTR, STR("\3a.b\0") }, { DNS_PTR, STR("\3a\0b\0") },
		{ DNS_PTR, STR("\3a b\0") }, { DNS_PTR, STR("\3a\nb\0") }, { DNS_PTR, STR("\2a]\0") }, { DNS_PTR, STR("\2\303\244\0") },
		{ DNS_TXT, STR("\1") }, { DNS_TXT, STR("\4abc") }, { DNS_TXT, STR("\1a\377b") },
		{ DNS_TLSA, STR("") }, { DNS_TLSA, STR("\3") }, { DNS_TLSA, STR("\3\1") }, { DNS_TLSA, STR("\3\1\1") },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct buf records = BUF(1000);

		CHECK(buf_adds(&records, "before"));
		CHECK(!rdata_put(&records, cases[i].type, cases[i].rdata));
		CHECK_STR(buf_str(&records), "before");
		buf_free(&records);
	}
}

/* A name that takes up n bytes on the wire: labels of at most 63. */
static struct str
name_of(size_t n, char out[300])
{
	size_t at = 0;

	while (at + 1 < n) {
		size_t label = n - 1 - at - 1;

		if (label > 63)
			label = label == 64 ? 62 : 63;
		out[at] = (char)label;
		memset(out + at + 1, 'a', label);
		at += 1 + label;
	}
	out[at] = '\0';
	return (struct str){ out, at + 1 };
}

static void
a_name_has_at_most_255_bytes(void)
{
	char wire[300];

	for (size_t n = 3; n < 300; n++) {
		struct str in = name_of(n, wire);
		struct buf out = BUF(1000);

		CHECK(in.n == n);
		CHECK(rdata_name(&in, &out) == (n <= 255));
		CHECK(n > 255 ? out.n == 0 && in.n == n : out.n == n - 2 && in.n == 0);
		buf_free(&out);
	}
}

static void
a_name_is_taken_off_the_front(void)
{
	struct str in = STR("\1a\1b\0rest"), bad = STR("\1a\1");
	struct buf out = BUF(100);

	CHECK(buf_adds(&out, "x"));
	CHECK(rdata_name(&in, &out));
	CHECK_STR(buf_str(&out), "xa.b");
	CHECK_STR(in, "rest");
	CHECK(!rdata_name(&bad, &out));
	CHECK_STR(buf_str(&out), "xa.b");
	CHECK(bad.n == 3);
	buf_free(&out);
}

static void
a_record_that_does_not_fit_leaves_nothing_behind(void)
{
	for (size_t max = 1; max < 24; max++) {
		struct buf records = BUF(max);
		bool fits = rdata_put(&records, DNS_PTR, STR("\4host\4test\0"));

		CHECK(fits == (max >= 2 + 4 + 9));
		CHECK(records.n == (fits ? 2 + 4 + 9 : 0));
		buf_free(&records);
	}
}

static void
the_largest_text_fits(void)
{
	static char wire[RDATA_TEXT_MAX];
	struct buf records = BUF(1 << 20);
	struct msg_record r;
	struct str rest;

	for (size_t i = 0; i < sizeof wire; i++)
		wire[i] = i % 256 == 0 ? (char)(sizeof wire - i > 255 ? 255 : sizeof wire - i - 1) : 'x';
	CHECK(rdata_put(&records, DNS_TXT, (struct str){ wire, sizeof wire }));
	rest = buf_str(&records);
	CHECK(msg_record_take(&rest, &r) && rest.n == 0);
	CHECK(r.text.n == sizeof wire - 256);
	buf_free(&records);
}

SUITE(rdata, TEST(data_that_fits_its_type_becomes_one_record), TEST(malformed_data_adds_nothing),
    TEST(a_name_has_at_most_255_bytes), TEST(a_name_is_taken_off_the_front),
    TEST(a_record_that_does_not_fit_leaves_nothing_behind), TEST(the_largest_text_fits));
