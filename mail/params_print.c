/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "mail/params_table.h"
#include "util/mem.h"

struct printer {
	struct param_env env;
	enum params_show which;
	bool             expand, value_only;
	struct buf      *out;
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
	const char *value =
	    pr->which == PARAMS_DEFAULTS ? default_of(&pr->env, name) : param_lookup(&pr->env, name);
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
params_print(const struct params *p, enum params_show which, struct str name, bool expand, bool value_only,
    struct buf *out)
{
	struct printer pr = { .which = which, .expand = expand, .value_only = value_only, .out = out };
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
