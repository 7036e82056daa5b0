/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/route.h"

#include <stdio.h>

#include "tests/unit/check.h"
#include "tests/unit/settings.h"
#include "util/mem.h"

/* All settings are what main.cf's defaults are, unless said otherwise. */
static struct params settings;

static void
begin(void)
{
	settings_default(&settings);
	settings.myhostname = settings.myorigin = "mail.example.com";
	settings.mydestination = "mail.example.com, localhost.example.com localhost";
	settings.relay_domains = "partner.org, .below.net";
	settings.virtual_alias_domains = "aliases.example";
	settings.virtual_mailbox_domains = "boxes.example";
	settings.local_transport = "local:mail.example.com";
	settings.recipient_delimiter = "+";
}

static void
check_from(const char *sender, const char *rcpt, enum route_class class, const char *transport, const char *nexthop)
{
	struct router *router;
	struct route r;

	route_init(&r);
	CHECK(router_open(&settings, "/", &router) == OK);
	CHECK(router_find(router, str_of(sender), str_of(rcpt), &r) == OK);
	CHECK(r.class == class);
	CHECK_STR(buf_str(&r.transport), transport);
	CHECK_STR(buf_str(&r.nexthop), nexthop);
	route_fini(&r);
	router_close(&router);
}

static void
check_route(const char *rcpt, enum route_class class, const char *transport, const char *nexthop)
{
	check_from("sender@client.example", rcpt, class, transport, nexthop);
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
		{ "a@localhost.",           ROUTE_LOCAL,   "local", "mail.example.com" },
		{ "a@sub.mail.example.com", ROUTE_DEFAULT, "smtp",  "sub.mail.example.com" },
		{ "postmaster",             ROUTE_LOCAL,   "local", "mail.example.com" },
		{ "",                       ROUTE_LOCAL,   "local", "mail.example.com" },
		{ "\"a@partner.org\"",      ROUTE_LOCAL,   "local", "mail.example.com" },
		{ "a@[127.0.0.1]",          ROUTE_LOCAL,   "local", "mail.example.com" },
		{ "a@[192.0.2.77]",         ROUTE_DEFAULT, "smtp",  "[192.0.2.77]" },
		{ "a@[IPv6:2001:DB8::77]",  ROUTE_DEFAULT, "smtp",  "[ipv6:2001:db8::77]" },
		{ "a@Aliases.Example",      ROUTE_VIRTUAL_ALIAS, "error", "5.1.1 User unknown in virtual alias table" },
		{ "a@Boxes.Example",        ROUTE_VIRTUAL_MAILBOX, "virtual", "boxes.example" },
		{ "a@PARTNER.org",          ROUTE_RELAY,   "relay", "partner.org" },
		{ "a@x.partner.ORG",        ROUTE_RELAY,   "relay", "x.partner.org" },
		{ "a@notpartner.org",       ROUTE_DEFAULT, "smtp",  "notpartner.org" },
		{ "a@x.below.net",          ROUTE_RELAY,   "relay", "x.below.net" },
		{ "a@below.net",            ROUTE_DEFAULT, "smtp",  "below.net" },
		{ "a@Other.Net",            ROUTE_DEFAULT, "smtp",  "other.net" },
		{ "\"x@localhost\"@o.net",  ROUTE_DEFAULT, "smtp",  "o.net" },
	};

	begin();
	for (size_t i = 0; i < countof(cases); i++)
		check_route(cases[i].rcpt, cases[i].class, cases[i].transport, cases[i].nexthop);
}

static void
relayhost_is_for_what_has_no_next_hop_of_its_own(void)
{
	begin();
	settings.relayhost = "[Smart.Example]:587";
	check_route("a@other.net", ROUTE_DEFAULT, "smtp", "[smart.example]:587");
	check_route("a@partner.org", ROUTE_RELAY, "relay", "[smart.example]:587");
	check_route("a@localhost", ROUTE_LOCAL, "local", "mail.example.com");
	check_route("a@boxes.example", ROUTE_VIRTUAL_MAILBOX, "virtual", "boxes.example");
	settings.relay_transport = "relay:[inner.example]";
	settings.default_transport = "smtp:[1.2.3.4]:25";
	check_route("a@partner.org", ROUTE_RELAY, "relay", "[inner.example]");
	check_route("a@other.net", ROUTE_DEFAULT, "smtp", "[1.2.3.4]:25");
	settings.local_transport = "local";
	check_route("a@localhost", ROUTE_LOCAL, "local", "localhost");
	check_route("a", ROUTE_LOCAL, "local", "mail.example.com");
}

