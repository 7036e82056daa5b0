/* SPDX-License-Identifier: Apache-2.0 */
/* select.h - which messages an operator means.  Pure: the same for qmgr's memory and for files on disk.
 *
 * A selection is a msg_select (mail/msgs.h).  Everything that it says must hold; several ids, or several patterns of one kind, are
 * alternatives.  What it says of recipients must hold for one of them that is not finished.
 *
 * Patterns: `*` stands for any bytes, ASCII case does not matter, the whole text must match.
 *	sender       an address; without `*` as address_same(); "<>" or "MAILER-DAEMON": the null sender; "@domain": anyone there
 *	recipient    the same, of the address as it now is or as it was first given
 *	destination  the next hop, "transport:nexthop", or the domain of the recipient's address
 *	reason       the words of the last attempt */
#ifndef MAIL_SELECT_H
#define MAIL_SELECT_H

#include "mail/msgs.h"

enum { STATE_INCOMING = 1, STATE_ACTIVE = 2, STATE_DEFERRED = 4, STATE_HOLD = 8 };

struct select_message {
	struct str sender;
	int64_t    arrived;                            /* us since 1970 */
	unsigned   state;                              /* one STATE_ */
};

struct select_rcpt { struct str addr, orig, transport, nexthop, reason; };

/* E_IPC: its lists are malformed.  Goes before the rest, for what came from outside. */
enum err select_check(const struct msg_select *s) MUST_USE;
bool     select_is_all(const struct msg_select *s);    /* it says nothing: everything is meant */
bool     select_asks_rcpts(const struct msg_select *s);
/* ids are not looked at: who is given any looks for those, not for all that match. */
bool     select_message(const struct msg_select *s, const struct select_message *m);
bool     select_rcpt(const struct msg_select *s, const struct select_rcpt *r);
/* Does one of these destinations (a list of patterns; empty: all) match? */
bool     select_site(struct str patterns, struct str transport, struct str nexthop, struct str domain);

bool     pattern_matches(struct str pattern, struct str text);
/* "incoming", "active", "deferred", "hold"; 0: none of them. */
unsigned select_state(struct str name);
/* "90", "90s", "5m", "2h", "3d", "1w" in seconds. */
bool     select_age(struct str text, int64_t *seconds);

#endif
