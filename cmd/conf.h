/* SPDX-License-Identifier: Apache-2.0 */
/* conf.h - what the parts of `postroad conf` (and postconf) share. */
#ifndef CMD_CONF_H
#define CMD_CONF_H

#include "cmd/cmd.h"

enum { EX_DONE = 0, EX_NOT_DONE = 1, EX_BAD_USAGE = 64 };

struct conf_flags {
	bool        postfix;                           /* called as postconf: complaints in its words, and they are no failure */
	unsigned    classes;                           /* PARAMS_ of params_class(); 0: all */
	bool        set, defaults, edit, remove, comment_out, expand, fold, value_only, name_only, json;
	bool        services, fields, service_params;  /* -M, -F, -P: master.cf */
	const char *overrides[64];
	size_t      noverrides;
};

/* Print settings of main.cf, or all there are; names (n of them, none: all).  Returns the exit status. */
int  conf_show(struct cmd *c, const struct conf_flags *f, char **names, int n);
/* Print master.cf: one line a service, or one a field, or one a -o; names (n of them, none: all) are "service", "service/type",
 * "service/type/field", each part may be '*'.  Returns the exit status. */
int  conf_show_master(const struct cmd *c, const struct conf_flags *f, char **names, int n);
/* Change master.cf: -M "service/type=line", -F "service/type/field=value", -P "service/type/name=value"; with -X or -# names
 * alone.  Comments and all other entries stay as they are.  Returns the exit status. */
int  conf_change_master(const struct cmd *c, const struct conf_flags *f, char **changes, int n);
/* Options of services that have no effect, each "name=value", with a warning. */
void conf_warn_master(const struct cmd *c, const struct params *p);
/* "name = value" as the flags want it; value is one line. */
void conf_show_line(const struct conf_flags *f, struct str name, struct str value);
/* Words of text to stdout, one blank between, broken before column 80 when folding; column: where the line stands. */
void conf_show_folded(const struct conf_flags *f, struct str text, size_t column);

#endif