static void
a_router_can_be_asked_again(void)
{
	struct router *router;
	struct route r;

	begin();
	route_init(&r);
	CHECK(router_open(&settings, "/", &router) == OK && router_fixed(router));
	CHECK(router_find(router, STR(""), STR("a@some.very.long.name.example"), &r) == OK);
	CHECK(router_find(router, STR(""), STR("a@b.c"), &r) == OK);
	CHECK_STR(buf_str(&r.nexthop), "b.c");
	CHECK_STR(buf_str(&r.transport), "smtp");
	route_fini(&r);
	route_fini(&r);
	router_close(&router);
	router_close(&router);
}

static void
words_keep_their_case_and_hosts_do_not(void)
{
	static const struct {
		const char *spec, *transport, *nexthop;
	} cases[] = {
		{ "error:Mail Is Off",             "error",    "Mail Is Off" },
		{ "error:5.2.1 Disabled.By.Admin", "error",    "5.2.1 Disabled.By.Admin" },
		{ "retry:Later",                   "retry",    "Later" },
		{ "smtp:[Relay.Example]:587",      "smtp",     "[relay.example]:587" },
		{ "smtp:[A.Example], B.Example",   "smtp",     "[a.example], b.example" },
		{ "lmtp:unix:private/Dovecot",     "lmtp",     "unix:private/Dovecot" },
		{ "lmtp:unix:/run/LMTP.sock",      "lmtp",     "unix:/run/LMTP.sock" },
		{ "lmtp:inet:[Box.Example]:24",    "lmtp",     "inet:[Box.Example]:24" },
		{ "maildrop:Shared",               "maildrop", "Shared" },
		{ " smtp : [Relay.Example] ",      "smtp",     "[relay.example]" },
	};

	begin();
	for (size_t i = 0; i < countof(cases); i++) {
		settings.default_transport = cases[i].spec;
		check_route("A@Other.Net", ROUTE_DEFAULT, cases[i].transport, cases[i].nexthop);
	}
}

/* Every key is asked, in this order; who has one is the answer. */
static void
transport_maps_are_asked_from_the_most_particular_to_the_least(void)
{
	static const char *const keys[] = { "user+ext@sub.other.net", "user@sub.other.net", "sub.other.net", ".other.net", ".net", "*" },
		*const below[] = { "user+ext@sub.other.net", "user@sub.other.net", "sub.other.net", "other.net", "net", "*" };

	for (int parents = 0; parents < 2; parents++) {
		for (size_t from = 0; from < countof(keys); from++) {
			struct buf table = BUF(0);

			begin();
			settings.parent_domain_matches_subdomains = parents ? "transport_maps" : "";
			CHECK(buf_adds(&table, "inline:{"));
			for (size_t i = from; i < countof(keys); i++)
				CHECK(buf_printf(&table, " {%s = t%zu:hop%zu}", (parents ? below : keys)[i], i, i));
			/* None of these fits. */
			CHECK(buf_printf(&table, " {%s = no:no} {other.netx = no:no} {USER@other.net = no:no} }", parents ? ".other.net" : "other.net"));
			settings.transport_maps = buf_cstr(&table);
			{
				char transport[8], hop[8];

				snprintf(transport, sizeof transport, "t%zu", from);
				snprintf(hop, sizeof hop, "hop%zu", from);
				check_route("User+Ext@Sub.Other.Net", ROUTE_DEFAULT, transport, hop);
			}
			buf_free(&table);
		}
	}
}

static void
what_a_transport_entry_leaves_out_is_as_the_manual_says(void)
{
	static const struct {
		const char *value, *transport, *nexthop;
	} cases[] = {
		{ ":",                       "smtp",  "[smart.example]" },
		{ "slow:",                   "slow",  "other.net" },
		{ "slow",                    "slow",  "other.net" },
		{ ":[Gate.Example]:2525",    "smtp",  "[gate.example]:2525" },
		{ "slow:[gate.example]",     "slow",  "[gate.example]" },
		{ "smtp:[a.example],[b.example]:26", "smtp", "[a.example],[b.example]:26" },
		{ "error:",                  "error", "Address is undeliverable" },
		{ "error:5.1.1 No Such Dept","error", "5.1.1 No Such Dept" },
		{ "retry:4.7.0 Under Repair","retry", "4.7.0 Under Repair" },
		{ "lmtp:unix:/run/X",        "lmtp",  "unix:/run/X" },
	};

	begin();
	settings.relayhost = "[smart.example]";
	for (size_t i = 0; i < countof(cases); i++) {
		struct buf table = BUF(0);

		CHECK(buf_printf(&table, "inline:{ {other.net = %s} }", cases[i].value));
		settings.transport_maps = buf_cstr(&table);
		check_route("a@Other.Net", ROUTE_DEFAULT, cases[i].transport, cases[i].nexthop);
		buf_free(&table);
	}
}

