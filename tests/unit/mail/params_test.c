/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/params.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/check.h"
#include "util/mem.h"
#include "util/proc.h"

static char dir[64];

static void
write_file(const char *name, const char *text)
{
	char path[128];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	CHECK(proc_write_file(path, str_of(text), 0640) == OK);
}

/* A directory with this main.cf, and a master.cf that has a service "slow". */
static void
begin(const char *main_cf)
{
	strcpy(dir, "/tmp/params_test.XXXXXX");
	CHECK(mkdtemp(dir) != NULL);
	write_file("master.cf", "# comment\nslow unix - - n - - smtp\n  -o x=y\n127.0.0.1:25 inet n - n - - smtpd\n");
	write_file("main.cf", main_cf);
}

static void
end(void)
{
	static const char *const names[] = { "main.cf", "master.cf", "real.cf" };
	char path[128];

	for (size_t i = 0; i < countof(names); i++) {
		snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		unlink(path);
	}
	rmdir(dir);
}

static void
values_are_parsed_and_bounded(void)
{
	static const struct {
		const char *line;
		long long want; /* -1: refused */
	} cases[] = {
		{ "message_size_limit = 20m", 20 << 20 },
		{ "message_size_limit = 20M", 20 << 20 },
		{ "message_size_limit = 5k", 5 << 10 },
		{ "message_size_limit = 0", 0 },
		{ "message_size_limit = 2s", -1 },
		{ "message_size_limit = -1", -1 },
		{ "message_size_limit = lots", -1 },
		{ "message_size_limit = k", -1 },
		{ "message_size_limit =", -1 },
		{ "message_size_limit = 9999999999999g", -1 },
		{ "message_size_limit = 99999999999999999999", -1 },
		{ "message_size_limit = 1 2", -1 },
		{ "message_size_limit = 0x10", -1 },
		{ "message_size_limit = ${header_size_limit}", 102400 },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct params p;
		enum err e;

		begin(cases[i].line);
		e = params_load(&p, dir, NULL, 0);
		CHECK(e == (cases[i].want < 0 ? E_SYNTAX : OK));
		if (e == OK)
			CHECK(p.message_size_limit == cases[i].want);
		params_fini(&p);
		end();
	}
}

static void
times_have_units_and_a_unit_of_their_own(void)
{
	struct params p;

	begin("smtpd_timeout = 2m\nmaximal_queue_lifetime = 3\nbounce_queue_lifetime = 1w\nqueue_run_delay = 1h\n"
	      "minimal_backoff_time = 9D\nmax_idle = 7\n");
	CHECK(params_load(&p, dir, NULL, 0) == OK);
	CHECK(p.smtpd_timeout == 120);
	CHECK(p.maximal_queue_lifetime == 3 * 86400);
	CHECK(p.bounce_queue_lifetime == 7 * 86400);
	CHECK(p.queue_run_delay == 3600);
	CHECK(p.minimal_backoff_time == 9 * 86400);
	CHECK(p.max_idle == 7);
	params_fini(&p);
	end();
}

