/* SPDX-License-Identifier: Apache-2.0 */
/* SMTP from MAIL to the answer after the content, as in tests/unit/smtp/scene.h. */
#include "tests/unit/smtp/scene.h"

static void
mail_that_is_taken_is_sent(void)
{
	static const struct scene scenes[] = {
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 250 ok", "C: DATA", "S: 354 go", BODY, "S: 250 2.6.0 queued" },
		    .outcomes = { "sent 2.6.0" } },
		{ { MAIL, "S: 250-o", "S: 250 k", RCPT_A, "S: 251 will do", RCPT_B, "S: 250 ok", "C: DATA", "S: 354 go", BODY,
		      "S: 250 queued" }, .outcomes = { "sent 2.0.0", "sent 2.0.0" } },
		{ { MAIL, RCPT_A, RCPT_B, "C: DATA", "S: 250 ok", "S: 250 ok", "S: 250 ok", "S: 354 go", BODY, "S: 250 queued" },
		    .outcomes = { "sent 2.0.0", "sent 2.0.0" }, .can = CAN_PIPELINE },
		{ { MAIL " SIZE=20 BODY=8BITMIME", RCPT_A, "C: DATA", "S: 250 ok", "S: 250 ok", "S: 354 go", BODY, "S: 250 queued" },
		    .outcomes = { "sent 2.0.0" }, .can = CAN_PIPELINE | CAN_8BIT | CAN_SIZE, .size_limit = 20 },
		{ { MAIL, RCPT_B, "C: DATA", "S: 250 ok", "S: 250 ok", "S: 354 go", BODY, "S: 250 queued" },
		    .outcomes = { "bounced 5.9.9", "sent 2.0.0" }, .can = CAN_PIPELINE, .first_is_final = true },
	};

	play_all(scenes, countof(scenes));
}

static void
each_recipient_has_its_own_answer(void)
{
	static const struct scene scenes[] = {
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 550 5.1.1 who", RCPT_B, "S: 250 ok", RCPT_C, "S: 450 4.2.1 later", "C: DATA", "S: 354 go",
		      BODY, "S: 250 queued" }, .outcomes = { "bounced 5.1.1", "sent 2.0.0", "deferred 4.2.1" } },
		{ { MAIL, RCPT_A, RCPT_B, RCPT_C, "C: DATA", "S: 250 ok", "S: 550 5.1.1 who", "S: 250 ok", "S: 450 later", "S: 354 go", BODY,
		      "S: 250 queued" }, .outcomes = { "bounced 5.1.1", "sent 2.0.0", "deferred 4.0.0" }, .can = CAN_PIPELINE },
		/* and the end of DATA is the answer to those that were accepted alone */
		{ { MAIL, RCPT_A, RCPT_B, RCPT_C, "C: DATA", "S: 250 ok", "S: 550 5.1.1 who", "S: 250 ok", "S: 450 later", "S: 354 go", BODY,
		      "S: 554 5.7.1 spam" }, .outcomes = { "bounced 5.1.1", "bounced 5.7.1", "deferred 4.0.0" }, .can = CAN_PIPELINE },
		/* too many recipients, as RFC 5321 section 4.5.3.1.10 wants it read */
		{ { MAIL, RCPT_A, RCPT_B, "C: DATA", "S: 250 ok", "S: 250 ok", "S: 552 5.5.3 too many", "S: 354 go", BODY, "S: 250 queued" },
		    .outcomes = { "sent 2.0.0", "deferred 4.5.3" }, .can = CAN_PIPELINE },
	};

	play_all(scenes, countof(scenes));
}

