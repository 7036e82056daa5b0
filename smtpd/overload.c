/* SPDX-License-Identifier: Apache-2.0 */
#include "smtpd/overload.h"

#include "smtpd/session.h"
#include "util/log.h"

enum { PERIOD = 1 };

size_t
overload_mark(const struct params *p, size_t most)
{
	size_t nearly = most - most / 4, limit = (size_t)p->smtpd_stress_limit;

	if (most < 2)
		return 0;
	return limit > 0 && limit < nearly ? limit : nearly;
}

bool
overload_judge(struct overload *o, const struct params *p, const struct load *l, struct time now)
{
	size_t mark = overload_mark(p, l->most);
	bool was = o->on, exhausted = l->memory_limit > 0 && l->memory >= l->memory_limit;
	bool low = (mark == 0 || l->sessions < mark - mark / 3) &&
		   (l->memory_limit == 0 || l->memory < l->memory_limit / 2);

	if (l->until > o->until)
		o->until = l->until;
	if (exhausted || (mark > 0 && l->sessions >= mark) || (now.ns < o->until && !low))
		o->until = time_after(now, p->smtpd_stress_time).ns;
	if (now.ns >= o->until)
		o->until = 0;
	o->on = o->until > 0;
	if (o->on && !was)
		*o = (struct overload){ .on = true, .began = now, .until = o->until };
	o->full = o->on && (exhausted || (mark > 0 && l->sessions >= l->most));
	return o->on != was;
}

static bool
is_sibling(const struct service *s, size_t slot)
{
	const struct board_slot *own = &s->board->slot[s->slot], *b = &s->board->slot[slot];

	/* Those of a former generation take nobody in, and only become fewer. */
	return slot != s->slot && b->pid > 0 && b->generation == own->generation &&
	       strcmp(b->service, own->service) == 0;
}

static struct load
measure(const struct smtpd *d)
{
	const struct service *s = d->service;
	struct load l = {
		.sessions = d->nsessions,
		.most = (size_t)d->params->smtpd_client_limit * s->processes,
		.memory = d->memory,
		.memory_limit = (uint64_t)d->params->smtpd_memory_limit,
	};

	for (size_t i = 1; i < BOARD_SLOTS; i++) {
		const struct board_slot *b = &s->board->slot[i];

		if (!is_sibling(s, i))
			continue;
		l.sessions += b->sessions;
		if (b->overloaded_until > l.until)
			l.until = b->overloaded_until;
	}
	return l;
}

/* One line for all of the service: by whom it comes to first, and by whom it leaves last. */
static void
announce(const struct smtpd *d, const struct load *l, struct time now)
{
	const struct overload *o = &d->overload;
	const struct params *p = d->params->stressed;
	const char *name = d->service->name;

	if (l->until > 0)
		return;
	if (o->on)
		log_warn("service \"%s\" is overloaded: %zu sessions of %zu, %llu bytes for messages under way; "
			 "smtpd_timeout is %lld s, smtpd_hard_error_limit %lld, smtpd_junk_command_limit %lld",
		    name, l->sessions, l->most, (unsigned long long)l->memory, p->smtpd_timeout,
		    p->smtpd_hard_error_limit, p->smtpd_junk_command_limit);
	else
		log_info("service \"%s\" is no longer overloaded after %lld s: %zu sessions of %zu; "
			 "%zu had ended for their timeout in this process",
		    name, (long long)((now.ns - o->began.ns) / 1000000000), l->sessions, l->most, o->dismissed);
}

/* A session may have begun to wait under the longer timeout, and a byte now and then makes its task wait anew
 * until that: each look sees to it. */
static void
hurry_all(const struct smtpd *d)
{
	LIST_EACH(&d->sessions, s, struct session, link)
		if (s->waiting)
			task_hurry(s->task, time_after(s->waits_since, session_params(s)->smtpd_timeout));
}

void
overload_watch(void *smtpd)
{
	struct smtpd *d = smtpd;
	enum err e = OK;

	while (e == OK) {
		struct time now = time_now();
		struct load l = measure(d);

		if (overload_judge(&d->overload, d->params, &l, now))
			announce(d, &l, now);
		d->service->board->slot[d->service->slot].overloaded_until = d->overload.until;
		if (d->overload.on)
			hurry_all(d);
		e = d->nsessions > 0 || d->overload.on ? task_sleep(time_after(now, PERIOD))
						       : wait_park(&d->occupied, TIME_NEVER);
	}
}
