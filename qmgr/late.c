/* SPDX-License-Identifier: Apache-2.0 */
#include "qmgr/late.h"

#include <unistd.h>

#include "util/log.h"
#include "util/mem.h"

enum { GATE_SECONDS = 3, GATE_STEP_MS = 5 };

/* A delivery.  Those of one message are in a chain, whose first is in the map. */
struct late {
	struct map_node    node;                       /* key: the id's bytes */
	struct late       *next;                       /* of the same message */
	struct map_node    named;                      /* key: name */
	struct list        link;                       /* in late.all */
	struct peer       *peer;                       /* who has it; NULL: gone, it has ended */
	struct late_name { const struct peer *peer; uint64_t attempt; } name;  /* as that one calls it */
	struct sched_late  sched;
	bool               entered;                    /* the scheduler knows of it */
	struct str         transport;                  /* in text, as what asked borrows */
	struct msg_deliver asked;
	struct msg_done    done;
	bool               ended;
	struct msg_outcome *outcomes;
	size_t             n;
	struct buf         text, done_text;
};

static struct {
	struct map  by_id, by_name;
	struct list all;
	uint64_t    names;
	bool        open;                              /* messages may enter */
	bool        all_known;
	struct wait gate;
} late;

static struct str
key_of(const uint64_t *id)
{
	return (struct str){ (const char *)id, sizeof *id };
}

static struct late *
first_of(uint64_t id)
{
	struct map_node *n = map_get(&late.by_id, key_of(&id));

	return n ? container_of(n, struct late, node) : NULL;
}

static void
unchain(struct late *l)
{
	struct late *first = first_of(l->asked.id);

	if (first == l) {
		map_del(&late.by_id, &l->node);
		if (l->next)
			map_put(&late.by_id, key_of(&l->next->asked.id), &l->next->node);
		return;
	}
	for (; first; first = first->next)
		if (first->next == l)
			first->next = l->next;
}

/* The peer will say no more of it. */
static void
disown(struct late *l)
{
	if (l->peer)
		map_del(&late.by_name, &l->named);
	l->peer = NULL;
}

static void
late_free(struct late *l)
{
	if (l->node.key.n)
		unchain(l);
	list_remove(&l->link);
	disown(l);
	free(l->outcomes);
	buf_free(&l->text);
	buf_free(&l->done_text);
	free(l);
}

/* -- what agents say -- */

static bool
rcpts_are_well(struct str rest)
{
	struct msg_rcpt r;

	while (rest.n > 0)
		if (!msg_rcpt_take(&rest, &r))
			return false;
	return true;
}

static enum err
take_done(struct late *l, struct str done)
{
	if (!buf_add(&l->done_text, done))
		return fail(E_NOSPACE, "no memory");
	TRY(msg_done_get(buf_str(&l->done_text), &l->done));
	TRY(outcomes_take(l->done.outcomes, &l->outcomes, &l->n));
	l->ended = true;
	return OK;
}

static enum err
take_asked(struct late *l, const struct peer *p, struct str asked)
{
	size_t n = strlen(p->name);

	if (!buf_adds(&l->text, p->name) || !buf_add(&l->text, asked))
		return fail(E_NOSPACE, "no memory");
	l->transport = str_sub(buf_str(&l->text), 0, n);
	TRY(msg_deliver_get(str_sub(buf_str(&l->text), n, l->text.n), &l->asked));
	return rcpts_are_well(l->asked.rcpts) ? OK : fail(E_IPC, "malformed recipients");
}

static struct late *
find(const struct peer *p, uint64_t attempt)
{
	struct late_name name = { p, attempt };
	struct map_node *n = map_get(&late.by_name, (struct str){ (const char *)&name, sizeof name });

	return n ? container_of(n, struct late, named) : NULL;
}

/* One that has ended and whose message the scheduler knows. */
static void
settle(struct late *l)
{
	qmgr_event();
	sched_late_done(qmgr.sched, l->sched.name, (enum site_state)l->done.site, l->done.site_text, l->outcomes, l->n);
	late_free(l);
}

static enum err
add(struct peer *p, const struct msg_late *told)
{
	struct late *l = mem_new(sizeof *l), *first;
	char id[QID_TEXT];
	enum err e;

	*l = (struct late){ .peer = p, .name = { p, told->attempt }, .text = BUF(QMGR_FRAME_MAX),
		.done_text = BUF(QMGR_FRAME_MAX), .sched = { .name = ++late.names } };
	list_push(&late.all, &l->link);
	map_put(&late.by_name, (struct str){ (const char *)&l->name, sizeof l->name }, &l->named);
	e = take_asked(l, p, told->asked);
	if (e == OK && told->done.n > 0)
		e = take_done(l, told->done);
	if (e != OK) {
		late_free(l);
		return e;
	}
	if (sched_find(qmgr.sched, l->asked.id) || late.all_known) {
		if (l->ended && sched_find(qmgr.sched, l->asked.id))
			log_info("%s: the result of a delivery by %s[%d] comes too late", qid_text(l->asked.id, id),
			    p->name, p->pid);
		late_free(l);
		return OK;
	}
	if ((first = first_of(l->asked.id)) != NULL) {
		l->node.key = first->node.key;
		l->next = first->next;
		first->next = l;
	} else {
		map_put(&late.by_id, key_of(&l->asked.id), &l->node);
	}
	return OK;
}

