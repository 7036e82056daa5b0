/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/addrlist.h"

/* The end of a quoted string, comment or domain literal that begins at `at`; of the text when it is
 * not closed, and then *broken. */
static size_t
skip_enclosed(struct str s, size_t at, char open, char close, bool *broken)
{
	size_t depth = 1;

	for (at++; at < s.n; at++) {
		if (s.p[at] == '\\' && at + 1 < s.n)
			at++;
		else if (s.p[at] == close && --depth == 0)
			return at + 1;
		else if (s.p[at] == open)
			depth++;
	}
	*broken = true;
	return s.n;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* One word from `at` on: a run of plain characters, a quoted string, a literal, or one special.  A
 * backslash quotes no line end. */
static size_t
word_end(struct str s, size_t at, bool *broken)
{
	static const char specials[] = "\"(),:;<>@[]. \t\r\n";
	size_t i = at;

	if (s.p[at] == '"')
		return skip_enclosed(s, at, '"', '"', broken);
	if (s.p[at] == '[')
		return skip_enclosed(s, at, '[', ']', broken);
	while (i < s.n && !memchr(specials, s.p[i], sizeof specials - 1)) {
		bool quotes = s.p[i] == '\\' && i + 1 < s.n && s.p[i + 1] != '\r' && s.p[i + 1] != '\n';

		*broken |= s.p[i] == '\\' && !quotes;
		i += quotes ? 2 : 1;
	}
	return i > at ? i : at + 1;
}

/* What is being gathered of one element of the list. */
struct element {
	struct str  text;
	struct str  phrase, comment;                   /* before <, and in () */
	struct buf *out;
	size_t      from, to;                          /* of what is in out */
	bool        any;                               /* something is */
	bool        angle;                             /* inside <> */
	bool        closed;                            /* behind > */
	bool        glued;                             /* the last word was one that binds: . or @ */
};

static void
add_word(struct element *e, struct str word, size_t at, bool broken)
{
	bool binds = word.n == 1 && (word.p[0] == '.' || word.p[0] == '@');

	if (e->closed)
		return;                                /* words behind <a@b> mean nothing */
	if (!e->any)
		e->from = at;
	else if (!binds && !e->glued)
		(void)buf_addc(e->out, ' ');           /* two words: no address */
	(void)buf_add(e->out, word);
	if (broken)
		(void)buf_addc(e->out, ' ');
	e->any = true;
	e->glued = binds;
	e->to = at + word.n;
}

static void
restart(struct element *e, size_t at)
{
	buf_clear(e->out);
	e->any = e->glued = false;
	e->from = e->to = at;
}

/* A special character; false when it ends the element. */
static bool
special(struct element *e, char c, size_t at)
{
	switch (c) {
	case '<':
		if (e->any)
			e->phrase = (struct str){ e->text.p + e->from, e->to - e->from };
		restart(e, at + 1);
		e->angle = true;
		e->closed = false;
		return true;
	case '>':
		if (!e->angle)
			return true;
		if (!e->any)
			e->from = e->to = at;
		e->angle = false;
		e->any = e->closed = true;
		return true;
	case ':':                                      /* the end of a route, or of a group's name */
		restart(e, at + 1);
		return true;
	case ';':
		return !e->any;
	case ',':                                      /* in <@a,@b:c@d> it is part of the route */
		if (e->angle)
			restart(e, at + 1);
		return e->angle || !e->any;
	default:
		return true;
	}
}

/* The text of a comment, or of a phrase whose only word is quoted, without what encloses it. */
static struct str
bare(struct str s)
{
	s = str_trim(s);
	if (s.n >= 2 && ((s.p[0] == '"' && s.p[s.n - 1] == '"') || (s.p[0] == '(' && s.p[s.n - 1] == ')')))
		return str_trim(str_sub(s, 1, s.n - 2));
	return s;
}

bool
addrlist_next(struct addrlist *l, struct buf *out, size_t *from, size_t *to)
{
	struct str s = l->text;
	struct element e = { .text = s, .out = out };
	bool open = true;

	buf_clear(out);
	while (open && l->at < s.n) {
		size_t at = l->at;
		char c = s.p[at];

		bool broken = false;

		if (c == '(') {
			l->at = skip_enclosed(s, at, '(', ')', &broken);
			e.comment = str_sub(s, at, l->at - at);
		} else if (is_blank(c)) {
			l->at++;
		} else if (memchr("<>:;,", c, 5)) {
			open = special(&e, c, at);
			l->at++;
		} else {
			l->at = word_end(s, at, &broken);
			add_word(&e, str_sub(s, at, l->at - at), at, broken);
		}
	}
	*from = e.from;
	*to = e.to;
	l->name = bare(e.phrase.n > 0 ? e.phrase : e.comment);
	return e.any;
}
