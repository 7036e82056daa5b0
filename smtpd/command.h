/* SPDX-License-Identifier: Apache-2.0 */
/* command.h - the SMTP commands, each once: what runs it, and when it may come.  No handler asks what state the session is in. */
#ifndef SMTPD_COMMAND_H
#define SMTPD_COMMAND_H

#include "smtpd/replies.h"
#include "util/str.h"

/* What a session has behind it.  S_HELLO is there from the start unless smtpd_helo_required. */
enum { S_HELLO = 1, S_MAIL = 2, S_RCPT = 4 };
/* C_JUNK: does no work for mail, only so many are free of charge (smtpd_junk_command_limit).  C_LAST: must be the last of a
 * pipelined group, RFC 2920 section 3.1. */
enum { C_JUNK = 1, C_LAST = 2 };
enum argument { ARG_NONE, ARG_ANY, ARG_NEEDED };
/* What becomes of the session after a command.  V_OK counts as good, V_BAD as an error of the client's. */
enum verdict { V_OK, V_BAD, V_CLOSE };

/* clang-format off */
/*        verb      runs       needs            bars    too early    argument    else refused with  flags */
#define SMTP_COMMANDS(C) \
	C(HELO,     helo,      0,               0,      NEED_HELO,   ARG_NEEDED, SYNTAX_HELO,       C_JUNK | C_LAST) \
	C(EHLO,     ehlo,      0,               0,      NEED_HELO,   ARG_NEEDED, SYNTAX_EHLO,       C_JUNK | C_LAST) \
	C(STARTTLS, off,       0,               0,      NEED_HELO,   ARG_ANY,    OFF,               0) \
	C(AUTH,     auth_off,  0,               0,      NEED_HELO,   ARG_ANY,    OFF,               0) \
	C(MAIL,     mail,      S_HELLO,         S_MAIL, NEED_HELO,   ARG_NEEDED, SYNTAX_MAIL,       0) \
	C(RCPT,     rcpt,      S_MAIL,          0,      NEED_MAIL,   ARG_NEEDED, SYNTAX_RCPT,       0) \
	C(DATA,     data,      S_MAIL | S_RCPT, 0,      NEED_RCPT,   ARG_NONE,   SYNTAX_DATA,       C_LAST) \
	C(BDAT,     off,       0,               0,      NEED_RCPT,   ARG_ANY,    OFF,               0) \
	C(RSET,     rset,      0,               0,      NEED_HELO,   ARG_NONE,   SYNTAX_RSET,       C_JUNK) \
	C(NOOP,     noop,      0,               0,      NEED_HELO,   ARG_ANY,    OK,                C_JUNK | C_LAST) \
	C(VRFY,     vrfy,      0,               0,      NEED_HELO,   ARG_ANY,    SYNTAX_VRFY,       C_JUNK | C_LAST) \
	C(ETRN,     off,       0,               0,      NEED_HELO,   ARG_ANY,    OFF,               C_JUNK) \
	C(QUIT,     quit,      0,               0,      NEED_HELO,   ARG_ANY,    OK,                0) \
	C(HELP,     help,      0,               0,      NEED_HELO,   ARG_ANY,    OK,                C_JUNK)
/* clang-format on */

#define C(verb, run, needs, bars, early, arg, syntax, flags) CMD_##verb,
enum command_id { SMTP_COMMANDS(C) CMD_COUNT };        /* CMD_COUNT also stands for what is none of them */
#undef C

struct session;
struct command {
	const char   *verb;
	enum verdict (*run)(struct session *s, struct str arg);
	unsigned      needs, bars;                     /* S_ bits that must be set, that must not be */
	enum reply_id early;
	enum argument arg;
	enum reply_id syntax;
	unsigned      flags;                           /* C_ */
};
extern const struct command smtp_commands[CMD_COUNT];

/* NULL: none of ours. */
const struct command *command_find(struct str verb);
/* May it run now?  SAY_OK, or the refusal. */
enum reply_id command_check(const struct command *c, unsigned state, struct str arg);

/* The handlers. */
enum verdict do_helo(struct session *s, struct str arg);
enum verdict do_ehlo(struct session *s, struct str arg);
enum verdict do_off(struct session *s, struct str arg);
enum verdict do_auth_off(struct session *s, struct str arg);
enum verdict do_mail(struct session *s, struct str arg);
enum verdict do_rcpt(struct session *s, struct str arg);
enum verdict do_data(struct session *s, struct str arg);
enum verdict do_rset(struct session *s, struct str arg);
enum verdict do_noop(struct session *s, struct str arg);
enum verdict do_vrfy(struct session *s, struct str arg);
enum verdict do_quit(struct session *s, struct str arg);
enum verdict do_help(struct session *s, struct str arg);

#endif
