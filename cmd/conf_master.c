/* SPDX-License-Identifier: Apache-2.0 */
/* master.cf as `conf -M`, `-F` and `-P` show it.  What its fields mean is master's business. */
#include <stdio.h>

#include "cmd/conf.h"
#include "util/conf.h"
#include "util/mem.h"
#include "util/proc.h"

enum { FIELDS = 8, COMMAND = FIELDS - 1 };

/* Column that each field starts at, as every administrator's eyes know it. */
static const struct {
	const char *name;
	size_t column;
} fields[FIELDS] = {
	{ "service", 0 },	{ "type", 11 },	  { "private", 17 },	   { "unprivileged", 25 },
	{ "chroot", 33 },	{ "wakeup", 41 }, { "process_limit", 49 }, { "command", 57 },
};

struct row {
	struct str field[FIELDS];                      /* the last one with its arguments */
};

static bool
row_parse(struct str line, struct row *r)
{
	for (size_t i = 0; i < COMMAND; i++)
		if (!str_word(&line, " \t", &r->field[i]))
			return false;
	r->field[COMMAND] = str_trim(line);
	return r->field[COMMAND].n > 0;
}

/* The next argument of a command: a word, or { … } with its braces, blanks and all. */
static bool
next_arg(struct str *rest, struct str *arg)
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

/* The text of the next "-o text"; false when there is none left. */
static bool
next_override(struct str *rest, struct str *text)
{
	struct str arg;

	while (next_arg(rest, &arg)) {
		if (!str_starts(arg, STR("-o")))
			continue;
		if (arg.n == 2 && !next_arg(rest, &arg))
			return false;
		if (str_starts(arg, STR("-o")))
			arg = str_sub(arg, 2, arg.n);
		*text = unbraced(arg);
		return true;
	}
	return false;
}

/* Does a pattern "service/type/name" (or a front part of it) mean this one? */
static bool
part_wanted(struct str *pattern, struct str part)
{
	struct str want;

	if (!str_cut(pattern, '/', &want))
		return true;
	return str_eq(want, STR("*")) || str_eq(want, part);
}

static bool
wanted(const struct row *r, struct str name, char **names, int n)
{
	for (int i = 0; i < n; i++) {
		struct str pattern = str_of(names[i]);

		if (part_wanted(&pattern, r->field[0]) && part_wanted(&pattern, r->field[1]) &&
		    (name.n == 0 || part_wanted(&pattern, name)))
			return true;
	}
	return n == 0;
}

static void
show_json(const struct row *r)
{
	struct buf out = { 0 };

	for (size_t i = 0; i < FIELDS; i++) {
		buf_printf(&out, "%s\"%s\": ", i > 0 ? ", " : "{", fields[i].name);
		buf_add_json(&out, r->field[i]);
	}
	printf("%s}\n", buf_cstr(&out));
	buf_free(&out);
}

static void
show_row(const struct conf_flags *f, const struct row *r)
{
	struct str rest = r->field[COMMAND], arg;
	size_t column = 0;

	for (size_t i = 0; i < COMMAND; i++) {
		size_t pad = column == 0 ? 0 : column < fields[i].column ? fields[i].column - column : 1;

		printf("%*s%.*s", (int)pad, "", STR_ARG(r->field[i]));
		column += pad + r->field[i].n;
	}
	printf("%*s", column < fields[COMMAND].column ? (int)(fields[COMMAND].column - column) : 1, "");
	for (bool first = true; next_arg(&rest, &arg); first = false) {
		if (f->fold && str_starts(arg, STR("-o")))
			printf("\n    %.*s", STR_ARG(arg));
		else
			printf("%s%.*s", first ? "" : " ", STR_ARG(arg));
	}
	putchar('\n');
}

static void
show_named(const struct conf_flags *f, const struct row *r, struct str name, struct str value)
{
	struct buf full = { 0 };

	buf_printf(&full, "%.*s/%.*s/%.*s", STR_ARG(r->field[0]), STR_ARG(r->field[1]), STR_ARG(name));
	conf_show_line(f, buf_str(&full), value);
	buf_free(&full);
}

static int
show_service(const struct conf_flags *f, const struct row *r, char **names, int n)
{
	struct str rest = r->field[COMMAND], text;
	int shown = 0;

	if (f->fields) {
		for (size_t i = 0; i < FIELDS; i++)
			if (wanted(r, str_of(fields[i].name), names, n) && ++shown)
				show_named(f, r, str_of(fields[i].name), r->field[i]);
		return shown;
	}
	while (f->service_params && next_override(&rest, &text)) {
		size_t at = str_find(text, '=');
		struct str name = str_trim(str_sub(text, 0, at));

		if (wanted(r, name, names, n) && ++shown)
			show_named(f, r, name, str_trim(str_sub(text, at + 1, text.n)));
	}
	if (f->service_params || !wanted(r, STR(""), names, n))
		return shown;
	if (f->json)
		show_json(r);
	else
		show_row(f, r);
	return 1;
}

int
conf_show_master(const struct cmd *c, const struct conf_flags *f, char **names, int n)
{
	struct buf path = { 0 }, text = { 0 };
	struct conf_lines *lines;
	struct str line;
	unsigned at;
	int shown = 0, bad = 0;

	buf_printf(&path, "%s/master.cf", c->dir);
	if (proc_read_file(buf_cstr(&path), &text) != OK) {
		cmd_warn(c, "%s", err_why());
		buf_free(&path);
		return 1;
	}
	lines = conf_lines_open(buf_str(&text));
	while (conf_lines_next(lines, &line, &at)) {
		struct row r;

		if (row_parse(line, &r)) {
			shown += show_service(f, &r, names, n);
		} else {
			cmd_warn(c, "%s:%u:1: fewer than %d fields", buf_cstr(&path), at, FIELDS);
			bad++;
		}
	}
	conf_lines_close(&lines);
	buf_free(&text);
	buf_free(&path);
	return bad > 0 || (n > 0 && shown == 0);
}
