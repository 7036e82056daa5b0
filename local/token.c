/* SPDX-License-Identifier: Apache-2.0 */
#include "local/token.h"

#include "mail/addr.h"
#include "mail/addrlist.h"
#include "util/mem.h"

enum { TEXT_MAX = 64 << 20, SHOWN = 60, FIRST_CAP = 8 };

struct parser {
	struct str rest;
	struct tokens *out;
	size_t *at; /* of each token in out->text, which moves as it grows */
	size_t cap, most;
};

static bool
is_end(char c)
{
	return c == ',' || c == '\n';
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* The words of an error about s, made short and safe to log. */
static enum err
bad(struct str s, const char *what)
{
	struct buf shown = BUF(0);
	enum err e;

	(void)buf_add_clean(&shown, str_sub(str_trim(s), 0, SHOWN));
	e = fail(E_SYNTAX, "%s: \"%s%s\"", what, buf_cstr(&shown), s.n > SHOWN ? "..." : "");
	buf_free(&shown);
	return e;
}

static enum err
add(struct parser *p, enum token_kind kind, struct str text)
{
	struct tokens *t = p->out;

	if (t->n == p->most)
		return fail(E_TOOBIG, "more than %zu destinations", p->most);
	if (text.n == 0)
		return fail(E_SYNTAX, "a destination without a name");
	if (text.n > TOKEN_MAX)
		return bad(text, "too long");
	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char)text.p[i] < ' ' && text.p[i] != '\t')
			return bad(text, "control character");
	if (t->n == p->cap) {
		p->cap = p->cap ? 2 * p->cap : FIRST_CAP;
		t->v = mem_grow(t->v, p->cap * sizeof *t->v);
		p->at = mem_grow(p->at, p->cap * sizeof *p->at);
	}
	p->at[t->n] = t->text.n;
	t->v[t->n++] = (struct token){
		kind, {NULL, text.n}
	};
	return buf_add(&t->text, text) ? OK : fail(E_TOOBIG, "too much text");
}

/* Where the element at the front of s ends: at a comma or line end outside quotes, comments and <>.
 */
static size_t
element_length(struct str s)
{
	size_t depth = 0;
	bool quoted = false, angle = false;

	for (size_t i = 0; i < s.n && s.p[i] != '\n'; i++) {
		char c = s.p[i];

		if (c == '\\' && i + 1 < s.n && s.p[i + 1] != '\n')
			i++;
		else if (c == '"' && depth == 0)
			quoted = !quoted;
		else if (quoted)
			continue;
		else if (c == '(')
			depth++;
		else if (c == ')' && depth > 0)
			depth--;
		else if (c == '<' || c == '>')
			angle = depth == 0 ? c == '<' : angle;
		else if (c == ',' && depth == 0 && !angle)
			return i;
	}
	return str_find(s, '\n');
}

/* The same for a command or file name, where nothing but quotes protects a comma. */
static size_t
plain_length(struct str s)
{
	bool quoted = false;

	for (size_t i = 0; i < s.n && s.p[i] != '\n'; i++) {
		if (s.p[i] == '\\' && i + 1 < s.n && s.p[i + 1] != '\n')
			i++;
		else if (s.p[i] == '"')
			quoted = !quoted;
		else if (s.p[i] == ',' && !quoted)
			return i;
	}
	return str_find(s, '\n');
}

/* s begins with a quote: what it quotes goes to inner, and *after is what follows.  False: the
 * quote does not end on its line. */
static bool
unquote(struct str s, struct buf *inner, struct str *after)
{
	for (size_t i = 1; i < s.n && s.p[i] != '\n'; i++) {
		if (s.p[i] == '"') {
			*after = str_sub(s, i + 1, s.n);
			return true;
		}
		if (s.p[i] == '\\' && i + 1 < s.n && s.p[i + 1] != '\n')
			i++;
		if (!buf_addc(inner, s.p[i]))
			return false;
	}
	return false;
}

/* Commands, files and includes are told by how they begin. */
static bool
kind_of(struct str s, enum token_kind *kind, struct str *text)
{
	struct str include = STR(":include:");

	if (str_istarts(s, include)) {
		*kind = TOKEN_INCLUDE;
		*text = str_trim(str_sub(s, include.n, s.n));
	} else if (s.n > 0 && s.p[0] == '|') {
		*kind = TOKEN_COMMAND;
		*text = str_trim(str_sub(s, 1, s.n));
	} else if (s.n > 0 && s.p[0] == '/') {
		*kind = TOKEN_FILE;
		*text = s;
	} else {
		return false;
	}
	return true;
}

