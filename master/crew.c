/* SPDX-License-Identifier: Apache-2.0 */
#include "master/master.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>

#include "master/board.h"
#include "util/log.h"
#include "util/mem.h"

enum { FULL_WARNING_PAUSE = 1000, UNLIMITED = BOARD_SLOTS, SOLITARY_DRAIN = 30, SLACK = 5, BRIEF = 4 };

struct crew *
crew_new(const struct table_entry *e)
{
	struct crew *c = mem_new(sizeof *c);

	c->entry = e;
	c->program = program_find(e->prog);
	list_init(&c->workers);
	return c;
}

void
crew_free(struct crew **c)
{
	if (*c == NULL)
		return;
	list_remove(&(*c)->link);
	mem_free(c);
}

struct crew *
crew_find(struct master *m, const char *identity)
{
	LIST_EACH(&m->crews, c, struct crew, link)
		if (strcmp(c->entry->identity, identity) == 0)
			return c;
	return NULL;
}

static size_t
processors(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof set, &set) < 0)
		return 1;
	return (size_t)CPU_COUNT(&set);
}

void
crew_set_limits(struct crew *c, const struct params *p)
{
	int maxproc = c->entry->maxproc;
	size_t wanted = p->worker_processes > 0 ? (size_t)p->worker_processes : processors();

	c->limit = maxproc < 0 ? (size_t)p->default_process_limit : maxproc == 0 ? UNLIMITED : (size_t)maxproc;
	c->base = wanted < c->limit ? wanted : c->limit;
}

/* Workers that take new work, now or once they are ready. */
struct tally { size_t there, ready, full, outdated, all; };

static struct tally
count(const struct crew *c)
{
	struct tally t = { 0 };

	LIST_EACH(&c->workers, w, struct worker, link) {
		t.all++;
		if (w->leaving)
			continue;
		t.there += !w->outdated;
		t.ready += !w->outdated && w->ready;
		t.full += !w->outdated && w->full;
		t.outdated += w->outdated;
	}
	return t;
}

bool
crew_is_ready(const struct crew *c)
{
	struct tally t = count(c);

	return t.ready >= c->base && t.ready == t.there && t.outdated == 0;
}

void
worker_retire(struct worker *w)
{
	if (w->leaving)
		return;
	w->leaving = true;
	w->retired = time_now();
	child_say(w, 'Q');
}

/* Whatever is short may be there again in a moment. */
static int
brief(const struct master *m)
{
	return m->params.service_throttle_time < BRIEF ? (int)m->params.service_throttle_time : BRIEF;
}

/* Somebody but this one? */
static bool
has_ready(const struct crew *c, const struct worker *but)
{
	LIST_EACH(&c->workers, w, struct worker, link)
		if (w != but && w->ready && !w->leaving)
			return true;
	return false;
}

/* For those who ask what is wrong: w, or one that could not be made (NULL), is missing, and nobody else is there. */
static void
say_failure(struct master *m, const struct crew *c, const struct worker *w, const char *how)
{
	const char *what = w && w->ready ? "does not stay up" : "cannot be started";
	char why[sizeof((struct board_trouble *)0)->why];

	if (has_ready(c, w))
		return;
	snprintf(why, sizeof why, "%s: %s", what, how);
	board_fails(m->board, c->entry->name, c->entry->prog, c->throttle.level, c->throttle.delay, why);
}

static bool
start_one(struct master *m, struct crew *c, struct time now)
{
	if (child_start(m, c))
		return true;
	throttle_died(&c->throttle, now, now, brief(m));
	say_failure(m, c, NULL, c->unmade);
	return false;
}

static void
warn_full(struct crew *c, struct time now)
{
	if (time_before(now, c->warn_full_after))
		return;
	c->warn_full_after = time_after(now, FULL_WARNING_PAUSE);
	log_warn("service \"%s\" (%s) has reached its process limit \"%zu\": "
	    "new clients may experience noticeable delays", c->entry->name, c->entry->identity, c->limit);
}

/* Work for more processes than there are in advance. */
static void
grow(struct master *m, struct crew *c, struct tally t, struct time now)
{
	if (c->wants_extra && !c->program->solitary) {
		start_one(m, c, now);
	} else if (t.there > 0 && t.full == t.there) {
		if (t.there < c->limit)
			start_one(m, c, now);
		else if (c->limit > 1)
			warn_full(c, now);
	}
	c->wants_extra = false;
}

