/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/dsn.h"

#include <inttypes.h>

#include "mail/addr.h"
#include "mail/addrlist.h"
#include "mail/header.h"

enum {
	FOLD_COLUMNS = 78, /* RFC 5322 section 2.1.1, */
	WORD_MAX = 900,    /* and its hard limit of 998 */
	ADDRESS_MOST = 4096,
	TEXT_MOST = 64 << 10,
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

/* Texts of others, made harmless: where bytes over 127 are not agreed on they become '?', control
 * characters always do. */
static bool
add_safe(const struct dsn *d, struct buf *out, struct str text)
{
	size_t from = out->n;

	if (!d->utf8 || !str_is_utf8(text))
		return buf_add_clean(out, text);
	if (!buf_add(out, text))
		return false;
	for (size_t i = from; i < out->n; i++)
		if ((unsigned char)out->p[i] < ' ' || out->p[i] == 127)
			out->p[i] = '?';
	return true;
}

/* "Name: rfc822; address"; RFC 6533 section 3 has another type for those that are not ASCII. */
static bool
add_address(const struct dsn *d, struct buf *out, const char *name, struct str address)
{
	const char *type = d->utf8 && !str_ascii(address) ? "utf-8" : "rfc822";

	return buf_printf(out, "%s: %s; ", name, type) && add_safe(d, out, address) &&
	       buf_adds(out, "\r\n");
}

/* The name of the mail system as part of a field's name. */
static bool
add_system(const struct dsn *d, struct buf *out)
{
	bool ok = true;

	for (const char *c = d->params->mail_name; ok && *c; c++) {
		bool alnum = (*c >= '0' && *c <= '9') || ((*c | 32) >= 'a' && (*c | 32) <= 'z');

		ok = buf_addc(out, alnum ? *c : '-');
	}
	return ok;
}

/* -- the header -- */

/* From: with the domain that its address may lack. */
static bool
add_from(const struct dsn *d, struct buf *out)
{
	struct addrlist l = { .text = buf_str(&d->template->from) };
	struct buf address = BUF(ADDRESS_MOST);
	size_t from, to;
	bool ok = buf_adds(out, "From: ");

	if (addrlist_next(&l, &address, &from, &to) && address.n > 0 &&
	    address_domain(buf_str(&address)).n == 0)
		ok = ok && buf_add(out, str_sub(l.text, 0, to)) &&
		     buf_printf(out, "@%s", d->params->myorigin);
	else
		to = 0;
	ok = ok && buf_add(out, str_sub(l.text, to, l.text.n)) && buf_adds(out, "\r\n");
	buf_free(&address);
	return ok;
}

static bool
is_eight_bit(const struct dsn *d)
{
	return d->eight_bit || d->utf8 || !str_ascii(buf_str(&d->template->text));
}

static bool
write_header(const struct dsn *d, struct buf *out)
{
	const struct buf *subject = d->postmaster && d->template->postmaster_subject.n > 0
					? &d->template->postmaster_subject
					: &d->template->subject;
	const char *host = d->params->myhostname;
	char date[TIME_RFC5322];

	wall_rfc5322(d->now, date);
	return received_put(d->now, d->id, host, d->params->mail_name, out) &&
	       buf_printf(out, "Date: %s\r\n", date) &&
	       add_from(d, out) && buf_printf(out, "Subject: %s\r\nTo: ", buf_cstr(subject)) &&
	       add_safe(d, out, d->to) &&
	       buf_printf(out,
		   "\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
		   "Content-Type: multipart/report; "
		   "report-type=%sdelivery-status;\r\n\tboundary=\"",
		   d->utf8 ? "global-" : "") &&
	       write_boundary(d, out) &&
	       buf_printf(out, "\"\r\nContent-Transfer-Encoding: %s\r\nMessage-Id: ",
		   is_eight_bit(d) ? "8bit" : "7bit") &&
	       message_id_put(d->now, d->id, host, out) &&
	       buf_adds(out, "\r\n\r\nThis is a MIME-encapsulated message.\r\n");
}

/* -- what a person reads -- */

static bool
write_recipient_line(const struct dsn *d, const struct msg_failed *f, struct buf *out)
{
	struct buf text = BUF(TEXT_MOST);
	bool ok = buf_adds(out, "\r\n<") && add_safe(d, out, f->addr) && buf_addc(out, '>');

	if (ok && f->orig.n > 0 && !str_eq(f->orig, f->addr))
		ok = buf_adds(out, " (expanded from <") && add_safe(d, out, f->orig) &&
		     buf_adds(out, ">)");
	ok = ok && add_safe(d, &text, f->text) && fold_field(out, "", buf_str(&text));
	buf_free(&text);
	return ok;
}

static enum err
write_text(const struct dsn *d, struct buf *out)
{
	const struct template *t = d->template;
	struct str rest = buf_str(&t->text), line;
	struct buf type = BUF(0);
	struct msg_failed f;
	bool ok = buf_printf(
		      &type, "text/plain; charset=%s", d->utf8 ? "utf-8" : buf_cstr(&t->charset)) &&
		  part(d, out, "Notification", buf_cstr(&type));

	buf_free(&type);
	if (d->utf8 || !str_ascii(rest))
		ok = ok && buf_adds(out, "Content-Transfer-Encoding: 8bit\r\n");
	ok = ok && buf_adds(out, "\r\n");
	while (ok && str_cut(&rest, '\n', &line))
		ok = buf_add(out, line) && buf_adds(out, "\r\n");
	for (rest = d->job->failed; ok && rest.n > 0;) {
		if (!msg_failed_take(&rest, &f))
			return fail(E_IPC, "malformed list of recipients");
		ok = write_recipient_line(d, &f, out);
	}
	return ok ? OK : fail(E_TOOBIG, "notice too large");
}

/* -- what a program reads -- */

static bool
write_diagnostic(const struct dsn *d, const struct msg_failed *f, struct buf *out)
{
	struct buf said = BUF(TEXT_MOST);
	bool ok;

	if (f->diag.n > 0)
		ok = buf_adds(&said, "smtp; ") && add_safe(d, &said, f->diag);
	else
		ok = buf_adds(&said, "X-") && add_system(d, &said) && buf_adds(&said, "; ") &&
		     add_safe(d, &said, f->text);
	ok = ok && fold_field(out, "Diagnostic-Code", buf_str(&said));
	buf_free(&said);
	return ok;
}

static bool
write_original_recipient(const struct dsn *d, const struct msg_failed *f, struct buf *out)
{
	struct str orcpt = f->index < d->norcpts ? d->orcpts[f->index] : STR("");

	if (orcpt.n == 0 && f->orig.n == 0)
		return true;
	if (orcpt.n == 0)
		return buf_printf(out, "Original-Recipient: %s;",
			   d->utf8 && !str_ascii(f->orig) ? "utf-8" : "rfc822") &&
		       add_safe(d, out, f->orig) && buf_adds(out, "\r\n");
	return buf_adds(out, "Original-Recipient: ") && add_safe(d, out, orcpt) &&
	       buf_adds(out, "\r\n");
}

static bool
write_recipient(const struct dsn *d, const struct msg_failed *f, struct buf *out)
{
	static const char *const actions[ACTION_COUNT] = { [ACTION_DELIVERED] = "delivered",
		[ACTION_RELAYED] = "relayed",
		[ACTION_PASSED] = "relayed",
		[ACTION_EXPANDED] = "expanded",
		[ACTION_FAILED] = "failed",
		[ACTION_DELAYED] = "delayed",
		[ACTION_DELIVERABLE] = "deliverable",
		[ACTION_UNDELIVERABLE] = "undeliverable" };
	char until[TIME_RFC5322];
	bool ok = buf_adds(out, "\r\n") && add_address(d, out, "Final-Recipient", f->addr) &&
		  write_original_recipient(d, f, out) &&
		  buf_printf(out, "Action: %s\r\nStatus: ",
		      actions[f->action < ACTION_COUNT ? f->action : ACTION_FAILED]) &&
		  add_safe(d, out, f->esc) && buf_adds(out, "\r\n");

	if (ok && f->mta.n > 0)
		ok = buf_adds(out, "Remote-MTA: dns; ") && add_safe(d, out, f->mta) &&
		     buf_adds(out, "\r\n");
	ok = ok && write_diagnostic(d, f, out);
	wall_rfc5322(d->until, until);
	if (ok && f->action == ACTION_DELAYED)
		ok = buf_printf(out, "Will-Retry-Until: %s\r\n", until);
	return ok;
}

static enum err
write_status(const struct dsn *d, struct buf *out)
{
	struct str rest = d->job->failed;
	struct msg_failed f;
	char date[TIME_RFC5322];
	bool ok = part(d, out, "Delivery report",
	    d->utf8 ? "message/global-delivery-status" : "message/delivery-status");

	wall_rfc5322((struct wall){ d->job->arrived }, date);
	if (ok && d->utf8)
		ok = buf_adds(out, "Content-Transfer-Encoding: 8bit\r\n");
	ok = ok && buf_printf(out, "\r\nReporting-MTA: dns; %s\r\n", d->params->myhostname);
	if (ok && d->envid.n > 0)
		ok = buf_adds(out, "Original-Envelope-Id: ") && add_safe(d, out, d->envid) &&
		     buf_adds(out, "\r\n");
	ok = ok && buf_adds(out, "X-") && add_system(d, out) &&
	     buf_printf(out, "-Queue-ID: %016" PRIX64 "\r\n", d->job->id) && buf_adds(out, "X-") &&
	     add_system(d, out) && add_address(d, out, "-Sender", d->job->sender) &&
	     buf_printf(out, "Arrival-Date: %s\r\n", date);
	while (ok && rest.n > 0) {
		if (!msg_failed_take(&rest, &f))
			return fail(E_IPC, "malformed list of recipients");
		ok = write_recipient(d, &f, out);
	}
	return ok ? OK : fail(E_TOOBIG, "notice too large");
}

/* -- the message -- */

static bool
write_original(const struct dsn *d, struct buf *out)
{
	static const char *const types[2][2] = {
		{"message/rfc822",       "message/global"        },
		{ "text/rfc822-headers", "message/global-headers"}
	};
	struct buf description = BUF(0);
	bool ok = buf_printf(&description, "%sMessage%s",
		      d->job->kind == NOTICE_FAILURE ? "Undelivered " : "",
		      d->headers_only ? " Headers" : "") &&
		  part(d, out, buf_cstr(&description), types[d->headers_only][d->utf8]);

	buf_free(&description);
	if (ok && (d->eight_bit || d->utf8))
		ok = buf_adds(out, "Content-Transfer-Encoding: 8bit\r\n");
	return ok && buf_adds(out, "\r\nReturn-Path: <") && add_safe(d, out, d->job->sender) &&
	       buf_adds(out, ">\r\n") && buf_add(out, d->original) &&
	       (str_ends(d->original, STR("\r\n")) || d->original.n == 0 || buf_adds(out, "\r\n"));
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
