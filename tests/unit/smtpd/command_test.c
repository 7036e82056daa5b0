/* SPDX-License-Identifier: Apache-2.0 */
#include "smtpd/command.h"

#include "smtpd/arguments.h"
#include "tests/unit/check.h"
#include "util/mem.h"

static enum reply_id
check(const char *verb, unsigned state, const char *arg)
{
	const struct command *c = command_find(str_of(verb));

	CHECK(c != NULL);
	return c ? command_check(c, state, str_of(arg)) : SAY_UNKNOWN;
}

static void
commands_obey_the_table(void)
{
	static const struct { const char *verb; unsigned state; const char *arg; enum reply_id reply; } table[] = {
		{ "EHLO", 0, "x", SAY_OK },
		{ "ehlo", S_HELLO | S_MAIL | S_RCPT, "x", SAY_OK },
		{ "EHLO", 0, "", SAY_SYNTAX_EHLO },
		{ "HELO", 0, "", SAY_SYNTAX_HELO },
		{ "MAIL", 0, "FROM:<>", SAY_NEED_HELO },
		{ "MAIL", S_HELLO, "FROM:<>", SAY_OK },
		{ "MAIL", S_HELLO, "", SAY_SYNTAX_MAIL },
		{ "MAIL", S_HELLO | S_MAIL, "FROM:<>", SAY_NESTED_MAIL },
		{ "RCPT", S_HELLO, "TO:<a@b>", SAY_NEED_MAIL },
		{ "RCPT", S_HELLO | S_MAIL, "TO:<a@b>", SAY_OK },
		{ "DATA", S_HELLO, "", SAY_NEED_RCPT },
		{ "DATA", S_HELLO | S_MAIL, "", SAY_NO_RCPTS },
		{ "DATA", S_HELLO | S_MAIL | S_RCPT, "", SAY_OK },
		{ "DATA", S_HELLO | S_MAIL | S_RCPT, "now", SAY_SYNTAX_DATA },
		{ "DATA", S_HELLO | S_RCPT, "", SAY_NEED_RCPT },
		{ "RSET", 0, "x", SAY_SYNTAX_RSET },
		{ "NOOP", 0, "whatever", SAY_OK },
		{ "QUIT", S_MAIL, "now", SAY_OK },
	};

	for (size_t i = 0; i < countof(table); i++)
		CHECK(check(table[i].verb, table[i].state, table[i].arg) == table[i].reply);
	CHECK(command_find(STR("EXPN")) == NULL);
	CHECK(command_find(STR("")) == NULL);
	CHECK(command_find(STR("MAILX")) == NULL);
}

static void
content_is_taken_in_no_state_without_sender_and_recipient(void)
{
	for (size_t i = 0; i < CMD_COUNT; i++) {
		if (smtp_commands[i].run != do_data)
			continue;
		for (unsigned state = 0; state < 8; state++)
			if (command_check(&smtp_commands[i], state, STR("")) == SAY_OK)
				CHECK((state & S_MAIL) && (state & S_RCPT));
	}
}

static void
lines_are_split_into_verb_and_argument(void)
{
	static const struct { const char *line, *verb, *arg; } table[] = {
		{ "", "", "" },
		{ " \t ", "", "" },
		{ "QUIT", "QUIT", "" },
		{ "  noop  a b ", "noop", "a b" },
		{ "MAIL\tFROM:<>", "MAIL", "FROM:<>" },
	};
	struct str verb, arg;

	for (size_t i = 0; i < countof(table); i++) {
		line_split(str_of(table[i].line), &verb, &arg);
		CHECK_STR(verb, table[i].verb);
		CHECK_STR(arg, table[i].arg);
	}
}