static void
a_refused_sender_is_the_answer_for_all(void)
{
	static const struct scene scenes[] = {
		{ { MAIL, "S: 550 5.7.1 no", "C: RSET", "S: 250 ok" }, .outcomes = { "bounced 5.7.1", "bounced 5.7.1" } },
		{ { MAIL, "S: 451 4.7.1 later", "C: RSET", "S: 250 ok" }, .outcomes = { "deferred 4.7.1", "deferred 4.7.1" } },
		{ { MAIL, RCPT_A, RCPT_B, "C: DATA", "S: 550 5.7.1 no", "S: 503 x", "S: 503 y", "S: 503 z", "C: RSET", "S: 250 ok" },
		    .outcomes = { "bounced 5.7.1", "bounced 5.7.1" }, .can = CAN_PIPELINE },
		{ { MAIL, RCPT_A, RCPT_B, "C: DATA", "S: 451 4.7.1 no", "S: 550 x", "S: 250 y", "S: 354 z", "C: .", "S: 250 q", "C: RSET",
		      "S: 250 ok" }, .outcomes = { "deferred 4.7.1", "deferred 4.7.1" }, .can = CAN_PIPELINE },
		{ { MAIL, RCPT_B, RCPT_C, "C: DATA", "S: 450 no", "S: 503 x", "S: 503 y", "S: 503 z", "C: RSET", "S: 250 ok" },
		    .outcomes = { "bounced 5.9.9", "deferred 4.0.0", "deferred 4.0.0" }, .can = CAN_PIPELINE, .first_is_final = true },
		{ { MAIL, RCPT_B, "C: DATA", "S: 550 no", "S: 503 x", "S: 503 z", "C: RSET", "S: 250 ok" },
		    .outcomes = { "bounced 5.9.9", "bounced 5.0.0" }, .can = CAN_PIPELINE, .first_is_final = true },
	};

	play_all(scenes, countof(scenes));
}

static void
without_recipients_there_is_no_message(void)
{
	static const struct scene scenes[] = {
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 550 no", RCPT_B, "S: 450 no", "C: RSET", "S: 250 ok" },
		    .outcomes = { "bounced 5.0.0", "deferred 4.0.0" } },
		{ { MAIL, RCPT_A, RCPT_B, "C: DATA", "S: 250 ok", "S: 550 no", "S: 450 no", "S: 503 none", "C: RSET", "S: 250 ok" },
		    .outcomes = { "bounced 5.0.0", "deferred 4.0.0" }, .can = CAN_PIPELINE },
		/* RFC 2920 section 3.1: a server may take DATA all the same */
		{ { MAIL, RCPT_A, RCPT_B, "C: DATA", "S: 250 ok", "S: 550 no", "S: 450 no", "S: 354 go", "C: .", "S: 554 none", "C: RSET",
		      "S: 250 ok" }, .outcomes = { "bounced 5.0.0", "deferred 4.0.0" }, .can = CAN_PIPELINE },
		{ { MAIL, RCPT_A, "C: DATA", "S: 250 ok", "S: 450 no", "S: 354 go", "C: .", "S: 250 queued", "C: RSET", "S: 250 ok" },
		    .outcomes = { "deferred 4.0.0" }, .can = CAN_PIPELINE },
		{ { MAIL, RCPT_A, "C: DATA", "S: 250 ok", "S: 450 no", "S: 354 go", "C: .", "X" },
		    .outcomes = { "deferred 4.0.0" }, .can = CAN_PIPELINE, .tainted = true },
		{ { MAIL, RCPT_A, "C: DATA", "S: 250 ok", "S: 450 no", "S: 250 ok", "X" },
		    .outcomes = { "deferred 4.0.0" }, .can = CAN_PIPELINE, .tainted = true },
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 550 no", "C: RSET", "S: 500 what" }, .outcomes = { "bounced 5.0.0" }, .tainted = true },
	};

	play_all(scenes, countof(scenes));
}

