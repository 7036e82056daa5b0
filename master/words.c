/* SPDX-License-Identifier: Apache-2.0 */
#include "master/words.h"

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Index of the '}' that closes the '{' at line[at], or line.n. */
static size_t
closing_brace(struct str line, size_t at)
{
	size_t depth = 0;

	for (size_t i = at; i < line.n; i++) {
		if (line.p[i] == '{')
			depth++;
		else if (line.p[i] == '}' && --depth == 0)
			return i;
	}
	return line.n;
}

enum err
word_next(struct str line, size_t *at, struct word *w)
{
	size_t i = *at, end;

	while (i < line.n && is_blank(line.p[i]))
		i++;
	w->at = i;
	w->braced = i < line.n && line.p[i] == '{';
	if (i == line.n)
		return E_EOF;
	if (!w->braced) {
		for (end = i; end < line.n && !is_blank(line.p[end]);)
			end++;
		w->text = str_sub(line, i, end - i);
		*at = end;
		return OK;
	}
	if ((end = closing_brace(line, i)) == line.n)
		return fail(E_SYNTAX, "expected a '}' for this '{'");
	if (end + 1 < line.n && !is_blank(line.p[end + 1])) {
		w->at = end + 1;
		return fail(E_SYNTAX, "expected a blank after '}'");
	}
	w->text = str_trim(str_sub(line, i + 1, end - i - 1));
	*at = end + 1;
	return OK;
}

bool
word_pair(struct str text, struct str *name, struct str *value)
{
	size_t sign = str_find(text, '=');

	*name = str_trim(str_sub(text, 0, sign));
	*value = str_trim(str_sub(text, sign + 1, text.n));
	return sign < text.n && name->n > 0 && str_find(*name, ' ') == name->n;
}
