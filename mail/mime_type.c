/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mime_type.h"

#include "mail/header.h"
#include "util/mem.h"

/* Blanks and comments, which may be nested and hold what they like. */
static void
skip(struct str *s)
{
	unsigned depth = 0;

	while (s->n > 0) {
		char c = s->p[0];

		if (depth > 0 && c == '\\' && s->n > 1)
			*s = str_sub(*s, 1, s->n);
		else if (c == '(')
			depth++;
		else if (depth > 0 && c == ')')
			depth--;
		else if (depth == 0 && c != ' ' && c != '\t' && c != '\r' && c != '\n')
			return;
		*s = str_sub(*s, 1, s->n);
	}
}

static struct str
token(struct str *s, const char *ends)
{
	size_t n = 0;
	struct str t;

	while (n < s->n && (unsigned char)s->p[n] > ' ' && strchr(ends, s->p[n]) == NULL)
		n++;
	t = str_sub(*s, 0, n);
	*s = str_sub(*s, n, s->n);
	return t;
}

static bool
next_is(struct str *s, char c)
{
	skip(s);
	if (s->n == 0 || s->p[0] != c)
		return false;
	*s = str_sub(*s, 1, s->n);
	skip(s);
	return true;
}

/* A parameter's value; out may be NULL.  False: longer than out takes. */
static bool
take_value(struct str *s, struct buf *out)
{
	bool fits = true;

	if (s->n == 0 || s->p[0] != '"') {
		/* Not only tokens: boundaries with = and / in them are about without quotes. */
		struct str word = token(s, ";");

		return out == NULL || buf_add(out, word);
	}
	for (*s = str_sub(*s, 1, s->n); s->n > 0 && s->p[0] != '"'; *s = str_sub(*s, 1, s->n)) {
		if (s->p[0] == '\\' && s->n > 1)
			*s = str_sub(*s, 1, s->n);
		fits = fits && (out == NULL || buf_addc(out, s->p[0]));
	}
	*s = str_sub(*s, 1, s->n);
	return fits;
}

bool
mime_type_parse(struct str value, size_t boundary_max, struct mime_type *t)
{
	*t = (struct mime_type){ .boundary = BUF(boundary_max) };
	skip(&value);
	t->type = token(&value, "/;()\"");
	if (!next_is(&value, '/'))
		t->type = STR("");
	else
		t->subtype = token(&value, ";()\"");
	if (t->type.n == 0 || t->subtype.n == 0) {
		t->type = t->subtype = STR("");
		return false;
	}
	while (next_is(&value, ';')) {
		struct str name = token(&value, "=;()\"");
		bool boundary = str_ieq(name, STR("boundary")) && t->boundary.n == 0;

		if (next_is(&value, '=') && !take_value(&value, boundary ? &t->boundary : NULL))
			buf_clear(&t->boundary);
	}
	return true;
}

void
mime_type_fini(struct mime_type *t)
{
	buf_free(&t->boundary);
}

/* The first word of a value. */
static struct str
first_word(struct str value)
{
	skip(&value);
	return token(&value, ";()");
}

void
mime_fields_init(struct mime_fields *f)
{
	*f = (struct mime_fields){ .type = BUF(MIME_VALUE_MAX), .encoding = BUF(MIME_VALUE_MAX) };
}

void
mime_fields_fini(struct mime_fields *f)
{
	buf_free(&f->type);
	buf_free(&f->encoding);
}

void
mime_fields_clear(struct mime_fields *f)
{
	memset(f->has, 0, sizeof f->has);
	f->now = MIME_OTHER;
	f->conflict = false;
	buf_clear(&f->type);
	buf_clear(&f->encoding);
}

static enum mime_field
field_of(struct str name)
{
	static const struct {
		struct str name;
		enum mime_field field;
	} names[] = {
		{STR("MIME-Version"),               MIME_VERSION },
		{ STR("Content-Type"),              MIME_TYPE    },
		{ STR("Content-Transfer-Encoding"), MIME_ENCODING},
	};

	for (size_t i = 0; i < countof(names); i++)
		if (str_ieq(name, names[i].name))
			return names[i].field;
	return MIME_OTHER;
}

static struct buf *
value_of(struct mime_fields *f, enum mime_field field)
{
	return field == MIME_TYPE ? &f->type : field == MIME_ENCODING ? &f->encoding : NULL;
}

enum mime_field
mime_fields_add(struct mime_fields *f, struct str line)
{
	enum mime_field field = field_of(header_field_name(line));
	struct str value = str_sub(line, str_find(line, ':') + 1, MIME_VALUE_MAX);
	bool again = f->has[field];

	f->has[field] = field != MIME_OTHER;
	f->now = again ? MIME_OTHER : field;
	if (again && field == MIME_ENCODING)
		f->conflict |= !str_ieq(first_word(value), mime_fields_encoding(f));
	mime_fields_continue(f, value);
	return field;
}

void
mime_fields_continue(struct mime_fields *f, struct str line)
{
	struct buf *b = value_of(f, f->now);

	if (b)
		(void)!buf_add(b, str_sub(line, 0, b->max - b->n));
}

struct str
mime_fields_encoding(const struct mime_fields *f)
{
	return first_word(buf_str(&f->encoding));
}
