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
		unsigned    how;
		enum reply_id reply;
		const char *address;
		uint64_t    size;
		bool        body8;
	} table[] = {
		{ "FROM:<a@b.test>", ARGS_STRICT, SAY_OK, "a@b.test", 0, false },
		{ "from:<>", ARGS_STRICT, SAY_OK, "", 0, false },
		{ "FROM:<a@b.test> SIZE=42 BODY=8BITMIME", ARGS_STRICT, SAY_OK, "a@b.test", 42, true },
		{ "FROM:<a@b.test> body=7bit size=0", ARGS_STRICT, SAY_OK, "a@b.test", 0, false },
		{ "FROM: <a@b.test>", 0, SAY_OK, "a@b.test", 0, false },
		{ "FROM: <a@b.test>", ARGS_STRICT, SAY_BAD_SENDER, "", 0, false },
		{ "FROM:a@b.test", 0, SAY_OK, "a@b.test", 0, false },
		{ "FROM:a@b.test", ARGS_STRICT, SAY_BAD_SENDER, "", 0, false },
		{ "FROM:<@x.test,@y.test:a@b.test>", ARGS_STRICT, SAY_OK, "a@b.test", 0, false },
		{ "FROM:", 0, SAY_SYNTAX_MAIL, "", 0, false },
		{ "FROM", 0, SAY_SYNTAX_MAIL, "", 0, false },
		{ "TO:<a@b.test>", 0, SAY_SYNTAX_MAIL, "", 0, false },
		{ "FROM:<a@b.test", 0, SAY_BAD_SENDER, "", 0, false },
		{ "FROM:<a b@c.test>", 0, SAY_BAD_SENDER, "", 0, false },
		{ "FROM:<;sleep 66;>", 0, SAY_BAD_SENDER, "", 0, false },
		{ "FROM:<a@b.test>=\"", 0, SAY_BAD_SENDER, "a@b.test", 0, false },
		{ "FROM:<a@b.test>SIZE=1", 0, SAY_BAD_SENDER, "a@b.test", 0, false },
		{ "FROM:<> \"", 0, SAY_BAD_OPTION, "", 0, false },
		{ "FROM:<a@b.test> SIZE=\"", 0, SAY_BAD_SIZE, "a@b.test", 0, false },
		{ "FROM:<a@b.test> SIZE=", 0, SAY_BAD_SIZE, "a@b.test", 0, false },
		{ "FROM:<a@b.test> SIZE=-1", 0, SAY_BAD_SIZE, "a@b.test", 0, false },
		{ "FROM:<a@b.test> SIZE=99999999999999999999999", 0, SAY_OK, "a@b.test", UINT64_MAX, false },
		{ "FROM:<a@b.test> BODY=BINARYMIME", 0, SAY_BAD_OPTION, "a@b.test", 0, false },
		{ "FROM:<a@b.test> SMTPUTF8", 0, SAY_BAD_OPTION, "a@b.test", 0, false },
		{ "FROM:<a@b.test> AUTH=Raven+0AReyes", 0, SAY_BAD_OPTION, "a@b.test", 0, false },
	};

	for (size_t i = 0; i < countof(table); i++) {
		struct mail_args a;
		struct str word;

		arguments_init(&a);
		CHECK(mail_args_parse(str_of(table[i].arg), table[i].how, &a, &word) == table[i].reply);
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
		{ "TO:<a@b.test> NOTIFY=NEVER", SAY_OK },
		{ "TO:<a@b.test> ORCPT=rfc822;x+0Aevil", SAY_BAD_ORCPT },
		{ "TO:<a@b.test> SIZE=1", SAY_BAD_OPTION },
		{ "TO:<a@b.test>x", SAY_BAD_RCPT },
	};

	for (size_t i = 0; i < countof(table); i++) {
		struct mail_args a;
		struct str word;

		arguments_init(&a);
		CHECK(rcpt_args_parse(str_of(table[i].arg), ARGS_DSN, &a, &word) == table[i].reply);
		arguments_fini(&a);
	}
}

