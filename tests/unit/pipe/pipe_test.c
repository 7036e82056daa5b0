/* SPDX-License-Identifier: Apache-2.0 */
#include "pipe/pipe.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/check.h"
#include "util/mem.h"

enum { WORDS = 24 };

/* A service's arguments, at blanks. */
struct line { char text[512]; char *args[WORDS + 1]; };

static enum err
parse(struct line *l, struct pipe_service *s, const char *text)
{
	size_t n = 0;

	snprintf(l->text, sizeof l->text, "%s", text);
	for (char *word = strtok(l->text, " "); word; word = strtok(NULL, " "))
		l->args[n++] = word;
	l->args[n] = NULL;
	return pipe_service_parse(s, l->args);
}

static void
a_service_is_told_in_master_cf(void)
{
	struct pipe_service s;
	struct line l;

	CHECK(parse(&l, &s, "flags=BDFORXhqu.> user=vmail:mail eol=\\r\\n size=1000 directory=/d chroot=/c null_sender= argv=/bin/x -y argv=z") == OK);
	CHECK(s.flags == 2047 && s.crlf && s.size == 1000 && s.null_sender.n == 0 && !s.envelope);
	CHECK_STR(s.user, "vmail");
	CHECK_STR(s.group, "mail");
	CHECK_STR(s.directory, "/d");
	CHECK_STR(s.chroot, "/c");
	CHECK(strcmp(s.argv[0], "/bin/x") == 0 && strcmp(s.argv[1], "-y") == 0 && strcmp(s.argv[2], "argv=z") == 0 && s.argv[3] == NULL);
	CHECK(parse(&l, &s, "user=u argv=x ${client_helo}") == OK);
	CHECK(s.flags == 0 && !s.crlf && s.size == 0 && s.group.n == 0 && s.envelope);
	CHECK_STR(s.null_sender, "MAILER-DAEMON");
}

static void
what_cannot_be_is_said(void)
{
	static const struct { const char *text, *words; } cases[] = {
		{ "user=u", "missing argv= with a command" },
		{ "user=u argv=", "missing argv= with a command" },
		{ "argv=x", "missing user=" },
		{ "user= argv=x", "user=: expected user=NAME or user=NAME:GROUP" },
		{ "user=u: argv=x", "user=u:: expected user=NAME or user=NAME:GROUP" },
		{ "flags=Rz user=u argv=x", "unknown flag: z" },
		{ "users=u argv=x", "unknown argument: users=u" },
		{ "eol=\\0 user=u argv=x", "eol=\\0: expected \\n or \\r\\n" },
		{ "size=1k user=u argv=x", "size=1k: expected a number of bytes" },
		{ "directory=d user=u argv=x", "directory=d: expected an absolute path" },
		{ "user=u argv=x ${recpient}", "unknown macro ${recpient} in \"${recpient}\"" },
		{ "user=u argv=x a$", "bad macro in \"a$\"" },
		{ "user=u argv=x ${user", "bad macro in \"${user\"" },
		{ "user=u argv=x ${user?x}", "bad macro in \"${user?x}\"" },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct pipe_service s;
		struct line l;

		CHECK(parse(&l, &s, cases[i].text) == E_SYNTAX);
		if (strcmp(err_why(), cases[i].words) != 0)
			printf("\n    %s: %s\n", cases[i].text, err_why());
		CHECK(strcmp(err_why(), cases[i].words) == 0);
	}
}

static const struct params params = { .recipient_delimiter = "+" };

struct words_case { const char *args, *sender, *rcpts[3], *words; };     /* words: joined by '|'; NULL: refused */

static void
check_words(const struct words_case *c)
{
	static const struct spool_msg m = { .client_addr = STR("192.0.2.1"), .client_name = STR("c.test"), .client_helo = STR("-helo; id"),
		.protocol = STR("ESMTP"), .login = STR("joe") };
	struct outcome rcpts[3] = { 0 };
	struct job j = { .params = &params, .rcpts = rcpts,
		.m = { .id = 0x123, .size = 42, .sender = str_of(c->sender), .nexthop = STR("Next.Hop") } };
	struct pipe_service s;
	struct pipe_words w = { .service = &s, .job = &j, .envelope = &m };
	struct buf out = BUF(4096);
	struct line l;
	enum err e;

	for (; w.to < countof(rcpts) && c->rcpts[w.to]; w.to++) {
		rcpts[w.to].rcpt.addr = str_of(c->rcpts[w.to]);
		rcpts[w.to].rcpt.orig = w.to == 1 ? STR("First+X@Old.Test") : STR("");
	}
	CHECK(parse(&l, &s, c->args) == OK);
	e = pipe_words(&w, &out);
	CHECK(e == (c->words ? OK : E_REFUSED));
	for (size_t i = 0; i < out.n; i++)
		if (out.p[i] == '\0')
			out.p[i] = '|';
	if (e == OK && !str_eq(buf_str(&out), str_of(c->words)))
		printf("\n    %s: %s\n", c->args, buf_cstr(&out));
	CHECK(e != OK || str_eq(buf_str(&out), str_of(c->words)));
	buf_free(&out);
}

static void
words_are_made_for_each_recipient(void)
{
	static const struct words_case cases[] = {
		{ "user=u argv=x -f ${sender} -- ${recipient}", "S@X.test", { "A@B.test", "c+d@e.test" }, "x|-f|S@X.test|--|A@B.test|c+d@e.test|" },
		{ "user=u argv=x -d${user}:${extension}@${domain} end", "", { "A+b+c@B.test", "c@e" }, "x|-dA:b+c@B.test|-dc:@e|end|" },
		{ "flags=hu user=u argv=x $recipient $(mailbox) ${original_recipient} ${nexthop} ${domain}", "",
		    { "A+B@C.D", "E@F" }, "x|a+b@c.d|e@f|a+b|e|a+b@c.d|first+x@old.test|next.hop|c.d|f|" },
		{ "user=u argv=x ${sender}", "", { "a@b" }, "x|MAILER-DAEMON|" },
		{ "user=u null_sender= argv=x ${sender} $$x", "", { "a@b" }, "x||$x|" },
		{ "user=u argv=x ${recipient} ${user}", "", { "\"a b\\\"c\"@d" }, "x|a b\"c@d|a b\"c|" },
		{ "flags=q user=u argv=x ${sender} ${recipient} ${user}", "\"s t\"@u", { "\"a b\"@d" }, "x|\"s t\"@u|\"a b\"@d|a b|" },
		{ "user=u argv=x ${size} ${queue_id}${client_address}[${client_hostname}] ${client_protocol} ${sasl_username}${sasl_method}${client_port}",
		    "", { "a@b" }, "x|42|0000000000000123192.0.2.1[c.test]|ESMTP|joe|" },
		{ "user=u argv=x h=${client_helo}", "", { "a@b" }, "x|h=-helo; id|" },
		/* what would be an option */
		{ "user=u argv=x ${client_helo}", "", { "a@b" }, NULL },
		{ "user=u argv=x ${sender}", "-C/x@y", { "a@b" }, NULL },
		{ "user=u argv=x ${extension}", "", { "a+-rf@b" }, NULL },
		{ "user=u argv=x -- ${recipient}", "", { "\"-x\"@b" }, NULL },
	};

	for (size_t i = 0; i < countof(cases); i++)
		check_words(&cases[i]);
}

SUITE(pipe, TEST(a_service_is_told_in_master_cf), TEST(what_cannot_be_is_said), TEST(words_are_made_for_each_recipient));
