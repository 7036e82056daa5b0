/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "mail/params_table.h"
#include "util/mem.h"
#include "util/proc.h"

enum { COMPLAINTS_MAX = 20 };

struct complaint {
	unsigned line, column;                         /* line 0: not in the file */
	char    *text;
};

struct loader {
	struct params   *p;
	struct param_env env;
	struct str       text;                         /* of main.cf */
	bool            *stressed;                     /* by place in param_table: $stress is part of its value */
	struct complaint complaints[COMPLAINTS_MAX];
	size_t           ncomplaints, more;
};

static void
complain(struct loader *l, unsigned line, unsigned column, struct str name, const char *what)
{
	struct complaint *c;
	struct buf text = { 0 };

	if (l->ncomplaints == COMPLAINTS_MAX) {
		l->more++;
		return;
	}
	if (line > 0)
		buf_printf(&text, "%s:%u:%u: ", l->p->conf.file, line, column);
	buf_printf(&text, "%.*s%s%s", STR_ARG(name), name.n > 0 ? ": " : "", what);
	c = &l->complaints[l->ncomplaints++];
	*c = (struct complaint){ line, column, text.p };
}

/* What err_why() says about a setting; e is its entry, NULL when it has its default. */
static void
complain_of(struct loader *l, const struct conf_entry *e, struct str name)
{
	complain(l, e ? e->line : 0, e ? e->column : 0, name, err_why());
}

static int
by_place(const void *a, const void *b)
{
	const struct complaint *x = a, *y = b;

	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return x->column < y->column ? -1 : x->column > y->column;
}

/* All complaints in the order of the file, as many whole lines as err_why() has room for, but at least one. */
static enum err
verdict(struct loader *l)
{
	enum { ROOM_FOR_MORE = 24 };
	struct buf all = { 0 };
	enum err e = OK;

	qsort(l->complaints, l->ncomplaints, sizeof *l->complaints, by_place);
	for (size_t i = 0; i < l->ncomplaints; i++) {
		const char *text = l->complaints[i].text;

		if (i > 0 && all.n + strlen(text) + ROOM_FOR_MORE > ERR_WHY_MAX)
			l->more++;
		else
			buf_printf(&all, "%s%s", i > 0 ? "\n" : "", text);
		free(l->complaints[i].text);
	}
	if (l->more > 0)
		buf_printf(&all, "\n(and %zu more)", l->more);
	if (l->ncomplaints > 0)
		e = fail(E_SYNTAX, "%s", buf_cstr(&all));
	buf_free(&all);
	return e;
}

static enum err
expand_and_parse(struct loader *l, const struct param *d, const char *unexpanded, union param_value *v)
{
	struct buf out = { 0 };
	struct str text;
	enum err e = OK;

	if (d->kind == KIND_raw)
		buf_adds(&out, unexpanded);
	else
		e = conf_expand(str_of(unexpanded), param_lookup, &l->env, &out);
	text = str_trim(buf_str(&out));
	if (e == OK)
		e = param_check(d, text);
	if (e == OK)
		e = param_parse(d, text, v);
	buf_free(&out);
	return e;
}

static void
load_one(struct loader *l, const struct param *d)
{
	const struct conf_entry *e = conf_get(&l->p->conf, d->name);
	union param_value v = { 0 };

	if (e && str_eq(d->name, STR("config_directory")))
		complain(l, e->line, e->column, d->name, "cannot be set; use -c DIR");
	else if (expand_and_parse(l, d, param_lookup(&l->env, d->name), &v) == OK)
		param_store(l->p, d, &v);
	else
		complain_of(l, e, d->name);
}

static void
load_all(struct loader *l)
{
	for (size_t i = 0; i < param_count; i++) {
		l->env.stress_asked = false;
		load_one(l, &param_table[i]);
		l->stressed[i] = l->env.stress_asked;
	}
}