/* Each line alone is refused; words are part of what is said. */
static void
what_is_wrong_is_said_with_its_place(void)
{
	static const struct {
		const char *text, *at, *words;
	} cases[] = {
		{ "relayhots = x\n", "1:1", "unknown setting \"relayhots\"; did you mean \"relayhost\"?" },
		{ "# c\n\nmynetwork =\n  10.0.0.0/8\n", "3:1", "did you mean \"mynetworks\"?" },
		{ "smtpd_milters = inet:localhost:1\n", "1:1", "not a setting of Postroad" },
		{ "smtpd_tls_security_level = may\n", "1:1", "not a setting of Postroad" },
		{ "fast_destination_concurrency_limit = 2\n", "1:1", "unknown setting" },
		{ "slow_destination_concurrency_limit = x\n", "1:38", "not a number: \"x\"" },
		{ "smtpd_timeout = 0\n", "1:17", "smtpd_timeout: must be between 1 and 86400 seconds" },
		{ "smtpd_timeout = ${stress?{no}:{3}}s\n", "1:17", "smtpd_timeout: with stress = yes: not a time: \"nos\"" },
		{ "x = ${stress?0}7\nsmtpd_timeout = 3${stress?$x}\nsmtpd_hard_error_limit = ${stress?0}${stress:2}\n", "3:26",
			"smtpd_hard_error_limit: with stress = yes: must be between 1 and" },
		{ "disable_vrfy_command = maybe\n", "1:24", "yes or no" },
		{ "spool_sync =   always\n", "1:16", "auto|fsync|syncfs|none, not \"always\"" },
		{ "queue_directory = spool\n", "1:19", "absolute path" },
		{ "daemon_directory = x\n", "1:20", "absolute path" },
		{ "mail_owner =\n", "1:", "must not be empty" },
		{ "mynetworks = 10.0.0.0/33\n", "1:14", "10.0.0.0/33" },
		{ "mynetworks = 10.0.0.0/8,\n  nonsense\n", "1:14", "nonsense" },
		{ "mynetworks_style = subnet\n", "1:20", "only host" },
		{ "smtp_send_xforward_command = yes\n", "1:30", "must be no" },
		{ "relayhost = [x\n", "1:13", "[x" },
		{ "relayhost = [a] b/c\n", "1:13", "b/c" },
		{ "mydestination = a..b\n", "1:17", "not a domain" }, { "mydestination = hsah:/etc/x\n", "1:17", "did you mean \"hash\"" },
		{ "relay_domains = a.b, !c..d\n", "1:17", "c..d" },
		{ "default_transport = :x\n", "1:21", "names no transport" },
		{ "myhostname = a b\n", "1:14", "not a host name" },
		{ "config_directory = /x\n", "1:20", "cannot be set" },
		{ "smtpd_banner = a\001b\n", "1:16", "control character" },
		{ "a = $b\nb = $a\nsmtpd_banner = $a\n", "3:16", "smtpd_banner" },
		{ "myhostname = mail.$mydomain\n", "", "mydomain: must be set" },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct params p;
		char place[128];

		begin(cases[i].text);
		CHECK(params_load(&p, dir, NULL, 0) == E_SYNTAX);
		snprintf(place, sizeof place, "%s/main.cf:%s", dir, cases[i].at);
		CHECK(cases[i].at[0] == '\0' || strstr(err_why(), place) != NULL);
		CHECK(strstr(err_why(), cases[i].words) != NULL);
		end();
	}
}

static void
all_mistakes_are_named_in_the_order_of_the_file(void)
{
	struct params p;
	const char *a, *b, *c;

	begin("smtpd_timeout = x\nno_such_thing = 1\nmessage_size_limit = y\n");
	CHECK(params_load(&p, dir, NULL, 0) == E_SYNTAX);
	a = strstr(err_why(), "main.cf:1:17: smtpd_timeout");
	b = strstr(err_why(), "main.cf:2:1: unknown");
	c = strstr(err_why(), "main.cf:3:22: message_size");
	CHECK(a && b && c && a < b && b < c);
	end();

	begin("");
	for (int i = 0; i < 50; i++) {
		char name[32];

		snprintf(name, sizeof name, "xxxxx%d", i);
		CHECK(params_edit(dir, str_of(name), STR("1")) == OK);
	}
	CHECK(params_load(&p, dir, NULL, 0) == E_SYNTAX);
	CHECK(strstr(err_why(), ":1:1: unknown") != NULL || strstr(err_why(), ":1: unknown") != NULL);
	CHECK(strstr(err_why(), " more)") != NULL);
	end();
}

static void
names_that_others_use_are_no_mistakes(void)
{
	struct params p;

	begin("my_site = Example.COM\nmyhostname = mx.$my_site\nunused_branch = 1\n"
	      "my-dash = 1\nsmtpd_banner = ${nothing?{${ my-dash }$unused_branch}:{$myhostname}} $$x\n");
	CHECK(params_load(&p, dir, NULL, 0) == OK);
	CHECK_STR(str_of(p.myhostname), "mx.Example.COM");
	CHECK_STR(str_of(p.mydomain), "Example.COM");
	CHECK_STR(str_of(p.smtpd_banner), "mx.Example.COM $x");
	CHECK_STR(str_of(p.mydestination), "mx.Example.COM, localhost.Example.COM, localhost");
	params_fini(&p);
	end();
}

