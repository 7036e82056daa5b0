/* SPDX-License-Identifier: Apache-2.0 */
/* addr.h - mailbox addresses: RFC 5321 section 4.1.2 paths, in and out of <>. */
#ifndef MAIL_ADDR_H
#define MAIL_ADDR_H

#include "util/buf.h"
#include "util/err.h"

enum { ADDR_LOCAL_MAX = 64, ADDR_DOMAIN_MAX = 255, ADDR_MAX = 320 };

/* Take a path off the front of *in: "<a@b>", "<>", "<@x,@y:a@b>" (the source route is dropped), and unless strict also a bare
 * "a@b".  out gets the address without <>, with its quoting as given (made minimal), the domain in its given case.
 * utf8: bytes over 127 are allowed.  E_SYNTAX: not a path; limits of RFC 5321 section 4.5.3.1 hold. */
enum err   path_take(struct str *in, bool strict, bool utf8, struct buf *out) MUST_USE;
struct str address_local(struct str address);          /* up to the last '@'; all when there is none */
struct str address_domain(struct str address);         /* after it; empty when there is none */
/* A local part as it is meant: "a b" without its quotes and backslashes, appended to out.  False: out's ceiling. */
bool       address_unquote(struct str local, struct buf *out);
/* Length of the user's name in a local part, before the first of these delimiters; all of it when there is none, when it is quoted,
 * and in mailer-daemon, postmaster, double-bounce, owner-x and x-request. */
size_t     address_user_length(struct str local, const char *delimiters);
bool       domain_valid(struct str domain);            /* RFC 5321: labels of letters, digits, '-', '_'; or an address literal */
bool       address_valid(struct str address);          /* as path_take() would give it */
/* Two addresses that mean the same mailbox as far as anyone but its host can tell: domain in any case. */
bool       address_same(struct str a, struct str b);
uint64_t   address_hash(struct str address);           /* equal for two that address_same() takes for one */

#endif
