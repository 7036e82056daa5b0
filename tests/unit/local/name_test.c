/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "agent/frame.h"
#include "agent/trail.h"
#include "local/frame.h"
#include "local/name.h"
#include "tests/unit/check.h"
#include "util/mem.h"

static const char filter[] = "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

static struct params
settings(void)
{
	return (struct params){ .recipient_delimiter = "+-", .owner_request_special = true, .double_bounce_sender = "double-bounce",
		.append_at_myorigin = true, .append_dot_mydomain = true, .myorigin = "here.test", .mydomain = "test",
		.command_expansion_filter = filter, .export_environment = "POSTROAD_TEST_VAR, MAIL_CONFIG=/etc/x GONE" };
}

static void
an_address_is_a_user_and_perhaps_an_extension(void)
{
	static const struct { const char *address, *local, *user, *extension, *delimiter, *domain; } cases[] = {
		{ "alice@here.test", "alice", "alice", "", "", "here.test" },
		{ "Alice+Lists@Here.test", "alice+lists", "alice", "lists", "+", "Here.test" },
		{ "alice-a+b@x", "alice-a+b", "alice", "a+b", "-", "x" },
		{ "+alice@x", "+alice", "+alice", "", "", "x" },
		{ "alice+@x", "alice+", "alice", "", "+", "x" },
		{ "owner-list@x", "owner-list", "owner-list", "", "", "x" },
		{ "list-request@x", "list-request", "list-request", "", "", "x" },
		{ "owner-list+a@x", "owner-list+a", "owner-list+a", "", "", "x" },
		{ "double-bounce@x", "double-bounce", "double-bounce", "", "", "x" },
		{ "mailer-daemon@x", "mailer-daemon", "mailer-daemon", "", "", "x" },
		{ "\"|id\"@x", "|id", "|id", "", "", "x" },
		{ "\"a \\\"b\"@x", "a \"b", "a \"b", "", "", "x" },
		{ "alice", "alice", "alice", "", "", "" },
		{ "", "", "", "", "", "" },
	};
	struct params p = settings();

	for (size_t i = 0; i < countof(cases); i++) {
		struct name n;

		name_set(&n, &p, str_of(cases[i].address));
		CHECK_STR(buf_str(&n.local), cases[i].local);
		CHECK_STR(buf_str(&n.user), cases[i].user);
		CHECK_STR(buf_str(&n.extension), cases[i].extension);
		CHECK_STR(str_of(n.delimiter), cases[i].delimiter);
		CHECK_STR(n.domain, cases[i].domain);
		name_fini(&n);
	}
}

static void
no_user_has_a_name_that_is_a_path(void)
{
	static const char *const bad[] = { "", "../../etc/x", "/etc/passwd", "a/b", ".", "..", ".forward", "-x", "a:b", "a\nb", "a\x7f" };

	for (size_t i = 0; i < countof(bad); i++)
		CHECK(!name_possible(str_of(bad[i])));
	CHECK(!name_possible((struct str){ "a\0b", 3 }));
	CHECK(name_possible(STR("alice")) && name_possible(STR("|id")) && name_possible(STR("a.b_c")));
}

static void
addresses_are_completed(void)
{
	struct params p = settings();
	struct buf out = { 0 };

	CHECK(name_qualify(&p, STR("alice"), &out) && str_eq(buf_str(&out), STR("alice@here.test")));
	buf_clear(&out);
	CHECK(name_qualify(&p, STR("alice@mx"), &out) && str_eq(buf_str(&out), STR("alice@mx.test")));
	buf_clear(&out);
	CHECK(name_qualify(&p, STR("alice@[127.0.0.1]"), &out) && str_eq(buf_str(&out), STR("alice@[127.0.0.1]")));
	buf_clear(&out);
	CHECK(name_extend(STR("alice@mx"), "+", STR("x"), &out) && str_eq(buf_str(&out), STR("alice+x@mx")));
	buf_clear(&out);
	CHECK(name_extend(STR("\"a b\"@mx"), "+", STR("x"), &out) && str_eq(buf_str(&out), STR("\"a b+x\"@mx")));
	buf_free(&out);
}

static void
paths_are_made_of_what_the_filter_lets_through(void)
{
	static const struct { const char *address, *text, *want; } cases[] = {
		{ "alice@x", "$home/.forward${recipient_delimiter}${extension}", "/home/a_b/.forward" },
		{ "alice+lists@x", "$home/.forward${recipient_delimiter}${extension}", "/home/a_b/.forward+lists" },
		{ "\"alice+$(user) $home\"@x", "$extension", "__user___home" },
		{ "alice+x@d.test", "$user|$local|$domain|$recipient|$shell", "alice|alice+x|d.test|alice+x@d.test|/bin/sh" },
		{ "alice@x", "${extension?{yes}:{no}}$nothing", "no" },
		{ "alice+y@x", "${extension?yes}${extension:no}", "yes" },
	};
	struct params p = settings();

	for (size_t i = 0; i < countof(cases); i++) {
		struct buf out = { 0 };
		struct name n;
		struct name_words w = { .name = &n, .home = STR("/home/a b"), .shell = STR("/bin/sh"), .filter = filter };

		name_set(&n, &p, str_of(cases[i].address));
		CHECK(name_expand(str_of(cases[i].text), &w, &out) == OK);
		CHECK_STR(buf_str(&out), cases[i].want);
		buf_clear(&out);
		w.filter = NULL;                       /* not expanded twice even so */
		CHECK(name_expand(STR("$local"), &w, &out) == OK);
		CHECK(str_eq(buf_str(&out), buf_str(&n.local)));
		buf_free(&out);
		name_fini(&n);
	}
}

