/* SPDX-License-Identifier: Apache-2.0 */
#include "util/conf.h"

#include "util/mem.h"
#include "util/proc.h"

enum { FILE_MAX = 16 << 20 };

/* Byte `at` of the joined text and those after it come from this line. */
struct part {
	size_t   at;
	unsigned line;
};

struct conf_lines {
	struct str   rest;
	unsigned     line;                             /* number of the line that rest starts with */
	struct buf   text;
	struct part *parts;
	size_t       nparts, cap;
};

struct conf_lines *
conf_lines_open(struct str whole_file)
{
	struct conf_lines *l = mem_new(sizeof *l);

	*l = (struct conf_lines){ .rest = whole_file, .line = 1, .text = BUF(whole_file.n + 1) };
	return l;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void
add_line(struct conf_lines *l, struct str line, unsigned number)
{
	if (l->nparts == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 8;
		l->parts = mem_grow(l->parts, l->cap * sizeof *l->parts);
	}
	l->parts[l->nparts++] = (struct part){ l->text.n, number };
	buf_add(&l->text, line);                       /* fits: its ceiling is the file's size */
}

bool
conf_lines_next(struct conf_lines *l, struct str *text, unsigned *line)
{
	buf_clear(&l->text);
	l->nparts = 0;
	while (l->rest.n > 0) {
		struct str next = l->rest, one, trimmed;

		str_cut(&next, '\n', &one);
		trimmed = str_trim(one);
		if (trimmed.n > 0 && trimmed.p[0] != '#') {
			if (l->nparts > 0 && !is_blank(one.p[0]))
				break;
			if (str_ends(one, STR("\r")))
				one.n--;
			add_line(l, one, l->line);
		}
		l->rest = next;
		l->line++;
	}
	if (l->nparts == 0)
		return false;
	*text = buf_str(&l->text);
	*line = l->parts[0].line;
	return true;
}

void
conf_position(const struct conf_lines *l, size_t byte_of_text, unsigned *line, unsigned *column)
{
	size_t i = l->nparts;

	while (i > 1 && l->parts[i - 1].at > byte_of_text)
		i--;
	*line = i ? l->parts[i - 1].line : l->line;
	*column = (unsigned)(byte_of_text - (i ? l->parts[i - 1].at : 0)) + 1;
}

void
conf_lines_close(struct conf_lines **l)
{
	if (*l == NULL)
		return;
	buf_free(&(*l)->text);
	free((*l)->parts);
	mem_free(l);
}

static struct conf_entry *
find(const struct conf *c, struct str name)
{
	struct map_node *n = map_get(&c->entries, name);

	return n ? container_of(n, struct conf_entry, node) : NULL;
}

static void
set(struct conf *c, struct str name, struct str value, unsigned line, unsigned column)
{
	struct conf_entry *e = find(c, name);

	if (e == NULL) {
		e = mem_new(sizeof *e);
		e->name = str_dup(name);
		map_put(&c->entries, str_of(e->name), &e->node);
	}
	free(e->value);
	e->value = str_dup(value);
	e->line = line;
	e->column = column;
}

static enum err
error_at(const struct conf_lines *l, const char *file, size_t at, const char *what)
{
	unsigned line, column;

	conf_position(l, at, &line, &column);
	return fail(E_SYNTAX, "%s:%u:%u: %s", file, line, column, what);
}

static enum err
parse_line(struct conf *c, const char *file, const struct conf_lines *l, struct str text)
{
	size_t equals = str_find(text, '='), nul = str_find(text, '\0'), at;
	struct str name = str_trim(str_sub(text, 0, equals)), value;
	unsigned line, column;

	if (nul < text.n)
		return error_at(l, file, nul, "NUL byte");
	if (is_blank(text.p[0]))
		return error_at(l, file, 0, "starts with a blank, but there is no line before it to continue");
	if (name.n == 0)
		return error_at(l, file, 0, "missing name before \"=\"");
	for (at = 0; at < name.n; at++)
		if (is_blank(name.p[at]))
			break;
	if (at < name.n)
		while (is_blank(name.p[at]))
			at++;
	if (equals == text.n || at < name.n)
		return error_at(l, file, at, "missing \"=\" after the name");
	value = str_trim(str_sub(text, equals + 1, text.n));
	/* An empty value stands where it would have begun, however many blanks follow. */
	conf_position(l, value.n ? (size_t)(value.p - text.p) : equals + 1, &line, &column);
	set(c, name, value, line, column);
	return OK;
}

enum err
conf_parse(struct conf *c, const char *file_name, struct str text)
{
	struct conf_lines *l = conf_lines_open(text);
	struct str joined;
	unsigned line;
	enum err e = OK;

	if (c->file == NULL)
		c->file = mem_dup(file_name);
	while (e == OK && conf_lines_next(l, &joined, &line))
		e = parse_line(c, file_name, l, joined);
	conf_lines_close(&l);
	return e;
}

enum err
conf_load(struct conf *c, const char *file)
{
	struct buf text = BUF(FILE_MAX);
	enum err e = proc_read_file(file, &text);

	if (e == OK)
		e = conf_parse(c, file, buf_str(&text));
	buf_free(&text);
	return e;
}

void
conf_set(struct conf *c, struct str name, struct str value)
{
	set(c, str_trim(name), str_trim(value), 0, 0);
}

const struct conf_entry *
conf_get(const struct conf *c, struct str name)
{
	return find(c, name);
}

void
conf_used(struct conf *c, struct str name)
{
	struct conf_entry *e = find(c, name);

	if (e)
		e->used = true;
}

void
conf_fini(struct conf *c)
{
	struct map_iter it = { 0 };
	struct map_node *n;

	while ((n = map_next(&c->entries, &it)) != NULL) {
		struct conf_entry *e = container_of(n, struct conf_entry, node);

		free(e->name);
		free(e->value);
		free(e);
	}
	map_fini(&c->entries);
	free(c->file);
	*c = (struct conf){ .file = NULL };
}
