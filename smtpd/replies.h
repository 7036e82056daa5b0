/* SPDX-License-Identifier: Apache-2.0 */
/* replies.h - every reply of the server, once.  %h stands for $myhostname, %s for the one text that goes with it; class: what notify_classes
 * calls it (TROUBLE_). */
#ifndef SMTPD_REPLIES_H
#define SMTPD_REPLIES_H

/* clang-format off */
/*        name               class     reply */
#define REPLIES(R) \
	R(HELO_OK,           NONE,     "250 %h") \
	R(OK,                NONE,     "250 2.0.0 Ok") \
	R(MAIL_OK,           NONE,     "250 2.1.0 Ok") \
	R(RCPT_OK,           NONE,     "250 2.1.5 Ok") \
	R(DATA_GO,           NONE,     "354 End data with <CR><LF>.<CR><LF>") \
	R(QUEUED,            NONE,     "250 2.0.0 Ok: queued as %s") \
	R(VRFY_OK,           NONE,     "252 2.0.0 %s") \
	R(HELP,              NONE,     "214 2.0.0 Commands: %s") \
	R(BYE,               NONE,     "221 2.0.0 Bye") \
	R(FORBIDDEN,         POLICY,   "221 2.7.0 Error: I can break rules, too. Goodbye.") \
	R(TIMEOUT,           PROTOCOL, "421 4.4.2 %h Error: timeout exceeded") \
	R(TOO_MANY_ERRORS,   PROTOCOL, "421 4.7.0 %h Error: too many errors") \
	R(TOO_MANY_SESSIONS, POLICY,   "421 4.7.0 %h Error: too many connections from %s") \
	R(SHUTDOWN,          NONE,     "421 4.3.2 %h Service shutting down") \
	R(SERVER_ERROR,      SOFTWARE, "421 4.3.0 %h Server local error") \
	R(SYNC,              PROTOCOL, "554 5.5.0 Error: SMTP protocol synchronization") \
	R(UNKNOWN,           PROTOCOL, "500 5.5.2 Error: command not recognized") \
	R(BAD_SYNTAX,        PROTOCOL, "500 5.5.2 Error: bad syntax") \
	R(TOO_LONG,          PROTOCOL, "500 5.5.2 %h Error: command too long") \
	R(TLS_HERE,          PROTOCOL, "500 5.5.2 %h Error: TLS handshake without STARTTLS") \
	R(OFF,               PROTOCOL, "502 5.5.1 Error: command not implemented") \
	R(AUTH_OFF,          PROTOCOL, "503 5.5.1 Error: authentication not enabled") \
	R(VRFY_OFF,          POLICY,   "502 5.5.1 VRFY command is disabled") \
	R(BARE_LF,           PROTOCOL, "%s 5.5.2 %h Error: bare <LF> received") \
	R(NEED_HELO,         PROTOCOL, "503 5.5.1 Error: send HELO/EHLO first") \
	R(NESTED_MAIL,       PROTOCOL, "503 5.5.1 Error: nested MAIL command") \
	R(NEED_MAIL,         PROTOCOL, "503 5.5.1 Error: need MAIL command") \
	R(NEED_RCPT,         PROTOCOL, "503 5.5.1 Error: need RCPT command") \
	R(NO_RCPTS,          POLICY,   "554 5.5.1 Error: no valid recipients") \
	R(SYNTAX_HELO,       PROTOCOL, "501 Syntax: HELO hostname") \
	R(SYNTAX_EHLO,       PROTOCOL, "501 Syntax: EHLO hostname") \
	R(SYNTAX_MAIL,       PROTOCOL, "501 5.5.4 Syntax: MAIL FROM:<address>") \
	R(SYNTAX_RCPT,       PROTOCOL, "501 5.5.4 Syntax: RCPT TO:<address>") \
	R(SYNTAX_VRFY,       PROTOCOL, "501 5.5.4 Syntax: VRFY address") \
	R(SYNTAX_DATA,       PROTOCOL, "501 5.5.4 Syntax: DATA") \
	R(SYNTAX_RSET,       PROTOCOL, "501 5.5.4 Syntax: RSET") \
	R(BAD_SENDER,        PROTOCOL, "501 5.1.7 Bad sender address syntax") \
	R(BAD_RCPT,          PROTOCOL, "501 5.1.3 Bad recipient address syntax") \
	R(BAD_SIZE,          PROTOCOL, "501 5.5.4 Bad message size syntax") \
	R(BAD_OPTION,        PROTOCOL, "555 5.5.4 Unsupported option: %s") \
	R(BAD_RET,           PROTOCOL, "501 5.5.4 Bad RET parameter syntax") \
	R(BAD_ENVID,         PROTOCOL, "501 5.5.4 Bad ENVID parameter syntax") \
	R(BAD_NOTIFY,        PROTOCOL, "501 5.5.4 Error: Bad NOTIFY parameter syntax") \
	R(BAD_ORCPT,         PROTOCOL, "501 5.5.4 Error: Bad ORCPT parameter syntax") \
	R(DSN_OFF,           POLICY,   "501 5.7.1 DSN support is disabled") \
	R(NEED_UTF8,         PROTOCOL, "553 5.6.7 Must declare SMTPUTF8 to send unicode address") \
	R(SIZE_LIMIT,        POLICY,   "552 5.3.4 Message size exceeds fixed limit") \
	R(NO_SPACE,          RESOURCE, "452 4.3.1 Insufficient system storage") \
	R(TOO_MANY_RCPTS,    POLICY,   "452 4.5.3 Error: too many recipients") \
	R(RELAY_DENIED,      POLICY,   "%s: Relay access denied") \
	R(UNKNOWN_USER,      POLICY,   "%s") \
	R(LOOKUP_FAILED,     SOFTWARE, "451 4.3.0 <%s>: Temporary lookup failure") \
	R(ALIAS_ERROR,       POLICY,   "554 5.4.6 Alias expansion error") \
	R(TOO_BIG,           POLICY,   "552 5.3.4 Error: message file too big") \
	R(TOO_MANY_HOPS,     POLICY,   "554 5.4.0 Error: too many hops") \
	R(WRITE_ERROR,       RESOURCE, "451 4.3.0 Error: queue file write error")
/* clang-format on */

#define R(name, class, text) SAY_##name,
enum reply_id { REPLIES(R) REPLY_COUNT };
#undef R

#endif
