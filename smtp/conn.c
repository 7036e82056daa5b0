/* SPDX-License-Identifier: Apache-2.0 */
#include "smtp/conn.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "util/log.h"
#include "util/map.h"
#include "util/mem.h"

struct place {                                         /* the idle connections of one next hop */
	struct map_node node;
	struct list     conns;
	char            key[];
};

static struct {
	const struct params *params;
	struct map           places;
	struct list          by_age;                   /* idle the longest first */
	struct wait          filled;
} cache;

static void
conn_free(struct conn *c)
{
	io_close(&c->io);
	reply_fini(&c->reply);
	free(c->key);
	free(c->host);
	free(c->who);
	free(c->relay);
	free(c);
}

void
conn_close(struct conn **pc)
{
	struct conn *c = *pc;

	*pc = NULL;
	if (c == NULL)
		return;
	if (!c->tainted && !io_is_dead(c->io)) {
		/* The answer to QUIT is of no use to anyone, so nobody waits for it. */
		ssize_t n = send(io_fd(c->io), "QUIT\r\n", 6, MSG_NOSIGNAL | MSG_DONTWAIT);

		(void)n;
	}
	conn_free(c);
}

static void
take_out(struct conn *c)
{
	struct map_node *node = map_get(&cache.places, str_of(c->key));
	struct place *p = container_of(node, struct place, node);

	list_remove(&c->by_key);
	list_remove(&c->by_age);
	if (list_empty(&p->conns)) {
		map_del(&cache.places, node);
		free(p);
	}
}

static bool
worn_out(const struct conn *c)
{
	const struct params *p = cache.params;

	return c->tainted ||
	    time_before(time_after(c->opened, p->smtp_connection_reuse_time_limit), time_now()) ||
	    (p->smtp_connection_reuse_count_limit > 0 &&
		c->uses >= (unsigned long long)p->smtp_connection_reuse_count_limit);
}

/* Nothing may have come on an idle connection: an end of file, or "421 too long idle" before it,
 * says that it is over. */
