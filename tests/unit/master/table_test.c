/* SPDX-License-Identifier: Apache-2.0 */
#include "master/table.h"

#include <stdio.h>

#include "master/endpoint.h"
#include "tests/unit/check.h"
#include "util/mem.h"

struct parsed {
	struct table t;
	struct buf   errors, warnings;
	enum err     e;
};

static struct parsed
parse(const char *text)
{
	struct parsed p = { 0 };

	p.e = table_parse(&p.t, "master.cf", str_of(text), &p.errors, &p.warnings);
	return p;
}

static void
discard(struct parsed *p)
{
	table_fini(&p->t);
	buf_free(&p->errors);
	buf_free(&p->warnings);
}

/* The only line of a good table. */
static void
with_entry(const char *text, void (*check)(const struct table_entry *e))
{
	struct parsed p = parse(text);

	CHECK(p.e == OK && p.errors.n == 0 && p.t.n == 1);
	if (p.t.n == 1)
		check(&p.t.entries[0]);
	else
		printf("%s: %s", text, buf_cstr(&p.errors));
	discard(&p);
}

static void
has_defaults(const struct table_entry *e)
{
	CHECK(e->type == TYPE_UNIX && e->private && e->unpriv && !e->chroot);
	CHECK(e->wakeup == 0 && !e->wakeup_if_used && e->maxproc == -1 && !e->verbose);
	CHECK_STR(str_of(e->name), "relay");
	CHECK_STR(str_of(e->identity), "unix:relay");
	CHECK_STR(str_of(e->prog), "smtp");
	CHECK(e->noverrides == 0 && e->nargs == 0 && e->args[0] == NULL);
}

static void
a_dash_takes_the_default(void)
{
	with_entry("relay unix - - - - - smtp\n", has_defaults);
}

static void
has_other_values(const struct table_entry *e)
{
	CHECK(!e->private && !e->unpriv && e->chroot);
	CHECK(e->wakeup == 300 && e->wakeup_if_used && e->maxproc == 0);
}

static void
each_column_is_read(void)
{
	with_entry("thing unix n n y 300? 0 daemon", has_other_values);
}

static void
has_options(const struct table_entry *e)
{
	CHECK(e->verbose && e->noverrides == 4 && e->nargs == 3);
	if (e->noverrides != 4 || e->nargs != 3)
		return;
	CHECK_STR(str_of(e->overrides[0].text), "myhostname=a.example");
	CHECK_STR(str_of(e->overrides[1].text), "smtpd_banner=$myhostname ESMTP");
	CHECK_STR(str_of(e->overrides[2].text), "mynetworks=");
	CHECK_STR(str_of(e->overrides[3].text), "relayhost=[b.example]");
	CHECK(e->overrides[0].at.line == 3 && e->overrides[0].at.column == 5);
	CHECK(e->overrides[1].at.line == 5 && e->overrides[1].at.column == 5);
	CHECK_STR(str_of(e->args[0]), "flags=DR");
	CHECK_STR(str_of(e->args[1]), "two words {and braces}");
	CHECK_STR(str_of(e->args[2]), "-o");
}

static void
options_and_arguments_continue_over_lines_and_comments(void)
{
	with_entry("# the way in\n"
		   "smtp inet n - n - - smtpd -v\n"
		   " -o myhostname=a.example\n"
		   "# a comment between\n"
		   " -o { smtpd_banner = $myhostname ESMTP }\n"
		   "\n"
		   "\t-o mynetworks= -orelayhost=[b.example]\n"
		   "  flags=DR { two words {and braces} }  -o\n",
	    has_options);
}

static void
what_is_wrong_is_said_with_its_place(void)
{
	static const struct { const char *text, *words; } cases[] = {
		{ "smtp\n", "master.cf:1:4: expected column \"type\" (2 of 8) after this" },
		{ "smtp inet n - n - -\n", "master.cf:1:19: expected column \"command\" (8 of 8)" },
		{ "\n# c\nsmtp tcp n - n - - smtpd\n", "master.cf:3:6: expected a type, inet or unix, not \"tcp\"" },
		{ "x fifo n - n - - smtpd\n", "master.cf:1:3: type fifo is not supported" },
		{ "x pass n - n - - smtpd\n", "master.cf:1:3: type pass is not supported" },
		{ "x unix-dgram n - n - - smtpd\n", "master.cf:1:3: type unix-dgram is not supported" },
		{ "25 inet y - n - - smtpd\n", "master.cf:1:9: expected n: an inet service cannot be private" },
		{ "25 inet n maybe n - - smtpd\n", "master.cf:1:11: expected y, n or - in column \"unpriv\"" },
		{ "25 inet n\n  - q - - smtpd\n", "master.cf:2:5: expected y, n or - in column \"chroot\"" },
		{ "x unix n - n 5s - smtpd\n", "master.cf:1:14: expected a time in seconds" },
		{ "x unix n - n - many smtpd\n", "master.cf:1:16: expected a number of processes" },
		{ "qmgr unix n - n - - qmgr\n", "master.cf:1:19: expected 1 in column \"maxproc\": there can be only one qmgr" },
		{ "x unix n - n - - /bin/sh\n", "master.cf:1:18: expected the name of a program" },
		{ "x unix n - n - - ..\n", "master.cf:1:18: expected the name of a program" },
		{ "a/b unix n - n - - smtp\n", "master.cf:1:1: expected a service name without '/'" },
		{ ".. unix n - n - - smtp\n", "master.cf:1:1: expected a service name" },
		{ "no-such-port inet n - n - - smtpd\n", "master.cf:1:1: expected a port or the name of one" },
		{ "0 inet n - n - - smtpd\n", "master.cf:1:1: expected a port from 1 to 65535" },
		{ "host.example:25 inet n - n - - smtpd\n", "master.cf:1:1: expected an IP address or localhost" },
		{ "::1:25 inet n - n - - smtpd\n", "master.cf:1:1: expected [address]:port for an IPv6 address" },
		{ "[::1] inet n - n - - smtpd\n", "master.cf:1:1: expected [address]:port" },
		{ "x unix n - n - - smtp -o\n", "expected name=value or { name = value } after -o" },
		{ "x unix n - n - - smtp -o novalue\n", "master.cf:1:26: expected name=value" },
		{ "x unix n - n - - smtp -o { a b = c }\n", "master.cf:1:26: expected name=value" },
		{ "x unix n - n - - smtp -D\n", "master.cf:1:23: expected -o name=value, -v or an argument" },
		{ "x unix n - n - - smtp { a\n", "master.cf:1:23: expected a '}' for this '{'" },
		{ "x unix n - n - - smtp { a }b\n", "master.cf:1:28: expected a blank after '}'" },
		{ "x unix {n} - n - - smtp\n", "master.cf:1:8: expected column \"private\", not braces" },
		{ "# nothing\n", "expected at least one service" },
		{ "", "expected at least one service" },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct parsed p = parse(cases[i].text);
		bool said = strstr(buf_cstr(&p.errors), cases[i].words) != NULL;

		CHECK(p.e == E_SYNTAX && said);
		if (!said)
			printf("%s  gives %s", cases[i].text, buf_cstr(&p.errors));
		discard(&p);
	}
}

