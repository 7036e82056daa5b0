/* SPDX-License-Identifier: Apache-2.0 */
#include "util/net.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <stdio.h>

#include "util/mem.h"

struct net {
	bool          negated;
	int           family;
	unsigned      bits;
	unsigned char bytes[16];
};

struct nets {
	size_t     n, cap;
	struct net v[];
};

/* The address bytes in network order, and how many; 0 for UNIX sockets. */
static size_t
raw_bytes(const struct addr *a, const unsigned char **bytes)
{
	switch (a->sa.sa_family) {
	case AF_INET:
		*bytes = (const unsigned char *)&a->in.sin_addr;
		return 4;
	case AF_INET6:
		*bytes = a->in6.sin6_addr.s6_addr;
		return 16;
	default:
		*bytes = NULL;
		return 0;
	}
}

void
addr_unmap(struct addr *a)
{
	struct sockaddr_in in = { .sin_family = AF_INET };

	if (a->sa.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr))
		return;
	in.sin_port = a->in6.sin6_port;
	memcpy(&in.sin_addr, a->in6.sin6_addr.s6_addr + 12, 4);
	*a = (struct addr){ .in = in, .len = sizeof in };
}

/* Sets *a without unmapping. */
static bool
parse_numbers(struct str text, uint16_t port, struct addr *a)
{
	char z[INET6_ADDRSTRLEN];

	*a = (struct addr){ .len = 0 };
	if (text.n == 0 || text.n >= sizeof z || str_find(text, '\0') < text.n)
		return false;
	memcpy(z, text.p, text.n);
	z[text.n] = '\0';
	if (inet_pton(AF_INET, z, &a->in.sin_addr) == 1) {
		a->in.sin_family = AF_INET;
		a->in.sin_port = htons(port);
		a->len = sizeof a->in;
		return true;
	}
	*a = (struct addr){ .len = 0 };
	if (inet_pton(AF_INET6, z, &a->in6.sin6_addr) != 1)
		return false;
	a->in6.sin6_family = AF_INET6;
	a->in6.sin6_port = htons(port);
	a->len = sizeof a->in6;
	return true;
}

enum err
addr_parse(struct str text, uint16_t port, struct addr *a)
{
	struct str s = text;
	bool prefix;

	if (s.n > 0 && s.p[0] == '[') {
		if (s.p[s.n - 1] != ']')
			return fail(E_SYNTAX, "missing \"]\" in \"%.*s\"", STR_ARG(text));
		s = str_sub(s, 1, s.n - 2);
	}
	prefix = str_istarts(s, STR("IPv6:"));
	if (prefix)
		s = str_sub(s, 5, s.n);
	if (!parse_numbers(s, port, a) || (prefix && a->sa.sa_family != AF_INET6))
		return fail(E_SYNTAX, "bad address \"%.*s\"", STR_ARG(text));
	addr_unmap(a);
	return OK;
}

const char *
addr_text(const struct addr *a, char out[ADDR_TEXT])
{
	const unsigned char *bytes;

	if (raw_bytes(a, &bytes) == 0 || inet_ntop(a->sa.sa_family, bytes, out, ADDR_TEXT) == NULL)
		snprintf(out, ADDR_TEXT, "local");
	return out;
}

uint16_t
addr_port(const struct addr *a)
{
	switch (a->sa.sa_family) {
	case AF_INET:
		return ntohs(a->in.sin_port);
	case AF_INET6:
		return ntohs(a->in6.sin6_port);
	default:
		return 0;
	}
}

bool
addr_same_host(const struct addr *a, const struct addr *b)
{
	const unsigned char *x, *y;
	size_t n = raw_bytes(a, &x);

	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	return n == 0 || (raw_bytes(b, &y) == n && memcmp(x, y, n) == 0);
}

bool
addr_is_loopback(const struct addr *a)
{
	const unsigned char *bytes;

	switch (raw_bytes(a, &bytes)) {
	case 4:
		return bytes[0] == 127;
	case 16:
		return IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr);
	default:
		return a->sa.sa_family == AF_UNIX;
	}
}

bool
addr_reverse_name(const struct addr *a, struct buf *out)
{
	const unsigned char *b;
	size_t n = raw_bytes(a, &b);

	if (n == 4)
		return buf_printf(out, "%u.%u.%u.%u.in-addr.arpa", b[3], b[2], b[1], b[0]);
	for (size_t i = n; i-- > 0;)
		if (!buf_printf(out, "%x.%x.", b[i] & 0xfU, b[i] >> 4))
			return false;
	return n > 0 && buf_adds(out, "ip6.arpa");
}

