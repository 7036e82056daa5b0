/* SPDX-License-Identifier: Apache-2.0 */
/* Tables in memory: inline, static, fail, and the index of a text. */
#include "mail/maps_table.h"
#include "mail/maptext.h"
#include "util/log.h"
#include "util/map.h"
#include "util/mem.h"

enum { DUPLICATES_TOLD = 10 };

struct entry {
	struct map_node node;
	char *key;
	char *value;
	size_t n;
};

struct index {
	struct content c;
	struct map entries;
};

static enum err
index_find(struct content *c, struct ask *a)
{
	struct index *x = container_of(c, struct index, c);
	struct map_node *n = map_get(&x->entries, a->folded);
	struct entry *e;

	if (n == NULL)
		return OK;
	e = container_of(n, struct entry, node);
	return ask_answer(a, (struct str){ e->value, e->n });
}

static void
index_free(struct content *c)
{
	struct index *x = container_of(c, struct index, c);
	struct map_iter it = { 0 };
	struct map_node *n;

	while ((n = map_next(&x->entries, &it)) != NULL) {
		struct entry *e = container_of(n, struct entry, node);

		free(e->key);
		free(e->value);
		free(e);
	}
	map_fini(&x->entries);
	free(x);
}

static const struct content_type index_type = { index_find, index_free, .quick = true,
	.instant = true };

static struct index *
index_new(void)
{
	struct index *x = mem_new(sizeof *x);

	x->c = (struct content){ &index_type, 1 };
	return x;
}

static void
entry_set(struct entry *e, struct str value)
{
	free(e->value);
	e->value = str_dup(value);
	e->n = value.n;
}

/* False: there is one with this key already; it stays, or, with replace, gets the new value. */
static bool
put(struct index *x, struct str key, struct str value, bool replace)
{
	struct map_node *there = map_get(&x->entries, key);
	struct entry *e;

	if (there == NULL) {
		e = mem_new(sizeof *e);
		e->key = str_dup(key);
		entry_set(e, value);
		map_put(&x->entries, (struct str){ e->key, key.n }, &e->node);
	} else if (replace) {
		entry_set(container_of(there, struct entry, node), value);
	}
	return there == NULL;
}

static bool
put_folded(struct index *x, struct str key, struct str value, bool replace)
{
	struct buf folded = BUF(key.n + 1);
	bool added;

	maptext_fold(key, &folded);
	added = put(x, buf_str(&folded), value, replace);
	buf_free(&folded);
	return added;
}

struct content *
index_empty(void)
{
	return &index_new()->c;
}

enum err
index_put(void *index, struct str key, struct str value)
{
	put(container_of((struct content *)index, struct index, c), key, value, false);
	return OK;
}

static void
warn_of_duplicate(const char *file, struct str key, unsigned *n)
{
	if (++*n <= DUPLICATES_TOLD)
		log_warn("%s: duplicate entry: \"%.*s\"", file, STR_ARG(key));
}

enum err
index_content(const char *file, struct str text, bool aliases, struct content **out)
{
	enum maptext_form form = aliases ? MAPTEXT_ALIASES : MAPTEXT_TABLE;
	struct maptext *t = maptext_open(file, text);
	struct index *x = index_new();
	struct str key, value;
	unsigned duplicates = 0;
	bool more = true;
	enum err e = OK;

	while (e == OK && more) {
		e = maptext_entry(t, form, &key, &value, &more);
		if (e == OK && more && !put_folded(x, key, value, false))
			warn_of_duplicate(file, key, &duplicates);
	}
	if (duplicates > DUPLICATES_TOLD)
		log_warn("%s: %u duplicate entries in all", file, duplicates);
	maptext_close(&t);
	if (e == OK)
		*out = &x->c;
	else
		index_free(&x->c);
	return e;
}

/* "key=value" or "{ key = value }". */
static enum err
inline_pair(struct str element, struct str *key, struct str *value)
{
	size_t equals;

	if (element.p[0] == '{')
		TRY(in_braces(element, &element));
	equals = str_find(element, '=');
	*key = str_trim(str_sub(element, 0, equals));
	*value = str_trim(str_sub(element, equals + 1, element.n));
	if (equals == element.n || key->n == 0)
		return fail(E_SYNTAX, "expected key=value, not \"%.*s\"", STR_ARG(element));
	return OK;
}

enum err
inline_content(struct str text, struct content **out)
{
	struct index *x;
	struct str element, key, value;
	enum err e;

	TRY(in_braces(text, &text));
	x = index_new();
	while ((e = take_element(&text, &element)) == OK && element.n > 0) {
		if ((e = inline_pair(element, &key, &value)) != OK)
			break;
		put_folded(x, key, value, true);
	}
	if (e == OK && x->entries.n == 0)
		e = fail(E_SYNTAX, "no entry between the braces");
	if (e == OK)
		*out = &x->c;
	else
		index_free(&x->c);
	return e;
}

struct fixed {
	struct content c;
	char *text;
};

static enum err
static_find(struct content *c, struct ask *a)
{
	return ask_answer(a, str_of(container_of(c, struct fixed, c)->text));
}

static enum err
fail_find(struct content *c, struct ask *a)
{
	(void)a;
	return fail(E_IO, "fail:%s always does", container_of(c, struct fixed, c)->text);
}

static void
fixed_free(struct content *c)
{
	struct fixed *f = container_of(c, struct fixed, c);

	free(f->text);
	free(f);
}

static enum err
fixed_new(const struct content_type *type, struct str text, struct content **out)
{
	struct fixed *f = mem_new(sizeof *f);

	f->c = (struct content){ type, 1 };
	f->text = str_dup(text);
	*out = &f->c;
	return OK;
}

enum err
static_content(struct str text, struct content **out)
{
	static const struct content_type type = { static_find, fixed_free, .quick = true,
		.instant = true };

	if (text.n > 0 && text.p[0] == '{')
		TRY(in_braces(text, &text));
	return fixed_new(&type, text, out);
}

enum err
fail_content(struct str text, struct content **out)
{
	static const struct content_type type = { fail_find, fixed_free, .quick = true,
		.instant = true };

	return fixed_new(&type, text, out);
}
