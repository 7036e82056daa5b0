/* SPDX-License-Identifier: Apache-2.0 */
/* conf_row.h - an entry of master.cf as text: its fields, the arguments of its command.  What they mean is master's business. */
#ifndef CMD_CONF_ROW_H
#define CMD_CONF_ROW_H

#include "util/buf.h"

enum { ROW_FIELDS = 8, ROW_COMMAND = ROW_FIELDS - 1 };

struct row {
	struct str field[ROW_FIELDS];                  /* the last one with its arguments */
};

bool        row_parse(struct str line, struct row *r);
const char *row_field_name(size_t i);                  /* "service", "type", …, "command" */
/* The next argument of a command: a word, or { … } with its braces, blanks and all. */
bool        row_next_arg(struct str *rest, struct str *arg);
/* The "name = value" of the next -o; what is before it is passed over.  *all: as it stands there, "-o" and all. */
bool        row_next_override(struct str *rest, struct str *text, struct str *all);
/* The entry in the columns of every administrator's eyes; fold: each -o on a line of its own. */
void        row_format(const struct row *r, bool fold, struct buf *out);

#endif
