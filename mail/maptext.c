/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/maptext.h"

#include <stdarg.h>
#include <stdio.h>

#include "util/buf.h"
#include "util/conf.h"
#include "util/mem.h"

struct maptext {
	const char *name;
	struct conf_lines *lines;
	struct str joined; /* the present logical line, untrimmed */
	struct buf key;    /* name of an alias without its quotes */
};

struct maptext *
maptext_open(const char *name, struct str whole)
{
	struct maptext *t = mem_new(sizeof *t);

	t->name = name;
	t->lines = conf_lines_open(whole);
	t->key = BUF(whole.n + 1);
	return t;
}

void
maptext_close(struct maptext **t)
{
	if (*t == NULL)
		return;
	conf_lines_close(&(*t)->lines);
	buf_free(&(*t)->key);
	mem_free(t);
}

enum err
maptext_error(const struct maptext *t, const char *at, const char *fmt, ...)
{
	char what[ERR_WHY_MAX];
	unsigned line, column;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	conf_position(t->lines, at ? (size_t)(at - t->joined.p) : 0, &line, &column);
	return fail(E_SYNTAX, "%s:%u:%u: %s", t->name, line, column, what);
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

enum err
maptext_line(struct maptext *t, struct str *line, bool *more)
{
	unsigned number;
	size_t nul;

	*more = conf_lines_next(t->lines, &t->joined, &number);
	if (!*more)
		return OK;
	*line = str_trim(t->joined);
	nul = str_find(t->joined, '\0');
	if (nul < t->joined.n)
		return maptext_error(t, t->joined.p + nul, "NUL byte");
	if (is_blank(t->joined.p[0]))
		return maptext_error(t, t->joined.p,
		    "starts with a blank, but there is no line before it to continue");
	return OK;
}

/* Length of the key at the front of line: up to the first blank that is not in quotes. */
static enum err
key_end(const struct maptext *t, struct str line, size_t *n)
{
	size_t i, quote = line.n;

	for (i = 0; i < line.n && (quote < line.n || !is_blank(line.p[i])); i++) {
		if (line.p[i] == '"')
			quote = quote < line.n ? line.n : i;
		else if (line.p[i] == '\\' && quote < line.n)
			i++;
	}
	if (quote < line.n)
		return maptext_error(t, line.p + quote, "quote not closed");
	*n = i < line.n ? i : line.n;
	return OK;
}

static enum err
table_entry(const struct maptext *t, struct str line, struct str *key, struct str *value)
{
	size_t n = 0;

	TRY(key_end(t, line, &n));
	*key = str_sub(line, 0, n);
	*value = str_trim(str_sub(line, n, line.n));
	if (value->n == 0)
		return maptext_error(t, line.p, "expected: key, blank, value");
	return OK;
}

/* The name of an alias, and where its colon is.  Outside quotes a backslash makes the next byte
 * plain, too. */
static enum err
alias_name(struct maptext *t, struct str line, size_t *colon)
{
	size_t i, quote = line.n, kept = 0;

	buf_clear(&t->key);
	for (i = 0; i < line.n && (quote < line.n || line.p[i] != ':'); i++) {
		char c = line.p[i];

		if (c == '"') {
			quote = quote < line.n ? line.n : i;
			kept = t->key.n;
			continue;
		}
		if (c == '@' && quote == line.n)
			return maptext_error(t, line.p + i, "the name of an alias has no domain");
		if (c == '\\' && i + 1 < line.n)
			c = line.p[++i];
		buf_addc(&t->key, c); /* fits: its ceiling is the file's size */
		if (quote < line.n || !is_blank(c))
			kept = t->key.n;
	}
	if (quote < line.n)
		return maptext_error(t, line.p + quote, "quote not closed");
	buf_cut(&t->key, kept);
	*colon = i;
	return OK;
}

static enum err
alias_entry(struct maptext *t, struct str line, struct str *key, struct str *value)
{
	size_t colon = 0;

	TRY(alias_name(t, line, &colon));
	*key = buf_str(&t->key);
	*value = str_trim(str_sub(line, colon + 1, line.n));
	if (colon == line.n || key->n == 0 || value->n == 0)
		return maptext_error(t, line.p, "expected: name, colon, value");
	return OK;
}

enum err
maptext_entry(
    struct maptext *t, enum maptext_form form, struct str *key, struct str *value, bool *more)
{
	struct str line = { "", 0 };

	TRY(maptext_line(t, &line, more));
	if (!*more)
		return OK;
	return form == MAPTEXT_ALIASES ? alias_entry(t, line, key, value)
				       : table_entry(t, line, key, value);
}

unsigned
maptext_number(const struct maptext *t)
{
	unsigned line, column;

	conf_position(t->lines, 0, &line, &column);
	return line;
}

bool
maptext_fold(struct str s, struct buf *out)
{
	char *to = buf_room(out, s.n);

	if (to == NULL)
		return false;
	for (size_t i = 0; i < s.n; i++)
		to[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] | 0x20) : s.p[i];
	buf_grew(out, s.n);
	return true;
}
