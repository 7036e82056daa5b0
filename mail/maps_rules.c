/* SPDX-License-Identifier: Apache-2.0 */
/* A rule a line: "/pattern/flags result", "!/pattern/ result", "if /pattern/" … "endif".  The first
 * rule that matches gives the result. */
#include "mail/maps_rules.h"

#include <stdio.h>

#include "mail/maptext.h"
#include "util/mem.h"

/* Past these a table is searched in a helper thread from the start. */
enum { QUICK_RULES = 100, QUICK_RULES_BY_ADDRESS = 10000, QUICK_SUBJECT = 4096 };

struct rule {
	void *pattern; /* NULL: endif */
	bool negated;
	bool is_if;
	size_t endif;     /* of an if: where its endif is */
	char *result;     /* NULL: if or endif */
	unsigned highest; /* $n in result; 0: none */
	unsigned line;
};

struct rules {
	struct content c;
	const struct rule_kind *kind;
	char *file;
	struct rule *v;
	size_t n, cap;
};

static bool
is_word_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_';
}

/* Take what stands behind a '$' off the front of *rest: "1", "{1}", "(1)"; or '$' itself, which is
 * *n == 0. */
static bool
take_reference(struct str *rest, uint64_t *n)
{
	char open = rest->n > 0 ? rest->p[0] : '\0';
	bool bracket = open == '{' || open == '(';
	struct str name;
	size_t len = 0;

	if (open == '$') {
		*rest = str_sub(*rest, 1, rest->n);
		*n = 0;
		return true;
	}
	if (bracket)
		*rest = str_sub(*rest, 1, rest->n);
	while (len < rest->n && is_word_byte(rest->p[len]))
		len++;
	name = str_sub(*rest, 0, len);
	*rest = str_sub(*rest, len, rest->n);
	if (bracket && (rest->n == 0 || rest->p[0] != (open == '{' ? '}' : ')')))
		return false;
	if (bracket)
		*rest = str_sub(*rest, 1, rest->n);
	return str_u64(name, n) && *n >= 1;
}

static enum err
check_result(const struct maptext *t, struct str result, unsigned groups, struct rule *r)
{
	struct str rest = result;
	uint64_t n;

	for (size_t i; (i = str_find(rest, '$')) < rest.n;) {
		const char *dollar = rest.p + i;

		rest = str_sub(rest, i + 1, rest.n);
		if (!take_reference(&rest, &n))
			return maptext_error(
			    t, dollar, "\"$\" must be followed by a number, or be $$");
		if (n > 0 && r->negated)
			return maptext_error(t, dollar, "a pattern with ! has no parts to put in");
		if (n > groups || n > GROUPS_MAX)
			return maptext_error(
			    t, dollar, "the pattern has no part %llu", (unsigned long long)n);
		if (n > r->highest)
			r->highest = (unsigned)n;
	}
	return OK;
}

/* Take the pattern and its flags off the front of *rest. */
static enum err
take_pattern(const struct maptext *t, const struct rule_kind *kind, struct str *rest,
    struct str *pattern, struct str *flags)
{
	size_t n = 0, from = kind->by_address ? 0 : 1;
	char delimiter = rest->n > 0 ? rest->p[0] : '\0';

	if (rest->n == 0)
		return maptext_error(t, rest->p, "no pattern");
	if (!kind->by_address && (is_word_byte(delimiter) || (unsigned char)delimiter > 127 ||
				     strchr(" \t\\!", delimiter) != NULL))
		return maptext_error(
		    t, rest->p, "a pattern stands between delimiters, as in /pattern/");
	for (n = from; n < rest->n && !kind->by_address && rest->p[n] != delimiter; n++)
		if (rest->p[n] == '\\')
			n++;
	if (!kind->by_address && n >= rest->n)
		return maptext_error(t, rest->p, "no closing \"%c\"", delimiter);
	while (kind->by_address && n < rest->n && rest->p[n] != ' ' && rest->p[n] != '\t')
		n++;
	*pattern = str_sub(*rest, from, n - from);
	*rest = str_sub(*rest, n + from, rest->n);
	for (n = 0; n < rest->n && rest->p[n] != ' ' && rest->p[n] != '\t';)
		n++;
	*flags = str_sub(*rest, 0, n);
	*rest = str_trim(str_sub(*rest, n, rest->n));
	return OK;
}

/* "if" and "endif" stand alone or before a blank. */
static bool
take_word(struct str *rest, struct str word)
{
	if (!str_istarts(*rest, word))
		return false;
	if (rest->n > word.n && rest->p[word.n] != ' ' && rest->p[word.n] != '\t')
		return false;
	*rest = str_trim(str_sub(*rest, word.n, rest->n));
	return true;
}

static enum err
parse_pattern(const struct maptext *t, const struct rule_kind *kind, struct str *rest,
    struct rule *r, unsigned *groups)
{
	struct str pattern, flags;
	size_t at = 0;
	char why[ERR_WHY_MAX];
	enum err e;

	while (rest->n > 0 && rest->p[0] == '!') {
		r->negated = !r->negated;
		*rest = str_trim(str_sub(*rest, 1, rest->n));
	}
	TRY(take_pattern(t, kind, rest, &pattern, &flags));
	e = kind->compile(pattern, flags, &r->pattern, groups, &at);
	if (e != OK) {
		snprintf(why, sizeof why, "%s", err_why());
		return maptext_error(t, pattern.p + at, "%s", why);
	}
	return OK;
}

