/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/conf_row.h"

/* Column that each field starts at. */
static const struct {
	const char *name;
	size_t column;
} fields[ROW_FIELDS] = {
	{"service",        0 },
	{ "type",          11},
	{ "private",       17},
	{ "unprivileged",  25},
	{ "chroot",        33},
	{ "wakeup",        41},
	{ "process_limit", 49},
	{ "command",       57},
};

const char *
row_field_name(size_t i)
{
	return fields[i].name;
}

bool
row_parse(struct str line, struct row *r)
{
	for (size_t i = 0; i < ROW_COMMAND; i++)
		if (!str_word(&line, " \t", &r->field[i]))
			return false;
	r->field[ROW_COMMAND] = str_trim(line);
	return r->field[ROW_COMMAND].n > 0;
}

bool
row_next_arg(struct str *rest, struct str *arg)
{
	size_t n = 0;
	int depth = 0;

	*rest = str_trim(*rest);
	if (rest->n == 0)
		return false;
	for (; n < rest->n; n++) {
		char c = rest->p[n];

		if (depth == 0 && (c == ' ' || c == '\t'))
			break;
		depth += c == '{';
		depth -= c == '}' && depth > 0;
	}
	*arg = str_sub(*rest, 0, n);
	*rest = str_sub(*rest, n, rest->n);
	return true;
}

/* "{ name = value }" without the braces. */
static struct str
unbraced(struct str arg)
{
	if (arg.n >= 2 && arg.p[0] == '{' && arg.p[arg.n - 1] == '}')
		return str_trim(str_sub(arg, 1, arg.n - 2));
	return arg;
}

bool
row_next_override(struct str *rest, struct str *text, struct str *all)
{
	struct str arg, first;

	while (row_next_arg(rest, &arg)) {
		if (!str_starts(arg, STR("-o")))
			continue;
		first = arg;
		if (arg.n == 2 && !row_next_arg(rest, &arg))
			return false;
		*all = (struct str){ first.p, (size_t)(arg.p + arg.n - first.p) };
		if (str_starts(arg, STR("-o")))
			arg = str_sub(arg, 2, arg.n);
		*text = unbraced(arg);
		return true;
	}
	return false;
}

static void
pad(struct buf *out, size_t column, size_t want)
{
	buf_printf(out, "%*s", column == 0 ? 0 : column < want ? (int)(want - column) : 1, "");
}

void
row_format(const struct row *r, bool fold, struct buf *out)
{
	struct str rest = r->field[ROW_COMMAND], arg;
	size_t start = out->n;

	for (size_t i = 0; i < ROW_COMMAND; i++) {
		pad(out, out->n - start, fields[i].column);
		buf_add(out, r->field[i]);
	}
	pad(out, out->n - start, fields[ROW_COMMAND].column);
	for (bool first = true; row_next_arg(&rest, &arg); first = false) {
		if (fold && str_starts(arg, STR("-o")))
			buf_adds(out, "\n    ");
		else if (!first)
			buf_addc(out, ' ');
		buf_add(out, arg);
	}
}
