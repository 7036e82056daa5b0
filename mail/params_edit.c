/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <sys/stat.h>

#include "mail/params_table.h"
#include "util/proc.h"

enum { MAIN_CF_MODE = 0644 };

static bool
is_comment(struct str line)
{
	struct str text = str_trim(line);

	return text.n == 0 || text.p[0] == '#';
}

static bool
begins(struct str line, struct str name)
{
	struct str rest;

	line = str_trim(line); /* of what is not a continuation, but no part of the name: CR */
	if (!str_starts(line, name))
		return false;
	rest = str_trim(str_sub(line, name.n, line.n));
	return rest.n == 0 || rest.p[0] == '='; /* the sign may stand on the next line, indented */
}

/* The first definition is replaced and further ones are dropped: of several the last counts, which would undo the
 * change.  Comments stay, those between the lines of a dropped value too. */
void
params_rewrite(struct str text, struct str name, struct str replacement, enum params_change how,
    struct buf *out)
{
	bool found = false, inside = false;
	struct str line;

	while (str_cut(&text, '\n', &line)) {
		bool comment = is_comment(line);

		if (!comment && line.p[0] != ' ' && line.p[0] != '\t') {
			inside = begins(line, name);
			if (inside && !found)
				buf_add(out, replacement);
			found |= inside;
		}
		if (inside && !comment && how == PARAMS_COMMENT_OUT)
			buf_addc(out, '#');
		if (!inside || comment || how == PARAMS_COMMENT_OUT) {
			buf_add(out, line);
			buf_addc(out, '\n');
		}
	}
	if (!found)
		buf_add(out, replacement);
}

static enum err
edit_file(const char *path, struct str name, struct str value, enum params_change how)
{
	struct buf old = { 0 }, line = { 0 }, new = BUF(4 * BUF_MAX);
	struct stat st;
	enum err e;

	if (how == PARAMS_CHANGE) {
		buf_printf(&line, "%.*s =%s", STR_ARG(name), value.n > 0 ? " " : "");
		buf_add(&line, value);
		buf_addc(&line, '\n');
	}
	e = proc_read_file(path, &old);
	if (e == OK)
		params_rewrite(buf_str(&old), name, buf_str(&line), how, &new);
	if (e == OK && !str_eq(buf_str(&old), buf_str(&new)))
		e = proc_write_file(path, buf_str(&new),
		    stat(path, &st) == 0 ? st.st_mode & 07777 : MAIN_CF_MODE);
	buf_free(&new);
	buf_free(&line);
	buf_free(&old);
	return e;
}

static bool
is_name(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!((s.p[i] | 0x20) >= 'a' && (s.p[i] | 0x20) <= 'z') && !(s.p[i] >= '0' && s.p[i] <= '9') &&
		    strchr("_-.:/", s.p[i]) == NULL)
			return false;
	return s.n > 0;
}

enum err
params_change(const char *dir, struct str name, struct str value, enum params_change how)
{
	struct buf path = { 0 };
	char *real;
	enum err e;

	name = str_trim(name);
	value = str_trim(value);
	if (!is_name(name))
		return fail(E_SYNTAX, "not a name of a setting: \"%.*s\"", STR_ARG(name));
	for (size_t i = 0; i < value.n; i++)
		if (value.p[i] == '\n' || value.p[i] == '\r' || value.p[i] == '\0')
			return fail(E_SYNTAX, "%.*s: line end in the value", STR_ARG(name));
	if (value.n > BUF_MAX / 2)
		return fail(E_SYNTAX, "%.*s: value too long", STR_ARG(name));
	buf_printf(&path, "%s/main.cf", dir);
	/* A main.cf that is a link stays one. */
	real = realpath(buf_cstr(&path), NULL);
	e = real ? edit_file(real, name, value, how) : fail_errno("%s", buf_cstr(&path));
	free(real);
	buf_free(&path);
	return e;
}

enum err
params_edit(const char *dir, struct str name, struct str value)
{
	return params_change(dir, name, value, PARAMS_CHANGE);
}
