/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/route.h"

#include "tests/unit/check.h"
#include "util/mem.h"

static const struct params settings = {
	.myhostname = "mail.example.com",
	.mydestination = "mail.example.com, localhost.example.com localhost",
	.relay_domains = "partner.org, .below.net", .virtual_mailbox_domains = "boxes.example", .virtual_transport = "virtual",
	.relayhost = "",
	.default_transport = "smtp",
	.relay_transport = "relay",
	.local_transport = "local:mail.example.com",
};

static void
check_route(const struct params *p, const char *rcpt, enum route_class class, const char *transport, const char *nexthop)
{
	struct route r;

	route_init(&r);
	route_find(p, str_of(rcpt), &r);
	CHECK(r.class == class);
	CHECK_STR(buf_str(&r.transport), transport);
	CHECK_STR(buf_str(&r.nexthop), nexthop);
	route_fini(&r);
}

static void
an_address_goes_where_its_domain_belongs(void)
{
	static const struct {
		const char *rcpt;
		enum route_class class;
		const char *transport, *nexthop;
	} cases[] = {
		{ "a@Mail.Example.Com",     ROUTE_LOCAL,   "local", "mail.example.com" },
		{ "a@localhost",            ROUTE_LOCAL,   "local", "mail.example.com" },
		{ "a@sub.mail.example.com", ROUTE_DEFAULT, "smtp",  "sub.mail.example.com" },
		{ "postmaster",             ROUTE_LOCAL,   "local", "mail.example.com" },
		{ "",                       ROUTE_LOCAL,   "local", "mail.example.com" },
		{ "\"a@partner.org\"",      ROUTE_LOCAL,   "local", "mail.example.com" },
		{ "a@[127.0.0.1]",          ROUTE_LOCAL,   "local", "mail.example.com" },
		{ "a@[192.0.2.77]",         ROUTE_DEFAULT, "smtp",  "[192.0.2.77]" },
		{ "a@[IPv6:2001:DB8::77]",  ROUTE_DEFAULT, "smtp",  "[ipv6:2001:db8::77]" },
		{ "a@Boxes.Example",        ROUTE_VIRTUAL, "virtual", "boxes.example" },
		{ "a@PARTNER.org",          ROUTE_RELAY,   "relay", "partner.org" },
		{ "a@x.partner.ORG",        ROUTE_RELAY,   "relay", "x.partner.org" },
		{ "a@notpartner.org",       ROUTE_DEFAULT, "smtp",  "notpartner.org" },
		{ "a@x.below.net",          ROUTE_RELAY,   "relay", "x.below.net" },
		{ "a@below.net",            ROUTE_DEFAULT, "smtp",  "below.net" },
		{ "a@Other.Net",            ROUTE_DEFAULT, "smtp",  "other.net" },
		{ "\"x@localhost\"@o.net",  ROUTE_DEFAULT, "smtp",  "o.net" },
	};

	for (size_t i = 0; i < countof(cases); i++)
		check_route(&settings, cases[i].rcpt, cases[i].class, cases[i].transport, cases[i].nexthop);
}

static void
relayhost_is_for_what_has_no_next_hop_of_its_own(void)
{
	struct params p = settings;

	p.relayhost = "[Smart.Example]:587";
	check_route(&p, "a@other.net", ROUTE_DEFAULT, "smtp", "[smart.example]:587");
	check_route(&p, "a@partner.org", ROUTE_RELAY, "relay", "[smart.example]:587");
	check_route(&p, "a@localhost", ROUTE_LOCAL, "local", "mail.example.com");
	p.relay_transport = "relay:[inner.example]";
	p.default_transport = "smtp:[1.2.3.4]:25";
	check_route(&p, "a@partner.org", ROUTE_RELAY, "relay", "[inner.example]");
	check_route(&p, "a@other.net", ROUTE_DEFAULT, "smtp", "[1.2.3.4]:25");
	p.local_transport = "local";
	check_route(&p, "a@localhost", ROUTE_LOCAL, "local", "localhost");
	check_route(&p, "a", ROUTE_LOCAL, "local", "mail.example.com");
}

static void
a_route_can_be_used_again(void)
{
	struct route r;

	route_init(&r);
	route_find(&settings, STR("a@some.very.long.name.example"), &r);
	route_find(&settings, STR("a@b.c"), &r);
	CHECK_STR(buf_str(&r.nexthop), "b.c");
	CHECK_STR(buf_str(&r.transport), "smtp");
	route_fini(&r);
	route_fini(&r);
}

static void
next_hops_are_taken_apart(void)
{
	static const struct {
		const char *text, *host;
		unsigned port;
		bool no_mx;
	} cases[] = {
		{ "example.com",               "example.com", 25,  false },
		{ "example.com:587",           "example.com", 587, false },
		{ "example.com:submission",    "example.com", 587, false },
		{ "[example.com]",             "example.com", 25,  true  },
		{ "[example.com]:2525",        "example.com", 2525, true },
		{ "[1.2.3.4]:25",              "1.2.3.4",     25,  true  },
		{ "1.2.3.4:26",                "1.2.3.4",     26,  true  },
		{ "[IPv6:2001:db8::1]",        "2001:db8::1", 25,  true  },
		{ "[ipv6:2001:db8::1]:2525",   "2001:db8::1", 2525, true },
		{ "[2001:db8::1]:2525",        "2001:db8::1", 2525, true },
		{ "[::1]:65535",               "::1",         65535, true },
		{ "",                          NULL, 0, false },
		{ "[]",                        NULL, 0, false },
		{ "[",                         NULL, 0, false },
		{ "[a",                        NULL, 0, false },
		{ "[a]b",                      NULL, 0, false },
		{ "[a]:",                      NULL, 0, false },
		{ "a:",                        NULL, 0, false },
		{ ":25",                       NULL, 0, false },
		{ "a:0",                       NULL, 0, false },
		{ "a:65536",                   NULL, 0, false },
		{ "a:x",                       NULL, 0, false },
		{ "a:25:26",                   NULL, 0, false },
		{ "2001:db8::1",               NULL, 0, false },
		{ "[[1.2.3.4]]",               NULL, 0, false },
		{ "a b",                       NULL, 0, false },
		{ "a/b",                       NULL, 0, false },
		{ "[a b]",                     NULL, 0, false },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct hop h;
		enum err e = hop_parse(str_of(cases[i].text), 25, &h);

		CHECK(e == (cases[i].host ? OK : E_SYNTAX));
		if (e != OK || cases[i].host == NULL)
			continue;
		CHECK_STR(h.host, cases[i].host);
		CHECK(h.port == cases[i].port);
		CHECK(h.no_mx == cases[i].no_mx);
	}
}

SUITE(route, TEST(an_address_goes_where_its_domain_belongs), TEST(relayhost_is_for_what_has_no_next_hop_of_its_own),
    TEST(a_route_can_be_used_again), TEST(next_hops_are_taken_apart));
