/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/maps.h"

#include "mail/maps_table.h"
#include "mail/maptext.h"
#include "util/log.h"
#include "util/mem.h"

/* clang-format off */
static const struct table_type types[] = {
	/*  name            pattern suffix  from: the spec itself, what postmap made, the text of a file */
	{ STR("hash"),      false, ".db",   NULL,           db_content,  NULL           },
	{ STR("btree"),     false, ".db",   NULL,           db_content,  NULL           },
	{ STR("cdb"),       false, ".cdb",  NULL,           cdb_content, NULL           },
	{ STR("texthash"),  false, NULL,    NULL,           NULL,        NULL           },
	{ STR("inline"),    false, NULL,    inline_content, NULL,        NULL           },
	{ STR("static"),    false, NULL,    static_content, NULL,        NULL           },
	{ STR("unix"),      false, NULL,    unix_content,   NULL,        NULL           },
	{ STR("fail"),      false, NULL,    fail_content,   NULL,        NULL           },
	{ STR("regexp"),    true,  NULL,    NULL,           NULL,        regexp_content },
	{ STR("pcre"),      true,  NULL,    NULL,           NULL,        pcre_content   },
	{ STR("cidr"),      true,  NULL,    NULL,           NULL,        cidr_content   },
};

/* clang-format on */

const char *
maps_type(size_t i)
{
	return i < countof(types) ? types[i].name.p : NULL;
}

struct table {
	const struct table_type *type;
	char *name;              /* "alias_maps: hash:/etc/aliases" */
	struct content *content; /* one of the two */
	struct file_table *file;
};

struct maps {
	struct table *v;
	size_t n;
};

enum { SPEC_IN_NAME = 100, RULES_MAX = 1 << 20 };

void
content_drop(struct content **c)
{
	if (*c && --(*c)->users == 0)
		(*c)->type->free(*c);
	*c = NULL;
}

enum err
ask_answer(struct ask *a, struct str value)
{
	a->found = true;
	return buf_add(a->value, value) ? OK
					: fail(E_IO, "value of %zu bytes is too long", value.n);
}

struct in_helper {
	struct content *c;
	struct ask *a;
};

static enum err
find_in_helper(void *arg)
{
	struct in_helper *h = arg;

	return h->c->type->find(h->c, h->a);
}

enum err
content_find(struct content *c, struct ask *a)
{
	struct in_helper h = { c, a };

	a->thorough = task_self() == NULL;
	a->put_off = false;
	if (c->type->quick || a->thorough)
		TRY(c->type->find(c, a));
	if (a->thorough || (c->type->quick && !a->put_off))
		return OK;
	a->thorough = true;
	a->put_off = false;
	return task_offload(find_in_helper, &h);
}

enum err
in_braces(struct str s, struct str *inside)
{
	struct str rest = s, all;

	if (s.n == 0 || s.p[0] != '{')
		return fail(E_SYNTAX, "expected { … }, not \"%.*s\"", STR_ARG(s));
	TRY(take_element(&rest, &all));
	if (all.n < s.n || all.p[all.n - 1] != '}')
		return fail(E_SYNTAX, "text after the closing brace: \"%.*s\"", STR_ARG(s));
	*inside = str_trim(str_sub(all, 1, all.n - 2));
	return OK;
}

enum err
take_element(struct str *rest, struct str *element)
{
	size_t n = 0, depth = 0, from = 0;

	while (from < rest->n && strchr(", \t\r\n", rest->p[from]) && rest->p[from] != '\0')
		from++;
	*rest = str_sub(*rest, from, rest->n);
	for (; n < rest->n && (depth > 0 || rest->p[n] == '\0' || !strchr(", \t\r\n", rest->p[n]));
	     n++) {
		if (rest->p[n] == '{')
			depth++;
		else if (rest->p[n] == '}' && depth-- == 0)
			return fail(E_SYNTAX, "\"}\" without \"{\" in \"%.*s\"", STR_ARG(*rest));
	}
	if (depth > 0)
		return fail(E_SYNTAX, "\"{\" without \"}\" in \"%.*s\"", STR_ARG(*rest));
	*element = str_sub(*rest, 0, n);
	*rest = str_sub(*rest, n, rest->n);
	return OK;
}

static enum err
find_type(struct str name, const struct table_type **type)
{
	const struct table_type *nearest = &types[0];

	for (size_t i = 0; i < countof(types); i++) {
		if (str_eq(types[i].name, name)) {
			*type = &types[i];
			return OK;
		}
		if (str_distance(types[i].name, name) < str_distance(nearest->name, name))
			nearest = &types[i];
	}
	return fail(E_SYNTAX, "unknown type of table \"%.*s\"; did you mean \"%s\"?", STR_ARG(name),
	    nearest->name.p);
}

struct compile {
	const struct table_type *type;
	struct str text;
	struct content **out;
};

/* "{ { rule }, { rule } }" is taken as a file with a rule a line. */
static enum err
compile_rules(void *arg)
{
	const struct compile *c = arg;
	struct buf lines = BUF(RULES_MAX);
	struct str list, element, rule;
	enum err e = in_braces(c->text, &list);

	while (e == OK && (e = take_element(&list, &element)) == OK && element.n > 0)
		if ((e = in_braces(element, &rule)) == OK &&
		    (!buf_add(&lines, rule) || !buf_addc(&lines, '\n')))
			e = fail(E_SYNTAX, "longer than %d bytes", RULES_MAX);
	if (e == OK)
		e = c->type->from_text("{rules}", buf_str(&lines), c->out);
	buf_free(&lines);
	return e;
}

