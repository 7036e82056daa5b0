/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/dns.h"

#include <stdio.h>

#include "mail/addr.h"
#include "mail/dns_channel.h"
#include "mail/service.h"
#include "util/mem.h"

enum {
	ADDRESSES_MAX = 100,
	NAMES_MAX = 5, /* of one client that are checked */
	CACHE_MAX = 1024,
	CACHE_SECONDS = 60,
};

struct cached {
	struct map_node node; /* key: address */
	struct list by_use;   /* latest last */
	struct time until;
	char address[ADDR_TEXT];
	char name[DNS_NAME_MAX + 1];
};

static struct {
	bool want4, want6;
	bool prefer4, prefer6;
	struct map cache;
	struct list by_use;
} dns;

void
dns_setup(const struct params *p)
{
	char path[108];

	dns.want4 = strcmp(p->inet_protocols, "ipv6") != 0;
	dns.want6 = strcmp(p->inet_protocols, "ipv4") != 0;
	dns.prefer4 = strcmp(p->smtp_address_preference, "ipv4") == 0;
	dns.prefer6 = strcmp(p->smtp_address_preference, "ipv6") == 0;
	if (dns.by_use.next == NULL)
		list_init(&dns.by_use);
	dns_channel_setup(service_path(p, "resolver", path));
}

enum err
dns_ask(struct str name, enum dns_type type, struct time deadline, struct dns_answer *a)
{
	struct dns_question q;

	dns_question_ask(&q, name, type);
	return dns_question_await(&q, deadline, a);
}

void
dns_answer_fini(struct dns_answer *a)
{
	free(a->memory);
	*a = (struct dns_answer){ 0 };
}

bool
record_addr(const struct msg_record *r, enum dns_type type, uint16_t port, struct addr *a)
{
	*a = (struct addr){ 0 };
	if (type == DNS_A && r->text.n == 4) {
		a->in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port) };
		memcpy(&a->in.sin_addr, r->text.p, 4);
		a->len = sizeof a->in;
		return true;
	}
	if (type == DNS_AAAA && r->text.n == 16) {
		a->in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(port) };
		memcpy(&a->in6.sin6_addr, r->text.p, 16);
		a->len = sizeof a->in6;
		return true;
	}
	return false;
}

struct found {
	enum err err;
	size_t n;
	struct addr a[ADDRESSES_MAX];
};

/* Servers with several addresses expect that the load is spread over them. */
static void
shuffle(struct found *f)
{
	for (size_t i = f->n; i > 1; i--) {
		size_t j = arc4random_uniform((uint32_t)i);
		struct addr t = f->a[i - 1];

		f->a[i - 1] = f->a[j];
		f->a[j] = t;
	}
}

static WAITS void
await(struct dns_question *q, uint16_t port, struct time deadline, struct found *f)
{
	struct dns_answer ans;

	f->err = dns_question_await(q, deadline, &ans);
	for (size_t i = 0; i < ans.n && f->n < ADDRESSES_MAX; i++)
		f->n += record_addr(&ans.records[i], (enum dns_type)q->type, port, &f->a[f->n]);
	dns_answer_fini(&ans);
	shuffle(f);
}

/* All of the preferred family first; with no preference they take turns, so that one that does not
 * work at all cannot use up all attempts (smtp_mx_address_limit). */
static size_t
merge(const struct found *v4, const struct found *v6, struct addr *out, size_t max)
{
	const struct found *f[2] = { v4, v6 };
	size_t at[2] = { 0 }, n = 0;
	int turn = dns.prefer6 ? 1 : dns.prefer4 ? 0 : (int)arc4random_uniform(2);
	bool alternate = !dns.prefer4 && !dns.prefer6;

	while (n < max && (at[0] < v4->n || at[1] < v6->n)) {
		if (at[turn] < f[turn]->n)
			out[n++] = f[turn]->a[at[turn]++];
		if (alternate || at[turn] == f[turn]->n)
			turn = !turn;
	}
	return n;
}

/* Any address will do; failing that, doubt counts for more than a no. */
static enum err
verdict(enum err e4, enum err e6)
{
	if (e4 == E_STOPPED || e6 == E_STOPPED)
		return E_STOPPED;
	if (e4 == E_TIMEOUT || e6 == E_TIMEOUT)
		return fail(E_TIMEOUT, "no answer from the resolver in time");
	if (e4 == E_DNS_TEMP || e6 == E_DNS_TEMP)
		return fail(E_DNS_TEMP, "name service failure");
	if (e4 == E_DNS_NONE && e6 == E_DNS_NONE)
		return fail(E_DNS_NONE, "no such name");
	return OK;
}

