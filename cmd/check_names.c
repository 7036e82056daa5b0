/* SPDX-License-Identifier: Apache-2.0 */
#include <netdb.h>
#include <stdio.h>

#include "cmd/check.h"
#include "mail/maps.h"
#include "util/mem.h"

static void
check_hostname(struct check *k)
{
	static const char *const silly[] = { ".localdomain", ".local", ".example.com",
		".example.org", ".invalid" };
	struct str host = str_of(k->p->myhostname);
	const char *place = check_place(k, "myhostname");

	if (str_find(host, '.') == host.n) {
		check_warn(k,
		    "%s: \"%.*s\" has no domain; other servers refuse such a HELO: set the full "
		    "name",
		    place, STR_ARG(host));
		return;
	}
	for (size_t i = 0; i < countof(silly); i++)
		if (str_ends(host, str_of(silly[i])))
			check_warn(k,
			    "%s: \"%.*s\" is no name that other servers can look up: set the "
			    "host's real one",
			    place, STR_ARG(host));
}

/* The class that is asked first hides the others. */
static void
check_overlaps(struct check *k)
{
	const struct {
		const char *setting, *value;
	} classes[] = {
		{"mydestination",            k->p->mydestination          },
		{ "virtual_alias_domains",   k->p->virtual_alias_domains  },
		{ "virtual_mailbox_domains", k->p->virtual_mailbox_domains},
		{ "relay_domains",           k->p->relay_domains          },
	};

	for (size_t i = 0; i < countof(classes); i++) {
		struct str rest = str_of(classes[i].value), word;

		while (str_word(&rest, ", \t", &word))
			for (size_t j = i + 1; j < countof(classes); j++)
				if (str_find(word, ':') == word.n &&
				    str_find(word, '/') == word.n &&
				    list_has(str_of(classes[j].value), word, false))
					check_warn(k,
					    "%s: %.*s is in %s, too: list it in one of them",
					    check_place(k, classes[j].setting), STR_ARG(word),
					    classes[i].setting);
	}
}

/* RFC 5321 section 4.5.1; root's mail goes to nobody (default_privs). */
static void
check_aliases(struct check *k)
{
	static const char *const needed[] = { "postmaster", "root" };
	struct maps *m = NULL;

	if (k->p->mydestination[0] == '\0' || k->p->alias_maps[0] == '\0' ||
	    maps_open_aliases(str_of(k->p->alias_maps), "alias_maps", k->c->dir, &m) != OK)
		return;
	for (size_t i = 0; i < countof(needed); i++) {
		struct buf value = BUF(64 << 10);
		bool found;

		if (maps_find(m, str_of(needed[i]), 0, &value, &found) == OK && !found)
			check_warn(k,
			    "%s: no alias for %s: add \"%s: you\" to the table and run newaliases",
			    check_place(k, "alias_maps"), needed[i], needed[i]);
		buf_free(&value);
	}
	maps_close(&m);
}

void
check_names(struct check *k)
{
	check_hostname(k);
	check_overlaps(k);
	check_aliases(k);
}