static WAITS enum err
open_source(struct table *t, struct str source, const char *dir, bool aliases)
{
	struct compile c = { t->type, source, &t->content };
	struct buf path = { 0 };

	if (t->type->from_spec)
		return t->type->from_spec(source, &t->content);
	if (t->type->pattern && source.n > 0 && source.p[0] == '{')
		return task_self() ? task_offload(compile_rules, &c) : compile_rules(&c);
	if (source.n == 0 || str_find(source, '\0') < source.n)
		return fail(E_SYNTAX, "no file is named");
	if (source.p[0] != '/' && dir[0] != '\0')
		buf_printf(&path, "%s/", dir);
	buf_add(&path, source);
	t->file = file_table_new(t->type, t->name, buf_cstr(&path), aliases);
	buf_free(&path);
	return OK;
}

static WAITS enum err
open_table(struct table *t, struct str spec, const char *what, const char *dir, bool aliases)
{
	struct buf name = { 0 };
	size_t colon;

	buf_printf(&name, "%s%s", what, what[0] ? ": " : "");
	buf_add_clean(&name, str_sub(spec, 0, SPEC_IN_NAME));
	t->name = mem_dup(buf_cstr(&name));
	buf_free(&name);
	/* Tables are opened by those who use them. */
	while (str_starts(spec, STR("proxy:")))
		spec = str_sub(spec, 6, spec.n);
	colon = str_find(spec, ':');
	if (colon == spec.n)
		return fail(E_SYNTAX, "expected type:name");
	TRY(find_type(str_sub(spec, 0, colon), &t->type));
	return open_source(t, str_sub(spec, colon + 1, spec.n), dir, aliases);
}

/* The same error, with a name before its words. */
static enum err
fail_in(enum err e, const char *name)
{
	char *why = mem_dup(err_why());

	e = fail(e, "%s%s%s", name, name[0] ? ": " : "", why);
	free(why);
	return e;
}

static WAITS enum err
open_all(struct maps *m, struct str spec, const char *what, const char *dir, bool aliases)
{
	struct str element;
	enum err e;

	while ((e = take_element(&spec, &element)) == OK && element.n > 0) {
		struct table *t;

		m->v = mem_grow(m->v, (m->n + 1) * sizeof *m->v);
		t = &m->v[m->n++];
		*t = (struct table){ .name = NULL };
		e = open_table(t, element, what, dir, aliases);
		if (e != OK)
			return fail_in(e, t->name);
	}
	return e == OK ? OK : fail_in(e, what);
}

static WAITS enum err
open_list(struct str spec, const char *what, const char *dir, bool aliases, struct maps **out)
{
	struct maps *m;
	enum err e;

	*out = NULL;
	if (str_trim(spec).n == 0)
		return OK;
	m = mem_new(sizeof *m);
	e = open_all(m, spec, what, dir, aliases);
	if (e != OK || m->n == 0)
		maps_close(&m);
	*out = m;
	return e;
}

enum err
maps_open(struct str spec, const char *what, const char *dir, struct maps **out)
{
	return open_list(spec, what, dir, false, out);
}

enum err
maps_open_aliases(struct str spec, const char *what, const char *dir, struct maps **out)
{
	return open_list(spec, what, dir, true, out);
}

enum err
maps_open_names(struct str path, const char *what, struct maps **out)
{
	static const struct table_type type = { STR("file"), false, NULL, NULL, NULL, names_content };
	struct maps *m = mem_new(sizeof *m);
	struct buf name = BUF(0);
	char *file = str_dup(path);

	buf_printf(&name, "%s: ", what);
	buf_add_clean(&name, str_sub(path, 0, SPEC_IN_NAME));
	m->v = mem_array(1, sizeof *m->v);
	m->n = 1;
	m->v[0] = (struct table){ .type = &type, .name = mem_dup(buf_cstr(&name)) };
	m->v[0].file = file_table_new(&type, m->v[0].name, file, false);
	buf_free(&name);
	free(file);
	*out = m;
	return OK;
}

void
maps_close(struct maps **m)
{
	if (*m == NULL)
		return;
	for (size_t i = 0; i < (*m)->n; i++) {
		struct table *t = &(*m)->v[i];

		content_drop(&t->content);
		file_table_free(&t->file);
		free(t->name);
	}
	free((*m)->v);
	mem_free(m);
}

bool
maps_instant(const struct maps *m)
{
	for (size_t i = 0; m && i < m->n; i++)
		if (m->v[i].file || !m->v[i].content->type->instant)
			return false;
	return true;
}

static WAITS enum err
find_in_table(struct table *t, struct ask *a)
{
	enum err e = t->file ? file_table_find(t->file, a) : content_find(t->content, a);

	if (e != OK || !a->found)
		buf_clear(a->value);
	return e;
}

enum err
maps_find(struct maps *m, struct str key, unsigned flags, struct buf *value, bool *found)
{
	struct buf folded = BUF(key.n + 1);
	struct ask a = { .key = key, .folded = key, .flags = flags, .value = value };
	enum err e = OK;

	*found = false;
	buf_clear(value);
	if (m == NULL || key.n == 0)
		return OK;
	if (!(flags & MAPS_ASIS) && maptext_fold(key, &folded))
		a.folded = buf_str(&folded);
	for (size_t i = 0; i < m->n && e == OK && !a.found; i++)
		if (!(m->v[i].type->pattern && (flags & MAPS_FIXED)))
			e = find_in_table(&m->v[i], &a);
	*found = e == OK && a.found;
	buf_free(&folded);
	return e;
}