static void
data_may_be_refused(void)
{
	static const struct scene scenes[] = {
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 250 ok", "C: DATA", "S: 451 4.3.0 no", "C: RSET", "S: 250 ok" }, .outcomes = { "deferred 4.3.0" } },
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 250 ok", "C: DATA", "S: 554 no", "C: RSET", "S: 250 ok" }, .outcomes = { "bounced 5.0.0" } },
		{ { MAIL, RCPT_A, RCPT_B, "C: DATA", "S: 250 ok", "S: 450 a", "S: 250 ok", "S: 554 5.5.1 no", "C: RSET", "S: 250 ok" },
		    .outcomes = { "deferred 4.0.0", "bounced 5.5.1" }, .can = CAN_PIPELINE },
	};

	play_all(scenes, countof(scenes));
}

static void
the_end_of_data_may_be_refused(void)
{
	static const struct scene scenes[] = {
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 250 ok", "C: DATA", "S: 354 go", BODY, "S: 452 4.3.1 full" }, .outcomes = { "deferred 4.3.1" } },
		{ { MAIL, RCPT_A, RCPT_B, "C: DATA", "S: 250 ok", "S: 250 ok", "S: 250 ok", "S: 354 go", BODY, "S: 554 no" },
		    .outcomes = { "bounced 5.0.0", "bounced 5.0.0" }, .can = CAN_PIPELINE },
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 250 ok", "C: DATA", "S: 354 go", BODY, "S: 421 4.3.2 bye", "X" }, .outcomes = { "deferred 4.3.2" },
		    .tainted = true },
	};

	play_all(scenes, countof(scenes));
}

/* No code but a 2xx for the end of DATA means sent; who is out of step is not talked to again. */
static void
a_yes_in_the_wrong_place_is_no_yes(void)
{
	static const struct scene scenes[] = {
		{ { MAIL, "S: 354 go", "X" }, .outcomes = { "deferred 4.5.0" }, .tainted = true },
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 354 go", "X" }, .outcomes = { "deferred 4.5.0" }, .tainted = true },
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 250 ok", "C: DATA", "S: 250 ok", "X" }, .outcomes = { "deferred 4.5.0" }, .tainted = true },
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 250 ok", "C: DATA", "S: 354 go", BODY, "S: 354 go", "X" }, .outcomes = { "deferred 4.5.0" },
		    .tainted = true },
		{ { MAIL, RCPT_A, RCPT_B, "C: DATA", "S: 250 ok", "S: 550 no", "S: 250 ok", "S: 250 ok", "X" },
		    .outcomes = { "bounced 5.0.0", "deferred 4.5.0" }, .can = CAN_PIPELINE, .tainted = true },
	};

	play_all(scenes, countof(scenes));
}

static void
a_conversation_that_breaks_off_decides_nothing(void)
{
	static const struct scene scenes[] = {
		{ { "X" }, .outcomes = { "" }, .err = E_EOF, .unanswered = true },
		{ { MAIL, "X" }, .outcomes = { "" }, .err = E_EOF, .unanswered = true },
		{ { MAIL, RCPT_A, "C: DATA", "X" }, .outcomes = { "" }, .can = CAN_PIPELINE, .err = E_EOF, .unanswered = true },
		{ { MAIL, "S: 250 ok", RCPT_A, "X" }, .outcomes = { "" }, .err = E_EOF },
		{ { MAIL, RCPT_A, RCPT_B, "C: DATA", "S: 250 ok", "S: 550 5.1.1 no", "X" }, .outcomes = { "bounced 5.1.1", "" }, .can = CAN_PIPELINE,
		    .err = E_EOF },
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 250 ok", "C: DATA", "X" }, .outcomes = { "" }, .err = E_EOF },
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 250 ok", "C: DATA", "S: 354 go", "X" }, .outcomes = { "" }, .err = E_EOF },
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 250 ok", "C: DATA", "S: 354 go", BODY, "X" }, .outcomes = { "" }, .err = E_EOF },
		{ { MAIL, "S: 250 ok", RCPT_A, "S: what?", "X" }, .outcomes = { "" }, .err = E_SYNTAX },
		{ { MAIL, "S: 2500 ok", "X" }, .outcomes = { "" }, .err = E_SYNTAX, .unanswered = true },
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 250 ok", "C: DATA", "S: 354 go", BODY, "S: 999", "X" }, .outcomes = { "" }, .err = E_SYNTAX },
	};

	play_all(scenes, countof(scenes));
}

