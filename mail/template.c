/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/template.h"

#include "util/log.h"
#include "util/mem.h"
#include "util/proc.h"

enum { LINE_MOST = 998, TEXT_MOST = 64 << 10, FILE_MOST = 1 << 20 };

/* Read by the same parser as a file of the administrator's. */
static const char built_in[] =
    "failure_template = <<EOF\n"
    "Charset: us-ascii\n"
    "From: Mail Delivery System <MAILER-DAEMON@$myhostname>\n"
    "Subject: Undelivered Mail Returned to Sender\n"
    "Postmaster-Subject: Postmaster Copy: Undelivered Mail\n"
    "\n"
    "This is the mail system of $myhostname.\n"
    "\n"
    "Your message did not reach the recipients below; the reason follows each\n"
    "address.  Nothing more will be tried for them.  A report for mail programs\n"
    "and what is returned of your message come after this text.\n"
    "\n"
    "For help, write to <postmaster@$myhostname> and include this notice.\n"
    "EOF\n"
    "delay_template = <<EOF\n"
    "Charset: us-ascii\n"
    "From: Mail Delivery System <MAILER-DAEMON@$myhostname>\n"
    "Subject: Delayed Mail (still being retried)\n"
    "Postmaster-Subject: Postmaster Warning: Delayed Mail\n"
    "\n"
    "This is the mail system of $myhostname.\n"
    "\n"
    "This is a warning only.  You need not send your message again.\n"
    "\n"
    "Your message has been waiting for $delay_warning_time_hours hours to reach the recipients\n"
    "below.  It will be tried until it is $maximal_queue_lifetime_days days old.\n"
    "\n"
    "For help, write to <postmaster@$myhostname> and include this notice.\n"
    "EOF\n"
    "success_template = <<EOF\n"
    "Charset: us-ascii\n"
    "From: Mail Delivery System <MAILER-DAEMON@$myhostname>\n"
    "Subject: Successful Mail Delivery Report\n"
    "\n"
    "This is the mail system of $myhostname.\n"
    "\n"
    "Your message was delivered to the recipients below.  Where it was handed to\n"
    "another mail system or expanded to other addresses, you may hear from there\n"
    "if it goes no further.\n"
    "EOF\n"
    "verify_template = <<EOF\n"
    "Charset: us-ascii\n"
    "From: Mail Delivery System <MAILER-DAEMON@$myhostname>\n"
    "Subject: Mail Delivery Status Report\n"
    "\n"
    "This is the mail system of $myhostname.\n"
    "\n"
    "Here is the delivery report that you asked for.\n"
    "EOF\n";

#define T(name) STR(#name "_template"),
static const struct str names[] = { TEMPLATES(T) };
#undef T

/* -- one template -- */

static void
template_fini(struct template *t)
{
	buf_free(&t->charset);
	buf_free(&t->from);
	buf_free(&t->subject);
	buf_free(&t->postmaster_subject);
	buf_free(&t->text);
}

static struct buf *
template_field(struct template *t, struct str name)
{
	return str_ieq(name, STR("Charset"))              ? &t->charset
	       : str_ieq(name, STR("From"))               ? &t->from
	       : str_ieq(name, STR("Subject"))            ? &t->subject
	       : str_ieq(name, STR("Postmaster-Subject")) ? &t->postmaster_subject
							  : NULL;
}

/* The file, line by line. */
struct lines {
	const char *name;
	struct str rest;
	unsigned n;
};

static enum err
wrong(const struct lines *l, const char *what)
{
	return fail(E_SYNTAX, "%s:%u: %s", l->name, l->n, what);
}

/* E_EOF: none is left. */
static enum err
next_line(struct lines *l, struct str *line)
{
	if (!str_cut(&l->rest, '\n', line))
		return E_EOF;
	l->n++;
	if (line->n > 0 && line->p[line->n - 1] == '\r')
		line->n--;
	if (line->n > LINE_MOST)
		return wrong(l, "longer than a line of a message may be");
	for (size_t i = 0; i < line->n; i++)
		if (((unsigned char)line->p[i] < ' ' && line->p[i] != '\t') || line->p[i] == 127)
			return wrong(l, "control character");
	return OK;
}

static enum err
parse_field(const struct lines *l, struct template *t, struct str line)
{
	size_t colon = str_find(line, ':');
	struct str value = str_trim(str_sub(line, colon + 1, line.n));
	struct buf *to = template_field(t, str_trim(str_sub(line, 0, colon)));

	if (colon == line.n || to == NULL)
		return wrong(
		    l, "not one of the fields Charset, From, Subject and Postmaster-Subject");
	if (to->n > 0 || value.n == 0)
		return wrong(l, to->n > 0 ? "the same field again" : "a field without text");
	ENSURE(buf_add(to, value));
	return OK;
}

static enum err
check(const struct lines *l, const struct template *t)
{
	bool plain = str_ieq(buf_str(&t->charset), STR("us-ascii"));

	if (t->charset.n == 0 || t->from.n == 0 || t->subject.n == 0)
		return wrong(l, "Charset, From or Subject is missing");
	if (str_find(buf_str(&t->charset), '"') < t->charset.n ||
	    str_find(buf_str(&t->charset), ' ') < t->charset.n)
		return wrong(l, "Charset is not the name of one");
	if (!str_ascii(buf_str(&t->from)) || !str_ascii(buf_str(&t->subject)) ||
	    !str_ascii(buf_str(&t->postmaster_subject)))
		return wrong(
		    l, "From and Subject must be ASCII; others are encoded as in RFC 2047");
	if (plain && !str_ascii(buf_str(&t->text)))
		return wrong(l, "text that is not in the charset us-ascii");
	return OK;
}

