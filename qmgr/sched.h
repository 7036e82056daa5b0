/* SPDX-License-Identifier: Apache-2.0 */
/* sched.h - who is delivered next.  A pure state machine: it is told what time it is and what happened, and says through the
 * verbs of struct sched_do what is to be done.  No socket, no file, no clock, no log.
 *
 * Words.  A transport is a name of agents ("smtp"); an agent takes `capacity` deliveries at once.  A destination is a transport
 * and a next hop.  A parcel is the recipients of one message for one destination, at most recipient_limit of them: what one
 * delivery carries.
 *
 * Fairness.  Agents' capacity is shared out in turn among destinations that have mail, in three rings: those known to be
 * quick; the first delivery to one not yet known; and the suspects, which are slow (5 s a delivery and more), dead (one probe
 * at a time) or not yet known.  Suspects may hold half the capacity, or three quarters while nothing quick has been seen for a
 * minute; with first deliveries it may be seven eighths: so any number of dead and slow destinations leaves room for the others.
 * Within a destination senders take turns, and a message with several parcels gives way after each.
 *
 * Concurrency.  A destination starts with a window of `initial` deliveries; each success opens it by one, up to the limit, each
 * SITE_DOWN closes it by one and adds 1/window to the failed cohorts; at `cohorts` of them it is dead.  A dead one is probed with
 * one delivery after minimal_backoff, then after as long as it has been dead, at most maximal_backoff.  Its mail waits with
 * it, and is let through the window when it answers again.
 *
 * Routes.  A message says where its recipients go when it enters; whenever one is tried again (its time, a flush, a release) that
 * is asked anew, so that mail follows the settings and tables as they are then.
 *
 * Retries.  A recipient that was deferred is tried again after as long as the message is old, at least minimal_backoff, at
 * most maximal_backoff, give or take 15 %.  Mail older than its lifetime fails for good ("expired") when an attempt
 * fails, or when it waits for something that is not there.
 *
 * Notices.  The sender is told as NOTIFY of RFC 3461 says, each thing once for each recipient: of failure and of success when
 * nothing of the message is ready or under way, so that one notice tells of all; of delay when the message is `warning` seconds
 * old.  A message is removed only when its notices are durable.
 *
 * Every event costs O(1) or O(log n); only operators' commands and reloads look at many objects. */
#ifndef QMGR_SCHED_H
#define QMGR_SCHED_H

#include "mail/msgs.h"
#include "spool/spool.h"
#include "util/time.h"

struct sched;
struct message;
struct agent;

struct sched_limits {                                  /* of a transport */
	uint32_t concurrency;                          /* 0: no limit */
	uint32_t initial;
	uint32_t recipients;
	uint32_t cohorts;                              /* 0: never dead */
	int64_t  rate_delay;                           /* seconds between deliveries to one destination; 0: none */
	bool     deferred;                             /* its mail waits for a flush (defer_transports) */
};

struct sched_settings {
	int64_t  minimal_backoff, maximal_backoff;     /* seconds */
	int64_t  lifetime, bounce_lifetime;            /* seconds; bounce: mail from the null sender */
	int64_t  warning;                              /* seconds until the sender is told of a delay, once; 0: never */
	bool     confirm_delay;                        /* who was told of a delay is told of its end, too */
	void   (*limits)(void *arg, struct str transport, struct sched_limits *out);
	void    *arg;
	uint64_t seed;                                 /* of the jitter */
};

/* A delivery that an agent was given by an earlier qmgr.  name: of the caller's, not 0; agent: who has it, NULL when it is no longer there; then
 * sched_late_done() follows at once. */
struct sched_late {
	uint64_t      name;
	struct agent *agent;
};

/* A recipient.  From state on all is what the journal says; one that is finished, notices and all, is skipped. */
struct sched_rcpt {
	uint32_t       index;
	struct str     addr, orig;
	uint8_t        notify;                         /* NOTIFY_ */
	struct str     transport, nexthop;
	enum jrn_state state;
	uint8_t        action;                         /* enum rcpt_action, when it is SENT */
	bool           noticed, warned, reported;
	uint32_t       attempts;
	struct wall    next_try;
	struct str     esc, text, mta, diag;
	bool           passed;                         /* an agent gave it to this transport, which is asked from then on */
	bool           flushed;                        /* goes now, also where the transport is deferred or all is dead */
	const struct sched_late *late;                 /* it is being delivered already (transport and nexthop are that delivery's); or NULL */
};

