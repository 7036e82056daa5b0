/* SPDX-License-Identifier: Apache-2.0 */
/* sendmail -bs: SMTP on standard input and output, for one user, into maildrop.  Much less than
 * smtpd: whoever runs it can hand in mail anyway, so nothing here decides who may send what where.
 */
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "cmd/sendmail.h"
#include "mail/addr.h"

enum { LINE_MOST = 64 << 10 };

struct talk {
	struct sendmail *m;
	FILE *in, *out;
	char *line;
	size_t cap;
	bool mail; /* MAIL was said */
};

static bool
read_line(struct talk *t, struct str *line)
{
	ssize_t n = getline(&t->line, &t->cap, t->in);

	if (n < 0)
		return false;
	*line = (struct str){ t->line, (size_t)n };
	return true;
}

static void
reset(struct talk *t)
{
	submit_fini(&t->m->s);
	t->mail = false;
}

/* <address> and what follows it. */
static bool
take_path(struct str arg, struct str intro, struct buf *addr)
{
	if (!str_istarts(arg, intro))
		return false;
	arg = str_trim(str_sub(arg, intro.n, arg.n));
	return path_take(&arg, false, true, addr) == OK;
}

static const char *
do_mail(struct talk *t, struct str arg)
{
	struct buf addr = BUF(LINE_MOST);
	const char *reply = "250 2.1.0 Ok";

	if (t->mail)
		reply = "503 5.5.1 Error: nested MAIL command";
	else if (!take_path(arg, STR("FROM:"), &addr))
		reply = "501 5.5.4 Syntax: MAIL FROM:<address>";
	else
		t->mail = buf_add(&t->m->s.sender, buf_str(&addr));
	buf_free(&addr);
	return reply;
}

static const char *
do_rcpt(struct talk *t, struct str arg)
{
	struct buf addr = BUF(LINE_MOST);
	const char *reply = "250 2.1.5 Ok";

	if (!t->mail)
		reply = "503 5.5.1 Error: need MAIL command";
	else if (!take_path(arg, STR("TO:"), &addr))
		reply = "501 5.5.4 Syntax: RCPT TO:<address>";
	else if (!submit_is_address(buf_str(&addr)))
		reply = "501 5.1.3 Bad recipient address syntax";
	else if (!submit_rcpt(&t->m->s, buf_str(&addr)))
		reply = "452 4.5.3 Error: too many recipients";
	buf_free(&addr);
	return reply;
}

static const char *
do_data(struct talk *t)
{
	bool whole = false;
	struct str line;
	int status;

	if (t->m->s.nrcpts == 0)
		return t->mail ? "554 5.5.1 Error: no valid recipients"
			       : "503 5.5.1 Error: need RCPT command";
	fputs("354 End data with <CR><LF>.<CR><LF>\r\n", t->out);
	fflush(t->out);
	submit_begin(&t->m->s, t->m->c, &t->m->params);
	while (!whole && read_line(t, &line)) {
		whole = str_eq(line, STR(".\r\n")) || str_eq(line, STR(".\n"));
		if (!whole)
			submit_add(&t->m->s, line.p[0] == '.' ? str_sub(line, 1, line.n) : line);
	}
	if (!whole)
		return NULL;
	status = submit_end(&t->m->s);
	reset(t);
	return status == EX_OK        ? "250 2.0.0 Ok: handed in"
	       : status == EX_DATAERR ? "552 5.3.4 Error: message refused"
	       : status == EX_NOPERM  ? "550 5.7.1 Error: not allowed to submit mail"
				      : "451 4.3.0 Error: queue file write error";
}

/* The reply, or NULL when the session is over. */
static const char *
command(struct talk *t, struct str line)
{
	struct str verb, arg = str_trim(line);

	if (!str_word(&arg, " \t\r\n", &verb))
		return "500 5.5.2 Error: bad syntax";
	arg = str_trim(arg);
	if (str_ieq(verb, STR("EHLO")) || str_ieq(verb, STR("HELO"))) {
		reset(t);
		return str_ieq(verb, STR("EHLO"))
			   ? "250-8BITMIME\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES"
			   : "250 Ok";
	}
	if (str_ieq(verb, STR("MAIL")))
		return do_mail(t, arg);
	if (str_ieq(verb, STR("RCPT")))
		return do_rcpt(t, arg);
	if (str_ieq(verb, STR("DATA")))
		return do_data(t);
	if (str_ieq(verb, STR("VRFY")))
		return "252 2.0.0 Cannot verify, but will take mail";
	if (str_ieq(verb, STR("RSET")))
		reset(t);
	else if (!str_ieq(verb, STR("NOOP")))
		return str_ieq(verb, STR("QUIT")) ? NULL
						  : "502 5.5.2 Error: command not recognized";
	return "250 2.0.0 Ok";
}

int
sendmail_smtp(struct sendmail *m, FILE *in, FILE *out)
{
	struct talk t = { .m = m, .in = in, .out = out };
	const char *reply = "";
	struct str line;

	fprintf(out, "220 %s ESMTP %s\r\n", m->params.myhostname, m->params.mail_name);
	while (fflush(out) == 0 && read_line(&t, &line) && (reply = command(&t, line)) != NULL)
		fprintf(out, "%s\r\n", reply);
	if (reply == NULL && !feof(in))
		fputs("221 2.0.0 Bye\r\n", out);
	fflush(out);
	free(t.line);
	return EX_OK;
}
