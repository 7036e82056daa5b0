/* SPDX-License-Identifier: Apache-2.0 */
/* arguments.h - a command line taken apart.  Pure, and fed by strangers. */
#ifndef SMTPD_ARGUMENTS_H
#define SMTPD_ARGUMENTS_H

#include "mail/dsnparam.h"
#include "smtpd/replies.h"
#include "util/buf.h"
#include "util/str.h"

struct mail_args {
	struct buf address;                            /* "" is the null sender */
	uint64_t   size;                               /* SIZE=, RFC 1870; 0: not given */
	bool       body8;                              /* BODY=8BITMIME, RFC 6152 */
	bool       utf8;                               /* SMTPUTF8, RFC 6531 */
	uint8_t    ret, notify;                        /* RET= and NOTIFY=, RFC 3461 */
	struct buf envid, orcpt;                       /* ENVID= and ORCPT=, decoded */
};

/* ARGS_STRICT: as strict_rfc821_envelopes says; without it <> may be missing and a blank may follow the colon.  ARGS_DSN, ARGS_UTF8: these
 * extensions are on offer; for RCPT ARGS_UTF8 means that MAIL had SMTPUTF8. */
enum { ARGS_STRICT = 1, ARGS_DSN = 2, ARGS_UTF8 = 4 };

void arguments_init(struct mail_args *a);
void arguments_fini(struct mail_args *a);
/* "verb argument": both trimmed, the verb empty for an empty line. */
void line_split(struct str line, struct str *verb, struct str *arg);
/* What follows MAIL ("FROM:<a@b> SIZE=1") and RCPT ("TO:<a@b>"), RFC 5321 section 4.1.2.  how: ARGS_.  SAY_OK, or the refusal; *word
 * is then what it is about. */
enum reply_id mail_args_parse(struct str arg, unsigned how, struct mail_args *a, struct str *word);
enum reply_id rcpt_args_parse(struct str arg, unsigned how, struct mail_args *a, struct str *word);

#endif
