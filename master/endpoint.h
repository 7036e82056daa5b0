/* SPDX-License-Identifier: Apache-2.0 */
/* endpoint.h - what the first column of an inet service means: "smtp", "2525", "127.0.0.1:2525", "[::1]:smtp", "localhost:2525". */
#ifndef MASTER_ENDPOINT_H
#define MASTER_ENDPOINT_H

#include "util/err.h"
#include "util/net.h"
#include "util/str.h"

/* host: a numeric address as addr_text() writes it, "localhost", or "" when there is none.  No name server is asked: master
 * must not wait for one.  E_SYNTAX with what was expected. */
enum { ENDPOINT_HOST = 64 };
enum err endpoint_parse(struct str text, char host[ENDPOINT_HOST], uint16_t *port) MUST_USE;

/* The addresses of an inet service, at most max: those of host (NULL: of inet_interfaces), as far as inet_protocols allows.
 * E_SYNTAX, E_TOOBIG. */
enum err endpoint_addresses(const char *host, uint16_t port, struct str interfaces, struct str protocols,
    struct addr *out, size_t max, size_t *n) MUST_USE;

#endif
