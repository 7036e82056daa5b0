/* SPDX-License-Identifier: Apache-2.0 */
#include "local/aliases.h"

#include <errno.h>
#include <sys/stat.h>

#include "mail/maps.h"
#include "util/mem.h"

enum { TABLES_MAX = 64 };

struct alias_table {
	struct maps *maps;
	char *path; /* of its source; NULL: it has no file */
};

struct aliases {
	struct alias_table v[TABLES_MAX];
	size_t n;
};

/* The next table of the list; braces keep together what is inside them. */
static bool
next_table(struct str *rest, struct str *spec)
{
	const char *separators = ", \t\r\n";
	size_t n = 0;
	int depth = 0;

	while (rest->n > 0 && strchr(separators, rest->p[0]))
		*rest = str_sub(*rest, 1, rest->n);
	while (n < rest->n && (depth > 0 || !strchr(separators, rest->p[n]))) {
		depth += rest->p[n] == '{' ? 1 : rest->p[n] == '}' ? -1 : 0;
		n++;
	}
	*spec = str_sub(*rest, 0, n);
	*rest = str_sub(*rest, n, rest->n);
	return n > 0;
}

/* "proxy:hash:/etc/aliases" to "/etc/aliases". */
static char *
path_of(struct str spec, const char *dir)
{
	static const char *const without[] = { "inline:", "static:", "unix:", "fail:" };
	struct str proxy = STR("proxy:");
	struct buf path = { 0 };

	if (str_starts(spec, proxy))
		spec = str_sub(spec, proxy.n, spec.n);
	for (size_t i = 0; i < countof(without); i++)
		if (str_starts(spec, str_of(without[i])))
			return NULL;
	spec = str_sub(spec, str_find(spec, ':') + 1, spec.n);
	if (spec.n == 0 || spec.p[0] == '{') /* patterns in main.cf itself */
		return NULL;
	if (spec.p[0] != '/')
		(void)buf_printf(&path, "%s/", dir);
	(void)buf_add(&path, spec);
	return path.p;
}

enum err
aliases_open(struct str alias_maps, const char *dir, struct aliases **out)
{
	struct aliases *a = mem_new(sizeof *a);
	struct str rest = alias_maps, spec;
	enum err e = OK;

	while (e == OK && next_table(&rest, &spec)) {
		struct alias_table *t = &a->v[a->n];

		if (a->n == TABLES_MAX) {
			e = fail(E_SYNTAX, "alias_maps: more than %d tables", (int)TABLES_MAX);
			break;
		}
		e = maps_open_aliases(spec, "alias_maps", dir, &t->maps);
		if (e == OK) {
			t->path = path_of(spec, dir);
			a->n++;
		}
	}
	if (e != OK)
		aliases_close(&a);
	*out = a;
	return e;
}

void
aliases_close(struct aliases **a)
{
	if (*a == NULL)
		return;
	for (size_t i = 0; i < (*a)->n; i++) {
		maps_close(&(*a)->v[i].maps);
		free((*a)->v[i].path);
	}
	mem_free(a);
}

enum err
aliases_find(
    struct aliases *a, struct str name, struct buf *value, const struct alias_table **table)
{
	bool found = false;

	*table = NULL;
	for (size_t i = 0; i < a->n && name.n > 0; i++) {
		TRY(maps_find(a->v[i].maps, name, MAPS_NOSUB, value, &found));
		if (found) {
			*table = &a->v[i];
			return OK;
		}
	}
	return OK;
}

struct owning {
	const char *path;
	uid_t *owner;
};

static enum err
stat_files(void *arg)
{
	static const char *const suffixes[] = { "", ".db", ".cdb" };
	struct owning *o = arg;
	struct buf name = { 0 };
	struct stat st;
	enum err e = OK;

	for (size_t i = 0; i < countof(suffixes) && e == OK; i++) {
		buf_clear(&name);
		(void)buf_printf(&name, "%s%s", o->path, suffixes[i]);
		if (stat(buf_cstr(&name), &st) == 0)
			*o->owner = st.st_uid != 0 ? st.st_uid : *o->owner;
		else if (errno != ENOENT)
			e = fail_errno("%s", buf_cstr(&name));
	}
	buf_free(&name);
	return e;
}

enum err
alias_owner(const struct alias_table *t, uid_t *owner)
{
	*owner = 0;
	return t->path ? task_offload(stat_files, &(struct owning){ t->path, owner }) : OK;
}