void
late_given(struct peer *p)
{
	struct board *b = qmgr.service->board;

	for (unsigned i = 1; p->slot == 0 && i < BOARD_SLOTS; i++)
		if (b->slot[i].pid == p->pid)
			p->slot = i;
	if (b->slot[p->slot].given == 0)
		b->slot[p->slot].given = 1;
}

enum err
late_got(struct peer *p, const struct msg_late *told)
{
	struct late *l = find(p, told->attempt);
	enum err e;

	if (told->asked.n == 0) {
		p->told = true;
		return OK;
	}
	if (l == NULL)
		return add(p, told);
	if (l->ended || told->done.n == 0)
		return fail(E_IPC, "told twice of a delivery");
	e = take_done(l, told->done);
	if (e == OK && l->entered)
		settle(l);
	return e;
}

void
late_peer_gone(struct peer *p)
{
	LIST_EACH (&late.all, l, struct late, link)
		if (l->peer == p && l->ended)
			disown(l);
		else if (l->peer == p)
			late_free(l);
}

/* -- messages -- */

/* Of two that know of the same recipient the one that is done with it is right, then the one that is at it. */
enum rank { RANK_FINAL, RANK_UNDER_WAY, RANK_OTHER, RANKS };

static enum rank
rank_of(const struct late *l, uint32_t index)
{
	if (!l->ended)
		return RANK_UNDER_WAY;
	for (size_t i = 0; i < l->n; i++)
		if (l->outcomes[i].index == index &&
		    (l->outcomes[i].status == RCPT_SENT || l->outcomes[i].status == RCPT_BOUNCED))
			return RANK_FINAL;
	return RANK_OTHER;
}

static struct sched_rcpt *
rcpt_of(struct sched_rcpt *v, size_t n, uint32_t index)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (v[mid].index < index)
			low = mid + 1;
		else
			high = mid;
	}
	return low < n && v[low].index == index ? &v[low] : NULL;
}

/* An id may come again (docs/SPOOL.md); the message does not. */
static bool
is_of(const struct late *l, const struct sched_msg *m)
{
	return l->asked.arrived == m->arrived.us && l->asked.size == m->size && l->asked.content_at == m->content_at;
}

static void
mark(struct late *l, struct sched_rcpt *v, size_t n, enum rank rank)
{
	struct str rest = l->asked.rcpts;
	struct msg_rcpt r;

	while (rest.n > 0 && msg_rcpt_take(&rest, &r)) {
		struct sched_rcpt *to = rcpt_of(v, n, r.index);

		if (to == NULL || to->late || sched_is_over(to) || !str_eq(to->addr, r.addr) ||
		    rank_of(l, r.index) != rank)
			continue;
		to->late = &l->sched;
		to->transport = l->transport;
		to->nexthop = l->asked.nexthop;
	}
}

void
late_mark(const struct sched_msg *m, struct sched_rcpt *v, size_t n)
{
	struct late *first = first_of(m->id);

	for (struct late *l = first; l; l = l->next)
		l->sched.agent = l->peer ? l->peer->agent : NULL;
	for (int rank = 0; first && rank < RANKS; rank++)
		for (struct late *l = first; l; l = l->next)
			if (is_of(l, m) && (l->ended || l->sched.agent))
				mark(l, v, n, (enum rank)rank);
}

void
late_entered(uint64_t id)
{
	for (struct late *l = first_of(id), *next; l; l = next) {
		next = l->next;
		unchain(l);
		l->node.key = (struct str){ 0 };
		l->next = NULL;
		l->entered = true;
		if (l->ended)
			settle(l);
	}
}

void
late_all_known(void)
{
	late.all_known = true;
	LIST_EACH (&late.all, l, struct late, link)
		if (!l->entered)
			late_free(l);
}

/* -- the gate -- */

static bool
has_told(int pid)
{
	LIST_EACH (&qmgr.peers, p, struct peer, link)
		if (p->told && p->pid == pid)
			return true;
	return false;
}

/* The board knows who lives, and who may have something to tell. */
static bool
all_told(int *who)
{
	const struct board *b = qmgr.service->board;

	for (size_t i = 1; i < BOARD_SLOTS; i++) {
		int pid = b->slot[i].pid;

		if (pid > 0 && pid != getpid() && b->slot[i].given > 0 && !has_told(pid)) {
			*who = pid;
			return false;
		}
	}
	return true;
}

static void
open_gate(void)
{
	late.open = true;
	wait_wake_all(&late.gate);
}

static void
watch(void *arg)
{
	struct time limit = time_after(time_now(), GATE_SECONDS);
	int who = 0;

	(void)arg;
	while (!all_told(&who) && time_before(time_now(), limit))
		if (task_sleep(time_after_ms(time_now(), GATE_STEP_MS)) != OK)
			return;
	if (!all_told(&who))
		log_warn("process %d does not say what it has delivered; that may be delivered again", who);
	open_gate();
}

void
late_start(void)
{
	int who;

	late.open = late.all_known = false;
	list_init(&late.all);
	wait_init(&late.gate);
	if (all_told(&who))
		open_gate();
	else if (task_start(&qmgr.tasks, "late", watch, NULL) == NULL)
		log_starved("no memory for a task");
}

enum err
late_wait(void)
{
	while (!late.open)
		TRY(wait_park(&late.gate, TIME_NEVER));
	return OK;
}
