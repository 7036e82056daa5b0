/* SPDX-License-Identifier: Apache-2.0 */
/* master.cf as `conf -M`, `-F` and `-P` show it.  What its fields mean is master's business. */
#include <stdio.h>

#include "cmd/conf.h"
#include "cmd/conf_row.h"
#include "util/conf.h"
#include "util/mem.h"
#include "util/proc.h"

enum { ROW_BYTES = 1 << 20 };

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

	for (size_t i = 0; i < ROW_FIELDS; i++) {
		buf_printf(&out, "%s\"%s\": ", i > 0 ? ", " : "{", row_field_name(i));
		buf_add_json(&out, r->field[i]);
	}
	printf("%s}\n", buf_cstr(&out));
	buf_free(&out);
}

static void
show_row(const struct conf_flags *f, const struct row *r)
{
	struct buf out = BUF(ROW_BYTES);

	row_format(r, f->fold, &out);
	puts(buf_cstr(&out));
	buf_free(&out);
}

static void
show_named(const struct conf_flags *f, const struct row *r, struct str name, struct str value)
{
	struct buf full = { 0 };

	buf_printf(
	    &full, "%.*s/%.*s/%.*s", STR_ARG(r->field[0]), STR_ARG(r->field[1]), STR_ARG(name));
	conf_show_line(f, buf_str(&full), value);
	buf_free(&full);
}

static int
show_service(const struct conf_flags *f, const struct row *r, char **names, int n)
{
	struct str rest = r->field[ROW_COMMAND], text, all;
	int shown = 0;

	if (f->fields) {
		for (size_t i = 0; i < ROW_FIELDS; i++)
			if (wanted(r, str_of(row_field_name(i)), names, n) && ++shown)
				show_named(f, r, str_of(row_field_name(i)), r->field[i]);
		return shown;
	}
	while (f->service_params && row_next_override(&rest, &text, &all)) {
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

void
conf_warn_master(const struct cmd *c, const struct params *p)
{
	struct buf path = { 0 }, text = { 0 };
	struct conf_lines *lines;
	struct str line;
	unsigned at;

	buf_printf(&path, "%s/master.cf", c->dir);
	if (proc_read_file(buf_cstr(&path), &text) == OK) {
		lines = conf_lines_open(buf_str(&text));
		while (conf_lines_next(lines, &line, &at)) {
			struct str option, all;
			struct row r;

			if (!row_parse(line, &r))
				continue;
			while (row_next_override(&r.field[ROW_COMMAND], &option, &all)) {
				size_t eq = str_find(option, '=');
				struct str name = str_trim(str_sub(option, 0, eq));

				if (params_class(p, name) == PARAMS_UNUSED)
					cmd_warn(c, "warning: %s: unused parameter: %.*s=%.*s",
					    buf_cstr(&path), STR_ARG(name),
					    STR_ARG(str_trim(str_sub(option, eq + 1, option.n))));
			}
		}
		conf_lines_close(&lines);
	}
	buf_free(&text);
	buf_free(&path);
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
			cmd_warn(
			    c, "%s:%u:1: fewer than %d fields", buf_cstr(&path), at, ROW_FIELDS);
			bad++;
		}
	}
	conf_lines_close(&lines);
	buf_free(&text);
	buf_free(&path);
	if (n > 0 && shown == 0)
		cmd_warn(c, "warning: unmatched request: \"%s\"", names[0]);
	return bad > 0 || (n > 0 && shown == 0 && !f->postfix);
}