/* What goes wrong under overload only is found out now. */
static void
load_stressed(struct loader *l)
{
	struct params *p = l->p;
	union param_value v = { 0 };
	char why[ERR_WHY_MAX];

	l->env.stress = true;
	for (size_t i = 0; i < param_count; i++) {
		const struct param *d = &param_table[i];

		if (!l->stressed[i])
			continue;
		if (expand_and_parse(l, d, param_lookup(&l->env, d->name), &v) != OK) {
			snprintf(why, sizeof why, "%s", err_why());
			(void)!fail(E_SYNTAX, "with stress = yes: %s", why);
			complain_of(l, conf_get(&p->conf, d->name), d->name);
			continue;
		}
		if (p->stressed == NULL) {
			p->stressed = mem_new(sizeof *p->stressed);
			*p->stressed = *p;
			p->stressed->stressed = NULL;
		}
		param_store(p->stressed, d, &v);
	}
}

static struct conf_entry *
entry_of(struct map_node *n)
{
	return n ? container_of(n, struct conf_entry, node) : NULL;
}

static bool
is_name_byte(char c, bool braced)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_')
		return true;
	return braced && (c == '-' || c == '.' || c == '/');
}

/* Mark what value refers to, in branches of a conditional too, whichever of them is taken. */
static void
mark_used(struct conf *c, struct str value)
{
	for (size_t i = 0; i < value.n;) {
		struct conf_entry *e;
		bool braced;
		size_t from;

		if (value.p[i++] != '$')
			continue;
		if (i < value.n && value.p[i] == '$') {
			i++;
			continue;
		}
		braced = i < value.n && (value.p[i] == '{' || value.p[i] == '(');
		i += braced;
		while (braced && i < value.n && (value.p[i] == ' ' || value.p[i] == '\t'))
			i++;
		for (from = i; i < value.n && is_name_byte(value.p[i], braced);)
			i++;
		e = entry_of(map_get(&c->entries, str_sub(value, from, i - from)));
		if (e)
			e->used = true;
	}
}

/* Where the name stands, which is not where its value does. */
static void
find_name(const struct loader *l, struct str name, unsigned *line, unsigned *column)
{
	struct conf_lines *lines = conf_lines_open(l->text);
	struct str text, word;
	unsigned at;

	while (conf_lines_next(lines, &text, &at)) {
		struct str rest = text;

		if (str_word(&rest, " \t=", &word) && str_eq(word, name))
			conf_position(lines, (size_t)(word.p - text.p), line, column);
	}
	conf_lines_close(&lines);
}

/* The setting that name may have been meant for, or NULL. */
static const struct param *
nearest_to(struct str name)
{
	unsigned least = name.n < 6 ? 1 : name.n < 12 ? 2 : 3;
	const struct param *nearest = NULL;

	for (size_t i = 0; i < param_count; i++) {
		struct str other = param_table[i].name;
		unsigned d;

		if (other.n > name.n + least || name.n > other.n + least)
			continue;
		d = str_distance(name, other);
		if (d < least || (d == least && nearest == NULL)) {
			least = d;
			nearest = &param_table[i];
		}
	}
	return nearest;
}

static void
complain_of_unknown(struct loader *l, const struct conf_entry *e)
{
	struct buf text = { 0 };
	struct str name = str_of(e->name);
	const struct param *nearest = nearest_to(name);
	unsigned line = e->line, column = e->column;

	if (nearest)
		buf_printf(&text, "unknown setting \"%s\"; did you mean \"%s\"?", e->name, nearest->name.p);
	else
		buf_printf(&text, "unknown setting \"%s\": not a setting of Postroad, and not used as $%s", e->name,
		    e->name);
	if (line > 0)
		find_name(l, name, &line, &column);
	complain(l, line, column, STR(""), buf_cstr(&text));
	buf_free(&text);
}

/* Entries that are no field of struct params: settings per transport, names that others refer to, and mistakes. */
static void
check_others(struct loader *l)
{
	struct conf *c = &l->p->conf;
	struct map_iter it = { 0 };
	struct conf_entry *e;

	while ((e = entry_of(map_next(&c->entries, &it))) != NULL)
		mark_used(c, str_of(e->value));
	it = (struct map_iter){ 0 };
	while ((e = entry_of(map_next(&c->entries, &it))) != NULL) {
		const struct transport_param *t;
		union param_value v;

		if (param_find(str_of(e->name)))
			continue;
		t = param_of_transport(&l->env, str_of(e->name));
		if (t == NULL && !e->used)
			complain_of_unknown(l, e);
		if (t && expand_and_parse(l, param_find(t->general), e->value, &v) != OK)
			complain_of(l, e, str_of(e->name));
	}
}