static void
defaults_come_from_the_host(void)
{
	struct params p;
	struct addr a;

	begin("inet_protocols = ipv4\n");
	CHECK(params_load(&p, dir, NULL, 0) == OK);
	CHECK(strchr(p.myhostname, '.') != NULL);
	CHECK(strstr(p.myhostname, p.mydomain) != NULL);
	CHECK_STR(str_of(p.config_directory), dir);
	CHECK(p.daemon_directory[0] == '/' && p.command_directory[0] == '/');
	CHECK_STR(str_of(p.default_transport), "smtp");
	CHECK(p.smtpd_peername_lookup);
	CHECK(addr_parse(STR("127.1.2.3"), 0, &a) == OK && nets_match(p.mynetworks, &a));
	CHECK(nets_match(p.smtpd_forbid_bare_newline_exclusions, &a));
	CHECK(addr_parse(STR("::1"), 0, &a) == OK && !nets_match(p.mynetworks, &a));
	params_fini(&p);
	end();
}

static void
mynetworks_can_be_empty(void)
{
	struct params p;
	struct addr a;

	begin("mynetworks =\n");
	CHECK(params_load(&p, dir, NULL, 0) == OK);
	CHECK(addr_parse(STR("127.0.0.1"), 0, &a) == OK && !nets_match(p.mynetworks, &a));
	params_fini(&p);
	end();
}

static void
overrides_win_and_are_checked_too(void)
{
	static const char *const good[] = { "smtpd_timeout=7s", "my_x = abc", "smtpd_banner = $my_x" };
	static const char *const bad[][1] = { { "nonsense" }, { "no_such_thing=1" }, { "smtpd_timeout=-1" }, { "=x" } };
	struct params p;

	begin("smtpd_timeout = 99\n");
	CHECK(params_load(&p, dir, good, countof(good)) == OK);
	CHECK(p.smtpd_timeout == 7);
	CHECK_STR(str_of(p.smtpd_banner), "abc");
	params_fini(&p);
	for (size_t i = 0; i < countof(bad); i++)
		CHECK(params_load(&p, dir, bad[i], 1) == E_SYNTAX);
	end();
}

static void
a_missing_main_cf_is_an_error(void)
{
	struct params p;
	char path[128];

	begin("");
	snprintf(path, sizeof path, "%s/main.cf", dir);
	unlink(path);
	CHECK(params_load(&p, dir, NULL, 0) == E_NOENT);
	CHECK(strstr(err_why(), path) != NULL);
	end();
}

static void
transports_have_settings_of_their_own(void)
{
	struct params p;

	begin("slow_destination_concurrency_limit = 3\nsmtp_destination_concurrency_limit = $my_n\nmy_n = 8\n"
	      "default_destination_recipient_limit = 77\nrelay_destination_rate_delay = 2m\n"
	      "lmtp_initial_destination_concurrency = 1\n");
	CHECK(params_load(&p, dir, NULL, 0) == OK);
	CHECK(params_transport(&p, STR("slow"), "_destination_concurrency_limit") == 3);
	CHECK(params_transport(&p, STR("smtp"), "_destination_concurrency_limit") == 8);
	CHECK(params_transport(&p, STR("relay"), "_destination_concurrency_limit") == 20);
	CHECK(params_transport(&p, STR("slow"), "_destination_recipient_limit") == 77);
	CHECK(params_transport(&p, STR("relay"), "_destination_rate_delay") == 120);
	CHECK(params_transport(&p, STR("lmtp"), "_initial_destination_concurrency") == 1);
	CHECK(params_transport(&p, STR("smtp"), "_initial_destination_concurrency") == 5);
	params_fini(&p);
	end();
}

static void
local_delivery_has_limits_of_its_own(void)
{
	struct params p;

	begin("default_destination_recipient_limit = 77\n");
	CHECK(params_load(&p, dir, NULL, 0) == OK);
	CHECK(params_transport(&p, STR("local"), "_destination_recipient_limit") == 1);
	CHECK(params_transport(&p, STR("local"), "_destination_concurrency_limit") == 2);
	CHECK(params_transport(&p, STR("local"), "_initial_destination_concurrency") == 5);
	params_fini(&p);
	write_file("main.cf", "many = 9\nlocal_destination_concurrency_limit = $many\n");
	CHECK(params_load(&p, dir, NULL, 0) == OK);
	CHECK(params_transport(&p, STR("local"), "_destination_concurrency_limit") == 9);
	params_fini(&p);
	end();
}