/* RFC 3461 sections 4.1 to 4.4; hostile bytes must not get in by way of "+XX". */
static void
parameters_of_delivery_reports_are_decoded_or_refused(void)
{
	static const struct {
		const char *arg;
		unsigned how;
		enum reply_id reply;
		uint8_t bits;                          /* RET or NOTIFY */
		const char *text;                      /* ENVID or ORCPT */
	} table[] = {
		{ "FROM:<a@b.test> RET=FULL ENVID=QQ314159", ARGS_DSN, SAY_OK, RET_FULL, "QQ314159" },
		{ "FROM:<a@b.test> envid=a+2Bb+3Dc+20d ret=hdrs", ARGS_DSN, SAY_OK, RET_HDRS, "a+b=c d" },
		{ "FROM:<a@b.test> RET=HDRS", 0, SAY_DSN_OFF, 0, "" },
		{ "FROM:<a@b.test> ENVID=x", 0, SAY_DSN_OFF, 0, "" },
		{ "FROM:<a@b.test> RET=SOME", ARGS_DSN, SAY_BAD_RET, 0, NULL },
		{ "FROM:<a@b.test> RET=", ARGS_DSN, SAY_BAD_RET, 0, NULL },
		{ "FROM:<a@b.test> RET=FULL RET=FULL", ARGS_DSN, SAY_BAD_RET, RET_FULL, NULL },
		{ "FROM:<a@b.test> ENVID=", ARGS_DSN, SAY_BAD_ENVID, 0, NULL },
		{ "FROM:<a@b.test> ENVID=a+00b", ARGS_DSN, SAY_BAD_ENVID, 0, NULL },
		{ "FROM:<a@b.test> ENVID=a+0Ab", ARGS_DSN, SAY_BAD_ENVID, 0, NULL },
		{ "FROM:<a@b.test> ENVID=a+7Fb", ARGS_DSN, SAY_BAD_ENVID, 0, NULL },
		{ "FROM:<a@b.test> ENVID=a+C3+84b", ARGS_DSN, SAY_BAD_ENVID, 0, NULL },
		{ "FROM:<a@b.test> ENVID=a+2bb", ARGS_DSN, SAY_BAD_ENVID, 0, NULL },
		{ "FROM:<a@b.test> ENVID=a+2", ARGS_DSN, SAY_BAD_ENVID, 0, NULL },
		{ "FROM:<a@b.test> ENVID=a=b", ARGS_DSN, SAY_BAD_ENVID, 0, NULL },
		{ "FROM:<a@b.test> ENVID=a ENVID=b", ARGS_DSN, SAY_BAD_ENVID, 0, NULL },
		{ "TO:<a@b.test> NOTIFY=NEVER", ARGS_DSN, SAY_OK, NOTIFY_NEVER, "" },
		{ "TO:<a@b.test> notify=Success,failure,DELAY ORCPT=rfc822;Bob@x.test", ARGS_DSN, SAY_OK,
		    NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY, "rfc822;Bob@x.test" },
		{ "TO:<a@b.test> ORCPT=x400;/C=us", ARGS_DSN, SAY_BAD_ORCPT, 0, NULL },
		{ "TO:<a@b.test> ORCPT=x400;/C+3Dus/", ARGS_DSN, SAY_OK, 0, "x400;/C=us/" },
		{ "TO:<a@b.test> NOTIFY=NEVER,SUCCESS", ARGS_DSN, SAY_BAD_NOTIFY, 0, NULL },
		{ "TO:<a@b.test> NOTIFY=", ARGS_DSN, SAY_BAD_NOTIFY, 0, NULL },
		{ "TO:<a@b.test> NOTIFY=SUCCESS,", ARGS_DSN, SAY_BAD_NOTIFY, 0, NULL },
		{ "TO:<a@b.test> NOTIFY=SOMETIMES", ARGS_DSN, SAY_BAD_NOTIFY, 0, NULL },
		{ "TO:<a@b.test> NOTIFY=DELAY NOTIFY=DELAY", ARGS_DSN, SAY_BAD_NOTIFY, NOTIFY_DELAY, NULL },
		{ "TO:<a@b.test> NOTIFY=NEVER", 0, SAY_DSN_OFF, 0, "" },
		{ "TO:<a@b.test> ORCPT=rfc822", ARGS_DSN, SAY_BAD_ORCPT, 0, NULL },
		{ "TO:<a@b.test> ORCPT=rfc822;", ARGS_DSN, SAY_BAD_ORCPT, 0, NULL },
		{ "TO:<a@b.test> ORCPT=rfc822;x+00", ARGS_DSN, SAY_BAD_ORCPT, 0, NULL },
		{ "TO:<a@b.test> ORCPT=rfc822;x+0Aevil", ARGS_DSN, SAY_BAD_ORCPT, 0, NULL },
		{ "TO:<a@b.test> ORCPT=rfc822;a ORCPT=rfc822;b", ARGS_DSN, SAY_BAD_ORCPT, 0, NULL },
		{ "TO:<a@b.test> ORCPT=utf-8;\\x{C4}b@x.test", ARGS_DSN, SAY_OK, 0, "utf-8;\303\204b@x.test" },
		{ "TO:<a@b.test> ORCPT=utf-8;\\x{0A}b@x.test", ARGS_DSN, SAY_BAD_ORCPT, 0, NULL },
		{ "TO:<a@b.test> ORCPT=utf-8;\303\204b@x.test", ARGS_DSN, SAY_BAD_ORCPT, 0, NULL },
		{ "TO:<a@b.test> ORCPT=utf-8;\303\204b@x.test", ARGS_DSN | ARGS_UTF8, SAY_OK, 0, "utf-8;\303\204b@x.test" },
		{ "TO:<a@b.test> ORCPT=utf-8;\303b@x.test", ARGS_DSN | ARGS_UTF8, SAY_BAD_ORCPT, 0, NULL },
	};

	for (size_t i = 0; i < countof(table); i++) {
		bool mail = table[i].arg[0] == 'F';
		struct mail_args a;
		struct str word;

		arguments_init(&a);
		CHECK((mail ? mail_args_parse : rcpt_args_parse)(str_of(table[i].arg), table[i].how, &a, &word) == table[i].reply);
		CHECK((mail ? a.ret : a.notify) == table[i].bits);
		if (table[i].text)
			CHECK_STR(buf_str(mail ? &a.envid : &a.orcpt), table[i].text);
		arguments_fini(&a);
	}
}

