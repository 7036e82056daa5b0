/* SPDX-License-Identifier: Apache-2.0 */
#include "smtpd/command.h"

#include "util/mem.h"

#define C(verb, run, needs, bars, early, arg, syntax, flags) \
	{ #verb, do_##run, needs, bars, SAY_##early, arg, SAY_##syntax, flags },
const struct command smtp_commands[CMD_COUNT] = { SMTP_COMMANDS(C) };
#undef C

const struct command *
command_find(struct str verb)
{
	for (size_t i = 0; i < CMD_COUNT; i++)
		if (str_ieq(verb, str_of(smtp_commands[i].verb)))
			return &smtp_commands[i];
	return NULL;
}

enum reply_id
command_check(const struct command *c, unsigned state, struct str arg)
{
	unsigned missing = c->needs & ~state;

	/* RFC 5321 section 3.3: after MAIL, when every RCPT was refused, DATA gets 554 rather than 503. */
	if (missing == S_RCPT)
		return SAY_NO_RCPTS;
	if (missing)
		return c->early;
	if (state & c->bars)
		return SAY_NESTED_MAIL;
	if ((c->arg == ARG_NEEDED && arg.n == 0) || (c->arg == ARG_NONE && arg.n > 0))
		return c->syntax;
	return SAY_OK;
}
