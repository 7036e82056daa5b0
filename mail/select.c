/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/select.h"

#include "mail/addr.h"
#include "util/mem.h"

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* The last `*` met is the only one that can have to take more. */
bool
pattern_matches(struct str pattern, struct str text)
{
	size_t p = 0, t = 0, star = SIZE_MAX, from = 0;

	while (t < text.n) {
		if (p < pattern.n && pattern.p[p] == '*') {
			star = p++;
			from = t;
		} else if (p < pattern.n && lower(pattern.p[p]) == lower(text.p[t])) {
			p++;
			t++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			t = ++from;
		} else {
			return false;
		}
	}
	while (p < pattern.n && pattern.p[p] == '*')
		p++;
	return p == pattern.n;
}

static bool
has_star(struct str pattern)
{
	return str_find(pattern, '*') < pattern.n;
}

static bool
address_matches(struct str pattern, struct str addr)
{
	if (str_eq(pattern, STR("<>")) || str_ieq(pattern, STR("MAILER-DAEMON")))
		return addr.n == 0;
	if (has_star(pattern))
		return pattern_matches(pattern, addr);
	if (pattern.n > 0 && pattern.p[0] == '@')
		return str_ieq(str_sub(pattern, 1, pattern.n), address_domain(addr));
	return address_same(pattern, addr);
}

static bool
nexthop_matches(struct str pattern, struct str transport, struct str nexthop)
{
	return pattern_matches(pattern, nexthop) ||
	       (pattern.n > transport.n && pattern.p[transport.n] == ':' &&
		   str_istarts(pattern, transport) &&
		   pattern_matches(str_sub(pattern, transport.n + 1, pattern.n), nexthop));
}

bool
select_site(struct str patterns, struct str transport, struct str nexthop, struct str domain)
{
	bool any = patterns.n > 0;
	struct str one;

	while (wire_get_str(&patterns, &one))
		if (nexthop_matches(one, transport, nexthop) ||
		    (domain.n > 0 && pattern_matches(one, domain)))
			return true;
	return !any;
}

static bool
addresses_match(struct str patterns, struct str addr, struct str orig)
{
	bool any = patterns.n > 0;
	struct str one;

	while (wire_get_str(&patterns, &one))
		if (address_matches(one, addr) || (orig.n > 0 && address_matches(one, orig)))
			return true;
	return !any;
}

static bool
reasons_match(struct str patterns, struct str reason)
{
	bool any = patterns.n > 0;
	struct str one;

	while (wire_get_str(&patterns, &one))
		if (pattern_matches(one, reason))
			return true;
	return !any;
}

bool
select_message(const struct msg_select *s, const struct select_message *m)
{
	return (s->states == 0 || (s->states & m->state)) &&
	       (s->before == 0 || m->arrived <= s->before) &&
	       (s->after == 0 || m->arrived >= s->after) &&
	       addresses_match(s->senders, m->sender, STR(""));
}

bool
select_rcpt(const struct msg_select *s, const struct select_rcpt *r)
{
	return addresses_match(s->rcpts, r->addr, r->orig) &&
	       select_site(s->destinations, r->transport, r->nexthop, address_domain(r->addr)) &&
	       reasons_match(s->reasons, r->reason);
}

bool
select_asks_rcpts(const struct msg_select *s)
{
	return s->rcpts.n > 0 || s->destinations.n > 0 || s->reasons.n > 0;
}

bool
select_is_all(const struct msg_select *s)
{
	return !select_asks_rcpts(s) && s->ids.n == 0 && s->senders.n == 0 && s->before == 0 &&
	       s->after == 0 && s->states == 0;
}

static bool
list_is_whole(struct str list)
{
	struct str one;

	while (list.n > 0)
		if (!wire_get_str(&list, &one))
			return false;
	return true;
}

enum err
select_check(const struct msg_select *s)
{
	if (s->ids.n % sizeof(uint64_t) == 0 && list_is_whole(s->senders) &&
	    list_is_whole(s->rcpts) && list_is_whole(s->destinations) && list_is_whole(s->reasons))
		return OK;
	return fail(E_IPC, "malformed selection");
}

unsigned
select_state(struct str name)
{
	static const struct {
		struct str name;
		unsigned state;
	} states[] = {
		{{ "incoming", 8 },  STATE_INCOMING},
		{ { "active", 6 },   STATE_ACTIVE  },
		{ { "deferred", 8 }, STATE_DEFERRED},
		{ { "hold", 4 },     STATE_HOLD    },
	};

	for (size_t i = 0; i < countof(states); i++)
		if (str_ieq(name, states[i].name))
			return states[i].state;
	return 0;
}

bool
select_age(struct str text, int64_t *seconds)
{
	static const struct {
		char letter;
		int64_t seconds;
	} units[] = {
		{'s',  1     },
                { 'm', 60    },
                { 'h', 3600  },
                { 'd', 86400 },
                { 'w', 604800}
	};

	int64_t unit = 1, n;

	for (size_t i = 0; i < countof(units) && text.n > 0; i++)
		if (lower(text.p[text.n - 1]) == units[i].letter) {
			unit = units[i].seconds;
			text = str_sub(text, 0, text.n - 1);
			break;
		}
	return str_i64(text, &n) && n >= 0 && !__builtin_mul_overflow(n, unit, seconds) &&
	       *seconds < INT64_MAX / 1000000;
}
