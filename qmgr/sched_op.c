/* SPDX-License-Identifier: Apache-2.0 */
/* What operators can do to a message, and the walk that finds the messages to do it to. */
#include "qmgr/sched_core.h"

/* Put every parcel that is not being delivered on hold, from the last on, so that none becomes its
 * follower's turn. */
void
message_stop(struct sched *s, struct message *m)
{
	for (struct parcel *g = m->parcels + m->nparcels; g-- > m->parcels;) {
		if (g->state == G_DONE || g->state == G_FLIGHT)
			continue;
		parcel_take(s, g);
		parcel_set(s, g, G_HELD);
		dest_place(s, g->dest);
	}
}

static void
start_parcels(struct sched *s, struct message *m)
{
	for (struct parcel *g = m->parcels; g < m->parcels + m->nparcels; g++)
		if (g->state == G_HELD)
			parcel_again(s, g, THEN_READY);
}

static bool
op_hold(struct sched *s, struct message *m)
{
	if (m->held || m->pending == 0)
		return false;
	m->held = true;
	message_stop(s, m);
	message_settle(s, m);
	return true;
}

void
message_expire(struct sched *s, struct message *m)
{
	struct reason *why = reason_get(
	    s, STR("4.4.7"), STR("message expired by the administrator"), STR(""), STR(""));

	for (struct parcel *g = m->parcels + m->nparcels; g-- > m->parcels;)
		if (g->state != G_DONE && g->state != G_FLIGHT) {
			struct dest *d = g->dest;

			parcel_expire(s, g, why);
			dest_place(s, d);
		}
	reason_put(s, &why);
}

static bool
op_release(struct sched *s, struct message *m)
{
	if (!m->held)
		return false;
	m->held = false;
	/* Off hold on disk first: a crash must not put it back. */
	message_move(s, m, SPOOL_DEFERRED);
	if (m->forced) {
		message_expire(s, m);
		message_settle(s, m);
	} else {
		start_parcels(s, m);
	}
	return true;
}

/* Now, also where it was found dead: that destination is probed with this very message. */
static bool
op_flush(struct sched *s, struct message *m)
{
	bool any = false;

	if (m->held || m->pending == 0)
		return false;
	for (struct parcel *g = m->parcels; g < m->parcels + m->nparcels; g++) {
		bool waits = g->state == G_RETRY || g->state == G_WAIT || g->state == G_ROUTE;

		if (!waits && !(g->state == G_READY && g->dest->state == DEST_DEAD))
			continue;
		parcel_again(s, g, THEN_FLUSH);
		any = true;
	}
	return any || m->active > 0;
}

static bool
op_delete(struct sched *s, struct message *m)
{
	m->deleted = true;
	message_stop(s, m);
	message_settle(s, m);
	return true;
}

/* What is on hold stays there, and is returned when it is released.  Written down before anybody is
 * told: what was returned must not be delivered after a crash. */
static bool
op_expire(struct sched *s, struct message *m, bool release)
{
	if (m->pending == 0 || (m->forced && m->held && !release))
		return false;
	m->forced = true;
	record_message(s, m, JRN_T_EXPIRE);
	records_flush(s, m);
	if (m->held && !release)
		return true;
	m->held = false;
	message_expire(s, m);
	message_settle(s, m);
	return true;
}

bool
sched_op(struct sched *s, struct message *m, enum queue_op op)
{
	if (m->deleted)
		return false;
	switch (op) {
	case QUEUE_HOLD:
		return op_hold(s, m);
	case QUEUE_RELEASE:
		return op_release(s, m);
	case QUEUE_FLUSH:
		return op_flush(s, m);
	case QUEUE_DELETE:
		return op_delete(s, m);
	case QUEUE_EXPIRE:
		return op_expire(s, m, false);
	case QUEUE_EXPIRE_HELD:
		return op_expire(s, m, true);
	default:
		return false;
	}
}

void
sched_forget(struct sched *s, struct message *m)
{
	ENSURE(m->inflight == 0);
	message_stop(s, m);
	message_unlink(s, m);
	message_free(s, m);
}

bool
sched_requeue(struct sched *s, struct message *m)
{
	if (m->inflight || m->deleted || message_asking(m) || m->moving)
		return false;
	record_message(s, m, JRN_T_REQUEUED);
	records_flush(s, m);
	for (uint32_t i = 0; i < m->nrcpts; i++)
		message_rcpts(m)[i].attempts = 0;
	for (struct parcel *g = m->parcels; g < m->parcels + m->nparcels; g++)
		g->passed = false;
	message_stop(s, m);
	/* What was on hold is so no longer. */
	if (!op_release(s, m))
		start_parcels(s, m);
	return true;
}

void
sched_walk(struct sched *s, struct sched_cursor *c, bool follow)
{
	*c = (struct sched_cursor){ .follow = follow };
	if (!list_empty(&s->all)) {
		c->next = container_of(s->all.next, struct message, all);
		c->last = container_of(s->all.prev, struct message, all);
	}
	list_push(&s->cursors, &c->link);
}

struct message *
sched_walk_next(struct sched *s, struct sched_cursor *c)
{
	struct message *m = c->next;

	(void)s;
	if (m == NULL || m == c->last)
		c->next = c->last = NULL;
	else
		c->next = container_of(m->all.next, struct message, all);
	return m;
}

void
sched_walk_end(struct sched_cursor *c)
{
	list_remove(&c->link);
}
