/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/addr.h"

#include "util/mem.h"
#include <arpa/inet.h>

enum { LABEL_MAX = 63 };

static bool
is_alnum(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* RFC 5321 section 4.1.2 atext; bytes over 127 by RFC 6531 section 3.3. */
static bool
is_atext(unsigned char c, bool utf8)
{
	return is_alnum(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL) || (c > 127 && utf8);
}

static bool
is_qtext(unsigned char c, bool utf8)
{
	return (c >= 32 && c < 127) || (c > 127 && utf8);
}

/* "[1.2.3.4]" or "[IPv6:2001:db8::1]", RFC 5321 section 4.1.3. */
static bool
literal_valid(struct str s)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr a;
	int family = AF_INET;

	if (s.n < 2 || s.p[0] != '[' || s.p[s.n - 1] != ']')
		return false;
	s = str_sub(s, 1, s.n - 2);
	if (str_istarts(s, STR("IPv6:"))) {
		s = str_sub(s, 5, s.n);
		family = AF_INET6;
	}
	if (s.n >= sizeof text || str_find(s, '\0') < s.n)
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	return inet_pton(family, text, &a) == 1;
}

static bool
label_valid(struct str label, bool utf8)
{
	if (label.n == 0 || label.n > LABEL_MAX || label.p[0] == '-' || label.p[label.n - 1] == '-')
		return false;
	for (size_t i = 0; i < label.n; i++) {
		unsigned char c = (unsigned char)label.p[i];

		if (!is_alnum(c) && c != '-' && c != '_' && !(c > 127 && utf8))
			return false;
	}
	return true;
}

static bool
all_digits(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return true;
}

static bool
name_valid(struct str domain, bool utf8)
{
	struct str last = str_sub(domain, str_rfind(domain, '.') < domain.n ? str_rfind(domain, '.') + 1 : 0, domain.n);

	if (domain.n == 0 || domain.n > ADDR_DOMAIN_MAX || (utf8 && !str_is_utf8(domain)))
		return false;
	if (domain.p[0] == '[')
		return literal_valid(domain);
	/* A last label of digits is an address without its brackets, never a name (RFC 3696 section 2). */
	if (all_digits(last))
		return false;
	for (size_t at = 0; at <= domain.n;) {
		struct str rest = str_sub(domain, at, domain.n);
		size_t n = str_find(rest, '.');

		if (!label_valid(str_sub(rest, 0, n), utf8))
			return false;
		at += n + 1;
	}
	return true;
}

bool
domain_valid(struct str domain)
{
	return name_valid(domain, false);
}

/* Does this local part need no quotes?  Dots only between atoms. */
static bool
is_dot_string(struct str s, bool utf8)
{
	if (s.n == 0 || s.p[0] == '.' || s.p[s.n - 1] == '.')
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '.' ? s.p[i + 1] == '.' : !is_atext((unsigned char)s.p[i], utf8))
			return false;
	}
	return true;
}

static bool
add_quoted(struct buf *out, struct str plain)
{
	if (!buf_addc(out, '"'))
		return false;
	for (size_t i = 0; i < plain.n; i++)
		if (((plain.p[i] == '"' || plain.p[i] == '\\') && !buf_addc(out, '\\')) || !buf_addc(out, plain.p[i]))
			return false;
	return buf_addc(out, '"');
}

/* A quoted local part, in->p[0] being the quote.  Written back with no more quoting than it needs. */
static enum err
take_quoted(struct str *in, bool utf8, struct buf *out)
{
	char text[ADDR_LOCAL_MAX];
	struct str plain = { text, 0 };
	size_t i = 1;

	for (; i < in->n && in->p[i] != '"'; i++) {
		if (in->p[i] == '\\' && ++i == in->n)
			break;
		if (!is_qtext((unsigned char)in->p[i], utf8))
			return fail(E_SYNTAX, "character not allowed in a quoted local part");
		if (plain.n == sizeof text)
			return fail(E_SYNTAX, "local part longer than %d", ADDR_LOCAL_MAX);
		text[plain.n++] = in->p[i];
	}
	if (i >= in->n)
		return fail(E_SYNTAX, "quote not closed");
	*in = str_sub(*in, i + 1, in->n);
	if (!(is_dot_string(plain, utf8) ? buf_add(out, plain) : add_quoted(out, plain)))
		return fail(E_SYNTAX, "address too long");
	return OK;
}

/* Dots are taken wherever they stand, as everybody does: a..b@c exists in the wild. */
static enum err
take_atoms(struct str *in, bool utf8, struct buf *out)
{
	size_t n = 0;

	while (n < in->n && (in->p[n] == '.' || is_atext((unsigned char)in->p[n], utf8)))
		n++;
	if (n == 0)
		return fail(E_SYNTAX, "no local part");
	if (!buf_add(out, str_sub(*in, 0, n)))
		return fail(E_SYNTAX, "address too long");
	*in = str_sub(*in, n, in->n);
	return OK;
}

/* The domain at the front of *in: up to what cannot be part of one. */
static struct str
domain_at(struct str in)
{
	size_t n = 0;

	if (in.n > 0 && in.p[0] == '[') {
		n = str_find(in, ']');
		return str_sub(in, 0, n < in.n ? n + 1 : n);
	}
	while (n < in.n && strchr("<>,:@\" ", in.p[n]) == NULL)
		n++;
	return str_sub(in, 0, n);
}

