/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/dsn.h"

#include <inttypes.h>

enum {
	FOLD_COLUMNS = 78,                             /* RFC 5322 section 2.1.1, */
	WORD_MAX = 900,                                /* and its hard limit of 998 */
};

struct str
message_header(struct str message)
{
	const char *end;

	if (str_starts(message, STR("\r\n")))
		return (struct str){ message.p, 0 };
	end = memmem(message.p, message.n, "\r\n\r\n", 4);
	return end ? str_sub(message, 0, (size_t)(end - message.p) + 2) : message;
}

/* How far the last line of out has come. */
static size_t
column_of(const struct buf *out)
{
	struct str s = buf_str(out);
	size_t lf = str_rfind(s, '\n');

	return lf == s.n ? s.n : s.n - lf - 1;
}

bool
fold_field(struct buf *out, const char *name, struct str text)
{
	bool ok = buf_printf(out, "%s:", name);
	size_t column = column_of(out);
	struct str word;

	while (ok && str_word(&text, " \t\r\n", &word)) {
		while (ok && word.n > 0) {
			struct str piece = str_sub(word, 0, WORD_MAX);

			if (column + 1 + piece.n > FOLD_COLUMNS && column > 4) {
				ok = buf_adds(out, "\r\n   ");
				column = 3;
			}
			ok = ok && buf_addc(out, ' ') && buf_add(out, piece);
			column += 1 + piece.n;
			word = str_sub(word, piece.n, word.n);
		}
	}
	return ok && buf_adds(out, "\r\n");
}

static bool
write_boundary(const struct dsn *d, struct buf *out)
{
	return buf_printf(out, "%016" PRIX64 ".%" PRId64 "/%s", d->id, wall_seconds(d->now),
	    d->params->myhostname);
}

static bool
part(const struct dsn *d, struct buf *out, const char *description, const char *type)
{
	return buf_adds(out, "\r\n--") && write_boundary(d, out) &&
	       buf_printf(
		   out, "\r\nContent-Description: %s\r\nContent-Type: %s\r\n", description, type);
}

static bool
write_header(const struct dsn *d, struct buf *out)
{
	const char *host = d->params->myhostname;
	char date[TIME_RFC5322];
	int64_t s = wall_seconds(d->now);

	wall_rfc5322(d->now, date);
	return buf_printf(out, "Received: by %s (%s)\r\n\tid %016" PRIX64 "; %s\r\n", host,
		   d->params->mail_name, d->id, date) &&
	       buf_printf(out, "Date: %s\r\nFrom: Mail Delivery System <MAILER-DAEMON@%s>\r\n",
		   date, host) &&
	       buf_printf(out, "Subject: Undelivered Mail Returned to Sender\r\nTo: %.*s\r\n",
		   STR_ARG(d->job->sender)) &&
	       buf_adds(out, "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
			     "Content-Type: multipart/report; "
			     "report-type=delivery-status;\r\n\tboundary=\"") &&
	       write_boundary(d, out) &&
	       buf_printf(out,
		   "\"\r\nContent-Transfer-Encoding: %s\r\nMessage-Id: <%" PRId64 ".%016" PRIX64
		   "@%s>\r\n\r\nThis is a MIME-encapsulated message.\r\n",
		   d->eight_bit ? "8bit" : "7bit", s, d->id, host);
}

/* What a person reads. */
static enum err
write_text(const struct dsn *d, struct buf *out)
{
	struct str rest = d->job->failed;
	struct msg_failed f;
	bool ok;

	ok =
	    part(d, out, "Notification", "text/plain; charset=us-ascii") &&
	    buf_printf(out,
		"\r\nThis is the mail system of %s.\r\n\r\n"
		"Your message did not reach the recipients below; the reason follows each\r\n"
		"address.  Nothing more will be tried for them.  A report for mail programs and\r\n"
		"%s come after this text.\r\n\r\n"
		"For help, write to <postmaster@%s> and include this notice.\r\n",
		d->params->myhostname,
		d->headers_only ? "the header of your message" : "your message",
		d->params->myhostname);
	while (ok && rest.n > 0) {
		if (!msg_failed_take(&rest, &f))
			return fail(E_IPC, "malformed list of failed recipients");
		ok = buf_printf(out, "\r\n<%.*s>", STR_ARG(f.addr));
		if (ok && f.orig.n > 0 && !str_eq(f.orig, f.addr))
			ok = buf_printf(out, " (expanded from <%.*s>)", STR_ARG(f.orig));
		ok = ok && fold_field(out, "", f.text);
	}
	return ok ? OK : E_TOOBIG;
}

