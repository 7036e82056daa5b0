/* SPDX-License-Identifier: Apache-2.0 */
#include "master/master.h"

#include "util/log.h"
#include "util/notify.h"

/* Beyond stop_drain_time: for children to end by their own clock, and for the last to write down
 * what the first said. */
enum { SLACK_MS = 1000, LAST_DRAIN = 5 };

static void
hurry(struct worker *w)
{
	if (w->hurried)
		return;
	w->hurried = true;
	w->leaving = true;
	child_say(w, 'X');
}

static void
hurry_first(struct master *m, struct worker *w)
{
	(void)m;
	if (w->program->end == END_FIRST)
		hurry(w);
}

static void
hurry_all(struct master *m, struct worker *w)
{
	(void)m;
	hurry(w);
}

static size_t insisted;

static void
insist(struct master *m, struct worker *w)
{
	(void)m;
	if (!w->hurried)
		return;
	insisted++;
	child_kill(w);
}

/* Nobody need know stop_drain_time a second time, to wait for us as long as we may take. */
static void
tell_manager(int drain)
{
	enum { SPARE = 10, SECOND_US = 1000000 };

	notify_send("STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC=%lld",
	    (long long)(drain + LAST_DRAIN + SPARE) * SECOND_US);
}

void
stop_begin(struct master *m, int drain)
{
	if (m->state == STOPPING)
		return;
	m->state = STOPPING;
	m->stop_limit = time_after_ms(time_after(time_now(), drain), SLACK_MS);
	tell_manager(drain);
	each_worker(m, hurry_first);
}

static size_t first_left;

static void
count_first(struct master *m, struct worker *w)
{
	(void)m;
	first_left += w->program->end == END_FIRST;
}

bool
stop_advance(struct master *m, struct time now)
{
	bool late = !time_before(now, m->stop_limit);

	if (!any_worker(m))
		return true;
	if (late) {
		insisted = 0;
		each_worker(m, insist);
		if (insisted > 0)
			log_warn("%zu processes did not end in time and were killed", insisted);
		m->stop_limit = time_after_ms(now, SLACK_MS);
	}
	first_left = 0;
	each_worker(m, count_first);
	if (!m->last_told && (late || first_left == 0)) {
		m->last_told = true;
		m->stop_limit = time_after(now, LAST_DRAIN);
		each_worker(m, hurry_all);
	}
	return false;
}

static void
kill_one(struct master *m, struct worker *w)
{
	(void)m;
	child_kill(w);
}

void
stop_at_once(struct master *m)
{
	m->state = STOPPING;
	m->last_told = true;
	m->stop_limit = time_after_ms(time_now(), SLACK_MS);
	tell_manager(0);
	each_worker(m, kill_one);
}