static enum err
add_special(struct parser *p, enum token_kind kind, struct str text)
{
	struct buf inner = BUF(TEXT_MAX);
	struct str after;
	enum err e;

	/* |"command", :include:"file" */
	if (text.n > 0 && text.p[0] == '"' && unquote(text, &inner, &after) &&
	    str_trim(after).n == 0)
		text = str_trim(buf_str(&inner));
	if (kind == TOKEN_INCLUDE && (text.n == 0 || text.p[0] != '/'))
		e = bad(text, ":include: needs the name of a file from the root");
	else
		e = add(p, kind, text);
	buf_free(&inner);
	return e;
}

/* "|command" and the like in quotes.  *done: it was one, and p->rest is past it. */
static enum err
take_quoted(struct parser *p, bool *done)
{
	struct buf inner = BUF(TEXT_MAX);
	enum token_kind kind;
	struct str text, after;
	enum err e = OK;

	*done = false;
	if (unquote(p->rest, &inner, &after) && kind_of(str_trim(buf_str(&inner)), &kind, &text)) {
		while (after.n > 0 && is_space(after.p[0]))
			after = str_sub(after, 1, after.n);
		if (after.n == 0 || is_end(after.p[0])) {
			*done = true;
			p->rest = after;
			e = add_special(p, kind, text);
		}
	}
	buf_free(&inner);
	return e;
}

static enum err
take_mailbox(struct parser *p, struct str element)
{
	struct str user = str_trim(str_sub(element, 1, element.n));

	for (size_t i = 0; i < user.n; i++)
		if (is_space(user.p[i]) || strchr("\"()<>/|:;\\", user.p[i]))
			return bad(element, "not a user's name");
	return add(p, TOKEN_MAILBOX, user);
}

/* An address in the form the rest of the house has them; without a domain it is whatever a local
 * part may be. */
static bool
normalise(struct str s, struct buf *out)
{
	struct str none = STR("@x"), in;
	bool whole = address_domain(s).n > 0, valid;
	struct buf path = BUF(TEXT_MAX);

	valid = s.n <= ADDR_MAX && buf_printf(&path, "<%.*s%s>", STR_ARG(s), whole ? "" : none.p);
	in = buf_str(&path);
	valid = valid && path_take(&in, false, true, out) == OK && in.n == 0 && out->n > 0;
	if (valid && !whole)
		buf_cut(out, out->n - none.n);
	buf_free(&path);
	return valid;
}

static enum err
take_addresses(struct parser *p, struct str element)
{
	struct addrlist list = { .text = element };
	struct buf found = BUF(TEXT_MAX), address = BUF(TEXT_MAX);
	size_t from, to;
	enum err e = OK;

	while (e == OK && addrlist_next(&list, &found, &from, &to)) {
		buf_clear(&address);
		if (found.n > 0)
			e = normalise(buf_str(&found), &address)
				? add(p, TOKEN_ADDRESS, buf_str(&address))
				: bad(element, "not an address");
		buf_clear(&found);
	}
	buf_free(&found);
	buf_free(&address);
	return e;
}

static enum err
take_element(struct parser *p)
{
	enum token_kind kind;
	struct str element, text;
	bool done;

	if (p->rest.p[0] == '"') {
		TRY(take_quoted(p, &done));
		if (done)
			return OK;
	}
	if (kind_of(p->rest, &kind, &text)) {
		element = str_sub(p->rest, 0, plain_length(p->rest));
		p->rest = str_sub(p->rest, element.n, p->rest.n);
		(void)kind_of(str_trim(element), &kind, &text);
		return add_special(p, kind, text);
	}
	element = str_sub(p->rest, 0, element_length(p->rest));
	p->rest = str_sub(p->rest, element.n, p->rest.n);
	return element.p[0] == '\\' ? take_mailbox(p, element) : take_addresses(p, element);
}

enum err
tokens_parse(struct str text, bool file, size_t most, struct tokens *out)
{
	struct parser p = { .rest = text, .out = out, .most = most };
	bool fresh = true; /* at the start of a line */
	enum err e = OK;

	*out = (struct tokens){ .text = BUF(TEXT_MAX) };
	while (e == OK && p.rest.n > 0) {
		char c = p.rest.p[0];

		if (file && fresh && c == '#') {
			p.rest = str_sub(p.rest, str_find(p.rest, '\n'), p.rest.n);
		} else if (is_end(c) || is_space(c)) {
			fresh = c == '\n';
			p.rest = str_sub(p.rest, 1, p.rest.n);
		} else {
			fresh = false;
			e = take_element(&p);
		}
	}
	for (size_t i = 0; i < out->n; i++)
		out->v[i].text.p = out->text.p + p.at[i];
	free(p.at);
	if (e != OK)
		tokens_fini(out);
	return e;
}

void
tokens_fini(struct tokens *t)
{
	mem_free(&t->v);
	buf_free(&t->text);
	t->n = 0;
}