/* "local@domain" or "local"; out gets it. */
static enum err
take_mailbox(struct str *in, bool strict, bool utf8, struct buf *out)
{
	size_t from = out->n;
	struct str domain;

	if (in->n > 0 && in->p[0] == '"')
		TRY(take_quoted(in, utf8, out));
	else
		TRY(take_atoms(in, utf8, out));
	if (out->n - from > ADDR_LOCAL_MAX)
		return fail(E_SYNTAX, "local part longer than %d", ADDR_LOCAL_MAX);
	if (in->n > 0 && in->p[0] == '@') {
		domain = domain_at(str_sub(*in, 1, in->n));
		*in = str_sub(*in, 1 + domain.n, in->n);
		/* The root's dot names the same domain; compared and looked up without it. */
		if (!strict && domain.n > 1 && domain.p[domain.n - 1] == '.')
			domain.n--;
		if (!name_valid(domain, utf8))
			return fail(E_SYNTAX, "not a domain");
		if (!buf_addc(out, '@') || !buf_add(out, domain))
			return fail(E_SYNTAX, "address too long");
	}
	if (out->n - from > ADDR_MAX || !str_is_utf8(str_sub(buf_str(out), from, out->n)))
		return fail(E_SYNTAX, "address too long, or not UTF-8");
	return OK;
}

/* "@x,@y:", RFC 5321 section 4.1.2 A-d-l: taken, and ignored as section 4.1.1.3 says. */
static enum err
skip_source_route(struct str *in, bool utf8)
{
	while (in->n > 0 && in->p[0] == '@') {
		struct str domain = domain_at(str_sub(*in, 1, in->n));

		if (!name_valid(domain, utf8))
			return fail(E_SYNTAX, "not a domain in source route");
		*in = str_sub(*in, 1 + domain.n, in->n);
		if (in->n > 0 && in->p[0] == ':') {
			*in = str_sub(*in, 1, in->n);
			return OK;
		}
		if (in->n < 2 || in->p[0] != ',' || in->p[1] != '@')
			return fail(E_SYNTAX, "source route without an end");
		*in = str_sub(*in, 1, in->n);
	}
	return OK;
}

static enum err
take_path(struct str *in, bool strict, bool utf8, struct buf *out)
{
	bool angle = in->n > 0 && in->p[0] == '<';

	if (!angle && strict)
		return fail(E_SYNTAX, "no <");
	if (angle)
		*in = str_sub(*in, 1, in->n);
	if (!angle || in->n == 0 || in->p[0] != '>') {
		TRY(skip_source_route(in, utf8));
		TRY(take_mailbox(in, strict, utf8, out));
	}
	if (angle ? in->n == 0 || in->p[0] != '>' : in->n > 0 && in->p[0] != ' ')
		return fail(E_SYNTAX, angle ? "no > after the address" : "character not allowed in an address");
	if (angle)
		*in = str_sub(*in, 1, in->n);
	return OK;
}

enum err
path_take(struct str *in, bool strict, bool utf8, struct buf *out)
{
	struct str rest = *in;
	size_t before = out->n;
	enum err e = take_path(&rest, strict, utf8, out);

	if (e != OK)
		buf_cut(out, before);
	else
		*in = rest;
	return e;
}

/* Where the '@' is; address.n when there is none.  What ends in a quote is all local part, whatever is in the
 * quotes. */
static size_t
at_sign(struct str address)
{
	if (address.n > 0 && address.p[address.n - 1] == '"')
		return address.n;
	return str_rfind(address, '@');
}

struct str
address_local(struct str address)
{
	return str_sub(address, 0, at_sign(address));
}

struct str
address_domain(struct str address)
{
	size_t at = at_sign(address);

	return at < address.n ? str_sub(address, at + 1, address.n) : STR("");
}

/* Names that a delimiter in them does not split. */
static bool
is_whole(struct str local, char delimiter)
{
	static const struct str whole[] = { STR("mailer-daemon"), STR("postmaster"),
		STR("double-bounce") };

	for (size_t i = 0; i < countof(whole); i++)
		if (str_ieq(local, whole[i]))
			return true;
	return delimiter == '-' &&
	       (str_istarts(local, STR("owner-")) || str_iends(local, STR("-request")));
}

size_t
address_user_length(struct str local, const char *delimiters)
{
	size_t n = 0;

	/* What is quoted is one word. */
	if (local.n > 0 && local.p[0] == '"')
		return local.n;
	while (n < local.n && (local.p[n] == '\0' || strchr(delimiters, local.p[n]) == NULL))
		n++;
	return n == 0 || n == local.n || is_whole(local, local.p[n]) ? local.n : n;
}

bool
address_unquote(struct str local, struct buf *out)
{
	bool quoted = local.n >= 2 && local.p[0] == '"' && local.p[local.n - 1] == '"';

	if (quoted)
		local = str_sub(local, 1, local.n - 2);
	for (size_t i = 0; i < local.n; i++) {
		if (quoted && local.p[i] == '\\' && i + 1 < local.n)
			i++;
		if (!buf_addc(out, local.p[i]))
			return false;
	}
	return true;
}

bool
address_valid(struct str address)
{
	struct str rest = address;
	struct buf out = BUF(2 * ADDR_MAX);
	bool valid = address.n == 0 ||
	    (take_mailbox(&rest, true, true, &out) == OK && rest.n == 0 && str_eq(buf_str(&out), address));

	buf_free(&out);
	return valid;
}

bool
address_same(struct str a, struct str b)
{
	return str_eq(address_local(a), address_local(b)) && str_ieq(address_domain(a), address_domain(b));
}

uint64_t
address_hash(struct str address)
{
	return str_hash(address_local(address)) ^ str_ihash(address_domain(address)) * 3;
}
