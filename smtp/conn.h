/* SPDX-License-Identifier: Apache-2.0 */
/* conn.h - one connection to a server of SMTP or LMTP (RFC 2033), and the idle ones that are kept for the next message to the same
 * next hop. */
#ifndef SMTP_CONN_H
#define SMTP_CONN_H

#include "mail/params.h"
#include "mail/reply.h"
#include "util/io.h"
#include "util/list.h"
#include "util/net.h"

enum { CAN_PIPELINE = 1, CAN_SIZE = 2, CAN_8BIT = 4, CAN_DSN = 8, CAN_UTF8 = 16 };

struct conn {
	struct io  *io;
	struct addr addr;
	char       *key;                               /* next hop that it serves */
	char       *host;                              /* name of the server, "mx.example.org" */
	char       *who;                               /* "mx.example.org[192.0.2.1]", "here.example.org[private/lmtp]" */
	char       *relay;                             /* the same with ":25" if it has a port: conn_place() */
	bool        lmtp;                              /* which of the two it speaks; conn_open() leaves it to the caller */
	struct reply reply;                            /* the last one read */
	unsigned    can;                               /* CAN_ */
	uint64_t    size_limit;                        /* of SIZE; 0: none given */
	unsigned    uses;                              /* messages begun on it */
	bool        loop;                              /* the server is ourselves */
	bool        tainted;                           /* out of step or refused by the server: not to be kept */
	struct time opened, idle_since;
	struct list by_key, by_age;                    /* while idle */
};

void           conn_cache_init(const struct params *p, struct tasks *g);
/* An idle connection for this next hop, or NULL. */
struct conn   *conn_cached(struct str key);
/* Keep it for the next message if the settings let us, else say QUIT and close.  *c becomes NULL. */
void           conn_keep(struct conn **c);
void           conn_close(struct conn **c);            /* with QUIT if it is in step; NULL is a no-op */
void           conn_cache_flush(void);                 /* close all that are idle */

/* "mx.example.org[192.0.2.1]:25", "here.example.org[private/lmtp]", for the log; free() it. */
char          *conn_place(const char *host, const struct addr *a);
/* Connect to one address; E_CONNECT with the words of the system. */
WAITS enum err conn_open(const struct params *p, struct str key, const char *host, const struct addr *to, struct conn **c) MUST_USE;
/* Greeting and EHLO, HELO or LHLO.  OK: ready for MAIL.  E_DEFERRED, E_REFUSED: the server's words are in c->reply; E_TIMEOUT, E_EOF, E_IO,
 * E_SYNTAX: *during says what was going on, in Postfix's words. */
WAITS enum err conn_greet(const struct params *p, struct conn *c, const char **during) MUST_USE;

#endif