/* By the board as it is now: what watch() saw last may be half a second old. */
static bool
is_idle(const struct master *m, struct worker *w, struct time now)
{
	const struct board_slot *s = &m->board->slot[w->slot];

	if (w->full || s->sessions > 0 || s->served != w->served)
		w->active = now;
	return !time_before(now, time_after(w->active, m->params.max_idle));
}

static void
shrink(struct master *m, struct crew *c, struct tally t, struct time now)
{
	LIST_EACH(&c->workers, w, struct worker, link) {
		if (t.there <= c->base)
			return;
		if (w->leaving || w->outdated || !w->ready || !is_idle(m, w, now))
			continue;
		worker_retire(w);
		t.there--;
	}
}

/* The next generation is there: the former one may go.  Where only one process may be, it goes first. */
static void
replace_outdated(struct crew *c, struct tally t)
{
	if (t.outdated == 0 || (t.ready < c->base && !c->program->solitary))
		return;
	LIST_EACH(&c->workers, w, struct worker, link)
		if (w->outdated && !w->can_reload)
			worker_retire(w);
}

/* Nobody does the work while the only one that may is on its way out: that must not take long. */
static void
hurry_solitary(struct master *m, struct crew *c, struct time now)
{
	LIST_EACH(&c->workers, w, struct worker, link) {
		struct time limit = time_after(w->retired, SOLITARY_DRAIN);

		if (!c->program->solitary || !w->leaving || time_before(now, limit))
			continue;
		if (!w->hurried) {
			w->hurried = true;
			child_say(w, 'X');
		} else if (!time_before(now, time_after(limit, m->params.stop_drain_time + SLACK))) {
			child_kill(w);
		}
	}
}

void
crew_tend(struct master *m, struct crew *c, struct time now)
{
	struct tally t = count(c);
	size_t more;

	replace_outdated(c, t);
	hurry_solitary(m, c, now);
	if (!throttle_is_open(&c->throttle, now))
		return;
	/* One that is reading its settings anew is not missing. */
	more = t.there;
	LIST_EACH(&c->workers, w, struct worker, link)
		more += !w->leaving && w->outdated && w->can_reload;
	for (; more < c->base; more++) {
		if (c->program->solitary && !list_empty(&c->workers))
			return;
		if (!start_one(m, c, now))
			return;
	}
	if (t.there >= c->base && t.ready == t.there)
		grow(m, c, t, now);
	shrink(m, c, t, now);
}

static void
fail_start(struct master *m, const struct worker *w)
{
	char words[ERR_WHY_MAX / 2];

	if (m->failure[0])
		return;
	setup_last_words(m, w->pid, words, sizeof words);
	if (w->exec_error)
		snprintf(m->failure, sizeof m->failure, "service %s: exec %s: %s", w->service, w->path,
		    strerror(w->exec_error));
	else
		snprintf(m->failure, sizeof m->failure, "service %s: %s ended before it was ready%s%s", w->service,
		    w->path, words[0] ? ": " : "; see the log", words);
}

/* Did it die for want of memory, processes, descriptors or the like, and not of itself?  The kernel kills when memory
 * is short; and what has started with these very settings before can do it again. */
static bool
is_starved(const struct crew *c, const struct worker *w, int status)
{
	return (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) ||
	    (WIFEXITED(status) && WEXITSTATUS(status) == EX_TEMPFAIL) ||
	    (!w->ready && c->worked == w->generation);
}

void
crew_died(struct master *m, struct worker *w, int status)
{
	struct crew *c = w->crew;
	bool abnormal = WIFSIGNALED(status) || WEXITSTATUS(status) != 0;
	int ceiling = is_starved(c, w, status) ? brief(m) : (int)m->params.service_throttle_time;
	bool throttled;
	char how[64];

	if (w->leaving || m->state == STOPPING)
		return;
	if (m->state == STARTING && !w->ready) {
		fail_start(m, w);
		return;
	}
	throttled = throttle_died(&c->throttle, w->started, time_now(), ceiling);
	if (w->exec_error)
		snprintf(how, sizeof how, "exec: %s", strerror(w->exec_error));
	else if (WIFSIGNALED(status))
		snprintf(how, sizeof how, "killed by signal %d", WTERMSIG(status));
	else
		snprintf(how, sizeof how, "exit status %d", WEXITSTATUS(status));
	say_failure(m, c, w, how);
	if (!throttled)
		return;
	if (abnormal)
		log_warn("%s: bad command startup -- throttling", w->path);
	log_info("service %s: next start in %d s", w->service, c->throttle.delay);
}
