/* SPDX-License-Identifier: Apache-2.0 */
#include "util/err.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define E(name, reply, esc, text) { reply, esc, text, #name },
static const struct { int reply; const char *esc, *text, *name; } errors[] = { ERRORS(E) };
#undef E

static _Thread_local char threads_own[ERR_WHY_MAX];
static _Thread_local char *installed;

static char *
place(void)
{
	return installed ? installed : threads_own;
}

void
err_why_install(char *why)
{
	installed = why;
}

const char *
err_why(void)
{
	return place();
}

/* By way of a local, so that the last failure's words may be among the arguments. */
static void
__attribute__((format(printf, 1, 0)))
set_why(const char *fmt, va_list ap, const char *more)
{
	char text[ERR_WHY_MAX];
	int n = vsnprintf(text, sizeof text, fmt, ap);

	if (n < 0)
		text[n = 0] = '\0';
	if (more && (size_t)n < sizeof text)
		snprintf(text + n, sizeof text - (size_t)n, ": %s", more);
	memcpy(place(), text, strlen(text) + 1);
}

enum err
fail(enum err e, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set_why(fmt, ap, NULL);
	va_end(ap);
	return e;
}

enum err
fail_errno(const char *fmt, ...)
{
	int saved = errno;
	char text[128];
	va_list ap;

	va_start(ap, fmt);
	set_why(fmt, ap, strerror_r(saved, text, sizeof text));
	va_end(ap);
	errno = saved;
	return err_of_errno(saved);
}

enum err
err_of_errno(int errnum)
{
	switch (errnum) {
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return E_NOSPACE;
	case ENOENT:
		return E_NOENT;
	case EACCES:
	case EPERM:
		return E_PERM;
	case EEXIST:
		return E_EXISTS;
	default:
		return E_IO;
	}
}

int
err_reply(enum err e)
{
	return errors[e].reply;
}

const char *
err_esc(enum err e)
{
	return errors[e].esc;
}

const char *
err_text(enum err e)
{
	return errors[e].text;
}

const char *
err_name(enum err e)
{
	return errors[e].name;
}
