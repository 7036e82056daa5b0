/* SPDX-License-Identifier: Apache-2.0 */
#include "smtp/hosts.h"

#include <stdio.h>
#include <sys/random.h>

#include "mail/dns.h"
#include "mail/route.h"
#include "util/mem.h"

enum { ADDRESSES_PER_HOST = 16, OWN_MAX = 64 };

struct search {
	const struct params *params;
	struct str           domain;
	struct hosts        *hosts;
	enum err             trouble;                  /* the best reason to wait that was met */
};

static enum err
say(struct hosts *h, enum err e, const char *esc, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static enum err
say(struct hosts *h, enum err e, const char *esc, const char *fmt, ...)
{
	va_list ap;

	snprintf(h->esc, sizeof h->esc, "%s", esc);
	va_start(ap, fmt);
	vsnprintf(h->why, sizeof h->why, fmt, ap);
	va_end(ap);
	return e;
}

/* What a failed question means for the mail: "no such name" is final, everything else may pass. */
static enum err
dns_failed(struct hosts *h, enum err e, struct str name, const char *type)
{
	bool none = e == E_DNS_NONE || e == OK;

	return say(h, none ? E_REFUSED : E_DEFERRED, none ? "5.4.4" : "4.4.3",
	    "Host or domain name not found. Name service error for name=%.*s type=%s: Host not found%s", STR_ARG(name), type,
	    none ? "" : ", try again");
}

static uint32_t
dice(void)
{
	uint32_t r = 0;

	return getrandom(&r, sizeof r, GRND_NONBLOCK) == sizeof r ? r : (uint32_t)time_now().ns;
}

static void
add(struct hosts *h, struct str name, uint32_t pref, uint32_t order, const struct addr *a)
{
	struct host *v;

	if (h->n >= HOSTS_MAX)
		return;
	h->v = mem_grow(h->v, (h->n + 1) * sizeof *h->v);
	v = &h->v[h->n++];
	*v = (struct host){ .pref = pref, .order = order, .addr = *a };
	snprintf(v->name, sizeof v->name, "%.*s", STR_ARG(name));
}

static struct time
deadline(const struct params *p)
{
	return time_after(time_now(), p->dns_timeout + 2);
}

static WAITS enum err
add_addresses(const struct params *p, struct hosts *h, struct str name, uint16_t port, uint32_t pref)
{
	struct addr found[ADDRESSES_PER_HOST];
	uint32_t order = dice();
	size_t n;
	enum err e = dns_addresses(name, port, deadline(p), found, countof(found), &n);

	for (size_t i = 0; e == OK && i < n; i++)
		add(h, name, pref, order, &found[i]);
	return e;
}

static int
by_preference(const void *pa, const void *pb)
{
	const struct host *a = pa, *b = pb;

	if (a->pref != b->pref)
		return a->pref < b->pref ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

/* Ourselves among the servers: mail must not go back to where it came from, so only better ones are of use. */
static bool
is_self(const struct params *p, const struct host *h)
{
	return str_ieq(str_of(h->name), str_of(p->myhostname));
}

static enum err
cut_at_self(const struct params *p, struct hosts *h, struct str domain)
{
	for (size_t i = 0; i < h->n; i++)
		if (is_self(p, &h->v[i])) {
			uint32_t own = h->v[i].pref;

			h->n = 0;
			while (h->v[h->n].pref < own)
				h->n++;
			break;
		}
	return h->n > 0 ? OK : say(h, E_REFUSED, "5.4.6", "mail for %.*s loops back to myself", STR_ARG(domain));
}

static WAITS enum err
from_mx(const struct params *p, struct hosts *h, struct str domain, uint16_t port, const struct dns_answer *mx)
{
	enum err e = OK, worst = E_DNS_NONE;
	struct str last = domain;

	if (mx->n == 1 && mx->records[0].text.n == 0)
		return say(h, E_REFUSED, "5.1.0", "Domain %.*s does not accept mail (nullMX)", STR_ARG(domain));
	for (size_t i = 0; i < mx->n; i++) {
		if (mx->records[i].text.n == 0)
			continue;
		last = mx->records[i].text;
		e = add_addresses(p, h, last, port, mx->records[i].pref);
		if (e == E_STOPPED)
			return say(h, E_DEFERRED, "4.3.2", "shutting down");
		if (e != OK && e != E_DNS_NONE)
			worst = e;
	}
	if (h->n == 0)
		return dns_failed(h, worst, last, "A");
	qsort(h->v, h->n, sizeof *h->v, by_preference);
	return cut_at_self(p, h, domain);
}

static WAITS enum err
from_name(const struct params *p, struct hosts *h, struct str name, uint16_t port)
{
	enum err e = add_addresses(p, h, name, port, 0);

	return h->n > 0 ? OK : dns_failed(h, e, name, strcmp(p->inet_protocols, "ipv6") == 0 ? "AAAA" : "A");
}

enum err
hosts_find(const struct params *p, struct str nexthop, struct hosts *h)
{
	struct hop hop;
	struct addr literal;
	struct dns_answer mx;
	enum err e;

	*h = (struct hosts){ 0 };
	if (hop_parse(nexthop, (uint16_t)p->smtp_tcp_port, &hop) != OK)
		return say(h, E_REFUSED, "5.1.2", "bad next hop %.*s", STR_ARG(nexthop));
	if (addr_parse(hop.host, hop.port, &literal) == OK) {
		char text[ADDR_TEXT];

		add(h, str_of(addr_text(&literal, text)), 0, 0, &literal);
		return OK;
	}
	if (hop.no_mx)
		return from_name(p, h, hop.host, hop.port);
	e = dns_ask(hop.host, DNS_MX, deadline(p), &mx);
	if (e == E_STOPPED)
		e = say(h, E_DEFERRED, "4.3.2", "shutting down");
	else if (e == OK && mx.n > 0)
		e = from_mx(p, h, hop.host, hop.port, &mx);
	else if (e == OK)
		e = from_name(p, h, hop.host, hop.port);
	else
		e = dns_failed(h, e, hop.host, e == E_DNS_NONE ? "A" : "MX");
	dns_answer_fini(&mx);
	return e;
}

void
hosts_fini(struct hosts *h)
{
	mem_free(&h->v);
	h->n = 0;
}
