/* SPDX-License-Identifier: Apache-2.0 */
#include "smtp/hosts.h"
#include "smtp/own.h"
#include "tests/unit/check.h"

static void
mx_records_are_ordered_by_preference_and_equals_take_turns(void)
{
	bool first[3] = { false };

	/* That one of three never comes first in 200 draws has a chance of 1 in 10^35. */
	for (int round = 0; round < 200; round++) {
		struct msg_record mx[] = { { 30, STR("d") }, { 10, STR("a") }, { 10, STR("b") }, { 0, STR("z") }, { 10, STR("c") } };

		mx_order(mx, countof(mx));
		CHECK(mx[0].pref == 0 && mx[1].pref == 10 && mx[2].pref == 10 && mx[3].pref == 10 && mx[4].pref == 30);
		CHECK(mx[1].text.p[0] != mx[2].text.p[0] && mx[2].text.p[0] != mx[3].text.p[0]);
		first[mx[1].text.p[0] - 'a'] = true;
	}
	CHECK(first[0] && first[1] && first[2]);
	mx_order(NULL, 0);
}

static void
services_of_smtpd_are_found_in_master_cf(void)
{
	static const struct {
		const char *line;
		bool found;
		const char *host;
		uint16_t port;
	} cases[] = {
		{ "smtp inet n - y - - smtpd", true, "", 25 },
		{ "submission inet n - y - - smtpd -o a=b", true, "", 587 },
		{ "127.0.0.1:2525 inet n - n - 4 smtpd", true, "127.0.0.1", 2525 },
		{ "[::1]:smtp inet n - n - 4 smtpd", true, "::1", 25 },
		{ "smtp unix n - n - - smtp", false, "", 0 },
		{ "25 inet n - n - - other", false, "", 0 },
		{ "99999 inet n - n - - smtpd", false, "", 0 },
		{ "what inet n - n - - smtpd", false, "", 0 },
		{ "smtp inet n - n -", false, "", 0 },
		{ "", false, "", 0 },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct str host = STR("");
		uint16_t port = 0;

		CHECK(own_service(str_of(cases[i].line), &host, &port) == cases[i].found);
		if (cases[i].found) {
			CHECK_STR(host, cases[i].host);
			CHECK(port == cases[i].port);
		}
	}
}

static bool
own(const char *address, uint16_t port)
{
	struct addr a;

	CHECK(addr_parse(str_of(address), port, &a) == OK);
	return own_is(&a);
}

static void
only_where_we_listen_is_ourselves(void)
{
	own_clear();
	CHECK(!own("127.0.0.1", 25));
	own_add(STR("127.0.0.1"), 2525, "all");
	CHECK(own("127.0.0.1", 2525) && !own("127.0.0.1", 25) && !own("127.0.0.2", 2525));
	own_add(STR(""), 25, "loopback-only");
	CHECK(own("127.0.0.1", 25) && !own("192.0.2.1", 25));
	own_clear();
	own_add(STR(""), 25, "192.0.2.1, [2001:db8::1]");
	CHECK(!own("127.0.0.1", 25));
	own_clear();
	own_add(STR("0.0.0.0"), 26, "192.0.2.1");
	CHECK(own("127.0.0.1", 26));
	own_clear();
}

static void
several_next_hops_come_in_their_order(void)
{
	static const struct {
		const char *nexthop, *found;           /* address:port/hop …, or the failure */
	} cases[] = {
		{ "[192.0.2.1]", "192.0.2.1:25/0 " },
		{ "[192.0.2.1]:26, [2001:db8::1]", "192.0.2.1:26/0 2001:db8::1:25/1 " },
		{ "[192.0.2.1] [192.0.2.2],[192.0.2.3]:27", "192.0.2.1:25/0 192.0.2.2:25/1 192.0.2.3:27/2 " },
		{ "[a/b], [192.0.2.2]", "192.0.2.2:25/1 " },
		{ "a..b, [192.0.2.2]", "192.0.2.2:25/1 " },
		/* What somebody wrote can be mended; a domain is what it is. */
		{ "[a/b]", "defer 4.3.5" },
		{ "192.0.2.1:x", "defer 4.3.5" },
		{ "a..b", "refuse 5.1.2" },
		{ "a..b, [a/b]", "defer 4.3.5" },
		{ "[a/b], a..b", "defer 4.3.5" },
		{ "", "refuse 5.1.2" },
	};
	const struct params p = { .smtp_tcp_port = 25, .inet_protocols = "all", .myhostname = "here.test" };

	for (size_t i = 0; i < countof(cases); i++) {
		struct buf out = BUF(0);
		char text[ADDR_TEXT];
		struct hosts h;
		enum err e = hosts_find(&p, str_of(cases[i].nexthop), &h);

		for (size_t k = 0; k < h.n; k++)
			CHECK(buf_printf(&out, "%s:%u/%u ", addr_text(&h.v[k].addr, text), addr_port(&h.v[k].addr), h.v[k].hop));
		if (e != OK)
			CHECK(buf_printf(&out, "%s %s", e == E_DEFERRED ? "defer" : "refuse", h.esc));
		CHECK_STR(buf_str(&out), cases[i].found);
		hosts_fini(&h);
		buf_free(&out);
	}
}

SUITE(smtp_hosts, TEST(several_next_hops_come_in_their_order), TEST(mx_records_are_ordered_by_preference_and_equals_take_turns), TEST(services_of_smtpd_are_found_in_master_cf),
    TEST(only_where_we_listen_is_ourselves));