/* RFC 6531 section 3.5. */
static void
addresses_beyond_ascii_need_smtputf8(void)
{
	static const struct { const char *arg; unsigned how; enum reply_id reply; } table[] = {
		{ "FROM:<\303\244@b.test> SMTPUTF8", ARGS_UTF8, SAY_OK },
		{ "FROM:<a@\303\244.test> smtputf8 SIZE=3", ARGS_UTF8, SAY_OK },
		{ "FROM:<a@b.test> SMTPUTF8=1", ARGS_UTF8, SAY_BAD_OPTION },
		{ "FROM:<\303\244@b.test>", ARGS_UTF8, SAY_NEED_UTF8 },
		{ "FROM:<a@\303\244.test>", ARGS_UTF8, SAY_NEED_UTF8 },
		{ "FROM:<\303@b.test> SMTPUTF8", ARGS_UTF8, SAY_BAD_SENDER },
		{ "FROM:<a@b.test> SMTPUTF8", 0, SAY_BAD_OPTION },
		{ "TO:<\303\244@b.test>", ARGS_UTF8, SAY_OK },
		{ "TO:<\303\244@b.test>", 0, SAY_NEED_UTF8 },
		{ "TO:<\300\200@b.test>", ARGS_UTF8, SAY_BAD_RCPT },
	};

	for (size_t i = 0; i < countof(table); i++) {
		struct mail_args a;
		struct str word;

		arguments_init(&a);
		CHECK((table[i].arg[0] == 'F' ? mail_args_parse : rcpt_args_parse)(str_of(table[i].arg), table[i].how, &a, &word) ==
		    table[i].reply);
		arguments_fini(&a);
	}
}

SUITE(command, TEST(commands_obey_the_table), TEST(content_is_taken_in_no_state_without_sender_and_recipient),
    TEST(lines_are_split_into_verb_and_argument), TEST(mail_arguments_are_understood_or_refused),
    TEST(rcpt_arguments_are_understood_or_refused), TEST(parameters_of_delivery_reports_are_decoded_or_refused),
    TEST(addresses_beyond_ascii_need_smtputf8));
