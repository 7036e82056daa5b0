/* SPDX-License-Identifier: Apache-2.0 */
#include "smtp/hosts.h"

#include <stdio.h>

#include "mail/route.h"
#include "smtp/own.h"
#include "util/mem.h"

enum {
	ADDRESSES_PER_HOST = 16,
	MX_ASKED_MAX = 20, /* servers whose addresses are looked up in one delivery */
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
	    "Host or domain name not found. Name service error for name=%.*s type=%s: Host %s",
	    STR_ARG(name), type,
	    e == OK ? "found but no data record of requested type" :
	    none    ? "not found" :
		      "not found, try again");
}

static void
add(struct hosts *h, struct str name, uint32_t pref, const struct addr *a)
{
	struct host *v;

	if (h->n >= HOSTS_MAX)
		return;
	h->v = mem_grow(h->v, (h->n + 1) * sizeof *h->v);
	v = &h->v[h->n++];
	*v = (struct host){ .pref = pref, .addr = *a };
	snprintf(v->name, sizeof v->name, "%.*s", STR_ARG(name));
}

static struct time
deadline(const struct params *p)
{
	return time_after(time_now(), p->dns_timeout + 2);
}

static WAITS enum err
add_addresses(struct hosts *h, struct str name, uint16_t port, uint32_t pref, struct time until)
{
	struct addr found[ADDRESSES_PER_HOST];
	size_t n;
	enum err e = dns_addresses(name, port, until, found, countof(found), &n);

	for (size_t i = 0; e == OK && i < n; i++)
		add(h, name, pref, &found[i]);
	return e;
}

void
mx_order(struct msg_record *mx, size_t n)
{
	for (size_t i = n; i > 1; i--) {
		size_t j = arc4random_uniform((uint32_t)i);
		struct msg_record t = mx[i - 1];

		mx[i - 1] = mx[j];
		mx[j] = t;
	}
	/* Insertion keeps the random order of equals. */
	for (size_t i = 1; i < n; i++) {
		struct msg_record t = mx[i];
		size_t j = i;

		for (; j > 0 && mx[j - 1].pref > t.pref; j--)
			mx[j] = mx[j - 1];
		mx[j] = t;
	}
}

/* Ourselves among the servers: mail must not go back to where it came from, so only better ones are of use. */
static void
cut_at_self(struct hosts *h, uint32_t own_pref)
{
	size_t n = 0;

	while (n < h->n && h->v[n].pref < own_pref)
		n++;
	h->n = n;
}

static bool
any_own(const struct hosts *h, size_t from)
{
	for (size_t i = from; i < h->n; i++)
		if (own_is(&h->v[i].addr))
			return true;
	return false;
}

struct mx_search {
	const struct params *params;
	struct hosts *hosts;
	struct str domain;
	uint16_t port;
	const struct dns_answer *mx;                   /* ordered */
};

/* Servers are looked up only as far as they can be tried, and all of them together take no longer
 * than two questions may.  Those of the last preference are all looked up: one may be ourselves. */
static WAITS enum err
from_mx(const struct mx_search *s)
{
	struct time until = time_after(time_now(), 2 * s->params->dns_timeout);
	long long limit = s->params->smtp_mx_address_limit;
	size_t enough = limit > 0 ? (size_t)limit : HOSTS_MAX, asked = 0;
	enum err worst = E_DNS_NONE;
	struct hosts *h = s->hosts;
	struct str last = s->domain;
	bool self = false;

	for (size_t i = 0; i < s->mx->n && !self; i++) {
		const struct msg_record *mx = &s->mx->records[i];
		size_t before = h->n;
		enum err e;

		if (h->n >= enough && mx->pref > h->v[h->n - 1].pref)
			break;
		self = str_ieq(mx->text, str_of(s->params->myhostname));
		if (mx->text.n > 0 && !self) {
			/* Names that were not asked for are no proof that there is no such server. */
			e = asked++ == MX_ASKED_MAX ? E_DNS_TEMP : add_addresses(h, mx->text, s->port,
			    mx->pref, time_min(until, deadline(s->params)));
			if (e == E_STOPPED)
				return say(h, E_DEFERRED, "4.3.2", "shutting down");
			if (worst == E_DNS_NONE || e == E_DNS_TEMP || e == E_TIMEOUT) {
				worst = e;
				last = mx->text;
			}
			self = any_own(h, before);
		}
		if (self)
			cut_at_self(h, mx->pref);
		if (asked > MX_ASKED_MAX)
			break;
	}
	if (h->n > 0)
		return OK;
	if (self && worst != E_DNS_TEMP && worst != E_TIMEOUT)
		return say(h, E_REFUSED, "5.4.6", "mail for %.*s loops back to myself", STR_ARG(s->domain));
	return dns_failed(h, worst, last, "A");
}

static WAITS enum err
from_name(const struct params *p, struct hosts *h, struct str name, uint16_t port)
{
	enum err e = add_addresses(h, name, port, 0, deadline(p));

	if (e == E_STOPPED)
		return say(h, E_DEFERRED, "4.3.2", "shutting down");
	return h->n > 0 ? OK :
			  dns_failed(h, e, name, strcmp(p->inet_protocols, "ipv6") == 0 ? "AAAA" : "A");
}

