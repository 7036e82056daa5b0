/* SPDX-License-Identifier: Apache-2.0 */
/* hosts.h - which addresses mail for a next hop goes to, in the order to try them (RFC 5321 section 5.1, RFC 7505).  A next hop may
 * be several, separated by commas or blanks: those of the first one come first, and one that has none is passed over.
 * The next hop of LMTP is unix:PATH (relative to queue_directory), inet:HOST, inet:HOST:PORT, or the same without inet:; no MX. */
#ifndef SMTP_HOSTS_H
#define SMTP_HOSTS_H

#include "mail/dns.h"
#include "mail/params.h"
#include "util/err.h"
#include "util/net.h"

enum { HOSTS_MAX = 100 };

struct host {
	char        name[256];
	uint32_t    pref;
	unsigned    hop;                               /* of which next hop, from 0 */
	struct addr addr;
};

struct hosts {
	struct host *v;
	size_t       n;
	char         esc[12];                          /* when there are none: the status, */
	char         why[ERR_WHY_MAX];                 /* and why, in Postfix's words */
};

/* OK: at least one.  Else E_REFUSED (mail bounces: all of the next hops say so) or E_DEFERRED, with esc and why. */
WAITS enum err hosts_find(const struct params *p, struct str nexthop, struct hosts *h) MUST_USE;
/* The same for LMTP.  Never E_REFUSED: such servers belong to this mail system, and mail waits until somebody mends it. */
WAITS enum err hosts_find_lmtp(const struct params *p, struct str nexthop, struct hosts *h) MUST_USE;
void           hosts_fini(struct hosts *h);
/* MX records by preference, those of equal preference in random order. */
void           mx_order(struct msg_record *mx, size_t n);

#endif
