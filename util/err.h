/* SPDX-License-Identifier: Apache-2.0 */
/* err.h - one result type for the whole house.
 *
 * A function that can fail returns enum err; OK is 0.  Every error has an SMTP meaning, so a result
 * found deep in util/ can be answered at the edge unchanged: what we do not understand is temporary,
 * and mail is never lost to an accident. */
#ifndef UTIL_ERR_H
#define UTIL_ERR_H

#include <stdarg.h>

/*        name         reply  esc      meaning */
#define ERRORS(E) \
	E(OK,          250, "2.0.0", "ok") \
	E(E_IO,        451, "4.3.0", "local i/o error") \
	E(E_NOSPACE,   452, "4.3.1", "mail system full") \
	E(E_NOENT,     451, "4.3.0", "no such file or service") \
	E(E_BUSY,      451, "4.3.0", "in use") \
	E(E_EXISTS,    451, "4.3.0", "exists already") \
	E(E_PERM,      451, "4.3.0", "permission denied") \
	E(E_TIMEOUT,   421, "4.4.2", "timed out") \
	E(E_EOF,       421, "4.4.2", "connection lost") \
	E(E_CONNECT,   451, "4.4.1", "cannot connect") \
	E(E_DNS_TEMP,  451, "4.4.3", "name server failure") \
	E(E_DNS_NONE,  550, "5.1.2", "no such domain") \
	E(E_TOOBIG,    552, "5.3.4", "message too big") \
	E(E_TOOLONG,   500, "5.5.2", "line too long") \
	E(E_SYNTAX,    501, "5.5.2", "syntax error") \
	E(E_REFUSED,   550, "5.0.0", "refused by peer") \
	E(E_DEFERRED,  450, "4.0.0", "deferred by peer") \
	E(E_STOPPED,   421, "4.3.2", "shutting down") \
	E(E_CORRUPT,   451, "4.3.0", "damaged data") \
	E(E_IPC,       451, "4.3.0", "internal protocol error")

#define E(name, reply, esc, text) name,
enum err { ERRORS(E) ERR_COUNT };
#undef E

#define MUST_USE __attribute__((warn_unused_result))
#define TRY(expr) do { enum err e_ = (expr); if (e_ != OK) return e_; } while (0)

/* Record why the current task (or helper thread) failed, and return e:
 *	return fail(E_IO, "rename %s", path);
 * fail_errno() adds ": strerror(errno)" and picks the error from errno (ENOSPC, EDQUOT and EFBIG become
 * E_NOSPACE, ENOENT E_NOENT, EACCES/EPERM E_PERM, EEXIST E_EXISTS, all else E_IO). */
enum err    fail(enum err e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
enum err    fail_errno(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
enum err    err_of_errno(int errnum);
const char *err_why(void);                             /* text of the last fail() in this task */
/* Where fail() keeps its words: tasks install their own while they run.  NULL: a per-thread one. */
enum { ERR_WHY_MAX = 512 };
void        err_why_install(char *why /* ERR_WHY_MAX bytes */);
int         err_reply(enum err e);
const char *err_esc(enum err e);
const char *err_text(enum err e);
const char *err_name(enum err e);

#endif