static void
transport_maps_hold_for_all_classes_but_virtual_aliases(void)
{
	begin();
	settings.transport_maps = "inline:{ {a@mail.example.com = lmtp:inet:box} {boxes.example = lmtp:} {partner.org = :[in.example]}"
				  " {aliases.example = smtp:} {*=slow:} }";
	check_route("a@mail.example.com", ROUTE_LOCAL, "lmtp", "inet:box");
	check_route("b@mail.example.com", ROUTE_LOCAL, "slow", "mail.example.com");
	check_route("a@boxes.example", ROUTE_VIRTUAL_MAILBOX, "lmtp", "boxes.example");
	check_route("a@partner.org", ROUTE_RELAY, "relay", "[in.example]");
	check_route("a@aliases.example", ROUTE_VIRTUAL_ALIAS, "error", "5.1.1 User unknown in virtual alias table");
	settings.show_user_unknown_table_name = false;
	check_route("a@aliases.example", ROUTE_VIRTUAL_ALIAS, "error", "5.1.1 User unknown");
}

static void
patterns_see_the_whole_address_only(void)
{
	begin();
	settings.transport_maps = "regexp:{ {/^other\\.net$/ no:no} {/^a@/ first:} {/./ rest:} }";
	check_route("a+x@other.net", ROUTE_DEFAULT, "rest", "other.net");
	check_route("a@other.net", ROUTE_DEFAULT, "first", "other.net");
}

static void
senders_have_relayhosts_and_transports_of_their_own(void)
{
	static const struct {
		const char *sender, *rcpt;
		enum route_class class;
		const char *transport, *nexthop;
	} cases[] = {
		/* relayhosts */
		{ "joe@client.example",   "a@other.net",   ROUTE_DEFAULT, "smtp",  "[joes.example]" },
		{ "joe+x@client.example", "a@other.net",   ROUTE_DEFAULT, "smtp",  "[joes.example]" },
		{ "ann@client.example",   "a@other.net",   ROUTE_DEFAULT, "smtp",  "[clients.example]:587" },
		{ "ann@client.example",   "a@partner.org", ROUTE_RELAY,   "relay", "[clients.example]:587" },
		{ "ann@client.example",   "a@localhost",   ROUTE_LOCAL,   "local", "mail.example.com" },
		{ "x@else.example",       "a@other.net",   ROUTE_DEFAULT, "smtp",  "[smart.example]" },
		{ "direct@else.example",  "a@other.net",   ROUTE_DEFAULT, "smtp",  "other.net" },
		{ "empty@else.example",   "a@other.net",   ROUTE_DEFAULT, "smtp",  "other.net" },
		{ "",                     "a@other.net",   ROUTE_DEFAULT, "smtp",  "[bounces.example]" },
		/* transports, whose next hop comes first */
		{ "joe@news.example",     "a@other.net",   ROUTE_DEFAULT, "bulk",  "[smart.example]" },
		{ "joe@news.example",     "a@partner.org", ROUTE_RELAY,   "relay", "[smart.example]" },
		{ "top@news.example",     "a@other.net",   ROUTE_DEFAULT, "smtp",  "[smart.example]" },
		{ "far@news.example",     "a@other.net",   ROUTE_DEFAULT, "bulk",  "[gate.example]" },
	};

	begin();
	settings.relayhost = "[smart.example]";
	settings.sender_dependent_relayhost_maps = "inline:{ {joe@client.example=[joes.example]} {@client.example=[clients.example]:587}"
		" {direct@else.example=DUNNO} {empty@else.example=} {<>=[bounces.example]} }";
	settings.sender_dependent_default_transport_maps = "inline:{ {top@news.example=dunno} {far@news.example=bulk:[gate.example]}"
		" {@news.example=bulk:} }";
	for (size_t i = 0; i < countof(cases); i++)
		check_from(cases[i].sender, cases[i].rcpt, cases[i].class, cases[i].transport, cases[i].nexthop);
	settings.empty_address_relayhost_maps_lookup_key = "null";
	settings.empty_address_default_transport_maps_lookup_key = "top@news.example";
	check_from("", "a@other.net", ROUTE_DEFAULT, "smtp", "[smart.example]");
	/* The transport table has the last word. */
	settings.transport_maps = "inline:{ {other.net = slow:} }";
	check_from("far@news.example", "a@other.net", ROUTE_DEFAULT, "slow", "other.net");
}

