/* SPDX-License-Identifier: Apache-2.0 */
/* net.h - addresses, networks and sockets. */
#ifndef UTIL_NET_H
#define UTIL_NET_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "util/buf.h"
#include "util/err.h"
#include "util/str.h"
#include "util/task.h"

/* An IPv4, IPv6 or UNIX socket address.  v4-mapped IPv6 addresses are turned into IPv4 when they come in. */
struct addr {
	union {
		struct sockaddr     sa;
		struct sockaddr_in  in;
		struct sockaddr_in6 in6;
		struct sockaddr_un  un;
	};
	socklen_t len;
};

enum { ADDR_TEXT = 128 };
/* "192.0.2.1", "2001:db8::1", "1.2.3.4" or "[2001:db8::1]" (brackets optional), RFC 5321 "IPv6:" prefix allowed. */
enum err    addr_parse(struct str text, uint16_t port, struct addr *a) MUST_USE;
void        addr_unmap(struct addr *a);                /* a v4-mapped address becomes IPv4 */
const char *addr_text(const struct addr *a, char out[ADDR_TEXT]);      /* no brackets, no port; unix sockets: "local" */
uint16_t    addr_port(const struct addr *a);
bool        addr_same_host(const struct addr *a, const struct addr *b);
bool        addr_is_loopback(const struct addr *a);
/* "2.0.0.127.in-addr.arpa" */
bool        addr_reverse_name(const struct addr *a, struct buf *out);

/* A list of networks: "127.0.0.0/8, [::1]/128 192.0.2.7 !10.0.0.1": first match wins, '!' negates. */
struct nets;
enum err    nets_parse(struct str text, struct nets **out) MUST_USE;   /* E_SYNTAX with the bad word in err_why() */
bool        nets_match(const struct nets *n, const struct addr *a);    /* NULL matches nothing */
void        nets_free(struct nets **n);

/* All addresses of this host's interfaces. */
size_t      net_own_addresses(struct addr *out, size_t max);

/* Sockets: non-blocking, close-on-exec. */
enum err       net_listen(const struct addr *a, int backlog, int *fd) MUST_USE;        /* SO_REUSEADDR; IPV6_V6ONLY */
enum err       net_listen_unix(const char *path, int backlog, unsigned mode, int *fd) MUST_USE;  /* replaces a stale socket */
WAITS enum err net_accept(int listen_fd, int *fd, struct addr *peer, struct time deadline) MUST_USE;  /* not yet registered with the loop */
WAITS enum err net_connect(const struct addr *to, const struct addr *from /* or NULL */, struct time deadline, int *fd) MUST_USE;  /* E_CONNECT, words as in "Connection refused" */
WAITS enum err net_connect_unix(const char *path, struct time deadline, int *fd) MUST_USE;
enum err       net_peer_cred(int fd, int *pid, unsigned *uid) MUST_USE;

#endif
