/* SPDX-License-Identifier: Apache-2.0 */
/* template.h - what notices to senders say to people: subject, sender, and the words above the list of recipients.  The built-in
 * ones, or those of bounce_template_file, in the form of Postfix's bounce(5):
 *
 *	# comments and empty lines between templates
 *	failure_template = <<EOF
 *	Charset: us-ascii
 *	From: MAILER-DAEMON (Mail Delivery System)
 *	Subject: Undelivered Mail Returned to Sender
 *	Postmaster-Subject: Postmaster Copy: Undelivered Mail
 *
 *	This is the mail system at $myhostname.
 *	EOF
 *
 * $name in the text is a setting, $name_hours a time in that unit, $$ a dollar sign.  What a file does not have keeps its built-in
 * text. */
#ifndef MAIL_TEMPLATE_H
#define MAIL_TEMPLATE_H

#include "mail/params.h"
#include "util/buf.h"

/* In the order of enum notice_kind of msgs.h. */
#define TEMPLATES(T) T(failure) T(delay) T(success) T(verify)
#define T(name) TEMPLATE_##name,
enum template_kind { TEMPLATES(T) TEMPLATE_COUNT };
#undef T

struct template {
	struct buf charset, from, subject, postmaster_subject;
	struct buf text;                               /* lines that end in LF; not expanded */
};
struct templates { struct template v[TEMPLATE_COUNT]; };

void     templates_init(struct templates *t);          /* the built-in ones */
void     templates_fini(struct templates *t);
/* Those that text has take the place of others.  E_SYNTAX: "NAME:LINE: what is wrong", and t is as it was. */
enum err templates_parse(struct templates *t, const char *name, struct str text) MUST_USE;
/* Built-in ones and those of bounce_template_file.  An error in that is returned, and leaves the built-in ones. */
enum err templates_load(struct templates *t, const struct params *p) MUST_USE;
/* $ replaced in all fields and texts, for those who send them.  E_SYNTAX. */
enum err templates_expand(struct templates *t, const struct params *p) MUST_USE;
/* In the form above: what `postconf -t` shows and, of expanded ones, -b. */
bool     templates_print(const struct templates *t, struct buf *out);
/* The template that a file calls so ("failure_template"); NULL: none. */
struct template *templates_find(struct templates *t, struct str name);

#endif
