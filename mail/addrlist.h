/* SPDX-License-Identifier: Apache-2.0 */
/* addrlist.h - the addresses in a header field or on a command line (RFC 5322 section 3.4, as mail in the wild writes them):
 * "A B <a@b>, c@d (comment), Group: e@f, <@route:g@h>;".  Nothing is copied but the addresses; whoever rewrites
 * them replaces spans of the text and leaves all else as it was. */
#ifndef MAIL_ADDRLIST_H
#define MAIL_ADDRLIST_H

#include "util/buf.h"

struct addrlist {
	struct str text;
	size_t     at;
	struct str name;                               /* of the last address: "A B" of "A B <a@b>", "Joe" of "joe@x (Joe)"; may be empty */
};

/* The next address: out is set to it without comments, blanks and source route, quoting as given; [*from, *to) is where it
 * stands in the text (inside the <>, if it has them).  False at the end.  An element without any address ("()", "Group:;", ",,")
 * is passed over; "<>" gives an empty one.  What is no address (two words, a quoted string without end) comes out with a blank in it, which
 * address_valid() refuses. */
bool addrlist_next(struct addrlist *l, struct buf *out, size_t *from, size_t *to);

#endif
