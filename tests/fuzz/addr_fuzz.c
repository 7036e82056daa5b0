/* SPDX-License-Identifier: Apache-2.0 */
/* First byte: 1 strict, 2 utf8; the rest is what follows "MAIL FROM:". */
#include "mail/addr.h"
#include "mail/params.h"
#include "mail/route.h"
#include "tests/unit/settings.h"
#include "util/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* What was taken once is taken again as it is. */
static void
check_stable(struct str address)
{
	struct buf path = BUF(4096), again = BUF(4096);
	struct str in;

	ENSURE(buf_printf(&path, "<%.*s>", STR_ARG(address)));
	in = buf_str(&path);
	ENSURE(path_take(&in, true, true, &again) == OK);
	ENSURE(in.n == 0 && str_eq(buf_str(&again), address));
	buf_free(&again);
	buf_free(&path);
}

/* Any bytes are routed somewhere, whatever tables and lists make of them. */
static void
route_of(struct str address)
{
	static struct params p;
	static struct router *router;
	struct route r;

	if (router == NULL) {
		settings_default(&p);
		p.mydestination = "here.example";
		p.virtual_alias_domains = "!a.b .b";
		p.relay_domains = "inline:{ {c.d=x} }";
		p.recipient_delimiter = "+-";
		p.transport_maps = "inline:{ {.a.b=:[x]} {a@c.d=y:z} {*=} }";
		p.relocated_maps = "inline:{ {x@=y} {z@a.b=y} }";
		ENSURE(router_open(&p, "/", &router) == OK);
	}
	route_init(&r);
	ENSURE(router_find(router, address, address, &r) == OK);
	ENSURE(r.transport.n > 0 && r.class < ROUTE_CLASS_COUNT);
	route_fini(&r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str in = { (const char *)data, n };
	struct buf out = BUF(4096);
	struct hop hop;
	bool strict, utf8;

	if (n == 0)
		return 0;
	strict = data[0] & 1;
	utf8 = data[0] & 2;
	in = str_sub(in, 1, n);
	if (hop_parse(in, 25, &hop) == OK)
		ENSURE(hop.host.n > 0 && hop.host.n <= in.n && hop.port > 0);
	(void)domain_valid(in);
	route_of(in);
	(void)address_same(in, in);
	if (path_take(&in, strict, utf8, &out) == OK) {
		struct str address = buf_str(&out);

		ENSURE(out.n <= ADDR_MAX && address_valid(address));
		ENSURE(address_local(address).n <= ADDR_LOCAL_MAX && address_domain(address).n <= ADDR_DOMAIN_MAX);
		for (size_t i = 0; i < address.n; i++)
			ENSURE((unsigned char)address.p[i] >= ' ' && address.p[i] != 127 && (utf8 || (address.p[i] & 0x80) == 0));
		check_stable(address);
	}
	buf_free(&out);
	return 0;
}
