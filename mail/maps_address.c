/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as keys: in full, without extension, local part alone, domain alone. */
#include "mail/addr.h"
#include "mail/maps.h"
#include "util/mem.h"

enum { KEY_MAX = 64 << 10 };

/* One question after the other, until one is answered. */
struct asking {
	struct maps *m;
	struct buf *value, *key; /* key may be NULL */
	bool *found;
};

static void
note_key(const struct asking *q, struct str key)
{
	if (q->key == NULL)
		return;
	buf_clear(q->key);
	(void)buf_add(q->key, key);
}

/* Ask for local@domain, or what there is of it. */
static WAITS enum err
ask_for(const struct asking *q, struct str local, struct str domain)
{
	struct buf key = BUF(KEY_MAX);
	enum err e;

	if (*q->found)
		return OK;
	if (buf_add(&key, local) &&
	    (domain.n == 0 || (buf_addc(&key, '@') && buf_add(&key, domain))))
		e = maps_find(q->m, buf_str(&key), MAPS_FIXED, q->value, q->found);
	else
		e = fail(E_IO, "address too long to look up");
	if (e == OK && *q->found)
		note_key(q, buf_str(&key));
	buf_free(&key);
	return e;
}

enum err
maps_find_address_key(struct maps *m, struct str addr, const char *delimiters, bool own,
    struct buf *value, struct buf *ext, struct buf *key, bool *found)
{
	struct str local = address_local(addr), domain = address_domain(addr), none = STR("");
	size_t n = address_user_length(local, delimiters);
	struct str user = str_sub(local, 0, n), extension = str_sub(local, n + 1, local.n);
	bool extended = n < local.n, whole = domain.n == 0, ignored = false;
	const struct asking q = { m, value, key, found };

	buf_clear(ext);
	TRY(maps_find(m, addr, 0, value, found));
	if (*found)
		note_key(&q, addr);
	if (!*found && extended && !whole) {
		TRY(ask_for(&q, user, domain));
		ignored = *found;
	}
	if (own && !whole)
		TRY(ask_for(&q, local, none));
	if (!*found && extended && (own || whole)) {
		TRY(ask_for(&q, user, none));
		ignored = *found;
	}
	if (ignored && !buf_add(ext, extension))
		return fail(E_IO, "extension too long");
	if (domain.n > 0)
		TRY(ask_for(&q, none, domain));
	return OK;
}

enum err
maps_find_address(struct maps *m, struct str addr, const char *delimiters, bool own,
    struct buf *value, struct buf *ext, bool *found)
{
	return maps_find_address_key(m, addr, delimiters, own, value, ext, NULL, found);
}
