/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as keys: in full, without extension, local part alone, domain alone. */
#include "mail/addr.h"
#include "mail/maps.h"
#include "util/mem.h"

enum { KEY_MAX = 64 << 10 };

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

/* Length of the part before the delimiter; all of it when there is none. */
static size_t
user_length(struct str local, const char *delimiters)
{
	size_t n = 0;

	/* What is quoted is one word. */
	if (local.n > 0 && local.p[0] == '"')
		return local.n;
	while (n < local.n && (local.p[n] == '\0' || strchr(delimiters, local.p[n]) == NULL))
		n++;
	return n == 0 || n == local.n || is_whole(local, local.p[n]) ? local.n : n;
}

/* Ask for local@domain, or what there is of it. */
static WAITS enum err
ask_for(struct maps *m, struct str local, struct str domain, struct buf *value, bool *found)
{
	struct buf key = BUF(KEY_MAX);
	enum err e;

	if (buf_add(&key, local) &&
	    (domain.n == 0 || (buf_addc(&key, '@') && buf_add(&key, domain))))
		e = maps_find(m, buf_str(&key), MAPS_FIXED, value, found);
	else
		e = fail(E_IO, "address too long to look up");
	buf_free(&key);
	return e;
}

enum err
maps_find_address(struct maps *m, struct str addr, const char *delimiters, bool own,
    struct buf *value, struct buf *ext, bool *found)
{
	struct str local = address_local(addr), domain = address_domain(addr), none = STR("");
	size_t n = user_length(local, delimiters);
	struct str user = str_sub(local, 0, n), extension = str_sub(local, n + 1, local.n);
	bool extended = n < local.n, whole = domain.n == 0;

	buf_clear(ext);
	TRY(maps_find(m, addr, 0, value, found));
	if (!*found && extended && !whole) {
		TRY(ask_for(m, user, domain, value, found));
		if (*found && !buf_add(ext, extension))
			return fail(E_IO, "extension too long");
	}
	if (!*found && own && !whole)
		TRY(ask_for(m, local, none, value, found));
	if (!*found && extended && (own || whole)) {
		TRY(ask_for(m, user, none, value, found));
		if (*found && !buf_add(ext, extension))
			return fail(E_IO, "extension too long");
	}
	if (!*found && domain.n > 0)
		TRY(ask_for(m, none, domain, value, found));
	return OK;
}