static bool
write_recipient(const struct msg_failed *f, struct buf *out)
{
	bool ok;

	ok = buf_printf(out, "\r\nFinal-Recipient: rfc822; %.*s\r\n", STR_ARG(f->addr));
	if (ok && f->orig.n > 0)
		ok = buf_printf(out, "Original-Recipient: rfc822;%.*s\r\n", STR_ARG(f->orig));
	ok = ok && buf_printf(out, "Action: failed\r\nStatus: %.*s\r\n", STR_ARG(f->esc));
	if (ok && f->mta.n > 0)
		ok = buf_printf(out, "Remote-MTA: dns; %.*s\r\n", STR_ARG(f->mta));
	if (ok && f->diag.n > 0) {
		struct buf said = BUF(0);

		ok = buf_printf(&said, "smtp; %.*s", STR_ARG(f->diag)) &&
		     fold_field(out, "Diagnostic-Code", buf_str(&said));
		buf_free(&said);
	} else if (ok) {
		struct buf said = BUF(0);

		ok = buf_printf(&said, "X-Postroad; %.*s", STR_ARG(f->text)) &&
		     fold_field(out, "Diagnostic-Code", buf_str(&said));
		buf_free(&said);
	}
	return ok;
}

/* What a program reads. */
static enum err
write_status(const struct dsn *d, struct buf *out)
{
	struct str rest = d->job->failed;
	struct msg_failed f;
	char date[TIME_RFC5322];
	bool ok;

	wall_rfc5322((struct wall){ d->job->arrived }, date);
	ok = part(d, out, "Delivery report", "message/delivery-status") &&
	     buf_printf(out,
		 "\r\nReporting-MTA: dns; %s\r\nX-Postroad-Queue-ID: %016" PRIX64 "\r\n"
		 "X-Postroad-Sender: rfc822; %.*s\r\nArrival-Date: %s\r\n",
		 d->params->myhostname, d->job->id, STR_ARG(d->job->sender), date);
	while (ok && rest.n > 0) {
		if (!msg_failed_take(&rest, &f))
			return fail(E_IPC, "malformed list of failed recipients");
		ok = write_recipient(&f, out);
	}
	return ok ? OK : E_TOOBIG;
}

static bool
write_original(const struct dsn *d, struct buf *out)
{
	bool ok;

	ok = part(d, out, d->headers_only ? "Undelivered Message Headers" : "Undelivered Message",
	    d->headers_only ? "text/rfc822-headers" : "message/rfc822");
	if (ok && d->eight_bit)
		ok = buf_adds(out, "Content-Transfer-Encoding: 8bit\r\n");
	return ok && buf_printf(out, "\r\nReturn-Path: <%.*s>\r\n", STR_ARG(d->job->sender)) &&
	       buf_add(out, d->original) &&
	       (str_ends(d->original, STR("\r\n")) || buf_adds(out, "\r\n"));
}

enum err
dsn_write(const struct dsn *d, struct buf *out)
{
	if (!write_header(d, out))
		return fail(E_TOOBIG, "notice too large");
	TRY(write_text(d, out));
	TRY(write_status(d, out));
	if (!write_original(d, out) || !buf_adds(out, "\r\n--") || !write_boundary(d, out) ||
	    !buf_adds(out, "--\r\n"))
		return fail(E_TOOBIG, "notice too large");
	return OK;
}
