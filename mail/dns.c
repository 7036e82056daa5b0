/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/dns.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>

#include "mail/service.h"
#include "util/ipc.h"
#include "util/list.h"
#include "util/log.h"
#include "util/map.h"
#include "util/mem.h"

enum { FRAME_MAX = 1 << 20, CONNECT_SECONDS = 2, RETRY_MS = 200, ADDRESSES_ASKED = 2, NAMES_MAX = 1024, NAME_SECONDS = 60 };

struct question {
	struct list        link;                       /* in dns.waiting */
	uint64_t           number;
	struct wait        done;
	bool               answered;
	enum err           result;
	char               why[ERR_WHY_MAX];           /* words of the result: each task has its own err_why() */
	struct dns_answer *answer;
};

static struct {
	const struct params *params;
	struct ipc          *channel;                  /* NULL: none */
	bool                 connecting;
	struct time          not_before;               /* of the next attempt to connect */
	struct wait          connected;                /* an attempt has ended */
	struct list          waiting;
	uint64_t             number;
} dns;

void
dns_setup(const struct params *p)
{
	dns.params = p;
	list_init(&dns.waiting);
	wait_init(&dns.connected);
}

/* Copy what a frame says into an answer of its own. */
static enum err
take_answer(const struct msg_answer *m, struct dns_answer *a)
{
	struct str rest;
	struct msg_record r;
	size_t n = 0;
	char *p;

	for (rest = m->records; rest.n > 0; n++)
		if (!msg_record_take(&rest, &r))
			return fail(E_DNS_TEMP, "malformed answer from the resolver");
	p = mem_new(n * sizeof *a->records + m->records.n + m->canonical.n + 1);
	*a = (struct dns_answer){ .secure = m->secure == 1, .ttl = m->ttl, .records = (void *)p, .n = n, .memory = p };
	p += n * sizeof *a->records;
	memcpy(p, m->records.p, m->records.n);
	rest = (struct str){ p, m->records.n };
	for (size_t i = 0; i < n; i++)
		ENSURE(msg_record_take(&rest, &a->records[i]));
	p += m->records.n;
	memcpy(p, m->canonical.p, m->canonical.n);
	a->canonical = (struct str){ p, m->canonical.n };
	return OK;
}

static void
finish(struct question *q, enum err result)
{
	list_remove(&q->link);
	q->answered = true;
	q->result = result;
	snprintf(q->why, sizeof q->why, "%s", result == OK ? "" : err_why());
	wait_wake(&q->done);
}

static void
answered(const struct msg_answer *m)
{
	LIST_EACH(&dns.waiting, q, struct question, link) {
		if (q->number != m->query)
			continue;
		if (m->err == OK)
			finish(q, take_answer(m, q->answer));
		else
			finish(q, fail(m->err < ERR_COUNT ? (enum err)m->err : E_DNS_TEMP, "%.*s", STR_ARG(m->why)));
		return;
	}
}

/* Read answers until the channel ends; then nobody is left waiting for it. */
static void
serve_channel(void *arg)
{
	struct ipc *c = arg;
	struct msg_answer m;
	struct str body;
	uint16_t tag;

	while (ipc_recv(c, &tag, &body, TIME_NEVER) == OK)
		if (tag != MSG_ANSWER_TAG || msg_answer_get(body, &m) != OK) {
			log_warn("resolver sent garbage");
			break;
		} else {
			answered(&m);
		}
	if (dns.channel == c)
		dns.channel = NULL;
	ipc_free(&c);
	LIST_EACH(&dns.waiting, q, struct question, link)
		finish(q, fail(E_DNS_TEMP, "the resolver hung up"));
}

