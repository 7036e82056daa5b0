/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/params_table.h"

#include <stdlib.h>

#include "util/mem.h"

/* A field of C cannot begin with a digit as a setting can: its name has a '_' before it. */
#define P(kind, name, def, min, max, doc) \
	{ KIND_##kind, { &#name[#name[0] == '_'], sizeof #name - 1 - (#name[0] == '_') }, \
	    offsetof(struct params, name), def, min, max, doc },
const struct param param_table[] = { PARAMS(P) };
#undef P
const size_t param_count = countof(param_table);

#define P(kind, suffix, general) \
	{ { #suffix, sizeof #suffix - 1 }, { #general, sizeof #general - 1 }, "$" #general },
const struct transport_param transport_table[] = { TRANSPORT_PARAMS(P) };
#undef P
const size_t transport_count = countof(transport_table);

const struct param *
param_find(struct str name)
{
	for (size_t i = 0; i < param_count; i++)
		if (str_eq(name, param_table[i].name))
			return &param_table[i];
	return NULL;
}

static bool
is_service(const struct param_env *env, struct str name)
{
	struct str rest = STR("smtp relay lmtp local virtual"), word;

	while (str_word(&rest, " ", &word))
		if (str_eq(word, name))
			return true;
	rest = buf_str(&env->services);
	while (str_word(&rest, " ", &word))
		if (str_eq(word, name))
			return true;
	return false;
}

const struct transport_param *
param_of_transport(const struct param_env *env, struct str name)
{
	for (size_t i = 0; i < transport_count; i++) {
		const struct transport_param *t = &transport_table[i];

		if (str_ends(name, t->suffix) && is_service(env, str_sub(name, 0, name.n - t->suffix.n)))
			return t;
	}
	return NULL;
}

void
params_speak_lmtp(struct params *p)
{
#define P(kind, name, def, min, max, doc) { offsetof(struct params, name), sizeof p->name },
	static const struct field {
		size_t at, n;
	} smtp[] = { CLIENT_PARAMS(P, smtp, helo, "") }, lmtp[] = { CLIENT_PARAMS(P, lmtp, lhlo, "") };
#undef P
	for (size_t i = 0; i < countof(smtp); i++) {
		char *a = (char *)p + smtp[i].at, *b = (char *)p + lmtp[i].at, was[sizeof(union param_value)];

		memcpy(was, a, smtp[i].n);
		memcpy(a, b, smtp[i].n);
		memcpy(b, was, smtp[i].n);
	}
}

static int
by_name(const void *a, const void *b)
{
	return str_cmp((*(const struct param *const *)a)->name, (*(const struct param *const *)b)->name);
}

/* Text in an mdoc document: a backslash starts an escape, a dot or quote at the start of a line a request. */
static void
add_roff(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		bool starts = out->n == 0 || out->p[out->n - 1] == '\n';

		if (starts && (s.p[i] == '.' || s.p[i] == '\''))
			buf_adds(out, "\\&");
		buf_adds(out, s.p[i] == '\\' ? "\\e" : "");
		if (s.p[i] != '\\')
			buf_addc(out, s.p[i]);
	}
}

/* A sentence a line, as mdoc wants it, and no line longer than it must be. */
static void
add_prose(struct buf *out, struct str s)
{
	enum { WIDTH = 78 };
	struct str word;
	size_t column = 0;
	bool ended = false;

	while (str_word(&s, " ", &word)) {
		if (ended || column + 1 + word.n > WIDTH) {
			buf_adds(out, column > 0 ? "\n" : "");
			column = 0;
		} else if (column > 0) {
			buf_addc(out, ' ');
			column++;
		}
		add_roff(out, word);
		column += word.n;
		ended = word.p[word.n - 1] == '.';
	}
	buf_addc(out, '\n');
}

/* One argument of a macro; not a macro itself, whatever it is. */
static void
add_argument(struct buf *out, struct str s)
{
	buf_adds(out, "\"\\&");
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '"' || s.p[i] == '\\')
			buf_adds(out, s.p[i] == '"' ? "\"\"" : "\\e");
		else
			buf_addc(out, s.p[i]);
	buf_adds(out, "\"\n");
}

static const char *
kind_words(enum param_kind kind)
{
	switch (kind) {
	case KIND_size:
		return "size";
	case KIND_time:
	case KIND_hours:
	case KIND_days:
		return "time";
	case KIND_num:
		return "number";
	case KIND_bool:
		return "yes or no";
	case KIND_nets:
		return "networks";
	case KIND_dir:
		return "directory";
	case KIND_choice:
		return "word";
	case KIND_text:
	case KIND_raw:
		break;
	}
	return "text";
}

void
params_manual(struct buf *out)
{
	const struct param **sorted = mem_array(param_count, sizeof *sorted);

	for (size_t i = 0; i < param_count; i++)
		sorted[i] = &param_table[i];
	qsort(sorted, param_count, sizeof *sorted, by_name);
	for (size_t i = 0; i < param_count; i++) {
		const struct param *d = sorted[i];

		buf_printf(out, ".It Ic %s\n.Pq %s ;\ndefault:\n.Dq ", d->name.p, kind_words(d->kind));
		add_argument(out, str_of(d->def));
		buf_adds(out, ".br\n");
		add_prose(out, str_of(d->doc));
	}
	free(sorted);
	for (size_t i = 0; i < transport_count; i++)
		buf_printf(out,
		    ".It Ar transport Ns Ic %s\ndefault:\n.Dq $%s\n.br\n"
		    "The same for one transport, called by its name in\n.Pa master.cf .\n",
		    transport_table[i].suffix.p, transport_table[i].general.p);
}
