/* SPDX-License-Identifier: Apache-2.0 */
#include "util/conf.h"

enum {
	DEEPEST = 100,                                 /* as Postfix has it: deeper is a loop */
	MOST_NAMES = 100000,                           /* values that double each other end no sooner than a loop */
};

struct expansion {
	const char *(*lookup)(void *arg, struct str name);
	void         *arg;
	struct buf   *out;
	int           depth;
	unsigned      names;
};

static enum err expand(struct expansion *x, struct str text);

static bool
is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static struct str
skip_blanks(struct str s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = str_sub(s, 1, s.n);
	return s;
}

static enum err
expand_deeper(struct expansion *x, struct str text)
{
	enum err e;

	if (x->depth == DEEPEST)
		return fail(E_SYNTAX, "names nested more than %d deep: \"%.*s\"", DEEPEST, STR_ARG(text));
	x->depth++;
	e = expand(x, text);
	x->depth--;
	return e;
}

static enum err
look_up(struct expansion *x, struct str name, const char **value)
{
	if (x->names++ == MOST_NAMES)
		return fail(E_SYNTAX, "too many names to expand, at \"$%.*s\"", STR_ARG(name));
	*value = x->lookup(x->arg, name);
	return OK;
}

static enum err
expand_name(struct expansion *x, struct str name)
{
	const char *value;

	TRY(look_up(x, name, &value));
	return value ? expand_deeper(x, str_of(value)) : OK;
}

/* s starts with the opening byte: take what it encloses off it, nested pairs included. */
static bool
take_enclosed(struct str *s, char closing, struct str *inner)
{
	char opening = s->p[0];
	int open = 0;

	for (size_t i = 0; i < s->n; i++) {
		if (s->p[i] == opening)
			open++;
		else if (s->p[i] == closing && --open == 0) {
			*inner = str_sub(*s, 1, i - 1);
			*s = str_sub(*s, i + 1, s->n);
			return true;
		}
	}
	return false;
}

/* "{text}" with blanks around it and inside it, which do not count. */
static bool
take_braces(struct str *s, struct str *text)
{
	*s = str_trim(*s);
	if (s->n == 0 || s->p[0] != '{' || !take_enclosed(s, '}', text))
		return false;
	*text = str_trim(*text);
	*s = str_trim(*s);
	return true;
}

/* What follows the name: "?text", "?{text}", "?{text}:{text}", ":text" or ":{text}". */
static enum err
expand_choice(struct expansion *x, struct str whole, struct str name, struct str choice)
{
	bool if_set = choice.p[0] == '?', is_set;
	struct str rest = str_sub(choice, 1, choice.n), yes, no = STR("");
	const char *value;

	if (str_starts(str_trim(rest), STR("{"))) {
		bool ok = take_braces(&rest, &yes);

		if (ok && if_set && str_starts(rest, STR(":"))) {
			rest = str_sub(rest, 1, rest.n);
			ok = take_braces(&rest, &no);
		}
		if (!ok || rest.n > 0)
			return fail(E_SYNTAX, "bad \"{text}\" in \"${%.*s}\"", STR_ARG(whole));
	} else {
		yes = rest;
	}
	TRY(look_up(x, name, &value));
	is_set = value && *value;
	return expand_deeper(x, is_set == if_set ? yes : no);
}

/* Between the braces. */
static enum err
expand_braced(struct expansion *x, struct str whole)
{
	struct str name = skip_blanks(whole), choice;
	size_t n = 0;

	if (name.n > 0 && name.p[0] == '{')
		return fail(E_SYNTAX, "comparisons are not supported: \"${%.*s}\"", STR_ARG(whole));
	while (n < name.n && (is_name_char(name.p[n]) || name.p[n] == '-' || name.p[n] == '.'))
		n++;
	choice = skip_blanks(str_sub(name, n, name.n));
	name = str_sub(name, 0, n);
	if (n == 0)
		return fail(E_SYNTAX, "no name in \"${%.*s}\"", STR_ARG(whole));
	if (choice.n == 0)
		return expand_name(x, name);
	if (choice.p[0] != '?' && choice.p[0] != ':')
		return fail(E_SYNTAX, "bad character after the name in \"${%.*s}\"", STR_ARG(whole));
	return expand_choice(x, whole, name, choice);
}

/* s starts behind a '$'; take off it what belongs to that. */
static enum err
expand_dollar(struct expansion *x, struct str *s)
{
	struct str inner, before = *s;
	size_t n = 0;

	if (s->n > 0 && s->p[0] == '$') {
		*s = str_sub(*s, 1, s->n);
		return buf_addc(x->out, '$') ? OK : fail(E_TOOBIG, "the expanded value is too long");
	}
	if (s->n > 0 && (s->p[0] == '{' || s->p[0] == '(')) {
		if (!take_enclosed(s, s->p[0] == '{' ? '}' : ')', &inner))
			return fail(E_SYNTAX, "unbalanced \"$%.*s\"", STR_ARG(before));
		return expand_braced(x, inner);
	}
	while (n < s->n && is_name_char(s->p[n]))
		n++;
	*s = str_sub(*s, n, s->n);
	if (n == 0)
		return fail(E_SYNTAX, "\"$\" without a name, before \"%.*s\" (\"$$\" stands for one \"$\")",
		    STR_ARG(before));
	return expand_name(x, str_sub(before, 0, n));
}

static enum err
expand(struct expansion *x, struct str text)
{
	while (text.n > 0) {
		size_t n = str_find(text, '$');

		if (!buf_add(x->out, str_sub(text, 0, n)))
			return fail(E_TOOBIG, "the expanded value is too long");
		if (n == text.n)
			break;
		text = str_sub(text, n + 1, text.n);
		TRY(expand_dollar(x, &text));
	}
	return OK;
}

enum err
conf_expand(struct str value, const char *(*lookup)(void *arg, struct str name), void *arg, struct buf *out)
{
	struct expansion x = { .lookup = lookup, .arg = arg, .out = out };

	return expand(&x, value);
}
