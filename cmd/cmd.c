/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd.h"

#include <stdarg.h>
#include <stdio.h>

void
cmd_warn(const struct cmd *c, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "%s: ", c->name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

bool
cmd_params(const struct cmd *c, struct params *p)
{
	struct str why, line;

	if (params_load(p, c->dir, NULL, 0) == OK)
		return true;
	for (why = str_of(err_why()); str_cut(&why, '\n', &line);)
		cmd_warn(c, "%.*s", STR_ARG(line));
	return false;
}
