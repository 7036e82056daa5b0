/* SPDX-License-Identifier: Apache-2.0 */
#include "util/map_pcre.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "util/mem.h"

enum { HEAP_KIB = 8 << 10, WORDS = 200 };

struct map_pcre {
	pcre2_code *code;
	unsigned groups;
};

static const struct {
	unsigned ours;
	uint32_t theirs;
} flag_names[] = {
	{MAP_PCRE_ICASE,           PCRE2_CASELESS      },
	{ MAP_PCRE_MULTILINE,      PCRE2_MULTILINE     },
	{ MAP_PCRE_DOTALL,         PCRE2_DOTALL        },
	{ MAP_PCRE_EXTENDED,       PCRE2_EXTENDED      },
	{ MAP_PCRE_ANCHORED,       PCRE2_ANCHORED      },
	{ MAP_PCRE_DOLLAR_ENDONLY, PCRE2_DOLLAR_ENDONLY},
	{ MAP_PCRE_UNGREEDY,       PCRE2_UNGREEDY      },
};

static bool
has_high_bytes(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] > 127)
			return true;
	return false;
}

enum err
map_pcre_compile(struct str pattern, unsigned flags, struct map_pcre **out, size_t *at)
{
	/* \C would look into the middle of a character. */
	uint32_t options = PCRE2_NEVER_BACKSLASH_C, utf = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF;
	pcre2_code *code = NULL;
	PCRE2_UCHAR words[WORDS];
	int why = 0;

	for (size_t i = 0; i < countof(flag_names); i++)
		if (flags & flag_names[i].ours)
			options |= flag_names[i].theirs;
	if (has_high_bytes(pattern))
		code =
		    pcre2_compile((PCRE2_SPTR)pattern.p, pattern.n, options | utf, &why, at, NULL);
	/* Errors of the encoding are negative: then it is bytes. */
	if (code == NULL && why <= 0)
		code = pcre2_compile((PCRE2_SPTR)pattern.p, pattern.n, options, &why, at, NULL);
	if (code == NULL) {
		pcre2_get_error_message(why, words, sizeof words);
		return fail(E_SYNTAX, "%s", (const char *)words);
	}
	/* Where memory may not be made executable this fails, and the pattern is interpreted. */
	(void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
	*out = mem_new(sizeof **out);
	(*out)->code = code;
	pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &(*out)->groups);
	return OK;
}

void
map_pcre_free(struct map_pcre **p)
{
	if (*p == NULL)
		return;
	pcre2_code_free((*p)->code);
	mem_free(p);
}

unsigned
map_pcre_groups(const struct map_pcre *p)
{
	return p->groups;
}

static void
tell(pcre2_match_data *data, int groups, struct map_pcre_span *spans, size_t n)
{
	const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(data);

	for (size_t i = 0; i < n; i++) {
		spans[i] = (struct map_pcre_span){ SIZE_MAX, 0 };
		/* \K can put the start of a match after its end. */
		if (i < (size_t)groups && ends[2 * i] != PCRE2_UNSET &&
		    ends[2 * i] <= ends[2 * i + 1])
			spans[i] =
			    (struct map_pcre_span){ ends[2 * i], ends[2 * i + 1] - ends[2 * i] };
	}
}

enum err
map_pcre_match(const struct map_pcre *p, struct str subject, unsigned limit,
    struct map_pcre_span *spans, size_t n, bool *matched)
{
	pcre2_match_context *bounds = pcre2_match_context_create(NULL);
	pcre2_match_data *data = pcre2_match_data_create_from_pattern(p->code, NULL);
	PCRE2_UCHAR words[WORDS];
	enum err e = OK;
	int got = PCRE2_ERROR_NOMEMORY;

	*matched = false;
	if (bounds && data) {
		pcre2_set_match_limit(bounds, limit);
		pcre2_set_heap_limit(bounds, HEAP_KIB);
		got = pcre2_match(p->code, (PCRE2_SPTR)subject.p, subject.n, 0, 0, data, bounds);
	}
	if (got > 0) {
		*matched = true;
		tell(data, got, spans, n);
	} else if (got == PCRE2_ERROR_MATCHLIMIT || got == PCRE2_ERROR_HEAPLIMIT ||
		   got == PCRE2_ERROR_DEPTHLIMIT || got == PCRE2_ERROR_JIT_STACKLIMIT) {
		e = fail(E_BUSY, "the pattern backtracks too much");
	} else if (got != PCRE2_ERROR_NOMATCH) {
		pcre2_get_error_message(got, words, sizeof words);
		e = fail(E_IO, "%s", (const char *)words);
	}
	pcre2_match_data_free(data);
	pcre2_match_context_free(bounds);
	return e;
}
