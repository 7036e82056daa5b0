/* SPDX-License-Identifier: Apache-2.0 */
/* A file of names in a match list.  The value of one that fits is empty, or "!" when the file
 * negates it. */
#include "mail/maps_table.h"
#include "mail/match.h"
#include "util/mem.h"

struct names {
	struct content c;
	char *text; /* the words point into it */

	struct word {
		struct str name;
		bool negated;
	} * v;

	size_t n, cap;
};

static void
names_free(struct content *c)
{
	struct names *names = container_of(c, struct names, c);

	free(names->text);
	free(names->v);
	free(names);
}

static enum err
names_find(struct content *c, struct ask *a)
{
	const struct names *names = container_of(c, struct names, c);

	for (size_t i = 0; i < names->n; i++)
		if (match_name(names->v[i].name, a->key, a->flags & MAPS_BELOW))
			return ask_answer(a, names->v[i].negated ? STR("!") : STR(""));
	return OK;
}

static const struct content_type names_type = { names_find, names_free, true, true };

static enum err
add_word(struct names *names, const char *file, struct str text)
{
	struct word w = { .name = text };

	while (w.name.n > 0 && w.name.p[0] == '!') {
		w.negated = !w.negated;
		w.name = str_sub(w.name, 1, w.name.n);
	}
	if (w.name.n == 0 || w.name.p[0] == '/' ||
	    (w.name.p[0] != '[' && str_find(w.name, ':') < w.name.n))
		return fail(E_SYNTAX,
		    "%s: \"%.*s\" is not a name (no tables and files within files)", file,
		    STR_ARG(text));
	if (names->n == names->cap) {
		names->cap = names->cap ? 2 * names->cap : 64;
		names->v = mem_grow(names->v, names->cap * sizeof *names->v);
	}
	names->v[names->n++] = w;
	return OK;
}

enum err
names_content(const char *file, struct str text, struct content **out)
{
	struct names *names = mem_new(sizeof *names);
	struct str rest, line, word;
	enum err e = OK;

	names->c = (struct content){ &names_type, 1 };
	names->text = str_dup(text);
	rest = (struct str){ names->text, text.n };
	while (e == OK && str_cut(&rest, '\n', &line))
		if (!str_starts(str_trim(line), STR("#")))
			while (e == OK && str_word(&line, ", \t\r", &word))
				e = add_word(names, file, word);
	if (e == OK)
		*out = &names->c;
	else
		names_free(&names->c);
	return e;
}