static bool
same_bits(const unsigned char *a, const unsigned char *b, unsigned bits)
{
	unsigned rest = bits % 8;

	if (memcmp(a, b, bits / 8) != 0)
		return false;
	return rest == 0 || ((a[bits / 8] ^ b[bits / 8]) >> (8 - rest)) == 0;
}

/* "addr/bits", "[addr]/bits" or either without bits. */
static enum err
parse_net(struct str word, struct net *net)
{
	size_t slash = str_rfind(word, '/'), n;
	struct str host = str_sub(word, 0, slash), size;
	const unsigned char *bytes;
	struct addr a;
	uint64_t bits;

	if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = str_sub(host, 1, host.n - 2);
	if (!parse_numbers(host, 0, &a) || (n = raw_bytes(&a, &bytes)) == 0)
		return fail(E_SYNTAX, "bad network \"%.*s\"", STR_ARG(word));
	bits = 8 * n;
	size = str_sub(word, slash + 1, word.n);
	if (slash < word.n && (!str_u64(size, &bits) || bits > 8 * n))
		return fail(E_SYNTAX, "bad network size in \"%.*s\"", STR_ARG(word));
	/* A v4-mapped network; one that is wider than all of IPv4 stays what it is and matches nothing of it. */
	if (n == 16 && IN6_IS_ADDR_V4MAPPED(&a.in6.sin6_addr) && bits >= 96) {
		addr_unmap(&a);
		bytes = (const unsigned char *)&a.in.sin_addr;
		n = 4;
		bits -= 96;
	}
	net->family = a.sa.sa_family;
	net->bits = (unsigned)bits;
	memcpy(net->bytes, bytes, n);
	for (size_t i = bits / 8; i < n; i++) {
		unsigned mask = i == bits / 8 ? 0xffU >> bits % 8 : 0xffU;

		if (bytes[i] & mask)
			return fail(E_SYNTAX, "bits set past the network's size in \"%.*s\"", STR_ARG(word));
	}
	return OK;
}

enum err
nets_parse(struct str text, struct nets **out)
{
	struct nets *nets = mem_new(sizeof *nets);
	struct str word;

	while (str_word(&text, ", \t\r\n", &word)) {
		struct net net = { 0 };
		enum err e;

		while (str_starts(word, STR("!"))) {
			net.negated = !net.negated;
			word = str_sub(word, 1, word.n);
		}
		if ((e = parse_net(word, &net)) != OK) {
			nets_free(&nets);
			return e;
		}
		if (nets->n == nets->cap) {
			size_t cap = nets->cap ? 2 * nets->cap : 4;

			nets = mem_grow(nets, sizeof *nets + cap * sizeof nets->v[0]);
			nets->cap = cap;
		}
		nets->v[nets->n++] = net;
	}
	*out = nets;
	return OK;
}

bool
nets_match(const struct nets *nets, const struct addr *a)
{
	const unsigned char *bytes;

	if (nets == NULL || raw_bytes(a, &bytes) == 0)
		return false;
	for (size_t i = 0; i < nets->n; i++) {
		const struct net *net = &nets->v[i];

		if (net->family == a->sa.sa_family && same_bits(net->bytes, bytes, net->bits))
			return !net->negated;
	}
	return false;
}

void
nets_free(struct nets **n)
{
	mem_free(n);
}

size_t
net_own_addresses(struct addr *out, size_t max)
{
	struct ifaddrs *all;
	size_t n = 0;

	if (getifaddrs(&all) != 0)
		return 0;
	for (struct ifaddrs *i = all; i && n < max; i = i->ifa_next) {
		struct addr a = { .len = 0 };

		if (i->ifa_addr == NULL)
			continue;
		if (i->ifa_addr->sa_family == AF_INET)
			a.len = sizeof a.in;
		else if (i->ifa_addr->sa_family == AF_INET6)
			a.len = sizeof a.in6;
		else
			continue;
		memcpy(&a.sa, i->ifa_addr, a.len);
		addr_unmap(&a);
		out[n++] = a;
	}
	freeifaddrs(all);
	return n;
}