static void
what_is_for_later_keeps_its_dollars(void)
{
	struct params p;
	struct buf out = { 0 };

	begin("home = nowhere\nmailbox_command = procmail -a \"$EXTENSION\" ${myhostname\nforward_path = $home/.fwd\nhome_mailbox = $home/\n");
	CHECK(params_load(&p, dir, NULL, 0) == OK);
	CHECK_STR(str_of(p.mailbox_command), "procmail -a \"$EXTENSION\" ${myhostname");
	CHECK_STR(str_of(p.forward_path), "$home/.fwd");
	CHECK_STR(str_of(p.home_mailbox), "nowhere/");
	CHECK_STR(str_of(p.luser_relay), "");
	CHECK(params_print(&p, PARAMS_ALL, STR("forward_path"), true, true, &out));
	CHECK_STR(buf_str(&out), "$home/.fwd\n");
	buf_free(&out);
	params_fini(&p);
	end();
}

static void
settings_are_printed_as_written_or_expanded(void)
{
	static const struct {
		const char *name;
		enum params_show which;
		bool expand, value_only;
		const char *want; /* NULL: unknown */
	} cases[] = {
		{ "smtpd_banner",    PARAMS_ALL,      false, false, "smtpd_banner = $myhostname  hi\n"     },
		{ "smtpd_banner",    PARAMS_ALL,      true,  false, "smtpd_banner = a.b.c  hi\n"           },
		{ "smtpd_banner",    PARAMS_ALL,      true,  true,  "a.b.c  hi\n"                          },
		{ "smtpd_banner",    PARAMS_DEFAULTS, false, true,  "$myhostname ESMTP $mail_name\n"      },
		{ "relayhost",       PARAMS_ALL,      false, false, "relayhost =\n"                        },
		{ "mydomain",        PARAMS_ALL,      false, false, "mydomain = b.c\n"                     },
		{ "smtp_destination_recipient_limit", PARAMS_ALL, true, true, "50\n"                       },
		{ "smtp_destination_recipient_limit", PARAMS_ALL, false, true, "$default_destination_recipient_limit\n" },
		{ "no_such_thing",   PARAMS_ALL,      false, false, NULL                                   },
		{ "",                PARAMS_SET,      false, false, "myhostname = a.b.c\nsmtpd_banner = $myhostname  hi\n" },
	};
	struct buf out = { 0 };
	struct params p;

	begin("smtpd_banner = $myhostname\n  hi\nmyhostname = a.b.c\n");
	CHECK(params_load(&p, dir, NULL, 0) == OK);
	for (size_t i = 0; i < countof(cases); i++) {
		bool known = params_print(&p, cases[i].which, str_of(cases[i].name), cases[i].expand, cases[i].value_only, &out);

		CHECK(known == (cases[i].want != NULL));
		CHECK_STR(buf_str(&out), cases[i].want ? cases[i].want : "");
		buf_clear(&out);
	}
	CHECK(params_print(&p, PARAMS_ALL, STR(""), true, false, &out));
	CHECK(strstr(buf_cstr(&out), "\nmessage_size_limit = 10240000\n") != NULL);
	buf_free(&out);
	params_fini(&p);
	end();
}

static void
edits_keep_the_rest_of_the_file(void)
{
	static const struct {
		enum params_change how;
		const char *before, *name, *value, *after;
	} cases[] = {
		{ PARAMS_CHANGE, "# c\na = 1\nb = 2\n", "b", "3", "# c\na = 1\nb = 3\n" },
		{ PARAMS_CHANGE, "a = 1\n", "b", "3", "a = 1\nb = 3\n" },
		{ PARAMS_CHANGE, "a = 1", "b", "3", "a = 1\nb = 3\n" },
		{ PARAMS_CHANGE, "", "b", "", "b =\n" },
		{ PARAMS_CHANGE, "a = 1\n  2\n# k\n  3\n\nb=4\n", "a", "9", "a = 9\n# k\n\nb=4\n" },
		{ PARAMS_CHANGE, "a = 1\nb = 2\na = 3\n", "a", "9", "a = 9\nb = 2\n" },
		{ PARAMS_CHANGE, "ab = 1\n#a = 2\n", "a", "9", "ab = 1\n#a = 2\na = 9\n" },
		{ PARAMS_CHANGE, "a=1\n", " a ", " x = y ", "a = x = y\n" },
		{ PARAMS_CHANGE, "\ra = 1\n", "a", "9", "a = 9\n" },
		{ PARAMS_REMOVE, "\r\ra\r\n = 1\nb = 2\n", "a", "", "b = 2\n" },
		{ PARAMS_REMOVE, "a = 1\n  2\nb = 2\n", "a", "", "b = 2\n" },
		{ PARAMS_REMOVE, "b = 2\n", "a", "", "b = 2\n" },
		{ PARAMS_COMMENT_OUT, "a = 1\n  2\nb = 2\n", "a", "", "#a = 1\n#  2\nb = 2\n" },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct buf out = { 0 };
		char path[128];
		struct stat st;

		begin(cases[i].before);
		snprintf(path, sizeof path, "%s/main.cf", dir);
		CHECK(params_change(dir, str_of(cases[i].name), str_of(cases[i].value), cases[i].how) == OK);
		CHECK(proc_read_file(path, &out) == OK);
		CHECK_STR(buf_str(&out), cases[i].after);
		CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0640);
		buf_free(&out);
		end();
	}
	begin("");
	CHECK(params_edit(dir, STR("a"), STR("x\ny")) == E_SYNTAX);
	CHECK(params_edit(dir, STR("a b"), STR("x")) == E_SYNTAX);
	CHECK(params_edit(dir, STR(""), STR("x")) == E_SYNTAX);
	CHECK(params_edit("/nonexistent", STR("a"), STR("x")) == E_NOENT);
	end();
}

