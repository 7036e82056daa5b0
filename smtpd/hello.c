/* SPDX-License-Identifier: Apache-2.0 */
/* The commands that carry no mail. */
#include "smtpd/arguments.h"
#include "smtpd/session.h"
#include "util/log.h"

/* What a client calls itself ends up in logs and in Received fields: nothing in it may pass for their own syntax. */
static char *
tame(struct str name)
{
	char *z = str_dup(name);

	for (size_t i = 0; i < name.n; i++)
		if (z[i] <= ' ' || z[i] > '~' || strchr("<>()\\\";@", z[i]))
			z[i] = '?';
	return z;
}

static void
hello(struct session *s, struct str arg, bool esmtp)
{
	transaction_reset(s);
	free(s->helo);
	s->helo = tame(arg);
	s->esmtp = esmtp;
	s->state |= S_HELLO;
}

enum verdict
do_helo(struct session *s, struct str arg)
{
	hello(s, arg, false);
	say(s, SAY_HELO_OK);
	return V_OK;
}

enum verdict
do_ehlo(struct session *s, struct str arg)
{
	static const char *const keywords[] = { "PIPELINING", "SIZE", "VRFY", "ENHANCEDSTATUSCODES", "8BITMIME", "DSN",
		"SMTPUTF8" };
	const struct params *p = session_params(s);
	struct buf text = BUF(0);
	size_t last = 0;

	hello(s, arg, true);
	ENSURE(buf_printf(&text, "250-%s\r\n", p->myhostname));
	for (size_t i = 0; i < countof(keywords); i++) {
		if (list_has(str_of(p->smtpd_discard_ehlo_keywords), str_of(keywords[i]), false) ||
		    (p->disable_vrfy_command && strcmp(keywords[i], "VRFY") == 0) ||
		    (!p->smtputf8_enable && strcmp(keywords[i], "SMTPUTF8") == 0))
			continue;
		last = text.n;
		ENSURE(buf_printf(&text, "250-%s", keywords[i]));
		if (strcmp(keywords[i], "SIZE") == 0 && p->message_size_limit > 0)
			ENSURE(buf_printf(&text, " %lld", p->message_size_limit));
		ENSURE(buf_adds(&text, "\r\n"));
	}
	text.p[last + 3] = ' ';
	say_lines(s, buf_str(&text));
	buf_free(&text);
	return V_OK;
}

enum verdict
do_off(struct session *s, struct str arg)
{
	(void)arg;
	say(s, SAY_OFF);
	return V_BAD;
}

enum verdict
do_auth_off(struct session *s, struct str arg)
{
	(void)arg;
	say(s, SAY_AUTH_OFF);
	return V_BAD;
}

enum verdict
do_rset(struct session *s, struct str arg)
{
	(void)arg;
	transaction_reset(s);
	say(s, SAY_OK);
	return V_OK;
}

enum verdict
do_noop(struct session *s, struct str arg)
{
	(void)arg;
	say(s, SAY_OK);
	return V_OK;
}

/* The answer to RCPT, without the promise: what we would refuse there we refuse here. */
enum verdict
do_vrfy(struct session *s, struct str arg)
{
	const struct params *p = session_params(s);
	struct mail_args a;
	struct buf path = BUF(0), full = BUF(0), why = BUF(0);
	struct str word;
	enum verdict v = V_BAD;
	enum reply_id r;

	if (p->disable_vrfy_command || arg.n == 0) {
		say(s, p->disable_vrfy_command ? SAY_VRFY_OFF : SAY_SYNTAX_VRFY);
		return V_BAD;
	}
	arguments_init(&a);
	ENSURE(buf_printf(&path, "TO:%.*s", STR_ARG(arg)));
	if (rcpt_args_parse(buf_str(&path), 0, &a, &word) != SAY_OK) {
		say(s, SAY_BAD_RCPT);
	} else if ((r = policy_rcpt(s, buf_str(&a.address), full_address(p, &a, &full), &why)) != SAY_OK) {
		say_rejected(s, "VRFY", r, buf_str(&why), buf_str(&a.address));
	} else {
		say_with(s, SAY_VRFY_OK, arg);
		v = V_OK;
	}
	buf_free(&path);
	buf_free(&full);
	buf_free(&why);
	arguments_fini(&a);
	return v;
}

enum verdict
do_help(struct session *s, struct str arg)
{
	struct buf verbs = BUF(0);

	(void)arg;
	for (size_t i = 0; i < CMD_COUNT; i++)
		if (smtp_commands[i].run != do_off && smtp_commands[i].run != do_auth_off)
			ENSURE(buf_printf(&verbs, "%s%s", verbs.n ? " " : "", smtp_commands[i].verb));
	say_with(s, SAY_HELP, buf_str(&verbs));
	buf_free(&verbs);
	return V_OK;
}

enum verdict
do_quit(struct session *s, struct str arg)
{
	(void)arg;
	transaction_reset(s);
	say(s, SAY_BYE);
	return V_CLOSE;
}
