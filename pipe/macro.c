/* SPDX-License-Identifier: Apache-2.0 */
#include "pipe/macro.h"

#include <inttypes.h>

#include "mail/addr.h"
#include "util/mem.h"

struct source {
	const struct pipe_words *w;
	const struct msg_rcpt *r; /* whose word it is */
};

/* -- values; each appends to out, false: its ceiling -- */

static bool
put(struct str s, bool fold, struct buf *out)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		/* The words are told apart by NUL. */
		if (c == '\0')
			c = '?';
		if (!buf_addc(out, fold && c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c))
			return false;
	}
	return true;
}

static bool
put_local(const struct source *s, struct str local, bool quoted, struct buf *out)
{
	struct buf plain = BUF(0);
	bool fold = s->w->service->flags & PIPE_FOLD_USER;
	bool ok = quoted ? put(local, fold, out)
			 : address_unquote(local, &plain) && put(buf_str(&plain), fold, out);

	buf_free(&plain);
	return ok;
}

static bool
put_domain(const struct source *s, struct str domain, struct buf *out)
{
	return put(domain, s->w->service->flags & PIPE_FOLD_DOMAIN, out);
}

static bool
put_address(const struct source *s, struct str address, struct buf *out)
{
	struct str domain = address_domain(address);

	return put_local(s, address_local(address), s->w->service->flags & PIPE_QUOTE, out) &&
	       (domain.n == 0 || (buf_addc(out, '@') && put_domain(s, domain, out)));
}

static bool
put_recipient(const struct source *s, struct buf *out)
{
	return put_address(s, s->r->addr, out);
}

static bool
put_original(const struct source *s, struct buf *out)
{
	return put_address(s, s->r->orig.n > 0 ? s->r->orig : s->r->addr, out);
}

static bool
put_mailbox(const struct source *s, struct buf *out)
{
	return put_local(s, address_local(s->r->addr), false, out);
}

static struct str
user_of(const struct source *s)
{
	struct str local = address_local(s->r->addr);

	return str_sub(local, 0, address_user_length(local, s->w->job->params->recipient_delimiter));
}

static bool
put_user(const struct source *s, struct buf *out)
{
	return put_local(s, user_of(s), false, out);
}

static bool
put_extension(const struct source *s, struct buf *out)
{
	struct str local = address_local(s->r->addr);

	return put_local(s, str_sub(local, user_of(s).n + 1, local.n), false, out);
}

static bool
put_rcpt_domain(const struct source *s, struct buf *out)
{
	return put_domain(s, address_domain(s->r->addr), out);
}

static bool
put_nexthop(const struct source *s, struct buf *out)
{
	return put_domain(s, s->w->job->m.nexthop, out);
}

/* Case is left to the sender's host. */
static bool
put_sender(const struct source *s, struct buf *out)
{
	struct str sender = s->w->job->m.sender, domain = address_domain(sender);

	if (sender.n == 0)
		return put(s->w->service->null_sender, false, out);
	if (s->w->service->flags & PIPE_QUOTE)
		return put(sender, false, out);
	return address_unquote(address_local(sender), out) &&
	       (domain.n == 0 || (buf_addc(out, '@') && put(domain, false, out)));
}

static bool
put_size(const struct source *s, struct buf *out)
{
	return buf_printf(out, "%" PRIu64, s->w->job->m.size);
}

static bool
put_queue_id(const struct source *s, struct buf *out)
{
	char id[QID_TEXT];

	return buf_adds(out, qid_text(s->w->job->m.id, id));
}

static bool
put_client_address(const struct source *s, struct buf *out)
{
	return put(s->w->envelope->client_addr, false, out);
}

static bool
put_client_hostname(const struct source *s, struct buf *out)
{
	return put(s->w->envelope->client_name, false, out);
}

static bool
put_client_helo(const struct source *s, struct buf *out)
{
	return put(s->w->envelope->client_helo, false, out);
}

static bool
put_client_protocol(const struct source *s, struct buf *out)
{
	return put(s->w->envelope->protocol, false, out);
}

static bool
put_login(const struct source *s, struct buf *out)
{
	return put(s->w->envelope->login, false, out);
}

/* The envelope does not say. */
static bool
put_nothing(const struct source *s, struct buf *out)
{
	(void)s, (void)out;
	return true;
}

/* -- the table -- */

