/* SPDX-License-Identifier: Apache-2.0 */
/* The input is the text of a table; its first byte says of which kind.  What is taken in is also asked. */
#include <stdlib.h>

#include "mail/maps_table.h"
#include "mail/maptext.h"
#include "util/log.h"
#include "util/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* What stands in a line is found by its bytes; errors name a place in the text. */
static void
read_entries(enum maptext_form form, struct str text)
{
	struct maptext *t = maptext_open("F", text);
	struct str key, value;
	bool more = true;

	while (more) {
		if (maptext_entry(t, form, &key, &value, &more) != OK)
			ENSURE(str_starts(str_of(err_why()), STR("F:")));
		else if (more)
			ENSURE(value.n > 0 && key.n > 0 && key.n + value.n <= text.n && maptext_number(t) > 0);
	}
	maptext_close(&t);
}

static void
ask(struct content *c, struct str key)
{
	static char lower[1 << 16];
	struct buf value = { 0 };
	struct ask a = { .key = key, .folded = { lower, key.n }, .value = &value };

	if (key.n > sizeof lower)
		return;
	for (size_t i = 0; i < key.n; i++)
		lower[i] = key.p[i] >= 'A' && key.p[i] <= 'Z' ? (char)(key.p[i] | 0x20) : key.p[i];
	if (c->type->find(c, &a) != OK)
		ENSURE(err_why()[0] != '\0');
	buf_free(&value);
}

/* Each word of the text, and all of it, as a key. */
static void
ask_all(struct content *c, struct str text)
{
	struct str rest = text, word;
	int left = 50;

	ask(c, text);
	while (left-- > 0 && str_word(&rest, " \t\n", &word))
		ask(c, word);
	content_drop(&c);
}

static void
read_list(struct str text)
{
	struct str rest = text, element, inside;

	while (take_element(&rest, &element) == OK && element.n > 0)
		if (in_braces(element, &inside) == OK)
			ENSURE(inside.n + 2 <= element.n);
}

/* The C library doubles an expression for each count and each "+" that is put on one; what takes all memory there is is not ours to
 * find.  Our part, the lines and flags, is reached without them. */
static bool
is_small(struct str text)
{
	enum { DOUBLINGS_MAX = 8 };
	size_t doublings = 0;

	for (size_t i = 0; i < text.n; i++)
		doublings += text.p[i] == '+';
	return doublings <= DOUBLINGS_MAX && str_find(text, '{') == text.n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	/* Of the size it has, so that a read past the end is seen. */
	char *copy = mem_new(n ? n : 1);
	struct str text = { copy, n ? n - 1 : 0 };
	struct content *c;

	for (size_t i = 1; i < n; i++)
		copy[i - 1] = (char)data[i];
	switch (n ? data[0] : 0) {
	case 't':
		read_entries(MAPTEXT_TABLE, text);
		if (index_content("F", text, false, &c) == OK)
			ask_all(c, text);
		break;
	case 'a':
		read_entries(MAPTEXT_ALIASES, text);
		if (index_content("F", text, true, &c) == OK)
			ask_all(c, text);
		break;
	case 'p':
		if (pcre_content("F", text, &c) == OK)
			ask_all(c, text);
		break;
	case 'r':
		if (is_small(text) && regexp_content("F", text, &c) == OK)
			ask_all(c, text);
		break;
	case 'c':
		if (cidr_content("F", text, &c) == OK)
			ask_all(c, text);
		break;
	case 'i':
		read_list(text);
		if (inline_content(text, &c) == OK)
			ask_all(c, text);
		break;
	default:
		break;
	}
	free(copy);
	return 0;
}
