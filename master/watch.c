/* SPDX-License-Identifier: Apache-2.0 */
#include "master/master.h"

#include "util/log.h"

/* A worker that leaves so many probes unanswered, spread over daemon_timeout, is killed.  Counted, not timed: a host
 * that was suspended must not find all its workers guilty. */
enum { CHECK_PAUSE_MS = 500, UNANSWERED_MAX = 5, STALLED_CHECKS = 2 };

/* Look at the board; true when it has moved. */
static bool
look(struct master *m, struct worker *w, struct time now)
{
	const struct board_slot *s = &m->board->slot[w->slot];
	uint64_t beats = s->beats, served = s->served;
	bool moved = beats != w->beats;

	if (served != w->served || s->sessions > 0)
		w->active = now;
	w->beats = beats;
	w->served = served;
	return moved;
}

/* Someone waits at the door, and nobody who could open it moves. */
static void
check_crew(struct master *m, struct crew *c, struct time now)
{
	size_t able = 0, starting = 0;
	bool moved = false;

	LIST_EACH(&c->workers, w, struct worker, link) {
		bool moves = look(m, w, now);

		if (w->leaving)
			continue;
		moved = moved || moves;
		able += w->ready && !w->full;
		starting += !w->ready;
	}
	if (moved || able == 0 || starting > 0 || !throttle_is_open(&c->throttle, now) ||
	    !listeners_pending(c->listeners, c->nlisteners)) {
		c->stalled = 0;
		return;
	}
	if (++c->stalled < STALLED_CHECKS)
		return;
	c->stalled = 0;
	if (c->program->solitary) {
		log_warn("service %s: a connection is waiting and %s does not move", c->entry->name, c->entry->prog);
		return;
	}
	log_warn("service %s: a connection is waiting and none of %zu %s processes moves; starting one more",
	    c->entry->name, able, c->entry->prog);
	c->wants_extra = true;
}

static void
probe(struct master *m, struct worker *w)
{
	uint64_t beats = m->board->slot[w->slot].beats;

	w->unanswered = beats == w->beats_at_probe ? w->unanswered + 1 : 0;
	w->beats_at_probe = beats;
	if (w->unanswered > UNANSWERED_MAX) {
		log_warn("service %s: process %s pid %d has not moved for %lld seconds; killing it", w->service,
		    w->path, (int)w->pid, m->params.daemon_timeout);
		child_kill(w);
	} else {
		child_say(w, 'P');
	}
}

void
watch(struct master *m, struct time now)
{
	if (!time_before(now, m->next_check)) {
		m->next_check = time_after_ms(now, CHECK_PAUSE_MS);
		LIST_EACH(&m->crews, c, struct crew, link)
			check_crew(m, c, now);
	}
	if (!time_before(now, m->next_probe)) {
		m->next_probe = time_after_ms(now, m->params.daemon_timeout * 1000 / UNANSWERED_MAX);
		each_worker(m, probe);
	}
}
