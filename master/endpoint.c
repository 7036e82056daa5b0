/* SPDX-License-Identifier: Apache-2.0 */
#include "master/endpoint.h"

#include <netdb.h>
#include <stdio.h>

#include "util/mem.h"

/* A container may lack /etc/services. */
static const struct { const char *name; uint16_t port; } well_known[] = {
	{ "smtp", 25 },
	{ "submission", 587 },
	{ "submissions", 465 },
	{ "smtps", 465 },
	{ "lmtp", 24 },
};

static enum err
parse_port(struct str text, uint16_t *port)
{
	char name[64];
	struct servent *known;
	uint64_t v;

	if (str_u64(text, &v)) {
		if (v == 0 || v > UINT16_MAX)
			return fail(E_SYNTAX, "expected a port from 1 to 65535, not \"%.*s\"", STR_ARG(text));
		*port = (uint16_t)v;
		return OK;
	}
	if (text.n > 0 && text.n < sizeof name) {
		snprintf(name, sizeof name, "%.*s", STR_ARG(text));
		if ((known = getservbyname(name, "tcp")) != NULL) {
			*port = ntohs((uint16_t)known->s_port);
			return OK;
		}
		for (size_t i = 0; i < countof(well_known); i++)
			if (str_eq(text, str_of(well_known[i].name))) {
				*port = well_known[i].port;
				return OK;
			}
	}
	return fail(E_SYNTAX, "expected a port or the name of one, not \"%.*s\"", STR_ARG(text));
}

static enum err
parse_host(struct str text, char host[ENDPOINT_HOST])
{
	char canonical[ADDR_TEXT];
	struct addr a;

	if (str_ieq(text, STR("localhost"))) {
		snprintf(host, ENDPOINT_HOST, "localhost");
		return OK;
	}
	if (text.n == 0 || addr_parse(text, 0, &a) != OK)
		return fail(E_SYNTAX, "expected an IP address or localhost before the port, not \"%.*s\"",
		    STR_ARG(text));
	snprintf(host, ENDPOINT_HOST, "%.*s", ENDPOINT_HOST - 1, addr_text(&a, canonical));
	return OK;
}

enum err
endpoint_parse(struct str text, char host[ENDPOINT_HOST], uint16_t *port)
{
	size_t close, colon;

	host[0] = '\0';
	if (text.n > 0 && text.p[0] == '[') {
		close = str_find(text, ']');
		if (close + 1 >= text.n || text.p[close + 1] != ':')
			return fail(E_SYNTAX, "expected [address]:port, not \"%.*s\"", STR_ARG(text));
		TRY(parse_host(str_sub(text, 1, close - 1), host));
		return parse_port(str_sub(text, close + 2, text.n), port);
	}
	colon = str_find(text, ':');
	if (colon == text.n)
		return parse_port(text, port);
	if (str_rfind(text, ':') != colon)
		return fail(E_SYNTAX, "expected [address]:port for an IPv6 address, not \"%.*s\"", STR_ARG(text));
	TRY(parse_host(str_sub(text, 0, colon), host));
	return parse_port(str_sub(text, colon + 1, text.n), port);
}

struct address_list {
	struct str   protocols;
	uint16_t     port;
	struct addr *out;
	size_t       max, n;
};

static enum err
add(struct address_list *l, const char *text)
{
	struct addr a;
	bool v6;

	if (addr_parse(str_of(text), l->port, &a) != OK)
		return fail(E_SYNTAX, "inet_interfaces: expected all, loopback-only or IP addresses, not \"%s\"", text);
	v6 = a.sa.sa_family == AF_INET6;
	if (str_eq(l->protocols, v6 ? STR("ipv4") : STR("ipv6")))
		return OK;
	for (size_t i = 0; i < l->n; i++)
		if (addr_same_host(&l->out[i], &a))
			return OK;
	if (l->n == l->max)
		return fail(E_TOOBIG, "more than %zu addresses to listen on", l->max);
	l->out[l->n++] = a;
	return OK;
}

static enum err
add_word(struct address_list *l, struct str word)
{
	char text[ADDR_TEXT];

	if (str_ieq(word, STR("all"))) {
		TRY(add(l, "0.0.0.0"));
		return add(l, "::");
	}
	if (str_ieq(word, STR("loopback-only")) || str_ieq(word, STR("localhost"))) {
		TRY(add(l, "127.0.0.1"));
		return add(l, "::1");
	}
	snprintf(text, sizeof text, "%.*s", STR_ARG(word));
	return add(l, text);
}

enum err
endpoint_addresses(const char *host, uint16_t port, struct str interfaces, struct str protocols, struct addr *out,
    size_t max, size_t *n)
{
	struct address_list l = { .protocols = protocols, .port = port, .out = out, .max = max };
	struct str rest = interfaces, word;

	if (host) {
		TRY(add_word(&l, str_of(host)));
	} else {
		while (str_word(&rest, ", \t\r\n", &word))
			TRY(add_word(&l, word));
	}
	if (l.n == 0)
		return fail(E_SYNTAX, "no address to listen on is left by inet_interfaces and inet_protocols");
	*n = l.n;
	return OK;
}