static void
a_message_above_the_limit_is_not_offered(void)
{
	static const struct scene scenes[] = {
		{ { NULL }, .outcomes = { "bounced 5.3.4", "bounced 5.3.4" }, .can = CAN_SIZE | CAN_PIPELINE, .size_limit = 19, .unanswered = true },
	};

	play_all(scenes, countof(scenes));
}

/* 421 is a server's last word: it defers all that is still open, and the connection is not used again. */
static void
a_goodbye_in_the_middle_defers_the_rest(void)
{
	static const struct scene scenes[] = {
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 550 5.1.1 no", RCPT_B, "S: 421 4.3.2 bye", "X" },
		    .outcomes = { "bounced 5.1.1", "deferred 4.3.2", "deferred 4.3.2" }, .tainted = true },
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 250 ok", RCPT_B, "S: 421 4.3.2 bye", "X" },
		    .outcomes = { "deferred 4.3.2", "deferred 4.3.2", "deferred 4.3.2" }, .tainted = true },
		{ { MAIL, RCPT_A, RCPT_B, RCPT_C, "C: DATA", "S: 250 ok", "S: 250 ok", "S: 421 4.3.2 bye", "X" },
		    .outcomes = { "deferred 4.3.2", "deferred 4.3.2", "deferred 4.3.2" }, .can = CAN_PIPELINE, .tainted = true },
		{ { MAIL, RCPT_A, RCPT_B, RCPT_C, "C: DATA", "S: 250 ok", "S: 250 ok", "S: 450 4.2.1 b", "S: 550 c", "S: 421 bye", "X" },
		    .outcomes = { "deferred 4.0.0", "deferred 4.2.1", "bounced 5.0.0" }, .can = CAN_PIPELINE, .tainted = true },
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 250 ok", "C: DATA", "S: 421 4.3.2 bye", "X" }, .outcomes = { "deferred 4.3.2" }, .tainted = true },
	};

	play_all(scenes, countof(scenes));
}

static void
the_words_name_the_server_and_the_command(void)
{
	static const struct scene scene = { { MAIL, RCPT_A, RCPT_B, "C: DATA", "S: 250 ok", "S: 250 ok", "S: 550-5.1.1 a", "S: 550 5.1.1 b",
		"S: 354 go", BODY, "S: 250 2.0.0 Ok: queued as 42" }, .outcomes = { "sent 2.0.0", "bounced 5.1.1" }, .can = CAN_PIPELINE };
	struct play p;

	play(&scene, 0, &p);
	CHECK_STR(buf_str(&p.job.rcpts[0].text), "250 2.0.0 Ok: queued as 42");
	CHECK_STR(buf_str(&p.job.rcpts[1].text),
	    "host mx.there.test[192.0.2.1] said: 550-5.1.1 a 550 5.1.1 b (in reply to RCPT TO command)");
	CHECK_STR(buf_str(&p.job.rcpts[1].mta), "mx.there.test");
	CHECK_STR(buf_str(&p.job.rcpts[1].diag), "550-5.1.1 a 550 5.1.1 b");
	play_fini(&p);
}

SUITE(transaction, TASK_TEST(mail_that_is_taken_is_sent), TASK_TEST(each_recipient_has_its_own_answer),
    TASK_TEST(a_refused_sender_is_the_answer_for_all), TASK_TEST(without_recipients_there_is_no_message),
    TASK_TEST(data_may_be_refused), TASK_TEST(the_end_of_data_may_be_refused),
    TASK_TEST(a_yes_in_the_wrong_place_is_no_yes), TASK_TEST(a_conversation_that_breaks_off_decides_nothing),
    TASK_TEST(a_message_above_the_limit_is_not_offered), TASK_TEST(a_goodbye_in_the_middle_defers_the_rest),
    TASK_TEST(the_words_name_the_server_and_the_command));