static void
loops_are_found_in_the_header_alone(void)
{
	struct str header = STR("Received: a\r\n b\r\nDelivered-To: bob@x.test\r\ndelivered-to:\r\n  Alice@X.test  \r\nReceived: c\r\n"
		"X-Delivered-To: carol@x.test\r\nDelivered-To: dave@x.test, erin@x.test\r\nbroken\r\nDelivered-To: last@x.test");

	CHECK(trail_delivered(header, STR("bob@x.test")));
	CHECK(trail_delivered(header, STR("alice@x.TEST")));
	CHECK(trail_delivered(header, STR("last@x.test")));
	CHECK(!trail_delivered(header, STR("carol@x.test")));
	CHECK(!trail_delivered(header, STR("dave@x.test")));
	CHECK(!trail_delivered(header, STR("ob@x.test")));
	CHECK(!trail_delivered(STR(""), STR("")));
	CHECK(trail_received(header) == 2);
	CHECK(trail_received(STR("")) == 0);
	CHECK(trail_received(STR(" \r\n")) == 0);
}

static void
mail_is_given_the_fields_of_a_mailbox(void)
{
	struct frame f = { .sender = STR("s@x"), .original = STR("orig@x"), .delivered = STR("to@x"), .lines = FRAME_ALL,
		.now = { 1795529726LL * 1000000 } };
	struct buf out = { 0 };

	setenv("TZ", "UTC", 1);
	CHECK(frame_head(&f, &out));
	CHECK_STR(buf_str(&out), "From s@x  Tue Nov 24 14:15:26 2026\nReturn-Path: <s@x>\nX-Original-To: orig@x\nDelivered-To: to@x\n");
	f = (struct frame){ .sender = STR(""), .original = STR("o@x"), .lines = FRAME_ALL & ~FRAME_DELIVERED, .now = f.now };
	buf_clear(&out);
	CHECK(frame_head(&f, &out));
	CHECK_STR(buf_str(&out), "From MAILER-DAEMON  Tue Nov 24 14:15:26 2026\nReturn-Path: <>\nX-Original-To: o@x\n");
	f = (struct frame){ .sender = STR("a\nX: y@x"), .original = STR("o\r\n@x"), .delivered = STR("d@x\n\nbody"),
		.lines = FRAME_ALL & ~FRAME_FROM, .now = f.now };
	buf_clear(&out);
	CHECK(frame_head(&f, &out));
	CHECK_STR(buf_str(&out), "Return-Path: <a?X: y@x>\nX-Original-To: o??@x\nDelivered-To: d@x??body\n");
	buf_free(&out);
}

static bool
has(const struct buf *env, const char *entry)
{
	for (size_t at = 0; at < env->n; at += strlen(env->p + at) + 1)
		if (strcmp(env->p + at, entry) == 0)
			return true;
	return false;
}

static void
commands_get_a_clean_environment(void)
{
	struct params p = settings();
	struct name n;
	struct spool_msg m = { .client_addr = STR("192.0.2.1"), .client_name = STR("a.test"), .client_helo = STR("$(id)"),
		.protocol = STR("ESMTP") };
	struct surroundings s = { .p = &p, .name = &n, .sender = STR("a`id`;b@x"), .original = STR("o@x"), .user = "alice",
		.home = "/home/alice", .shell = "/bin/bash", .m = &m };
	struct buf env = { 0 };

	setenv("POSTROAD_TEST_VAR", "it; is", 1);
	setenv("LD_PRELOAD_LIKE", "x", 1);
	unsetenv("GONE");
	name_set(&n, &p, STR("alice+ext@here.test"));
	CHECK(frame_environment(&s, &env));
	static const char *const want[] = { "PATH=/usr/bin:/bin", "HOME=/home/alice", "SHELL=/bin/bash", "USER=alice", "LOGNAME=alice",
		"EXTENSION=ext", "LOCAL=alice+ext", "DOMAIN=here.test", "RECIPIENT=alice+ext@here.test", "ORIGINAL_RECIPIENT=o@x",
		"SENDER=a_id__b@x", "CLIENT_ADDRESS=192.0.2.1", "CLIENT_HOSTNAME=a.test", "CLIENT_HELO=__id_", "CLIENT_PROTOCOL=ESMTP",
		"POSTROAD_TEST_VAR=it; is", "MAIL_CONFIG=/etc/x" };
	size_t entries = 0;

	for (size_t i = 0; i < countof(want); i++)
		CHECK(has(&env, want[i]));
	for (size_t at = 0; at < env.n; at++)
		entries += env.p[at] == '\0';
	CHECK(entries == countof(want));
	buf_free(&env);
	name_fini(&n);
}

SUITE(name, TEST(an_address_is_a_user_and_perhaps_an_extension), TEST(no_user_has_a_name_that_is_a_path),
    TEST(addresses_are_completed), TEST(paths_are_made_of_what_the_filter_lets_through), TEST(loops_are_found_in_the_header_alone),
    TEST(mail_is_given_the_fields_of_a_mailbox), TEST(commands_get_a_clean_environment));