/* Nothing is left to be tried. */
static inline bool
sched_is_over(const struct sched_rcpt *r)
{
	return r->state == JRN_SENT || r->state == JRN_BOUNCED || r->state == JRN_EXPIRED;
}

/* Where the recipient of this index goes. */
struct sched_routed {
	uint32_t   index;
	struct str transport, nexthop;
};

struct sched_msg {
	uint64_t       id;
	enum spool_dir dir;
	struct wall    arrived;
	uint64_t       size;
	uint32_t       content_at;
	uint32_t       flags;
	struct str     sender;
	bool           forced;                         /* to be returned: an operator said so */
};

/* All text is borrowed for the call.  `active` is called when a message that had nothing to be tried now has, pending tells how
 * many recipients.  The verbs must not call back into the scheduler, but for the functions that take a const one. */
struct sched_delivery {
	uint64_t              delivery;                /* its name, for sched_done(); never 0 */
	void                 *agent;                   /* what sched_agent_add() was given */
	const struct message *m;
	struct wall           queued;
	struct str            nexthop;
	const struct msg_rcpt *rcpts;
	size_t                n;
};

struct sched_do {
	void (*active)(void *arg, const struct message *m, uint32_t pending);
	void (*deliver)(void *arg, const struct sched_delivery *d);
	/* Append these (jrn_record ...) to the message's journal. */
	void (*record)(void *arg, const struct message *m, struct str records, bool durable);
	/* A recipient was not tried, and why, in the words of a log line: once a retry interval. */
	void (*suspended)(void *arg, const struct message *m, struct str addr, struct str orig, struct str esc, struct str why);
	/* The agent is gone in the middle of a delivery to it. */
	void (*lost)(void *arg, const struct message *m, struct str addr, struct str orig);
	void (*expired)(void *arg, const struct message *m);
	/* A notice of what sched_notice() lists is due; answered by sched_noticed().  One at a time for each message.  False: there is
	 * nobody to tell. */
	bool (*notice)(void *arg, const struct message *m, enum notice_kind kind);
	/* An agent found its content damaged: look, and sched_forget() it if that is so. */
	void (*damaged)(void *arg, const struct message *m);
	/* Rename; answered by sched_moved().  No delivery of it is begun before that.  False: not now; it is asked for again after
	 * sched_may_move().  To and from SPOOL_HOLD is always possible. */
	bool (*move)(void *arg, const struct message *m, enum spool_dir to);
	/* Where mail to addr goes by now: asked whenever a recipient is to be tried again.  False: that cannot be said at once; then reroute
	 * is called, which is to be answered by sched_routed() with what sched_unrouted() lists.  NULL: routes never change. */
	bool (*route)(void *arg, const struct message *m, struct str addr, struct str *transport, struct str *nexthop);
	void (*reroute)(void *arg, const struct message *m);
	/* Nothing is left to do, ever: unlink.  The scheduler has forgotten it when this returns. */
	void (*remove)(void *arg, const struct message *m);
};

struct sched *sched_new(const struct sched_settings *settings, const struct sched_do *verbs, void *arg);
void          sched_free(struct sched **s);
/* New settings; nothing is lost. */
void          sched_reload(struct sched *s, const struct sched_settings *settings);

/* -- events -- */
/* It is now this late: goes before the events of that time. */
void          sched_time(struct sched *s, struct time now, struct wall wall);
/* Timers that are due, then deliveries for every free agent.  Returns when it wants to be called at the latest. */
struct time   sched_run(struct sched *s);
/* False: known already.  A message none of whose recipients is unfinished is removed at once. */
bool          sched_enter(struct sched *s, const struct sched_msg *m, const struct sched_rcpt *rcpts, size_t n);
struct agent *sched_agent_add(struct sched *s, struct str transport, uint32_t capacity, void *owner);
/* It gets no more deliveries; those it has go on. */
void          sched_agent_retire(struct sched *s, struct agent *a);
/* What it was delivering has an unknown outcome and is tried again after minimal_backoff. */
void          sched_agent_gone(struct sched *s, struct agent **a);
/* A delivery ended.  False: it is not one of this agent's. */
bool          sched_done(struct sched *s, struct agent *a, uint64_t delivery, enum site_state site, struct str site_text,
                         const struct msg_outcome *outcomes, size_t n);
/* The same of a delivery that recipients entered with (sched_late), recorded at once; nothing happens when there is none of that name. */
void          sched_late_done(struct sched *s, uint64_t name, enum site_state site, struct str site_text,
                         const struct msg_outcome *outcomes, size_t n);