static enum err
read_conf(struct conf *c, const char *dir, struct buf *text)
{
	struct buf path = { 0 };
	enum err e;

	buf_printf(&path, "%s/main.cf", dir);
	e = proc_read_file(buf_cstr(&path), text);
	if (e == OK)
		e = conf_parse(c, buf_cstr(&path), buf_str(text));
	buf_free(&path);
	return e;
}

static enum err
add_overrides(struct conf *c, const char *const *overrides, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct str o = str_of(overrides[i]);
		size_t at = str_find(o, '=');
		struct str name = str_trim(str_sub(o, 0, at));

		if (at == o.n || name.n == 0)
			return fail(E_SYNTAX, "-o %s: must be name=value", overrides[i]);
		conf_set(c, name, str_trim(str_sub(o, at + 1, o.n)));
	}
	return OK;
}

enum err
params_load(struct params *p, const char *dir, const char *const *overrides, size_t noverrides)
{
	struct loader *l = mem_new(sizeof *l);
	struct buf text = { 0 };
	enum err e;

	*p = (struct params){ 0 };
	l->p = p;
	e = read_conf(&p->conf, dir, &text);
	if (e == OK)
		e = add_overrides(&p->conf, overrides, noverrides);
	if (e == OK) {
		l->text = buf_str(&text);
		param_env_init(&l->env, &p->conf, dir);
		if (l->env.circular)
			complain(l, 0, 0, STR("mydomain"), "must be set, because myhostname is made from it");
		l->stressed = mem_array(param_count, sizeof *l->stressed);
		load_all(l);
		load_stressed(l);
		check_others(l);
		free(l->stressed);
		param_env_fini(&l->env);
		e = verdict(l);
	}
	buf_free(&text);
	free(l);
	if (e != OK)
		params_fini(p);
	return e;
}

enum err
params_read(struct params *p, const char *dir, const char *const *overrides, size_t noverrides)
{
	struct buf text = { 0 };
	struct map_iter it = { 0 };
	struct conf_entry *entry;
	enum err e;

	*p = (struct params){ .config_directory = mem_dup(dir) };
	e = read_conf(&p->conf, dir, &text);
	if (e == OK)
		e = add_overrides(&p->conf, overrides, noverrides);
	while (e == OK && (entry = entry_of(map_next(&p->conf.entries, &it))) != NULL)
		mark_used(&p->conf, str_of(entry->value));
	buf_free(&text);
	if (e != OK)
		params_fini(p);
	return e;
}

void
params_fini(struct params *p)
{
	for (size_t i = 0; i < param_count; i++) {
		if (p->stressed)
			param_clear_own(p->stressed, p, &param_table[i]);
		param_clear(p, &param_table[i]);
	}
	free(p->stressed);
	conf_fini(&p->conf);
	*p = (struct params){ 0 };
}

long long
params_transport(const struct params *p, struct str transport, const char *suffix)
{
	const struct param *general = NULL, *fixed;
	const struct conf_entry *e;
	struct buf name = { 0 }, text = { 0 };
	union param_value v = { 0 };
	struct param_env env;

	for (size_t i = 0; i < transport_count; i++)
		if (str_eq(transport_table[i].suffix, str_of(suffix)))
			general = param_find(transport_table[i].general);
	if (general == NULL)
		return 0;
	buf_add(&name, transport);
	buf_adds(&name, suffix);
	fixed = param_find(buf_str(&name));
	if (fixed)                                     /* a setting of the table, with a default of its own */
		general = fixed;
	e = fixed ? NULL : conf_get(&p->conf, buf_str(&name));
	v.number = *(const param_num *)(const void *)((const char *)p + general->at);
	if (e) {
		param_env_init(&env, &p->conf, p->config_directory);
		if (conf_expand(str_of(e->value), param_lookup, &env, &text) == OK) {
			union param_value own;

			if (param_parse(general, str_trim(buf_str(&text)), &own) == OK)
				v = own;
		}
		param_env_fini(&env);
	}
	buf_free(&text);
	buf_free(&name);
	return v.number;
}
