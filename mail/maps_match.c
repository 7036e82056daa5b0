/* SPDX-License-Identifier: Apache-2.0 */
/* The three ways to match: POSIX expressions, PCRE, networks. */
#include <regex.h>

#include "mail/maps_rules.h"
#include "util/mem.h"

struct flag {
	char letter;
	unsigned bit;
};

/* Flags toggle what holds by default. */
static enum err
toggle(struct str flags, const struct flag *known, size_t n, unsigned *bits, size_t *at)
{
	for (size_t i = 0; i < flags.n; i++) {
		size_t k = 0;

		while (k < n && known[k].letter != flags.p[i])
			k++;
		if (k == n) {
			*at += i;
			return fail(E_SYNTAX, "unknown flag \"%c\"", flags.p[i]);
		}
		*bits ^= known[k].bit;
	}
	return OK;
}

/* glibc keeps what it finds out while matching in the expression, behind a lock of its own. */
struct posix {
	regex_t re;
};

static enum err
posix_compile(struct str pattern, struct str flags, void **out, unsigned *groups, size_t *at)
{
	static const struct flag known[] = {
		{'i',  REG_ICASE   },
                { 'm', REG_NEWLINE },
                { 'x', REG_EXTENDED}
	};
	unsigned bits = REG_ICASE | REG_EXTENDED;
	struct posix *p;
	char *text, words[200];
	int code;

	*at = pattern.n + 1; /* past the delimiter */
	TRY(toggle(flags, known, countof(known), &bits, at));
	*at = 0;
	p = mem_new(sizeof *p);
	text = str_dup(pattern);
	code = regcomp(&p->re, text, (int)bits);
	free(text);
	if (code != 0) {
		regerror(code, &p->re, words, sizeof words);
		free(p);
		return fail(E_SYNTAX, "%s", words);
	}
	*groups = (unsigned)p->re.re_nsub;
	*out = p;
	return OK;
}

static enum err
posix_match(const void *compiled, const struct subject *s, struct map_pcre_span *spans, size_t n,
    enum match *match)
{
	const struct posix *p = compiled;
	regmatch_t m[GROUPS_MAX + 1];
	int code;

	m[0] = (regmatch_t){ 0, (regoff_t)s->text.n };
	code = s->text.n > INT32_MAX ? REG_ESPACE : regexec(&p->re, s->text.p, n, m, REG_STARTEND);
	*match = code == 0 ? MATCH_YES : MATCH_NO;
	if (code != 0)
		return code == REG_NOMATCH ? OK : fail(E_IO, "regular expression: out of memory");
	for (size_t i = 0; i < n; i++) {
		bool took_part = m[i].rm_so >= 0;

		spans[i].at = took_part ? (size_t)m[i].rm_so : SIZE_MAX;
		spans[i].n = took_part ? (size_t)(m[i].rm_eo - m[i].rm_so) : 0;
	}
	return OK;
}

static void
posix_free(void *compiled)
{
	struct posix *p = compiled;

	regfree(&p->re);
	free(p);
}

static enum err
perl_compile(struct str pattern, struct str flags, void **out, unsigned *groups, size_t *at)
{
	/* X (unknown escapes are errors) is how PCRE2 always is. */
	static const struct flag known[] = {
		{'i',  MAP_PCRE_ICASE         },
		{ 'm', MAP_PCRE_MULTILINE     },
		{ 's', MAP_PCRE_DOTALL        },
		{ 'x', MAP_PCRE_EXTENDED      },
		{ 'A', MAP_PCRE_ANCHORED      },
		{ 'E', MAP_PCRE_DOLLAR_ENDONLY},
		{ 'U', MAP_PCRE_UNGREEDY      },
		{ 'X', 0                      },
	};
	unsigned bits = MAP_PCRE_ICASE | MAP_PCRE_DOTALL;
	struct map_pcre *p;

	*at = pattern.n + 1; /* past the delimiter */
	TRY(toggle(flags, known, countof(known), &bits, at));
	TRY(map_pcre_compile(pattern, bits, &p, at));
	*groups = map_pcre_groups(p);
	*out = p;
	return OK;
}

static enum err
perl_match(const void *compiled, const struct subject *s, struct map_pcre_span *spans, size_t n,
    enum match *match)
{
	unsigned limit = s->thorough ? MAP_PCRE_THOROUGH : MAP_PCRE_QUICK;
	bool matched = false;
	enum err e = map_pcre_match(compiled, s->text, limit, spans, n, &matched);

	*match = matched ? MATCH_YES : MATCH_NO;
	return e;
}

static void
perl_free(void *compiled)
{
	struct map_pcre *p = compiled;

	map_pcre_free(&p);
}

struct cidr {
	struct nets *nets; /* one */
	int family;
};

static enum err
cidr_compile(struct str pattern, struct str flags, void **out, unsigned *groups, size_t *at)
{
	struct str host = str_sub(pattern, 0, str_rfind(pattern, '/'));
	struct cidr *c;
	struct nets *nets;
	struct addr a;

	(void)flags;
	*at = *groups = 0;
	if (str_find(pattern, ',') < pattern.n)
		return fail(E_SYNTAX, "bad network \"%.*s\"", STR_ARG(pattern));
	TRY(nets_parse(pattern, &nets));
	c = mem_new(sizeof *c);
	c->nets = nets;
	c->family = addr_parse(host, 0, &a) == OK ? a.sa.sa_family : AF_UNSPEC;
	*out = c;
	return OK;
}

static enum err
cidr_match(const void *compiled, const struct subject *s, struct map_pcre_span *spans, size_t n,
    enum match *match)
{
	const struct cidr *c = compiled;

	(void)spans;
	(void)n;
	*match = c->family != s->addr.sa.sa_family ? MATCH_NEITHER
		 : nets_match(c->nets, &s->addr)   ? MATCH_YES
						   : MATCH_NO;
	return OK;
}

static void
cidr_free(void *compiled)
{
	struct cidr *c = compiled;

	nets_free(&c->nets);
	free(c);
}

const struct rule_kind rule_regexp = { false, true, posix_compile, posix_match, posix_free };
const struct rule_kind rule_pcre = { false, false, perl_compile, perl_match, perl_free };
const struct rule_kind rule_cidr = { true, false, cidr_compile, cidr_match, cidr_free };

enum err
regexp_content(const char *file, struct str text, struct content **out)
{
	return rules_content(&rule_regexp, file, text, out);
}

enum err
pcre_content(const char *file, struct str text, struct content **out)
{
	return rules_content(&rule_pcre, file, text, out);
}

enum err
cidr_content(const char *file, struct str text, struct content **out)
{
	return rules_content(&rule_cidr, file, text, out);
}
