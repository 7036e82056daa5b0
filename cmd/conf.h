/* SPDX-License-Identifier: Apache-2.0 */
/* conf.h - what the parts of `postroad conf` (and postconf) share. */
#ifndef CMD_CONF_H
#define CMD_CONF_H

#include "cmd/cmd.h"

struct conf_flags {
	bool        set, defaults, edit, remove, comment_out, expand, fold, value_only, name_only, json;
	bool        services, fields, service_params;  /* -M, -F, -P: master.cf */
	const char *overrides[64];
	size_t      noverrides;
};

/* Print master.cf: one line a service, or one a field, or one a -o; names (n of them, none: all) are "service", "service/type",
 * "service/type/field", each part may be '*'.  Returns the exit status. */
int  conf_show_master(const struct cmd *c, const struct conf_flags *f, char **names, int n);
/* "name = value" as the flags want it; value is one line. */
void conf_show_line(const struct conf_flags *f, struct str name, struct str value);
/* Words of text to stdout, one blank between, broken before column 80 when folding; column: where the line stands. */
void conf_show_folded(const struct conf_flags *f, struct str text, size_t column);

#endif
