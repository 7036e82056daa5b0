/* SPDX-License-Identifier: Apache-2.0 */
/* name.h - who a recipient of this host is: his address taken apart, and the texts made of it.  Pure. */
#ifndef LOCAL_NAME_H
#define LOCAL_NAME_H

#include "mail/params.h"
#include "util/buf.h"

/* An address as Postfix's local sees it.  All but the domain in lower case and without quotes. */
struct name {
	struct buf address;                            /* as given */
	struct buf local;                              /* "user+ext" */
	struct buf user;                               /* "user" */
	struct buf extension;                          /* "ext"; empty when there is none */
	char       delimiter[2];                       /* the one found, or "" */
	struct str domain;                             /* of address */
};

/* Never fails; an address without domain has none. */
void name_set(struct name *n, const struct params *p, struct str address);
void name_fini(struct name *n);
/* Can there be such a user?  Not when it is empty or has a '/', a ':' or a control character, or begins with '-' or '.'. */
bool name_possible(struct str user);
/* In standard form: with @$myorigin and .$mydomain where append_at_myorigin and append_dot_mydomain say so. */
bool name_qualify(const struct params *p, struct str address, struct buf *out);
/* address with +ext added to its local part, before the @. */
bool name_extend(struct str address, const char *delimiters, struct str extension, struct buf *out);

/* What $name in forward_path, luser_relay and the like may stand for. */
struct name_words {
	const struct name *name;
	struct str         home, shell;                /* of the user, if he is known */
	const char        *filter;                     /* bytes allowed, others become _; NULL: all */
};
/* Expand text, with ${name?…} and all, as in main.cf, but only these names; what they stand for is not expanded again. */
enum err name_expand(struct str text, const struct name_words *w, struct buf *out) MUST_USE;
/* s with bytes outside filter made '_'. */
bool name_filter(struct str s, const char *filter, struct buf *out);

#endif
