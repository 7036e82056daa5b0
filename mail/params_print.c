/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "mail/params_table.h"
#include "util/log.h"
#include "util/mem.h"

enum { WORDS_MAX = 64 };

struct printer {
	struct param_env env;
	enum params_show which;
	bool expand, value_only;
	struct buf *out;
};

static const char *
default_of(struct param_env *env, struct str name)
{
	const struct param *d = param_find(name);
	const struct transport_param *t = d ? NULL : param_of_transport(env, name);
	const char *computed = d ? param_computed(env, d) : NULL;

	return computed ? computed : d ? d->def : t ? t->def : NULL;
}

/* False when there is no such setting (or, with PARAMS_DEFAULTS, it has no default). */
static bool
print_one(struct printer *pr, struct str name)
{
	const char *value = pr->which == PARAMS_DEFAULTS ? default_of(&pr->env, name)
							 : param_lookup(&pr->env, name);
	const struct param *d = param_find(name);
	bool raw = d && d->kind == KIND_raw;
	struct buf text = { 0 };

	if (value == NULL)
		return false;
	if (raw || !pr->expand || conf_expand(str_of(value), param_lookup, &pr->env, &text) != OK) {
		buf_clear(&text);
		buf_adds(&text, value);
	}
	if (!pr->value_only)
		buf_printf(pr->out, "%.*s =%s", STR_ARG(name), text.n > 0 ? " " : "");
	buf_add(pr->out, str_trim(buf_str(&text)));
	buf_addc(pr->out, '\n');
	buf_free(&text);
	return true;
}

enum params_class
params_class(const struct params *p, struct str name)
{
	const struct conf_entry *e = conf_get(&p->conf, name);
	struct param_env env;
	bool service;

	if (param_find(name))
		return PARAMS_BUILTIN;
	param_env_init(&env, &p->conf, p->config_directory);
	service = param_of_transport(&env, name) != NULL;
	param_env_fini(&env);
	if (service)
		return PARAMS_SERVICE;
	return e && e->used ? PARAMS_USER : PARAMS_UNUSED;
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

bool
params_print(const struct params *p, enum params_show which, struct str name, bool expand,
    bool value_only, struct buf *out)
{
	struct printer pr = {
		.which = which, .expand = expand, .value_only = value_only, .out = out
	};
	const char **names = mem_array(param_count + p->conf.entries.n + 1, sizeof *names);
	struct map_iter it = { 0 };
	struct map_node *node;
	size_t n = 0;
	bool known = true;

	param_env_init(&pr.env, &p->conf, p->config_directory);
	if (name.n > 0) {
		known = print_one(&pr, name);
	} else {
		for (size_t i = 0; i < param_count && which != PARAMS_SET; i++)
			names[n++] = param_table[i].name.p;
		while (which != PARAMS_DEFAULTS && (node = map_next(&p->conf.entries, &it)) != NULL)
			if (which == PARAMS_SET || !param_find(node->key))
				names[n++] = container_of(node, struct conf_entry, node)->name;
		qsort(names, n, sizeof *names, by_text);
		for (size_t i = 0; i < n; i++)
			print_one(&pr, str_of(names[i]));
	}
	param_env_fini(&pr.env);
	free(names);
	return known;
}

/* -- texts for people -- */

/* What conf_expand() looks names up in.  Numbers that stand for times are kept until it is done. */
struct words {
	struct param_env env;
	const struct params *p;
	char *made[WORDS_MAX];
	size_t n;
};

/* "delay_warning_time_hours": a setting and the seconds of its unit; NULL: not of that form. */
static const struct param *
time_in_unit(struct str name, long long *unit)
{
	static const struct {
		struct str suffix;
		long long seconds;
	} units[] = {
		{STR("_seconds"),  1     },
		{ STR("_minutes"), 60    },
		{ STR("_hours"),   3600  },
		{ STR("_days"),    86400 },
		{ STR("_weeks"),   604800},
	};

	for (size_t i = 0; i < countof(units); i++)
		if (str_ends(name, units[i].suffix)) {
			const struct param *d =
			    param_find(str_sub(name, 0, name.n - units[i].suffix.n));

			*unit = units[i].seconds;
			return d && (d->kind == KIND_time || d->kind == KIND_hours ||
					d->kind == KIND_days)
				   ? d
				   : NULL;
		}
	return NULL;
}

static const char *
word(void *arg, struct str name)
{
	struct words *w = arg;
	long long unit;
	const struct param *d = time_in_unit(name, &unit);
	struct buf text = BUF(32);

	if (d == NULL || w->n == WORDS_MAX)
		return param_lookup(&w->env, name);
	ENSURE(buf_printf(&text, "%lld", *(const long long *)((const char *)w->p + d->at) / unit));
	return w->made[w->n++] = text.p;
}

enum err
params_expand(const struct params *p, struct str text, struct buf *out)
{
	struct words w = { .p = p };
	enum err e;

	param_env_init(&w.env, &p->conf, p->config_directory);
	e = conf_expand(text, word, &w, out);
	param_env_fini(&w.env);
	for (size_t i = 0; i < w.n; i++)
		free(w.made[i]);
	return e;
}
