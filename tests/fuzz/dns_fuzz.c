/* SPDX-License-Identifier: Apache-2.0 */
/* First byte: which type of record; the rest is its data. */
#include "mail/dns.h"
#include "mail/rdata.h"
#include "util/log.h"
#include "util/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const uint16_t types[] = { DNS_MX, DNS_A, DNS_AAAA, DNS_CNAME, DNS_PTR, DNS_TXT, DNS_TLSA, 99 };

static bool
is_name_byte(char c)
{
	return c != '\0' && strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_/.", c) != NULL;
}

static void
check_record(uint16_t type, const struct msg_record *r, struct str rdata)
{
	bool is_name = type == DNS_MX || type == DNS_PTR || type == DNS_CNAME;

	ENSURE(r->text.n <= rdata.n);
	ENSURE(type == DNS_MX || r->pref == 0);
	ENSURE(type != DNS_A || r->text.n == 4);
	ENSURE(type != DNS_AAAA || r->text.n == 16);
	ENSURE(!is_name || r->text.n <= 253);
	for (size_t i = 0; is_name && i < r->text.n; i++)
		ENSURE(is_name_byte(r->text.p[i]));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf records = BUF(1 << 20), small = BUF(32);
	struct str rdata = { (const char *)data, n }, rest;
	struct msg_record r;
	uint16_t type;
	bool taken;

	if (n == 0)
		return 0;
	type = types[data[0] % countof(types)];
	rdata = str_sub(rdata, 1, n);
	taken = rdata_put(&records, type, rdata);
	ENSURE(taken || records.n == 0);
	if (taken) {
		rest = buf_str(&records);
		ENSURE(msg_record_take(&rest, &r) && rest.n == 0);
		check_record(type, &r, rdata);
	}
	/* One that does not fit is as good as none. */
	ENSURE(rdata_put(&small, type, rdata) == (taken && records.n <= 32));
	ENSURE(small.n == (taken && records.n <= 32 ? records.n : 0));
	buf_free(&small);
	buf_free(&records);
	return 0;
}
