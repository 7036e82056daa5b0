/* SPDX-License-Identifier: Apache-2.0 */
/* dns.h - asking the resolver process.  One channel a process, many questions at once; reconnects by itself.
 * A resolver that is not there is E_DNS_TEMP: it defers, never bounces (RFC 5321 section 5.1). */
#ifndef MAIL_DNS_H
#define MAIL_DNS_H

#include "mail/msgs.h"
#include "mail/params.h"
#include "util/err.h"
#include "util/net.h"
#include "util/task.h"

enum dns_type { DNS_A = 1, DNS_CNAME = 5, DNS_PTR = 12, DNS_MX = 15, DNS_TXT = 16, DNS_AAAA = 28, DNS_TLSA = 52 };

struct dns_answer {
	bool        secure;                            /* validated */
	uint32_t    ttl;
	struct str  canonical;                         /* name after CNAMEs; empty: the one asked for */
	struct msg_record *records;                    /* n of them; n == 0: the name has no such record */
	size_t      n;
	void       *memory;
};

void           dns_setup(const struct params *p);      /* where the resolver is */
/* OK (records or none), E_DNS_NONE (no such name), E_DNS_TEMP (also when no record of several can be understood), E_TIMEOUT, E_STOPPED. */
WAITS enum err dns_ask(struct str name, enum dns_type type, struct time deadline, struct dns_answer *a) MUST_USE;
void           dns_answer_fini(struct dns_answer *a);
/* Addresses of a host name, in order of preference (params smtp_address_preference, inet_protocols); at most max. */
WAITS enum err dns_addresses(struct str host, uint16_t port, struct time deadline, struct addr *out, size_t max, size_t *n) MUST_USE;
/* The address in an A or AAAA record; false: malformed. */
bool           record_addr(const struct msg_record *r, enum dns_type type, uint16_t port, struct addr *a);
/* Name of a client whose name leads back to its address; "unknown" otherwise.  Never fails; cached for a minute. */
WAITS void     dns_client_name(const struct addr *a, struct time deadline, struct buf *name);

#endif