static WAITS enum err
from_domain(const struct params *p, struct hosts *h, struct str domain, uint16_t port)
{
	struct dns_answer mx;
	struct mx_search s = { .params = p, .hosts = h, .domain = domain, .port = port, .mx = &mx };
	enum err e = dns_ask(domain, DNS_MX, deadline(p), &mx);

	if (e == E_STOPPED) {
		e = say(h, E_DEFERRED, "4.3.2", "shutting down");
	} else if (e != OK) {
		e = dns_failed(h, e, domain, e == E_DNS_NONE ? "A" : "MX");
	} else if (mx.n == 0) {
		e = from_name(p, h, domain, port);
	} else if (mx.n == 1 && mx.records[0].text.n == 0) {
		e = say(h, E_REFUSED, "5.1.0", "Domain %.*s does not accept mail (nullMX)", STR_ARG(domain));
	} else {
		mx_order(mx.records, mx.n);
		e = from_mx(&s);
	}
	dns_answer_fini(&mx);
	return e;
}

/* A recipient's domain is what it is; what somebody wrote into a table or main.cf can be mended. */
static bool
is_written(struct str nexthop)
{
	return str_find(nexthop, '[') < nexthop.n || str_find(nexthop, ':') < nexthop.n ||
	       str_find(nexthop, '/') < nexthop.n;
}

static WAITS enum err
find_smtp(const struct params *p, struct hosts *h, struct str nexthop)
{
	struct hop hop;
	struct addr literal;

	if (hop_parse(nexthop, (uint16_t)p->smtp_tcp_port, &hop) != OK)
		return is_written(nexthop) ? say(h, E_DEFERRED, "4.3.5", "bad next hop %.*s", STR_ARG(nexthop)) :
					     say(h, E_REFUSED, "5.1.2", "bad domain %.*s", STR_ARG(nexthop));
	if (addr_parse(hop.host, hop.port, &literal) == OK) {
		char text[ADDR_TEXT];

		add(h, str_of(addr_text(&literal, text)), 0, &literal);
		return OK;
	}
	return hop.no_mx ? from_name(p, h, hop.host, hop.port) : from_domain(p, h, hop.host, hop.port);
}

static enum err
add_socket(const struct params *p, struct hosts *h, struct str path)
{
	struct addr a = { .un = { .sun_family = AF_UNIX }, .len = sizeof a.un };

	if (path.n == 0 || path.n >= sizeof a.un.sun_path)
		return say(h, E_DEFERRED, "4.3.5", "bad name of a socket: %.*s", STR_ARG(path));
	memcpy(a.un.sun_path, path.p, path.n);
	add(h, str_of(p->myhostname), 0, &a);
	return OK;
}

static WAITS enum err
find_lmtp(const struct params *p, struct hosts *h, struct str nexthop)
{
	struct hop hop;
	struct addr literal;
	struct str place = nexthop;

	if (str_istarts(place, STR("unix:")))
		return add_socket(p, h, str_sub(place, 5, place.n));
	if (str_istarts(place, STR("inet:")))
		place = str_sub(place, 5, place.n);
	if (hop_parse(place, (uint16_t)p->smtp_tcp_port, &hop) != OK)
		return say(h, E_DEFERRED, "4.3.5", "bad next hop %.*s", STR_ARG(nexthop));
	if (addr_parse(hop.host, hop.port, &literal) == OK) {
		add(h, hop.host, 0, &literal);
		return OK;
	}
	if (from_name(p, h, hop.host, hop.port) == OK)
		return OK;
	h->esc[0] = '4';
	return E_DEFERRED;
}

/* One next hop after the other.  What one cannot tell for now weighs more than what another refuses. */
static WAITS enum err
find_each(const struct params *p, struct str nexthops, struct hosts *h,
    enum err (*find)(const struct params *p, struct hosts *h, struct str nexthop))
{
	enum err result = E_REFUSED;
	struct str word;
	unsigned hop = 0;

	*h = (struct hosts){ 0 };
	if (!str_word(&nexthops, ", \t", &word))
		return find(p, h, nexthops);
	do {
		struct hosts found = { 0 };
		enum err e = find(p, &found, word);

		for (size_t i = 0; i < found.n; i++) {
			add(h, str_of(found.v[i].name), found.v[i].pref, &found.v[i].addr);
			h->v[h->n - 1].hop = hop;
		}
		if (e != OK && (result == E_REFUSED || e == E_DEFERRED)) {
			result = e;
			(void)say(h, e, found.esc, "%s", found.why);
		}
		hosts_fini(&found);
		hop++;
	} while (str_word(&nexthops, ", \t", &word));
	return h->n > 0 ? OK : result;
}

enum err
hosts_find(const struct params *p, struct str nexthop, struct hosts *h)
{
	return find_each(p, nexthop, h, find_smtp);
}

enum err
hosts_find_lmtp(const struct params *p, struct str nexthop, struct hosts *h)
{
	return find_each(p, nexthop, h, find_lmtp);
}

void
hosts_fini(struct hosts *h)
{
	mem_free(&h->v);
	h->n = 0;
}