static WAITS enum err
open_channel(struct ipc **out, struct time deadline)
{
	struct msg_hello mine = { .schema = msg_schema(), .role = STR("dns"), .name = STR("dns"), .pid = (uint32_t)getpid() }, peer;
	char path[108];
	struct ipc *c;
	int fd;
	enum err e;

	TRY(net_connect_unix(service_path(dns.params, "resolver", path), deadline, &fd));
	c = ipc_new(fd, FRAME_MAX, 0);
	if ((e = msg_hello_exchange(c, &mine, &peer)) != OK)
		ipc_free(&c);
	*out = c;
	return e;
}

/* One task connects, the others wait for it; after a failure nobody tries for a moment. */
static WAITS enum err
get_channel(struct time deadline)
{
	struct ipc *c;
	enum err e;

	while (dns.connecting && dns.channel == NULL)
		TRY(wait_park(&dns.connected, deadline));
	if (dns.channel)
		return OK;
	if (time_before(time_now(), dns.not_before))
		return fail(E_DNS_TEMP, "no resolver");
	dns.connecting = true;
	e = open_channel(&c, time_min(deadline, time_after(time_now(), CONNECT_SECONDS)));
	dns.connecting = false;
	if (e == OK) {
		dns.channel = c;
		if (task_start(NULL, "dns", serve_channel, c) == NULL) {
			dns.channel = NULL;
			ipc_free(&c);
			e = fail(E_DNS_TEMP, "no memory for a task");
		}
	} else {
		dns.not_before = time_after_ms(time_now(), RETRY_MS);
	}
	wait_wake_all(&dns.connected);
	return e == OK || e == E_STOPPED ? e : fail(E_DNS_TEMP, "no resolver");
}

enum err
dns_ask(struct str name, enum dns_type type, struct time deadline, struct dns_answer *a)
{
	struct question q = { .answer = a };
	struct msg_query m = { .type = (uint16_t)type, .name = name };
	struct buf *out;
	enum err e;

	*a = (struct dns_answer){ 0 };
	TRY(get_channel(deadline));
	m.query = q.number = ++dns.number;
	wait_init(&q.done);
	if ((out = ipc_begin(dns.channel, MSG_QUERY_TAG)) == NULL)
		return fail(E_DNS_TEMP, "the resolver is too busy");
	msg_query_put(out, &m);
	ipc_end(dns.channel);
	list_push(&dns.waiting, &q.link);
	while (!q.answered)
		if ((e = wait_park(&q.done, deadline)) != OK && !q.answered) {
			list_remove(&q.link);
			return e;
		}
	return q.result == OK ? OK : fail(q.result, "%s", q.why);
}

void
dns_answer_fini(struct dns_answer *a)
{
	free(a->memory);
	*a = (struct dns_answer){ 0 };
}

/* The addresses of one family, appended to out. */
static WAITS enum err
ask_family(struct str host, enum dns_type type, uint16_t port, struct time deadline, struct addr *out, size_t max, size_t *n)
{
	struct dns_answer a;
	enum err e = dns_ask(host, type, deadline, &a);

	for (size_t i = 0; e == OK && i < a.n && *n < max; i++) {
		struct addr *to = &out[*n];

		*to = (struct addr){ 0 };
		if (type == DNS_A && a.records[i].text.n == sizeof to->in.sin_addr) {
			to->in.sin_family = AF_INET;
			to->in.sin_port = htons(port);
			memcpy(&to->in.sin_addr, a.records[i].text.p, sizeof to->in.sin_addr);
			to->len = sizeof to->in;
			++*n;
		} else if (type == DNS_AAAA && a.records[i].text.n == sizeof to->in6.sin6_addr) {
			to->in6.sin6_family = AF_INET6;
			to->in6.sin6_port = htons(port);
			memcpy(&to->in6.sin6_addr, a.records[i].text.p, sizeof to->in6.sin6_addr);
			to->len = sizeof to->in6;
			++*n;
		}
	}
	dns_answer_fini(&a);
	return e;
}

