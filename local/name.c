/* SPDX-License-Identifier: Apache-2.0 */
#include "local/name.h"

#include "mail/addr.h"
#include "util/log.h"

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* "\"a b\"" to "a b", in lower case. */
static void
set_plain(struct buf *out, struct str local)
{
	ENSURE(address_unquote(local, out));
	for (size_t i = 0; i < out->n; i++)
		out->p[i] = lower(out->p[i]);
}

/* Names that the system itself uses are not split, nor are those of mailing lists at a '-'. */
static bool
never_split(const struct params *p, struct str local, char delimiter)
{
	static const char *const names[] = { "mailer-daemon", "postmaster" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (str_eq(local, str_of(names[i])))
			return true;
	if (str_ieq(local, str_of(p->double_bounce_sender)))
		return true;
	return p->owner_request_special && delimiter == '-' &&
	       (str_starts(local, STR("owner-")) || str_ends(local, STR("-request")));
}

void
name_set(struct name *n, const struct params *p, struct str address)
{
	struct str local;
	size_t at = 1;

	*n = (struct name){ 0 };
	ENSURE(buf_add(&n->address, address));
	address = buf_str(&n->address);
	n->domain = address_domain(address);
	set_plain(&n->local, address_local(address));
	local = buf_str(&n->local);
	while (
	    at < local.n && (local.p[at] == '\0' || !strchr(p->recipient_delimiter, local.p[at])))
		at++;
	if (at >= local.n || never_split(p, local, local.p[at])) {
		ENSURE(buf_add(&n->user, local));
		return;
	}
	n->delimiter[0] = local.p[at];
	ENSURE(buf_add(&n->user, str_sub(local, 0, at)));
	ENSURE(buf_add(&n->extension, str_sub(local, at + 1, local.n)));
}

void
name_fini(struct name *n)
{
	buf_free(&n->address);
	buf_free(&n->local);
	buf_free(&n->user);
	buf_free(&n->extension);
}

bool
name_possible(struct str user)
{
	if (user.n == 0 || user.p[0] == '-' || user.p[0] == '.')
		return false;
	for (size_t i = 0; i < user.n; i++)
		if ((unsigned char)user.p[i] < ' ' || user.p[i] == 127 || strchr("/:", user.p[i]))
			return false;
	return true;
}

bool
name_qualify(const struct params *p, struct str address, struct buf *out)
{
	struct str domain = address_domain(address);

	if (!buf_add(out, address))
		return false;
	if (domain.n == 0)
		return !p->append_at_myorigin || (buf_addc(out, '@') && buf_adds(out, p->myorigin));
	return !p->append_dot_mydomain || domain.p[0] == '[' || str_find(domain, '.') < domain.n ||
	       (buf_addc(out, '.') && buf_adds(out, p->mydomain));
}

bool
name_extend(struct str address, const char *delimiters, struct str extension, struct buf *out)
{
	struct str local = address_local(address), rest = str_sub(address, local.n, address.n);
	bool quoted = local.n >= 2 && local.p[local.n - 1] == '"';

	if (quoted)
		local.n--;
	return buf_add(out, local) && buf_addc(out, delimiters[0]) && buf_add(out, extension) &&
	       (!quoted || buf_addc(out, '"')) && buf_add(out, rest);
}

bool
name_filter(struct str s, const char *filter, struct buf *out)
{
	for (size_t i = 0; i < s.n; i++)
		if (!buf_addc(out, s.p[i] != '\0' && strchr(filter, s.p[i]) ? s.p[i] : '_'))
			return false;
	return true;
}

/* One answer at a time is asked for and used up before the next. */
struct answer {
	const struct name_words *words;
	struct buf text;
};

static const char *
look_up(void *arg, struct str name)
{
	struct answer *a = arg;
	const struct name *n = a->words->name;

	const struct {
		struct str name, value;
	} all[] = {
		{STR("user"),                 buf_str(&n->user)     },
		{ STR("extension"),           buf_str(&n->extension)},
		{ STR("local"),               buf_str(&n->local)    },
		{ STR("domain"),              n->domain             },
		{ STR("recipient"),           buf_str(&n->address)  },
		{ STR("recipient_delimiter"), str_of(n->delimiter)  },
		{ STR("home"),                a->words->home        },
		{ STR("shell"),               a->words->shell       },
	};

	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		struct str v = all[i].value;

		if (!str_eq(name, all[i].name))
			continue;
		buf_clear(&a->text);
		for (size_t k = 0; k < v.n; k++) {
			char c = v.p[k];

			if (a->words->filter && (c == '\0' || !strchr(a->words->filter, c)))
				c = '_';
			if (c == '$') /* or it would be expanded again */
				ENSURE(buf_addc(&a->text, '$'));
			ENSURE(buf_addc(&a->text, c == '\0' ? '_' : c));
		}
		return buf_cstr(&a->text);
	}
	return NULL;
}

enum err
name_expand(struct str text, const struct name_words *w, struct buf *out)
{
	struct answer a = { .words = w };
	enum err e = conf_expand(text, look_up, &a, out);

	buf_free(&a.text);
	return e;
}