static void
those_who_have_moved_are_moved_whatever_their_class(void)
{
	begin();
	settings.relocated_maps = "inline:{ {joe@mail.example.com = Joe@New.Example} {jim = Moon Base} {@gone.example = the Moon} {a@aliases.example=b} }";
	settings.transport_maps = "inline:{ {gone.example = slow:} }";
	check_route("joe@mail.example.com", ROUTE_LOCAL, "error", "5.1.6 User has moved to Joe@New.Example");
	check_route("joe+x@mail.example.com", ROUTE_LOCAL, "error", "5.1.6 User has moved to Joe@New.Example");
	check_route("jim@localhost", ROUTE_LOCAL, "error", "5.1.6 User has moved to Moon Base");
	check_route("jim@other.net", ROUTE_DEFAULT, "smtp", "other.net");
	check_route("x@gone.example", ROUTE_DEFAULT, "error", "5.1.6 User has moved to the Moon");
	check_route("a@aliases.example", ROUTE_VIRTUAL_ALIAS, "error", "5.1.6 User has moved to b");
}

static void
a_table_that_cannot_be_asked_is_no_answer(void)
{
	static const char **const tables[] = { &settings.transport_maps, &settings.relocated_maps, &settings.sender_dependent_relayhost_maps,
		&settings.sender_dependent_default_transport_maps, &settings.mydestination, &settings.virtual_alias_domains,
		&settings.virtual_mailbox_domains, &settings.relay_domains };

	for (size_t i = 0; i < countof(tables); i++) {
		struct router *router;
		struct route r;

		begin();
		*tables[i] = "fail:no";
		route_init(&r);
		CHECK(router_open(&settings, "/", &router) == OK && !router_fixed(router));
		CHECK(router_find(router, STR(""), STR("a@other.net"), &r) != OK);
		route_fini(&r);
		router_close(&router);
	}
}

static void
a_route_says_what_decided_it(void)
{
	struct router *router;
	struct route r;

	begin();
	settings.transport_maps = "inline:{ {.other.net = slow:} }";
	settings.sender_dependent_relayhost_maps = "inline:{ {@client.example=[c.example]} }";
	route_init(&r);
	CHECK(router_open(&settings, "/", &router) == OK);
	CHECK(router_find(router, STR("joe@client.example"), STR("a@x.other.net"), &r) == OK);
	CHECK_STR(str_of(r.by.setting), "transport_maps");
	CHECK_STR(buf_str(&r.by.key), ".other.net");
	CHECK_STR(str_of(r.nexthop_by.setting), "");
	CHECK(router_find(router, STR("joe@client.example"), STR("a@else.net"), &r) == OK);
	CHECK_STR(str_of(r.by.setting), "default_transport");
	CHECK_STR(buf_str(&r.by.key), "");
	CHECK_STR(str_of(r.nexthop_by.setting), "sender_dependent_relayhost_maps");
	CHECK_STR(buf_str(&r.nexthop_by.key), "@client.example");
	route_fini(&r);
	router_close(&router);
}

static void
own_users_are_those_of_mydestination_and_myorigin(void)
{
	static const struct {
		const char *addr;
		bool own;
	} cases[] = { { "a@localhost", true }, { "a@Origin.Example", true }, { "a", true }, { "a@[127.0.0.1]", true }, { "a@other.net", false },
		{ "a@boxes.example", false } };
	struct router *router;
	bool own;

	begin();
	settings.myorigin = "origin.example";
	CHECK(router_open(&settings, "/", &router) == OK);
	for (size_t i = 0; i < countof(cases); i++)
		CHECK(router_own(router, str_of(cases[i].addr), &own) == OK && own == cases[i].own);
	router_close(&router);
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
    TEST(a_router_can_be_asked_again), TEST(words_keep_their_case_and_hosts_do_not),
    TEST(transport_maps_are_asked_from_the_most_particular_to_the_least), TEST(what_a_transport_entry_leaves_out_is_as_the_manual_says),
    TEST(transport_maps_hold_for_all_classes_but_virtual_aliases), TEST(patterns_see_the_whole_address_only),
    TEST(senders_have_relayhosts_and_transports_of_their_own), TEST(those_who_have_moved_are_moved_whatever_their_class),
    TEST(a_table_that_cannot_be_asked_is_no_answer), TEST(a_route_says_what_decided_it),
    TEST(own_users_are_those_of_mydestination_and_myorigin), TEST(next_hops_are_taken_apart));