enum scope { SCOPE_MESSAGE, SCOPE_RECIPIENT, SCOPE_ENVELOPE };

static const struct macro {
	struct str name;
	enum scope scope;
	bool (*put)(const struct source *s, struct buf *out);
} macros[] = {
	{STR("recipient"),           SCOPE_RECIPIENT, put_recipient      },
	{ STR("original_recipient"), SCOPE_RECIPIENT, put_original       },
	{ STR("mailbox"),            SCOPE_RECIPIENT, put_mailbox        },
	{ STR("user"),               SCOPE_RECIPIENT, put_user           },
	{ STR("extension"),          SCOPE_RECIPIENT, put_extension      },
	{ STR("domain"),             SCOPE_RECIPIENT, put_rcpt_domain    },
	{ STR("nexthop"),            SCOPE_MESSAGE,   put_nexthop        },
	{ STR("sender"),             SCOPE_MESSAGE,   put_sender         },
	{ STR("size"),               SCOPE_MESSAGE,   put_size           },
	{ STR("queue_id"),           SCOPE_MESSAGE,   put_queue_id       },
	{ STR("client_address"),     SCOPE_ENVELOPE,  put_client_address },
	{ STR("client_hostname"),    SCOPE_ENVELOPE,  put_client_hostname},
	{ STR("client_helo"),        SCOPE_ENVELOPE,  put_client_helo    },
	{ STR("client_protocol"),    SCOPE_ENVELOPE,  put_client_protocol},
	{ STR("client_port"),        SCOPE_MESSAGE,   put_nothing        },
	{ STR("sasl_username"),      SCOPE_ENVELOPE,  put_login          },
	{ STR("sasl_method"),        SCOPE_MESSAGE,   put_nothing        },
	{ STR("sasl_sender"),        SCOPE_MESSAGE,   put_nothing        },
};

static bool
is_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_';
}

/* What a word begins with is taken off it: text (name.n is 0), "$$" for a dollar, or "$name",
 * "${name}", "$(name)".  False: a "$" that is none of these. */
static bool
next(struct str *word, struct str *text, struct str *name)
{
	size_t n = str_find(*word, '$'), from, end;
	char close = 0;

	*name = STR("");
	*text = str_sub(*word, 0, n);
	if (n > 0 || word->n == 0) {
		*word = str_sub(*word, n, word->n);
		return true;
	}
	if (word->n > 1 && word->p[1] == '$') {
		*text = STR("$");
		*word = str_sub(*word, 2, word->n);
		return true;
	}
	if (word->n > 1 && (word->p[1] == '{' || word->p[1] == '('))
		close = word->p[1] == '{' ? '}' : ')';
	from = end = close ? 2 : 1;
	while (end < word->n && is_name(word->p[end]))
		end++;
	*name = str_sub(*word, from, end - from);
	if (close && (end == word->n || word->p[end] != close))
		return false;
	*word = str_sub(*word, end + (close != 0), word->n);
	return name->n > 0;
}

static const struct macro *
find(struct str name)
{
	for (size_t i = 0; i < countof(macros); i++)
		if (str_eq(macros[i].name, name))
			return &macros[i];
	return NULL;
}

enum err
macro_check(struct str word, bool *envelope)
{
	struct str rest = word, text, name;

	while (rest.n > 0) {
		const struct macro *m;

		if (!next(&rest, &text, &name))
			return fail(E_SYNTAX, "bad macro in \"%.*s\"", STR_ARG(word));
		m = find(name);
		if (name.n > 0 && m == NULL)
			return fail(E_SYNTAX, "unknown macro ${%.*s} in \"%.*s\"", STR_ARG(name),
			    STR_ARG(word));
		*envelope |= m && m->scope == SCOPE_ENVELOPE;
	}
	return OK;
}

bool
macro_per_recipient(struct str word)
{
	struct str text, name;

	while (word.n > 0 && next(&word, &text, &name))
		if (name.n > 0 && find(name)->scope == SCOPE_RECIPIENT)
			return true;
	return false;
}

bool
macro_expand(const struct pipe_words *w, struct str word, const struct msg_rcpt *r, struct buf *out)
{
	struct source s = { w, r };
	struct str text, name;

	while (word.n > 0) {
		if (!next(&word, &text, &name) ||
		    !(name.n > 0 ? find(name)->put(&s, out) : buf_add(out, text)))
			return false;
	}
	return true;
}
