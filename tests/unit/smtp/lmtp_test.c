/* SPDX-License-Identifier: Apache-2.0 */
/* LMTP (RFC 2033), and what MAIL and RCPT say to servers that can do more. */
#include "tests/unit/smtp/scene.h"

#include "smtp/commands.h"
#include "smtp/hosts.h"

static void
every_recipient_has_an_answer_to_the_content(void)
{
	static const struct scene scenes[] = {
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 250 ok", RCPT_B, "S: 250 ok", "C: DATA", "S: 354 go", BODY, "S: 250 2.0.0 <a> saved",
		      "S: 552 5.2.2 <b> over quota" }, .outcomes = { "sent 2.0.0", "bounced 5.2.2" }, .lmtp = true },
		{ { MAIL, RCPT_A, RCPT_B, RCPT_C, "C: DATA", "S: 250 ok", "S: 250 ok", "S: 550 5.1.1 who", "S: 250 ok", "S: 354 go", BODY,
		      "S: 452 4.2.2 full", "S: 250-2.1.5 saved", "S: 250 2.1.5 well" },
		    .outcomes = { "deferred 4.2.2", "bounced 5.1.1", "sent 2.1.5" }, .can = CAN_PIPELINE, .lmtp = true },
		/* one that is no answer is no yes */
		{ { MAIL, RCPT_A, "C: DATA", "S: 250 ok", "S: 250 ok", "S: 354 go", BODY, "S: 354 what", "X" }, .outcomes = { "deferred 4.5.0" },
		    .can = CAN_PIPELINE, .lmtp = true, .tainted = true },
		/* 421 is one recipient's answer; the others' may follow */
		{ { MAIL, RCPT_A, RCPT_B, "C: DATA", "S: 250 ok", "S: 250 ok", "S: 250 ok", "S: 354 go", BODY, "S: 421 4.3.2 going down",
		      "S: 250 2.0.0 saved", "X" }, .outcomes = { "deferred 4.3.2", "sent 2.0.0" }, .can = CAN_PIPELINE, .lmtp = true, .tainted = true },
	};

	play_all(scenes, countof(scenes));
}

static void
a_server_of_lmtp_that_hangs_up_leaves_the_others_open(void)
{
	static const struct scene scenes[] = {
		{ { MAIL, RCPT_A, RCPT_B, RCPT_C, "C: DATA", "S: 250 ok", "S: 250 ok", "S: 250 ok", "S: 250 ok", "S: 354 go", BODY,
		      "S: 250 2.0.0 saved", "S: 450 4.2.0 b", "X" }, .outcomes = { "sent 2.0.0", "deferred 4.2.0", "" }, .can = CAN_PIPELINE, .lmtp = true,
		    .err = E_EOF },
	};
	struct play p;

	play(&scenes[0], 0, &p);
	CHECK(p.d.maybe_sent && !p.job.rcpts[1].accepted && p.job.rcpts[2].accepted);
	play_fini(&p);
}

/* How many answers an empty message for nobody has, each server decides for itself. */
static void
content_for_nobody_ends_the_connection(void)
{
	static const struct scene scenes[] = {
		{ { MAIL, RCPT_A, "C: DATA", "S: 250 ok", "S: 550 no", "S: 354 go", "X" }, .outcomes = { "bounced 5.0.0" }, .can = CAN_PIPELINE,
		    .lmtp = true, .tainted = true },
		{ { MAIL, RCPT_A, "C: DATA", "S: 250 ok", "S: 550 no", "S: 503 no", "C: RSET", "S: 250 ok" }, .outcomes = { "bounced 5.0.0" },
		    .can = CAN_PIPELINE, .lmtp = true },
	};

	play_all(scenes, countof(scenes));
}

static void
servers_with_dsn_are_told_who_wants_to_know_what(void)
{
	static struct spool_rcpt rcpts[] = { { .notify = NOTIFY_SUCCESS | NOTIFY_DELAY, .orcpt = STR("rfc822;a+b=c d@x") },
		{ .notify = NOTIFY_NEVER } };
	static struct spool_msg m = { .ret = RET_HDRS, .envid = STR("id=1+2 \xc3"), .rcpts = rcpts, .nrcpts = 2 };
	static const struct scene scenes[] = {
		{ { MAIL " RET=HDRS ENVID=id+3D1+2B2+20+C3", RCPT_A " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bb+3Dc+20d@x",
		      RCPT_B " NOTIFY=NEVER ORCPT=rfc822;b@there.test", "C: DATA", "S: 250 ok", "S: 250 ok", "S: 250 ok", "S: 354 go", BODY,
		      "S: 250 ok" }, .outcomes = { "sent 2.0.0", "sent 2.0.0" }, .can = CAN_PIPELINE | CAN_DSN, .flags = MF_DSN, .envelope = &m },
		{ { MAIL, "S: 250 ok", RCPT_A " ORCPT=rfc822;a@there.test", "S: 250 ok", "C: DATA", "S: 354 go", BODY, "S: 250 ok" },
		    .outcomes = { "sent 2.0.0" }, .can = CAN_DSN },
		{ { MAIL, RCPT_A, "C: DATA", "S: 250 ok", "S: 250 ok", "S: 354 go", BODY, "S: 250 ok" }, .outcomes = { "sent 2.0.0" },
		    .can = CAN_PIPELINE, .flags = MF_DSN, .envelope = &m },
	};
	static const enum rcpt_action actions[] = { ACTION_PASSED, ACTION_PASSED, ACTION_RELAYED };

	for (size_t i = 0; i < countof(scenes); i++) {
		struct play p;

		play(&scenes[i], i, &p);
		CHECK(p.job.rcpts[0].action == actions[i]);
		play_fini(&p);
	}
}

