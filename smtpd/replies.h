/* SPDX-License-Identifier: Apache-2.0 */
/* replies.h - every reply of the server, once.  %h stands for $myhostname, %s for the one text that goes with it. */
#ifndef SMTPD_REPLIES_H
#define SMTPD_REPLIES_H

/* clang-format off */
/*        name               reply */
#define REPLIES(R) \
	R(HELO_OK,           "250 %h") \
	R(OK,                "250 2.0.0 Ok") \
	R(MAIL_OK,           "250 2.1.0 Ok") \
	R(RCPT_OK,           "250 2.1.5 Ok") \
	R(DATA_GO,           "354 End data with <CR><LF>.<CR><LF>") \
	R(QUEUED,            "250 2.0.0 Ok: queued as %s") \
	R(VRFY_OK,           "252 2.0.0 %s") \
	R(HELP,              "214 2.0.0 Commands: %s") \
	R(BYE,               "221 2.0.0 Bye") \
	R(FORBIDDEN,         "221 2.7.0 Error: I can break rules, too. Goodbye.") \
	R(TIMEOUT,           "421 4.4.2 %h Error: timeout exceeded") \
	R(TOO_MANY_ERRORS,   "421 4.7.0 %h Error: too many errors") \
	R(TOO_MANY_SESSIONS, "421 4.7.0 %h Error: too many connections from %s") \
	R(SHUTDOWN,          "421 4.3.2 %h Service shutting down") \
	R(SERVER_ERROR,      "421 4.3.0 %h Server local error") \
	R(SYNC,              "554 5.5.0 Error: SMTP protocol synchronization") \
	R(UNKNOWN,           "500 5.5.2 Error: command not recognized") \
	R(BAD_SYNTAX,        "500 5.5.2 Error: bad syntax") \
	R(TOO_LONG,          "500 5.5.2 %h Error: command too long") \
	R(TLS_HERE,          "500 5.5.2 %h Error: TLS handshake without STARTTLS") \
	R(OFF,               "502 5.5.1 Error: command not implemented") \
	R(AUTH_OFF,          "503 5.5.1 Error: authentication not enabled") \
	R(VRFY_OFF,          "502 5.5.1 VRFY command is disabled") \
	R(BARE_LF,           "%s 5.5.2 %h Error: bare <LF> received") \
	R(NEED_HELO,         "503 5.5.1 Error: send HELO/EHLO first") \
	R(NESTED_MAIL,       "503 5.5.1 Error: nested MAIL command") \
	R(NEED_MAIL,         "503 5.5.1 Error: need MAIL command") \
	R(NEED_RCPT,         "503 5.5.1 Error: need RCPT command") \
	R(NO_RCPTS,          "554 5.5.1 Error: no valid recipients") \
	R(SYNTAX_HELO,       "501 Syntax: HELO hostname") \
	R(SYNTAX_EHLO,       "501 Syntax: EHLO hostname") \
	R(SYNTAX_MAIL,       "501 5.5.4 Syntax: MAIL FROM:<address>") \
	R(SYNTAX_RCPT,       "501 5.5.4 Syntax: RCPT TO:<address>") \
	R(SYNTAX_VRFY,       "501 5.5.4 Syntax: VRFY address") \
	R(SYNTAX_DATA,       "501 5.5.4 Syntax: DATA") \
	R(SYNTAX_RSET,       "501 5.5.4 Syntax: RSET") \
	R(BAD_SENDER,        "501 5.1.7 Bad sender address syntax") \
	R(BAD_RCPT,          "501 5.1.3 Bad recipient address syntax") \
	R(BAD_SIZE,          "501 5.5.4 Bad message size syntax") \
	R(BAD_OPTION,        "555 5.5.4 Unsupported option: %s") \
	R(BAD_RET,           "501 5.5.4 Bad RET parameter syntax") \
	R(BAD_ENVID,         "501 5.5.4 Bad ENVID parameter syntax") \
	R(BAD_NOTIFY,        "501 5.5.4 Error: Bad NOTIFY parameter syntax") \
	R(BAD_ORCPT,         "501 5.5.4 Error: Bad ORCPT parameter syntax") \
	R(DSN_OFF,           "501 5.7.1 DSN support is disabled") \
	R(NEED_UTF8,         "553 5.6.7 Must declare SMTPUTF8 to send unicode address") \
	R(SIZE_LIMIT,        "552 5.3.4 Message size exceeds fixed limit") \
	R(NO_SPACE,          "452 4.3.1 Insufficient system storage") \
	R(TOO_MANY_RCPTS,    "452 4.5.3 Error: too many recipients") \
	R(RELAY_DENIED,      "%s: Relay access denied") \
	R(UNKNOWN_USER,      "%s") \
	R(LOOKUP_FAILED,     "451 4.3.0 <%s>: Temporary lookup failure") \
	R(ALIAS_ERROR,       "554 5.4.6 Alias expansion error") \
	R(TOO_BIG,           "552 5.3.4 Error: message file too big") \
	R(TOO_MANY_HOPS,     "554 5.4.0 Error: too many hops") \
	R(WRITE_ERROR,       "451 4.3.0 Error: queue file write error")
/* clang-format on */

#define R(name, text) SAY_##name,
enum reply_id { REPLIES(R) REPLY_COUNT };
#undef R

#endif