void          sched_noticed(struct sched *s, uint64_t id);             /* the notice is durable */
void          sched_moved(struct sched *s, uint64_t id, enum spool_dir dir);  /* where it now is, moved or not */
void          sched_may_move(struct sched *s);                         /* there is room for moves again */
/* v: by rising index.  What it does not answer stays unrouted and is asked for again. */
void          sched_routed(struct sched *s, uint64_t id, const struct sched_routed *v, size_t n);
/* No more deliveries (true), or again (false). */
void          sched_pause(struct sched *s, bool pause);

/* -- operator -- */
/* QUEUE_FLUSH HOLD RELEASE DELETE EXPIRE EXPIRE_HELD on one message; false: it does not apply.  m may be gone afterwards. */
bool          sched_op(struct sched *s, struct message *m, enum queue_op op);
/* Route it anew, attempts forgotten.  False: it is being delivered just now. */
bool          sched_requeue(struct sched *s, struct message *m);
/* Forget that destinations are dead: all, or those with this next hop. */
void          sched_revive(struct sched *s, struct str nexthop /* empty: all */);
/* Drop it from memory without a word: its file is gone. */
void          sched_forget(struct sched *s, struct message *m);

/* -- looking -- */
struct message *sched_find(const struct sched *s, uint64_t id);
void            sched_view(const struct message *m, struct sched_msg *out);
uint64_t        sched_id(const struct message *m);
/* Places of recipients that are not finished are among 0 … sched_rcpts()-1. */
uint32_t        sched_rcpts(const struct message *m);
/* The recipient at place i as the notice that was asked for tells of it; false: it does not. */
bool            sched_notice(const struct message *m, uint32_t i, struct msg_failed *out);
bool            sched_noticing(const struct message *m);       /* a notice was asked for, and is not durable yet */
/* Each recipient whose route is asked for, by rising place; fn must not call back. */
void            sched_unrouted(const struct message *m, void (*fn)(void *arg, uint32_t index, struct str addr), void *arg);
bool            sched_active(const struct message *m);         /* something of it is ready or being delivered */
uint32_t        sched_in_flight(const struct message *m);
bool            sched_deferred(const struct message *m);       /* or on its way there */
bool            sched_held(const struct message *m);           /* on hold, or on its way there */
bool            sched_forced(const struct message *m);         /* told to expire */

/* Why the recipient at place i is not being delivered.  text: the words of the last attempt, or of what it waits for; empty
 * when there was none.  next_try 0: as soon as it can be. */
struct sched_explained {
	enum sched_why why;
	uint32_t       index, attempts;
	struct str     addr, orig, esc, text, transport, nexthop;
	struct wall    next_try;
};
void            sched_explain(const struct sched *s, const struct message *m, uint32_t i, struct sched_explained *out);

/* A walk in order of entry over the messages that there are now, which may be interrupted and during which any may go.  One that
 * follows takes in those that enter meanwhile as well: after NULL there may be more; follow may be set to false on the way. */
struct sched_cursor { struct list link; struct message *next, *last; bool follow; };
void            sched_walk(struct sched *s, struct sched_cursor *c, bool follow);
struct message *sched_walk_next(struct sched *s, struct sched_cursor *c);      /* NULL at the end */
void            sched_walk_end(struct sched_cursor *c);

struct sched_stats {
	uint64_t messages, recipients, deliveries, destinations, dead;
	uint64_t bytes;                                /* of memory held for messages */
};
void            sched_stats(const struct sched *s, struct sched_stats *out);
/* Seconds the transport has been without any agent; 0: it has one. */
int64_t         sched_transport_missing(const struct sched *s, struct str transport);
/* All destinations, in no order; fn may not call back. */
struct sched_site {
	struct str  transport, nexthop;
	uint32_t    window, limit, busy;               /* deliveries at once; limit 0: any number */
	struct wall dead_since, next_probe, pause_until;       /* 0: not so */
	uint32_t    agents;                            /* of the transport */
	struct wall missing_since;                     /* no agent has been there; 0: not so */
	bool        deferred;                          /* waits for a flush */
	uint32_t    waiting;                           /* parcels of mail, those being delivered included */
	struct str  reason;                            /* why it was last found down */
};
void            sched_sites(const struct sched *s, void (*fn)(void *arg, const struct sched_site *site), void *arg);
/* Window, deliveries under way, and whether dead; false: no such destination. */
bool            sched_destination(const struct sched *s, struct str transport, struct str nexthop, double *window,
                                  uint32_t *busy, bool *dead);

#endif