static void
all_errors_are_found_in_one_go(void)
{
	struct parsed p = parse("a tcp\nb unix - - - - - smtp\nc unix - - - - x smtp\n");

	CHECK(p.e == E_SYNTAX && p.t.n == 1);
	CHECK(strstr(buf_cstr(&p.errors), "master.cf:1:3: ") != NULL);
	CHECK(strstr(buf_cstr(&p.errors), "master.cf:3:16: ") != NULL);
	discard(&p);
}

static void
of_two_alike_the_last_counts_with_a_warning(void)
{
	struct parsed p = parse("smtp inet n - - - 5 smtpd\nsmtp unix - - - - - smtp\n25 inet n - - - 7 smtpd\n");

	CHECK(p.e == OK && p.t.n == 2);
	CHECK(p.t.entries[0].maxproc == 7);
	CHECK(strstr(buf_cstr(&p.warnings), "master.cf:3:1: duplicate master.cf entry for service \"25\"") != NULL);
	discard(&p);
}

static void
a_service_is_the_same_however_it_is_written(void)
{
	static const struct { const char *name, *identity; } cases[] = {
		{ "smtp", "inet:25" },
		{ "25", "inet:25" },
		{ "submission", "inet:587" },
		{ "127.0.0.1:smtp", "inet:127.0.0.1:25" },
		{ "[127.0.0.1]:25", "inet:127.0.0.1:25" },
		{ "[0:0:0:0:0:0:0:1]:2525", "inet:[::1]:2525" },
		{ "LOCALHOST:2525", "inet:localhost:2525" },
	};
	char line[128];

	for (size_t i = 0; i < countof(cases); i++) {
		struct parsed p;

		snprintf(line, sizeof line, "%s inet n - n - - smtpd\n", cases[i].name);
		p = parse(line);
		CHECK(p.t.n == 1);
		if (p.t.n == 1)
			CHECK_STR(str_of(p.t.entries[0].identity), cases[i].identity);
		discard(&p);
	}
}

static void
addresses_come_from_host_interfaces_and_protocols(void)
{
	static const struct { const char *host, *interfaces, *protocols, *expected; } cases[] = {
		{ NULL, "all", "all", "0.0.0.0 ::" },
		{ NULL, "all", "ipv4", "0.0.0.0" },
		{ NULL, "loopback-only", "all", "127.0.0.1 ::1" },
		{ NULL, "loopback-only", "ipv6", "::1" },
		{ NULL, "192.0.2.1, [2001:db8::1] 192.0.2.1", "all", "192.0.2.1 2001:db8::1" },
		{ "localhost", "all", "ipv4", "127.0.0.1" },
		{ "::1", "192.0.2.1", "all", "::1" },
		{ NULL, "host.example", "all", NULL },
		{ NULL, "", "all", NULL },
		{ "127.0.0.1", "all", "ipv6", NULL },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct addr a[8];
		char text[ADDR_TEXT];
		struct buf b = BUF(0);
		size_t n = 0;
		enum err e = endpoint_addresses(cases[i].host, 25, str_of(cases[i].interfaces),
		    str_of(cases[i].protocols), a, countof(a), &n);

		CHECK((e == OK) == (cases[i].expected != NULL));
		for (size_t k = 0; e == OK && k < n; k++) {
			CHECK(addr_port(&a[k]) == 25);
			buf_printf(&b, "%s%s", k ? " " : "", addr_text(&a[k], text));
		}
		if (cases[i].expected)
			CHECK_STR(buf_str(&b), cases[i].expected);
		buf_free(&b);
	}
}

SUITE(table, TEST(a_dash_takes_the_default), TEST(each_column_is_read),
    TEST(options_and_arguments_continue_over_lines_and_comments), TEST(what_is_wrong_is_said_with_its_place),
    TEST(all_errors_are_found_in_one_go), TEST(of_two_alike_the_last_counts_with_a_warning),
    TEST(a_service_is_the_same_however_it_is_written), TEST(addresses_come_from_host_interfaces_and_protocols));