static void
a_linked_main_cf_stays_a_link(void)
{
	char link[128];
	struct buf out = { 0 };
	struct stat st;

	begin("");
	snprintf(link, sizeof link, "%s/main.cf", dir);
	unlink(link);
	write_file("real.cf", "a = 1\n");
	CHECK(symlink("real.cf", link) == 0);
	CHECK(params_edit(dir, STR("a"), STR("2")) == OK);
	CHECK(lstat(link, &st) == 0 && S_ISLNK(st.st_mode));
	CHECK(proc_read_file(link, &out) == OK);
	CHECK_STR(buf_str(&out), "a = 2\n");
	buf_free(&out);
	end();
}

static void
lists_hold_words_and_what_is_below_them(void)
{
	static const struct {
		const char *list, *word;
		bool exact, below;
	} cases[] = {
		{ "a.b, c.d",  "C.D",     true,  true  },
		{ "a.b\tc.d",  "x.c.d",   false, true  },
		{ "a.b",       "xa.b",    false, false },
		{ ".a.b",      "x.a.b",   false, true  },
		{ ".a.b",      "a.b",     false, false },
		{ "",          "a",       false, false },
		{ " , ,",      "",        false, false },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		CHECK(list_has(str_of(cases[i].list), str_of(cases[i].word), false) == cases[i].exact);
		CHECK(list_has(str_of(cases[i].list), str_of(cases[i].word), true) == cases[i].below);
	}
}

/* A setting that begins with a digit has a '_' before it in our tables. */
static bool
is_listed(const struct buf *manual, const char *name)
{
	struct buf line = BUF(0);
	bool is;

	CHECK(buf_printf(&line, ".It Ic %s\n", name + (name[0] == '_')));
	is = strstr(buf_cstr(manual), buf_cstr(&line)) != NULL;
	buf_free(&line);
	return is;
}

static void
the_manual_names_every_setting(void)
{
	struct buf out = { 0 };
	size_t n = 0, count = 0;

	params_manual(&out);
#define P(kind, name, def, min, max, doc) n += is_listed(&out, #name);
	PARAMS(P)
#undef P
#define P(kind, name, def, min, max, doc) count++;
	PARAMS(P)
#undef P
	CHECK(n == count);
	CHECK(strstr(buf_cstr(&out), "\n'") == NULL);
	buf_free(&out);
}

SUITE(params, TEST(values_are_parsed_and_bounded), TEST(times_have_units_and_a_unit_of_their_own),
    TEST(what_is_wrong_is_said_with_its_place), TEST(all_mistakes_are_named_in_the_order_of_the_file),
    TEST(names_that_others_use_are_no_mistakes), TEST(defaults_come_from_the_host), TEST(mynetworks_can_be_empty),
    TEST(overrides_win_and_are_checked_too), TEST(a_missing_main_cf_is_an_error),
    TEST(transports_have_settings_of_their_own), TEST(local_delivery_has_limits_of_its_own), TEST(what_is_for_later_keeps_its_dollars),
    TEST(settings_are_printed_as_written_or_expanded),
    TEST(edits_keep_the_rest_of_the_file), TEST(a_linked_main_cf_stays_a_link),
    TEST(lists_hold_words_and_what_is_below_them), TEST(the_manual_names_every_setting));