/* One family that answers is enough; when none does, a failure that may pass outweighs "does not exist". */
enum err
dns_addresses(struct str host, uint16_t port, struct time deadline, struct addr *out, size_t max, size_t *n)
{
	const char *prefer = dns.params->smtp_address_preference, *only = dns.params->inet_protocols;
	enum dns_type order[] = { DNS_AAAA, DNS_A };
	enum err result = OK, e;

	*n = 0;
	if (strcmp(prefer, "ipv4") == 0 || (strcmp(prefer, "any") == 0 && dns.number % 2 == 0)) {
		order[0] = DNS_A;
		order[1] = DNS_AAAA;
	}
	for (size_t i = 0; i < countof(order); i++) {
		if (strcmp(only, order[i] == DNS_A ? "ipv6" : "ipv4") == 0)
			continue;
		e = ask_family(host, order[i], port, deadline, out, max, n);
		if (e == E_STOPPED)
			return e;
		if (e != OK && result != E_DNS_TEMP && result != E_TIMEOUT)
			result = e;
	}
	return *n > 0 ? OK : result;
}

/* -- names of clients -- */
struct name {
	struct map_node node;                          /* key: the address in text */
	struct list     link;                          /* in names.used, longest unused first */
	struct time     until;
	char            address[ADDR_TEXT];
	char            name[256];
};

static struct {
	struct map  by_address;
	struct list used;
	bool        ready;
} names;

static struct name *
name_find(const char *address)
{
	struct map_node *node;

	if (!names.ready) {
		list_init(&names.used);
		names.ready = true;
	}
	node = map_get(&names.by_address, str_of(address));
	return node ? container_of(node, struct name, node) : NULL;
}

static void
name_keep(const char *address, struct str name)
{
	struct name *n = name_find(address);

	if (n == NULL && names.by_address.n >= NAMES_MAX) {
		n = container_of(list_first(&names.used), struct name, link);
		map_del(&names.by_address, &n->node);
		list_remove(&n->link);
		mem_free(&n);
	}
	if (n == NULL) {
		n = mem_new(sizeof *n);
		list_init(&n->link);
		snprintf(n->address, sizeof n->address, "%s", address);
		map_put(&names.by_address, str_of(n->address), &n->node);
	}
	n->until = time_after(time_now(), NAME_SECONDS);
	snprintf(n->name, sizeof n->name, "%.*s", STR_ARG(name));
	list_remove(&n->link);
	list_push(&names.used, &n->link);
}

static WAITS bool
leads_back(struct str name, const struct addr *a, struct time deadline)
{
	struct addr found[16];
	size_t n = 0;
	bool same = false;
	enum dns_type type = a->sa.sa_family == AF_INET6 ? DNS_AAAA : DNS_A;

	if (ask_family(name, type, 0, deadline, found, countof(found), &n) != OK)
		return false;
	for (size_t i = 0; i < n; i++)
		same |= addr_same_host(&found[i], a);
	return same;
}

void
dns_client_name(const struct addr *a, struct time deadline, struct buf *name)
{
	struct dns_answer ptr = { 0 };
	struct buf reverse = BUF(0);
	char address[ADDR_TEXT];
	struct name *known;
	struct str found = STR("unknown");

	addr_text(a, address);
	known = name_find(address);
	if (addr_is_loopback(a)) {
		buf_adds(name, "localhost");
		return;
	}
	if (known && time_before(time_now(), known->until)) {
		buf_adds(name, known->name);
		return;
	}
	if (addr_reverse_name(a, &reverse) && dns_ask(buf_str(&reverse), DNS_PTR, deadline, &ptr) == OK)
		for (size_t i = 0; i < ptr.n && i < ADDRESSES_ASKED && str_eq(found, STR("unknown")); i++)
			if (ptr.records[i].text.n < sizeof known->name && leads_back(ptr.records[i].text, a, deadline))
				found = ptr.records[i].text;
	name_keep(address, found);
	buf_add(name, found);
	dns_answer_fini(&ptr);
	buf_free(&reverse);
}
