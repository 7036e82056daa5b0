/* SPDX-License-Identifier: Apache-2.0 */
/* Changes to master.cf: one entry is made anew, everything else stays as it is, comments and all.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd/conf.h"
#include "cmd/conf_row.h"
#include "util/mem.h"
#include "util/proc.h"

enum { FILE_MAX_BYTES = 4 << 20 };

struct edit {
	const struct cmd *c;
	const struct conf_flags *f;
	struct str service, type, name, value; /* name: of a field or an option */
	struct buf out;                        /* the new file */
	unsigned hits;
};

static bool
part_is(struct str want, struct str part)
{
	return str_eq(want, STR("*")) || str_eq(want, part);
}

/* -- the entry, made anew -- */

static bool
set_field(struct edit *e, struct row *r)
{
	for (size_t i = 0; i < ROW_FIELDS; i++)
		if (str_eq(e->name, str_of(row_field_name(i)))) {
			r->field[i] = e->value;
			return true;
		}
	cmd_warn(e->c, "fatal: unknown field \"%.*s\"", STR_ARG(e->name));
	return false;
}

/* The command without the option, and, unless it is to go, with its new value at the end. */
static void
set_option(const struct edit *e, struct str command, bool remove, struct buf *out)
{
	struct str rest = command, from = command, option, all;
	bool blanks = str_find(e->value, ' ') < e->value.n || e->value.n == 0;

	while (row_next_override(&rest, &option, &all)) {
		struct str name = str_trim(str_sub(option, 0, str_find(option, '=')));

		if (!str_eq(name, e->name) && !(remove && str_eq(e->name, STR("*"))))
			continue;
		buf_add(out, (struct str){ from.p, (size_t)(all.p - from.p) });
		from = rest;
	}
	buf_add(out, from);
	if (!remove)
		buf_printf(out, blanks ? " -o {%.*s=%.*s}" : " -o %.*s=%.*s", STR_ARG(e->name),
		    STR_ARG(e->value));
}

/* False: it makes no sense, which was said. */
static bool
put_entry(struct edit *e, struct str line, struct str as_written)
{
	const struct conf_flags *f = e->f;
	struct buf command = BUF(FILE_MAX_BYTES);
	struct row r;
	bool good = true;

	if (f->comment_out) {
		struct str part;

		while (str_cut(&as_written, '\n', &part))
			buf_printf(&e->out, "#%.*s\n", STR_ARG(part));
		return true;
	}
	if (f->services && f->remove)
		return true;
	if (!row_parse(f->services ? e->value : line, &r)) {
		cmd_warn(
		    e->c, "fatal: \"%.*s\": fewer than %d fields", STR_ARG(e->value), ROW_FIELDS);
		return false;
	}
	if (f->fields)
		good = set_field(e, &r);
	if (f->service_params) {
		set_option(e, r.field[ROW_COMMAND], f->remove, &command);
		r.field[ROW_COMMAND] = buf_str(&command);
	}
	row_format(&r, true, &e->out);
	buf_addc(&e->out, '\n');
	buf_free(&command);
	return good;
}

/* -- the file -- */

static bool
continues(struct str line)
{
	return line.n > 0 && (line.p[0] == ' ' || line.p[0] == '\t');
}

static bool
is_comment(struct str line)
{
	struct str t = str_trim(line);

	return t.n == 0 || t.p[0] == '#';
}

static struct str
first_line(struct str text)
{
	return str_sub(text, 0, str_find(text, '\n'));
}

/* Lines of the entry that text begins with, comments in the middle included. */
static size_t
entry_bytes(struct str text, struct buf *joined)
{
	size_t at = 0, end = 0;

	while (at < text.n) {
		struct str line = first_line(str_sub(text, at, text.n));

		if (at > 0 && !continues(line) && !is_comment(line))
			break;
		at += line.n < text.n - at ? line.n + 1 : line.n;
		if (is_comment(line))
			continue;
		buf_printf(joined, "%s%.*s", end ? " " : "", STR_ARG(str_trim(line)));
		end = at;
	}
	return end;
}