/* From behind "<<EOF" to the line that is EOF. */
static enum err
parse_template(struct lines *l, struct str end, struct template *t)
{
	bool header = true;
	struct str line;
	enum err e;

	*t = (struct template){ .text = BUF(TEXT_MOST) };
	while ((e = next_line(l, &line)) == OK && !str_eq(line, end)) {
		if (header && line.n > 0)
			TRY(parse_field(l, t, line));
		else if (!header && (!buf_add(&t->text, line) || !buf_addc(&t->text, '\n')))
			return wrong(l, "the text is too long");
		header = header && line.n > 0;
	}
	return e == E_EOF ? wrong(l, "the end of the template is missing")
	       : e == OK  ? check(l, t)
			  : e;
}

/* -- all of them -- */

struct template *
templates_find(struct templates *t, struct str name)
{
	for (size_t i = 0; i < countof(names); i++)
		if (str_eq(name, names[i]))
			return &t->v[i];
	return NULL;
}

/* "failure_template = <<EOF" */
static enum err
parse_start(const struct lines *l, struct str line, struct templates *t, struct template **which,
    struct str *end)
{
	size_t equals = str_find(line, '=');

	*end = str_trim(str_sub(line, equals + 1, line.n));
	*which = templates_find(t, str_trim(str_sub(line, 0, equals)));
	if (*which == NULL)
		return wrong(l, "not the name of a template");
	if (!str_starts(*end, STR("<<")))
		return wrong(l, "\"= <<EOF\" is missing after the name");
	*end = str_trim(str_sub(*end, 2, end->n));
	return end->n > 0 ? OK : wrong(l, "no word after <<");
}

static enum err
parse(struct lines *l, struct templates *t)
{
	struct template one = { 0 }, *which;
	struct str line, end;
	enum err e;

	while ((e = next_line(l, &line)) == OK) {
		line = str_trim(line);
		if (line.n == 0 || line.p[0] == '#')
			continue;
		TRY(parse_start(l, line, t, &which, &end));
		e = parse_template(l, end, &one);
		if (e != OK) {
			template_fini(&one);
			return e;
		}
		template_fini(which);
		*which = one;
	}
	return e == E_EOF ? OK : e;
}

enum err
templates_parse(struct templates *t, const char *name, struct str text)
{
	struct templates fresh = { 0 };
	struct lines l = { .name = name, .rest = text };
	enum err e = parse(&l, &fresh);

	for (size_t i = 0; i < TEMPLATE_COUNT; i++) {
		if (e == OK && fresh.v[i].charset.n > 0) {
			template_fini(&t->v[i]);
			t->v[i] = fresh.v[i];
		} else {
			template_fini(&fresh.v[i]);
		}
	}
	return e;
}

void
templates_init(struct templates *t)
{
	*t = (struct templates){ 0 };
	ENSURE(templates_parse(t, "built-in", str_of(built_in)) == OK);
}

void
templates_fini(struct templates *t)
{
	for (size_t i = 0; i < TEMPLATE_COUNT; i++)
		template_fini(&t->v[i]);
}

enum err
templates_load(struct templates *t, const struct params *p)
{
	struct buf text = BUF(FILE_MOST);
	enum err e = OK;

	templates_init(t);
	if (p->bounce_template_file[0])
		e = proc_read_file(p->bounce_template_file, &text);
	if (e == OK)
		e = templates_parse(t, p->bounce_template_file, buf_str(&text));
	buf_free(&text);
	return e;
}

static enum err
expand(struct buf *text, const struct params *p)
{
	struct buf out = BUF(2 * TEXT_MOST);
	enum err e = params_expand(p, buf_str(text), &out);

	if (e == OK) {
		buf_free(text);
		*text = out;
	} else {
		buf_free(&out);
	}
	return e;
}

enum err
templates_expand(struct templates *t, const struct params *p)
{
	for (size_t i = 0; i < TEMPLATE_COUNT; i++) {
		TRY(expand(&t->v[i].from, p));
		TRY(expand(&t->v[i].subject, p));
		TRY(expand(&t->v[i].postmaster_subject, p));
		TRY(expand(&t->v[i].text, p));
	}
	return OK;
}

static bool
print_field(const char *name, const struct buf *value, struct buf *out)
{
	return value->n == 0 || buf_printf(out, "%s: %s\n", name, buf_cstr(value));
}

static bool
print_template(const struct template *t, struct buf *out)
{
	return print_field("Charset", &t->charset, out) && print_field("From", &t->from, out) &&
	       print_field("Subject", &t->subject, out) &&
	       print_field("Postmaster-Subject", &t->postmaster_subject, out) &&
	       buf_addc(out, '\n') && buf_add(out, buf_str(&t->text));
}

bool
templates_print(const struct templates *t, struct buf *out)
{
	bool ok = true;

	for (size_t i = 0; ok && i < TEMPLATE_COUNT; i++)
		ok = buf_printf(out, "%s%.*s = <<EOF\n", i ? "\n" : "", STR_ARG(names[i])) &&
		     print_template(&t->v[i], out) && buf_adds(out, "EOF\n");
	return ok;
}