static void
mail_arguments_are_understood_or_refused(void)
{
	static const struct {
		const char *arg;
		bool        strict;
		enum reply_id reply;
		const char *address;
		uint64_t    size;
		bool        body8;
	} table[] = {
		{ "FROM:<a@b.test>", true, SAY_OK, "a@b.test", 0, false },
		{ "from:<>", true, SAY_OK, "", 0, false },
		{ "FROM:<a@b.test> SIZE=42 BODY=8BITMIME", true, SAY_OK, "a@b.test", 42, true },
		{ "FROM:<a@b.test> body=7bit size=0", true, SAY_OK, "a@b.test", 0, false },
		{ "FROM: <a@b.test>", false, SAY_OK, "a@b.test", 0, false },
		{ "FROM: <a@b.test>", true, SAY_BAD_SENDER, "", 0, false },
		{ "FROM:a@b.test", false, SAY_OK, "a@b.test", 0, false },
		{ "FROM:a@b.test", true, SAY_BAD_SENDER, "", 0, false },
		{ "FROM:<@x.test,@y.test:a@b.test>", true, SAY_OK, "a@b.test", 0, false },
		{ "FROM:", false, SAY_SYNTAX_MAIL, "", 0, false },
		{ "FROM", false, SAY_SYNTAX_MAIL, "", 0, false },
		{ "TO:<a@b.test>", false, SAY_SYNTAX_MAIL, "", 0, false },
		{ "FROM:<a@b.test", false, SAY_BAD_SENDER, "", 0, false },
		{ "FROM:<a b@c.test>", false, SAY_BAD_SENDER, "", 0, false },
		{ "FROM:<;sleep 66;>", false, SAY_BAD_SENDER, "", 0, false },
		{ "FROM:<a@b.test>=\"", false, SAY_BAD_SENDER, "a@b.test", 0, false },
		{ "FROM:<a@b.test>SIZE=1", false, SAY_BAD_SENDER, "a@b.test", 0, false },
		{ "FROM:<> \"", false, SAY_BAD_OPTION, "", 0, false },
		{ "FROM:<a@b.test> SIZE=\"", false, SAY_BAD_SIZE, "a@b.test", 0, false },
		{ "FROM:<a@b.test> SIZE=", false, SAY_BAD_SIZE, "a@b.test", 0, false },
		{ "FROM:<a@b.test> SIZE=-1", false, SAY_BAD_SIZE, "a@b.test", 0, false },
		{ "FROM:<a@b.test> SIZE=99999999999999999999999", false, SAY_OK, "a@b.test", UINT64_MAX, false },
		{ "FROM:<a@b.test> BODY=BINARYMIME", false, SAY_BAD_OPTION, "a@b.test", 0, false },
		{ "FROM:<a@b.test> SMTPUTF8", false, SAY_BAD_OPTION, "a@b.test", 0, false },
		{ "FROM:<a@b.test> AUTH=Raven+0AReyes", false, SAY_BAD_OPTION, "a@b.test", 0, false },
	};

	for (size_t i = 0; i < countof(table); i++) {
		struct mail_args a;
		struct str word;

		arguments_init(&a);
		CHECK(mail_args_parse(str_of(table[i].arg), table[i].strict, &a, &word) == table[i].reply);
		CHECK_STR(buf_str(&a.address), table[i].address);
		CHECK(a.size == table[i].size);
		CHECK(a.body8 == table[i].body8);
		arguments_fini(&a);
	}
}

static void
rcpt_arguments_are_understood_or_refused(void)
{
	static const struct { const char *arg; enum reply_id reply; } table[] = {
		{ "TO:<a@b.test>", SAY_OK },          { "TO:<postmaster>", SAY_OK },
		{ "TO:<\"a b\"@c.test>", SAY_OK },    { "TO:<>", SAY_BAD_RCPT },
		{ "TO:<a@>", SAY_BAD_RCPT },          { "TO:<@b.test>", SAY_BAD_RCPT },
		{ "TO:", SAY_SYNTAX_RCPT },           { "a@b.test", SAY_SYNTAX_RCPT },
		{ "TO:<a@b.test> NOTIFY=NEVER", SAY_BAD_OPTION },
		{ "TO:<a@b.test> ORCPT=rfc822;x+0Aevil", SAY_BAD_OPTION },
		{ "TO:<a@b.test>x", SAY_BAD_RCPT },
	};

	for (size_t i = 0; i < countof(table); i++) {
		struct mail_args a;
		struct str word;

		arguments_init(&a);
		CHECK(rcpt_args_parse(str_of(table[i].arg), false, &a, &word) == table[i].reply);
		arguments_fini(&a);
	}
}

SUITE(command, TEST(commands_obey_the_table), TEST(content_is_taken_in_no_state_without_sender_and_recipient),
    TEST(lines_are_split_into_verb_and_argument), TEST(mail_arguments_are_understood_or_refused),
    TEST(rcpt_arguments_are_understood_or_refused));
