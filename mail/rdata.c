/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/rdata.h"

#include "mail/dns.h"

enum { NAME_MAX_WIRE = 255, LABEL_MAX = 63 };

static bool
name_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
	    c == '_' || c == '/';
}

bool
rdata_name(struct str *rdata, struct buf *out)
{
	size_t start = out->n, at = 0;

	for (;;) {
		size_t n;

		if (at >= rdata->n || at >= NAME_MAX_WIRE)
			goto malformed;
		n = (unsigned char)rdata->p[at++];
		if (n == 0)
			break;
		if (n > LABEL_MAX || n >= rdata->n - at)
			goto malformed;
		if (out->n > start && !buf_addc(out, '.'))
			goto malformed;
		for (size_t end = at + n; at < end; at++) {
			if (!name_byte(rdata->p[at]) || !buf_addc(out, rdata->p[at]))
				goto malformed;
		}
	}
	*rdata = str_sub(*rdata, at, rdata->n);
	return true;
malformed:
	buf_cut(out, start);
	return false;
}

static bool
put_name(struct str rdata, struct buf *text)
{
	return rdata_name(&rdata, text) && rdata.n == 0;
}

static bool
put_mx(struct str rdata, uint16_t *pref, struct buf *text)
{
	if (rdata.n < 3)
		return false;
	*pref = (uint16_t)((unsigned char)rdata.p[0] << 8 | (unsigned char)rdata.p[1]);
	return put_name(str_sub(rdata, 2, rdata.n), text);
}

/* RFC 1035 section 3.3.14: character strings; RFC 7208 section 3.3 joins them without blanks. */
static bool
put_txt(struct str rdata, struct buf *text)
{
	while (rdata.n > 0) {
		size_t n = (unsigned char)rdata.p[0];

		if (n > rdata.n - 1 || !buf_add(text, str_sub(rdata, 1, n)))
			return false;
		rdata = str_sub(rdata, 1 + n, rdata.n);
	}
	return true;
}

static bool
decode(uint16_t type, struct str rdata, uint16_t *pref, struct buf *text)
{
	switch (type) {
	case DNS_A:
		return rdata.n == 4 && buf_add(text, rdata);
	case DNS_AAAA:
		return rdata.n == 16 && buf_add(text, rdata);
	case DNS_MX:
		return put_mx(rdata, pref, text);
	case DNS_CNAME:
	case DNS_PTR:
		return put_name(rdata, text);
	case DNS_TXT:
		return put_txt(rdata, text);
	case DNS_TLSA:
		/* Usage, selector, matching type, and at least one byte of data (RFC 6698 section 2.1). */
		return rdata.n > 3 && buf_add(text, rdata);
	default:
		return buf_add(text, rdata);
	}
}

bool
rdata_put(struct buf *records, uint16_t type, struct str rdata)
{
	struct buf text = BUF(RDATA_TEXT_MAX);
	struct msg_record r = { 0 };
	size_t before = records->n;
	bool ok = decode(type, rdata, &r.pref, &text);

	r.text = buf_str(&text);
	if (ok && !msg_record_put(records, &r)) {
		buf_cut(records, before);
		ok = false;
	}
	buf_free(&text);
	return ok;
}