static enum err
parse_rule(const struct maptext *t, struct rules *rules, struct str line, struct rule *r)
{
	const char *start = line.p;
	unsigned groups = 0;
	size_t i = rules->n;

	if (take_word(&line, STR("endif"))) {
		while (i > 0 && !(rules->v[i - 1].is_if && rules->v[i - 1].endif == 0))
			i--;
		if (i == 0)
			return maptext_error(t, start, "endif without if");
		rules->v[i - 1].endif = rules->n;
		return line.n == 0 ? OK : maptext_error(t, line.p, "text after endif");
	}
	r->is_if = take_word(&line, STR("if"));
	TRY(parse_pattern(t, rules->kind, &line, r, &groups));
	if (r->is_if)
		return line.n == 0 ? OK
				   : maptext_error(t, line.p, "text after the pattern of an if");
	if (rules->kind->by_address && line.n == 0)
		return maptext_error(t, start, "no result after the pattern");
	if (!rules->kind->by_address)
		TRY(check_result(t, line, groups, r));
	r->result = str_dup(line);
	return OK;
}

static void
rules_free(struct content *c)
{
	struct rules *rules = container_of(c, struct rules, c);

	for (size_t i = 0; i < rules->n; i++) {
		if (rules->v[i].pattern)
			rules->kind->free(rules->v[i].pattern);
		free(rules->v[i].result);
	}
	free(rules->v);
	free(rules->file);
	free(rules);
}

static enum err
parse_rules(struct maptext *t, struct rules *rules)
{
	struct str line;
	bool more;

	for (;;) {
		struct rule *r;
		enum err e;

		TRY(maptext_line(t, &line, &more));
		if (!more)
			break;
		if (rules->n == rules->cap) {
			rules->cap = rules->cap ? 2 * rules->cap : 16;
			rules->v = mem_grow(rules->v, rules->cap * sizeof *rules->v);
		}
		r = &rules->v[rules->n];
		*r = (struct rule){ .line = maptext_number(t) };
		e = parse_rule(t, rules, line, r);
		rules->n++; /* with what it has, for rules_free() */
		TRY(e);
	}
	for (size_t i = 0; i < rules->n; i++)
		if (rules->v[i].is_if && rules->v[i].endif == 0)
			return fail(
			    E_SYNTAX, "%s:%u:1: if without endif", rules->file, rules->v[i].line);
	return OK;
}

/* result, checked when it was read, with the parts put in. */
static bool
expand(const struct rule *r, struct str subject, const struct map_pcre_span *spans, struct buf *out)
{
	struct str rest = str_of(r->result);
	uint64_t n;

	for (size_t i; (i = str_find(rest, '$')) < rest.n;) {
		if (!buf_add(out, str_sub(rest, 0, i)))
			return false;
		rest = str_sub(rest, i + 1, rest.n);
		(void)take_reference(&rest, &n);
		if (n == 0 ? !buf_addc(out, '$')
			   : spans[n].at != SIZE_MAX &&
				 !buf_add(out, str_sub(subject, spans[n].at, spans[n].n)))
			return false;
	}
	return buf_add(out, rest);
}

static enum err
answer(const struct rules *rules, const struct rule *r, const struct subject *s,
    const struct map_pcre_span *spans, struct ask *a)
{
	if (rules->kind->by_address)
		return ask_answer(a, str_of(r->result));
	if (r->highest > 0 && (a->flags & MAPS_NOSUB))
		return fail(
		    E_SYNTAX, "%s:%u:1: $%u is not allowed here", rules->file, r->line, r->highest);
	a->found = true;
	if (!expand(r, s->text, spans, a->value))
		return fail(E_IO, "%s:%u:1: result too long", rules->file, r->line);
	return OK;
}

static enum err
search(const struct rules *rules, const struct subject *s, struct ask *a)
{
	struct map_pcre_span spans[GROUPS_MAX + 1];
	char why[ERR_WHY_MAX];

	for (size_t i = 0; i < rules->n; i++) {
		const struct rule *r = &rules->v[i];
		enum match match;
		bool matched;
		enum err e;

		if (r->pattern == NULL)
			continue;
		e = rules->kind->match(r->pattern, s, spans, r->highest + 1, &match);
		if (e != OK) {
			snprintf(why, sizeof why, "%s", err_why());
			return fail(e, "%s:%u:1: %s", rules->file, r->line, why);
		}
		matched = match == (r->negated ? MATCH_NO : MATCH_YES);
		if (r->is_if && !matched)
			i = r->endif;
		else if (!r->is_if && matched)
			return answer(rules, r, s, spans, a);
	}
	return OK;
}

static enum err
rules_find(struct content *c, struct ask *a)
{
	const struct rules *rules = container_of(c, struct rules, c);
	struct subject s = { .text = a->key, .thorough = a->thorough };
	size_t quick = rules->kind->by_address ? QUICK_RULES_BY_ADDRESS : QUICK_RULES;
	enum err e;

	if (rules->kind->by_address && addr_parse(a->key, 0, &s.addr) != OK)
		return OK; /* no pattern is about it, not even one with ! */
	if (!a->thorough &&
	    (rules->kind->helper_only || rules->n > quick || a->key.n > QUICK_SUBJECT)) {
		a->put_off = true;
		return OK;
	}
	e = search(rules, &s, a);
	if (e == E_BUSY && !a->thorough) {
		a->put_off = true;
		return OK;
	}
	return e;
}

enum err
rules_content(const struct rule_kind *kind, const char *file, struct str text, struct content **out)
{
	static const struct content_type type = { rules_find, rules_free, .quick = true };
	struct maptext *t = maptext_open(file, text);
	struct rules *rules = mem_new(sizeof *rules);
	enum err e;

	rules->c = (struct content){ &type, 1 };
	rules->kind = kind;
	rules->file = mem_dup(file);
	e = parse_rules(t, rules);
	maptext_close(&t);
	if (e == OK)
		*out = &rules->c;
	else
		rules_free(&rules->c);
	return e;
}