enum err
dns_addresses(
    struct str host, uint16_t port, struct time deadline, struct addr *out, size_t max, size_t *n)
{
	struct dns_question q4, q6;
	struct found *f;
	enum err e;

	*n = 0;
	if (max > 0 && addr_parse(host, port, &out[0]) == OK) {
		*n = 1;
		return OK;
	}
	/* Too large for a task's stack. */
	f = mem_array(2, sizeof *f);
	if (dns.want4)
		dns_question_ask(&q4, host, DNS_A);
	if (dns.want6)
		dns_question_ask(&q6, host, DNS_AAAA);
	if (dns.want4)
		await(&q4, port, deadline, &f[0]);
	if (dns.want6)
		await(&q6, port, deadline, &f[1]);
	*n = merge(&f[0], &f[1], out, max);
	e = *n > 0 ? OK : verdict(dns.want4 ? f[0].err : f[1].err, dns.want6 ? f[1].err : f[0].err);
	free(f);
	return e;
}

static WAITS bool
leads_back(struct str name, const struct addr *a, struct time deadline)
{
	enum dns_type type = a->sa.sa_family == AF_INET ? DNS_A : DNS_AAAA;
	struct dns_answer ans;
	struct addr found;
	bool yes = false;

	if (dns_ask(name, type, deadline, &ans) != OK)
		return false;
	for (size_t i = 0; i < ans.n && !yes; i++)
		yes = record_addr(&ans.records[i], type, 0, &found) && addr_same_host(&found, a);
	dns_answer_fini(&ans);
	return yes;
}

static WAITS bool
look_up(const struct addr *a, struct time deadline, char name[DNS_NAME_MAX + 1])
{
	struct buf reverse = BUF(DNS_NAME_MAX);
	struct dns_answer ans = { 0 };
	bool found = false;

	if (addr_reverse_name(a, &reverse) &&
	    dns_ask(buf_str(&reverse), DNS_PTR, deadline, &ans) == OK) {
		for (size_t i = 0; i < ans.n && i < NAMES_MAX && !found; i++) {
			struct str s = ans.records[i].text;

			found = s.n <= DNS_NAME_MAX && domain_valid(s) && s.p[0] != '[' &&
				leads_back(s, a, deadline);
			if (found)
				snprintf(name, DNS_NAME_MAX + 1, "%.*s", STR_ARG(s));
		}
	}
	if (!found)
		snprintf(name, DNS_NAME_MAX + 1, "unknown");
	dns_answer_fini(&ans);
	buf_free(&reverse);
	return !task_stopping();
}

static void
forget(struct cached *c)
{
	map_del(&dns.cache, &c->node);
	list_remove(&c->by_use);
	free(c);
}

static struct cached *
cache_get(const char *address)
{
	struct map_node *n = map_get(&dns.cache, str_of(address));
	struct cached *c = n ? container_of(n, struct cached, node) : NULL;

	if (c && !time_before(time_now(), c->until)) {
		forget(c);
		return NULL;
	}
	if (c) {
		list_remove(&c->by_use);
		list_push(&dns.by_use, &c->by_use);
	}
	return c;
}

static void
cache_put(const char *address, const char *name)
{
	struct cached *c = cache_get(address);

	if (c == NULL) {
		c = mem_new(sizeof *c);
		snprintf(c->address, sizeof c->address, "%s", address);
		map_put(&dns.cache, str_of(c->address), &c->node);
		list_push(&dns.by_use, &c->by_use);
	}
	snprintf(c->name, sizeof c->name, "%s", name);
	c->until = time_after(time_now(), CACHE_SECONDS);
	if (dns.cache.n > CACHE_MAX)
		forget(container_of(list_first(&dns.by_use), struct cached, by_use));
}

void
dns_client_name(const struct addr *a, struct time deadline, struct buf *out)
{
	char address[ADDR_TEXT], name[DNS_NAME_MAX + 1] = "localhost";
	struct cached *c;

	if (!addr_is_loopback(a)) {
		addr_text(a, address);
		c = cache_get(address);
		if (c)
			snprintf(name, sizeof name, "%s", c->name);
		else if (look_up(a, deadline, name))
			cache_put(address, name);
	}
	/* A name is far below the ceiling of any buf meant for one. */
	(void)buf_adds(out, name);
}