static bool
has_spoken(const struct conn *c)
{
	char byte;
	ssize_t n = recv(io_fd(c->io), &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	return io_has_input(c->io) || n >= 0 || (errno != EAGAIN && errno != EINTR);
}

struct conn *
conn_cached(struct str key)
{
	struct map_node *node;

	while ((node = map_get(&cache.places, key)) != NULL) {
		struct place *p = container_of(node, struct place, node);
		struct conn *c = container_of(p->conns.prev, struct conn, by_key);

		take_out(c);
		if (has_spoken(c))
			c->tainted = true;
		if (!worn_out(c))
			return c;
		conn_close(&c);
	}
	return NULL;
}

void
conn_keep(struct conn **pc)
{
	struct conn *c = *pc;
	struct map_node *node;
	struct place *p;

	if (io_has_input(c->io))
		c->tainted = true;                     /* more answers than questions */
	if (!cache.params->smtp_connection_cache_on_demand || worn_out(c) || task_stopping()) {
		conn_close(pc);
		return;
	}
	*pc = NULL;
	node = map_get(&cache.places, str_of(c->key));
	if (node == NULL) {
		size_t n = strlen(c->key) + 1;

		p = mem_new(sizeof *p + n);
		memcpy(p->key, c->key, n);
		list_init(&p->conns);
		node = map_put(&cache.places, str_of(p->key), &p->node);
	}
	p = container_of(node, struct place, node);
	c->idle_since = time_now();
	list_push(&p->conns, &c->by_key);
	if (list_empty(&cache.by_age))
		wait_wake(&cache.filled);
	list_push(&cache.by_age, &c->by_age);
}

void
conn_cache_flush(void)
{
	LIST_EACH(&cache.by_age, c, struct conn, by_age) {
		struct conn *gone = c;

		take_out(gone);
		conn_close(&gone);
	}
}

/* Close what has been idle for too long. */
static void
tidy(void *arg)
{
	enum err e = OK;

	(void)arg;
	while (e == OK) {
		struct list *first = list_first(&cache.by_age);
		struct conn *c;
		struct time due;

		if (first == NULL) {
			e = wait_park(&cache.filled, TIME_NEVER);
			continue;
		}
		c = container_of(first, struct conn, by_age);
		due = time_after(c->idle_since, cache.params->smtp_connection_cache_time_limit);
		if (time_before(time_now(), due)) {
			e = task_sleep(due);
			continue;
		}
		take_out(c);
		conn_close(&c);
	}
}

void
conn_cache_init(const struct params *p, struct tasks *g)
{
	cache.params = p;
	list_init(&cache.by_age);
	wait_init(&cache.filled);
	ENSURE(task_start(g, "idle connections", tidy, NULL) != NULL);
}

static char *format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static char *
format(const char *fmt, ...)
{
	va_list ap;
	char *out = NULL;

	va_start(ap, fmt);
	ENSURE(vasprintf(&out, fmt, ap) >= 0);
	va_end(ap);
	return out;
}

static char *
place(const char *host, const struct addr *a, bool port)
{
	char address[ADDR_TEXT];

	if (a->sa.sa_family == AF_UNIX)
		return format("%s[%s]", host, a->un.sun_path);
	addr_text(a, address);
	return port ? format("%s[%s]:%u", host, address, addr_port(a)) : format("%s[%s]", host, address);
}

char *
conn_place(const char *host, const struct addr *a)
{
	return place(host, a, true);
}

/* Our own address to send from, if one is set for the family. */
static const struct addr *
source(const struct params *p, const struct addr *to, struct addr *from)
{
	const char *text = to->sa.sa_family == AF_INET6 ? p->smtp_bind_address6 :
	    to->sa.sa_family == AF_INET			? p->smtp_bind_address :
							  "";

	return *text && addr_parse(str_of(text), 0, from) == OK ? from : NULL;
}

enum err
conn_open(const struct params *p, struct str key, const char *host, const struct addr *to, struct conn **out)
{
	struct addr from;
	struct conn *c;
	int fd;

	TRY(net_connect(to, source(p, to, &from), time_after(time_now(), p->smtp_connect_timeout), &fd));
	c = mem_new(sizeof *c);
	c->io = io_new(fd, REPLY_IO_LINE);
	c->addr = *to;
	c->key = str_dup(key);
	c->host = mem_dup(host);
	c->who = place(host, to, false);
	c->relay = conn_place(host, to);
	c->opened = time_now();
	list_init(&c->by_key);
	list_init(&c->by_age);
	*out = c;
	return OK;
}

struct hello { struct conn *c; const struct params *p; bool first; };

/* A line of the answer to EHLO or LHLO: the server's name, then what it can do. */
static void
capability(void *arg, struct str line)
{
	static const struct {
		struct str word;
		unsigned can;
	} keywords[] = {
		{ STR("PIPELINING"), CAN_PIPELINE },
		{ STR("8BITMIME"),   CAN_8BIT     },
		{ STR("SIZE"),       CAN_SIZE     },
		{ STR("DSN"),        CAN_DSN      },
		{ STR("SMTPUTF8"),   CAN_UTF8     },
	};
	struct hello *h = arg;
	struct str word;
	uint64_t n;

	if (!str_word(&line, " \t", &word))
		return;
	if (h->first && !h->c->lmtp)
		h->c->loop |= str_ieq(word, str_of(h->p->myhostname));
	h->first = false;
	for (size_t i = 0; i < countof(keywords); i++)
		if (str_ieq(word, keywords[i].word))
			h->c->can |= keywords[i].can;
	if (str_ieq(word, STR("SIZE")) && str_word(&line, " \t", &word) && str_u64(word, &n))
		h->c->size_limit = n;
}

static enum err
judge(const struct conn *c)
{
	return reply_class(&c->reply) == 2 ? OK : reply_class(&c->reply) == 5 ? E_REFUSED : E_DEFERRED;
}

static WAITS enum err
say_hello(const struct params *p, struct conn *c, const char *verb)
{
	struct hello h = { .c = c, .p = p, .first = true };

	io_print(c->io, "%s %s\r\n", verb, p->smtp_helo_name);
	TRY(reply_read(c->io, &c->reply, capability, &h, time_after(time_now(), p->smtp_helo_timeout)));
	return judge(c);
}

enum err
conn_greet(const struct params *p, struct conn *c, const char **during)
{
	enum err e;

	*during = "receiving the initial server greeting";
	TRY(reply_read(c->io, &c->reply, NULL, NULL, time_after(time_now(), p->smtp_helo_timeout)));
	TRY(judge(c));
	if (c->lmtp) {
		*during = "performing the LHLO handshake";
		return say_hello(p, c, "LHLO");
	}
	e = E_REFUSED;
	*during = "performing the EHLO handshake";
	if (!p->smtp_never_send_ehlo)
		e = say_hello(p, c, "EHLO");
	if (e == E_REFUSED) {
		*during = "performing the HELO handshake";
		c->can = 0;
		e = say_hello(p, c, "HELO");
	}
	return e;
}