static void
addresses_in_utf8_are_for_servers_that_take_them(void)
{
	static const struct scene scenes[] = {
		{ { "C: MAIL FROM:<\xc3\xa4@here.test> SMTPUTF8", "S: 250 ok", RCPT_A, "S: 250 ok", "C: DATA", "S: 354 go", BODY, "S: 250 ok" },
		    .outcomes = { "sent 2.0.0" }, .can = CAN_UTF8, .sender = "\xc3\xa4@here.test", .flags = MF_UTF8 },
		{ { NULL }, .outcomes = { "bounced 5.6.7", "bounced 5.6.7" }, .sender = "\xc3\xa4@here.test", .flags = MF_UTF8 },
		/* the others can have it */
		{ { MAIL, "S: 250 ok", RCPT_B, "S: 250 ok", "C: DATA", "S: 354 go", BODY, "S: 250 ok" },
		    .outcomes = { "bounced 5.6.7", "sent 2.0.0" }, .first = "\xc3\xb6@there.test", .flags = MF_UTF8 },
		{ { MAIL " SMTPUTF8", "S: 250 ok", "C: RCPT TO:<\xc3\xb6@there.test> ORCPT=utf-8;\xc3\xb6@there.test", "S: 250 ok", "C: DATA", "S: 354 go",
		      BODY, "S: 250 ok" }, .outcomes = { "sent 2.0.0" }, .first = "\xc3\xb6@there.test", .can = CAN_UTF8 | CAN_DSN, .flags = MF_UTF8 },
		/* said for nothing */
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 250 ok", "C: DATA", "S: 354 go", BODY, "S: 250 ok" }, .outcomes = { "sent 2.0.0" },
		    .can = CAN_UTF8, .flags = MF_UTF8 },
	};

	play_all(scenes, countof(scenes));
}

static void
next_hops_of_lmtp_are_places(void)
{
	static const struct {
		const char *nexthop, *place;           /* "4.3.5": none */
	} cases[] = {
		{ "unix:private/lmtp", "here.test[private/lmtp]" },
		{ "unix:/run/dovecot/lmtp", "here.test[/run/dovecot/lmtp]" },
		{ "inet:127.0.0.1:2424", "127.0.0.1[127.0.0.1]:2424" },
		{ "inet:127.0.0.1", "127.0.0.1[127.0.0.1]:24" },
		{ "127.0.0.1:lmtp", "127.0.0.1[127.0.0.1]:24" },
		{ "[::1]:2424", "::1[::1]:2424" },
		{ "unix:", "4.3.5" },
		{ "inet:", "4.3.5" },
		{ "inet:a/b", "4.3.5" },
		{ "inet:a/b, unix:private/lmtp", "here.test[private/lmtp]" },
		{ "", "4.3.5" },
	};
	const struct params p = { .smtp_tcp_port = 24, .myhostname = "here.test" };
	char longer[200] = "unix:/";

	for (size_t i = 0; i < countof(cases); i++) {
		struct hosts h;

		if (hosts_find_lmtp(&p, str_of(cases[i].nexthop), &h) == OK) {
			char *place = conn_place(h.v[0].name, &h.v[0].addr);

			CHECK(h.n == 1 && strcmp(place, cases[i].place) == 0);
			free(place);
		} else {
			CHECK(h.n == 0 && strcmp(h.esc, cases[i].place) == 0);
		}
		hosts_fini(&h);
	}
	memset(longer + 6, 'x', sizeof longer - 7);
	CHECK(hosts_find_lmtp(&p, str_of(longer), &(struct hosts){ 0 }) == E_DEFERRED);
}

SUITE(lmtp, TASK_TEST(every_recipient_has_an_answer_to_the_content), TASK_TEST(a_server_of_lmtp_that_hangs_up_leaves_the_others_open),
    TASK_TEST(content_for_nobody_ends_the_connection), TASK_TEST(servers_with_dsn_are_told_who_wants_to_know_what),
    TASK_TEST(addresses_in_utf8_are_for_servers_that_take_them), TASK_TEST(next_hops_of_lmtp_are_places));