/* Comments among the lines of an entry go before the new one. */
static void
keep_comments(struct edit *e, struct str entry)
{
	struct str line;

	while (!e->f->comment_out && str_cut(&entry, '\n', &line))
		if (is_comment(line) && line.n > 0)
			buf_printf(&e->out, "%.*s\n", STR_ARG(line));
}

static bool
edit_all(struct edit *e, struct str text)
{
	struct buf joined = BUF(FILE_MAX_BYTES);
	bool good = true;

	while (good && text.n > 0) {
		struct str line = first_line(text);
		size_t n = line.n < text.n ? line.n + 1 : line.n;
		struct row r;
		bool hit = false;

		if (!is_comment(line)) {
			buf_clear(&joined);
			n = entry_bytes(text, &joined);
			hit = row_parse(buf_str(&joined), &r) && part_is(e->service, r.field[0]) &&
			      part_is(e->type, r.field[1]);
		}
		e->hits += hit;
		if (hit)
			keep_comments(e, str_sub(text, 0, n));
		if (hit)
			good = put_entry(e, buf_str(&joined), str_sub(text, 0, n));
		else
			buf_add(&e->out, str_sub(text, 0, n));
		text = str_sub(text, n, text.n);
	}
	buf_free(&joined);
	return good;
}

static bool
take_name(struct edit *e, struct str arg)
{
	bool assigns = !e->f->remove && !e->f->comment_out;
	size_t eq = assigns ? str_find(arg, '=') : arg.n;
	struct str key = str_trim(str_sub(arg, 0, eq)), rest = key;

	e->value = str_trim(str_sub(arg, eq + 1, arg.n));
	if (assigns && eq == arg.n) {
		cmd_warn(e->c, "fatal: missing '=' after attribute name: \"%.*s\"", STR_ARG(arg));
		return false;
	}
	if (str_cut(&rest, '/', &e->service) && str_cut(&rest, '/', &e->type)) {
		e->name = rest;
		if ((rest.n > 0) == !e->f->services)
			return true;
	}
	cmd_warn(e->c, "fatal: \"%.*s\": must be service/type%s", STR_ARG(key),
	    e->f->services ? "" : "/name");
	return false;
}

static int
edit_one(struct edit *e, const char *path, struct str arg)
{
	struct buf text = BUF(FILE_MAX_BYTES);
	struct stat st;
	enum err err = proc_read_file(path, &text);
	bool good;

	if (err != OK || stat(path, &st) != 0) {
		cmd_warn(e->c, "fatal: %s", err_why());
		return EX_NOT_DONE;
	}
	e->out = BUF(FILE_MAX_BYTES);
	good = take_name(e, arg) && edit_all(e, buf_str(&text));
	if (good && e->hits == 0 && e->f->services && !e->f->remove && !e->f->comment_out)
		good = put_entry(e, e->value, STR("")) && ++e->hits;
	if (good && e->hits == 0)
		cmd_warn(e->c, "warning: unmatched request: \"%.*s\"", STR_ARG(arg));
	if (good && (err = proc_write_file(path, buf_str(&e->out), st.st_mode & 0777)) != OK) {
		cmd_warn(e->c, "fatal: %s", err_why());
		good = false;
	}
	buf_free(&e->out);
	buf_free(&text);
	return good ? EX_DONE : EX_NOT_DONE;
}

int
conf_change_master(const struct cmd *c, const struct conf_flags *f, char **changes, int n)
{
	struct buf path = BUF(0);
	int status = EX_DONE;

	if (f->fields && (f->remove || f->comment_out)) {
		cmd_warn(c, "fatal: a field has to have a value");
		return EX_BAD_USAGE;
	}
	if (f->service_params && f->comment_out) {
		cmd_warn(c, "fatal: -# is for whole entries (-M)");
		return EX_BAD_USAGE;
	}
	buf_printf(&path, "%s/master.cf", c->dir);
	for (int i = 0; i < n && status == EX_DONE; i++) {
		struct edit e = { .c = c, .f = f };

		status = edit_one(&e, buf_cstr(&path), str_of(changes[i]));
	}
	if (n == 0) {
		cmd_warn(c, "fatal: what is to be changed?");
		status = EX_BAD_USAGE;
	}
	buf_free(&path);
	return status;
}
