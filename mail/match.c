/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/match.h"

#include "mail/addr.h"
#include "mail/maps_table.h"
#include "util/mem.h"

enum { VALUE_MAX = 1 << 20 };

enum kind { NAME, TABLE, NAMES_FILE };

struct pattern {
	enum kind kind;
	bool negated;
	char *name;        /* of NAME */
	struct maps *maps; /* of the others */
};

struct match {
	struct pattern *v;
	size_t n;
	bool below;
};

bool
match_name(struct str pattern, struct str name, bool below)
{
	if (str_ieq(pattern, name))
		return true;
	if (pattern.n == 0 || name.n <= pattern.n || !str_iends(name, pattern))
		return false;
	return pattern.p[0] == '.' || (below && name.p[name.n - pattern.n - 1] == '.');
}

static WAITS enum err
open_pattern(struct pattern *it, struct str text, const char *what, const char *dir)
{
	while (text.n > 0 && text.p[0] == '!') {
		it->negated = !it->negated;
		text = str_sub(text, 1, text.n);
	}
	if (text.n > 0 && text.p[0] == '/') {
		it->kind = NAMES_FILE;
		return maps_open_names(text, what, &it->maps);
	}
	/* "[IPv6:2001:db8::1]" is a name. */
	if (text.n > 0 && text.p[0] != '[' && str_find(text, ':') < text.n) {
		it->kind = TABLE;
		return maps_open(text, what, dir, &it->maps);
	}
	it->name = str_dup(text);
	return OK;
}

enum err
match_open(struct str spec, const char *what, const char *dir, bool below, struct match **out)
{
	struct match *m = mem_new(sizeof *m);
	struct str element;
	enum err e;

	m->below = below;
	while ((e = take_element(&spec, &element)) == OK && element.n > 0) {
		m->v = mem_grow(m->v, (m->n + 1) * sizeof *m->v);
		m->v[m->n] = (struct pattern){ .kind = NAME };
		e = open_pattern(&m->v[m->n++], element, what, dir);
		if (e != OK)
			break;
	}
	if (e != OK || m->n == 0)
		match_close(&m);
	*out = m;
	return e;
}

void
match_close(struct match **m)
{
	if (*m == NULL)
		return;
	for (size_t i = 0; i < (*m)->n; i++) {
		maps_close(&(*m)->v[i].maps);
		free((*m)->v[i].name);
	}
	free((*m)->v);
	mem_free(m);
}

/* The name, then its parents, "example.com" or ".example.com". */
static WAITS enum err
find_in_table(const struct match *m, struct maps *table, struct str name, bool *fits)
{
	struct buf value = BUF(VALUE_MAX);
	enum err e = maps_find(table, name, 0, &value, fits);
	struct str rest = name;
	size_t dot;

	while (e == OK && !*fits && rest.n > 1 &&
	       (dot = 1 + str_find(str_sub(rest, 1, rest.n), '.')) < rest.n) {
		rest = str_sub(rest, dot + m->below, rest.n);
		e = maps_find(table, rest, MAPS_FIXED, &value, fits);
	}
	buf_free(&value);
	return e;
}

/* A file says of its own names whether they are on the list. */
static WAITS enum err
find_in_file(const struct match *m, struct maps *file, struct str name, bool *fits, bool *negated)
{
	struct buf value = BUF(VALUE_MAX);
	enum err e = maps_find(file, name, m->below ? MAPS_BELOW : 0, &value, fits);

	*negated ^= value.n > 0;
	buf_free(&value);
	return e;
}

enum err
match_find(struct match *m, struct str name, bool *yes)
{
	*yes = false;
	for (size_t i = 0; m && i < m->n && name.n > 0; i++) {
		struct pattern *it = &m->v[i];
		bool fits = false, negated = it->negated;

		if (it->kind == TABLE)
			TRY(find_in_table(m, it->maps, name, &fits));
		else if (it->kind == NAMES_FILE)
			TRY(find_in_file(m, it->maps, name, &fits, &negated));
		else
			fits = match_name(str_of(it->name), name, m->below);
		if (fits) {
			*yes = !negated;
			return OK;
		}
	}
	return OK;
}

bool
match_fixed(const struct match *m)
{
	for (size_t i = 0; m && i < m->n; i++)
		if (m->v[i].kind != NAME)
			return false;
	return true;
}

struct str
match_bad_domain(const struct match *m)
{
	for (size_t i = 0; m && i < m->n; i++) {
		struct str name = str_of(m->v[i].kind == NAME ? m->v[i].name : "x");

		if (name.n > 0 && name.p[0] == '.')
			name = str_sub(name, 1, name.n);
		if (!domain_valid(name))
			return str_of(m->v[i].name);
	}
	return STR("");
}
