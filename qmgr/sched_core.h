/* SPDX-License-Identifier: Apache-2.0 */
/* sched_core.h - the scheduler's own objects; for sched_*.c only. */
#ifndef QMGR_SCHED_CORE_H
#define QMGR_SCHED_CORE_H

#include "qmgr/sched.h"
#include "util/fifo.h"
#include "util/heap.h"
#include "util/list.h"
#include "util/log.h"
#include "util/map.h"
#include "util/mem.h"

#define SECOND INT64_C(1000000)                        /* all times in here are us of the scheduler's clock */
#define NEVER  INT64_MAX

enum {
	SLOW_SECONDS     = 5,                          /* a delivery that takes longer makes its destination a suspect */
	GRACE_SECONDS    = 10,                         /* for a transport without agents, before anything is said */
	QUICK_SECONDS    = 60,                         /* for how long room is kept for quick destinations */
	RECORD_SECONDS   = 1,                          /* longest that a result is in memory only */
	LANES_MAX        = 4096,                       /* senders told apart within a destination */
	IDLE_MAX         = 4096,                       /* destinations remembered without mail */
	RELEASE_AT_ONCE  = 4,
};

/* The words of a deferral or failure; shared, as a dead destination gives the same to thousands. */
struct reason {
	struct reason *next;
	uint64_t       hash;
	uint32_t       refs;
	uint32_t       n[4];                           /* lengths of esc, text, mta, diag, which follow */
	char           text[];
};

enum ring { RING_NONE, RING_QUICK, RING_NEW, RING_SUSPECT, RING_COUNT };

struct transport {
	struct map_node     node;                      /* key: name */
	struct list         link;                      /* in sched.transports */
	struct sched_limits limits;
	struct heap         free;                      /* agents with room, least loaded first */
	struct list         rings[RING_COUNT];         /* of destinations that could be given a delivery now */
	uint32_t            agents;
	uint32_t            turn;
	uint64_t            capacity;
	uint64_t            suspects;                  /* deliveries to destinations that are not quick */
	int64_t             quick_seen;                /* when a quick destination last had mail */
	int64_t             missing_since;
	char                name[];
};

enum dest_state { DEST_UNKNOWN, DEST_ALIVE, DEST_DEAD };

struct dest {
	struct map_node   node;                        /* key: transport NUL next hop */
	struct transport *t;
	struct list       ring_link;
	struct list       idle_link;                   /* in sched.idle while refs == 0 */
	struct heap_node  timer;                       /* of a probe, or the end of a rate delay */
	struct list       lanes;                       /* senders with ready mail */
	struct list       waiting;                     /* parcels until it is alive again, or until their own time */
	struct list       released;                    /* on their way from waiting to the lanes */
	struct reason    *why;                         /* last SITE_DOWN */
	struct str        nexthop;
	double            window, cohorts;
	int64_t           probe_at, dead_since, rate_at;
	int64_t           average;                     /* time of a delivery */
	uint64_t          serial;
	uint32_t          busy, refs;
	uint8_t           state, ring;
	bool              quick;                       /* its deliveries do not count as suspects */
	char              key[];
};

struct lane {                                          /* ready parcels of one sender for one destination */
	struct lane *next;
	struct dest *dest;
	struct list  link;                             /* in dest.lanes */
	struct list  parcels;
	uint32_t     sender;
};

/* Those from G_READY on make their message active. */
enum parcel_state { G_DONE, G_HELD, G_RETRY, G_WAIT, G_ROUTE, G_READY, G_TURN, G_PARKED, G_FLIGHT };

/* What becomes of a parcel once its route is known: it is looked at whether it can go; it is ready; it goes even to where all is dead. */
enum parcel_then { THEN_LOOK, THEN_READY, THEN_FLUSH };

struct parcel {
	struct list      link;                         /* in a lane, or the destination's waiting or released */
	struct heap_node timer;
	struct dest     *dest;
	struct lane     *lane;                         /* while G_READY */
	uint32_t         place;                        /* in message.parcels */
	uint32_t         first, n;                     /* recipients, in order of index */
	uint8_t          state;
	uint8_t          then;                         /* of G_ROUTE, or when put_off: enum parcel_then */
	bool             put_off;                      /* its G_RETRY is a wait for the rest of its message */
	bool             passed;                       /* its route is not ours to ask */
};

enum { R_PENDING, R_FINISHED };
struct rcpt {
	struct reason *why;
	uint32_t       text;                           /* where the address begins; orig follows it */
	uint16_t       addr_n, orig_n;
	uint32_t       index;
	uint16_t       attempts;
	unsigned       state:1;                        /* R_ */
	unsigned       action:2;                       /* enum rcpt_action, of what is sent */
	bool           failed:1, expired:1, told:1;
	bool           asked:1;                        /* is part of the notice that message.asking is about */
	bool           warned:1;                       /* of delay */
	unsigned       notify:4;                       /* NOTIFY_ */
	unsigned       due:4;                          /* notices, a bit for each kind, until they are durable */
};

struct records {                                       /* results that are in memory only */
	struct list     link;                          /* in sched.unrecorded, oldest first */
	struct message *m;
	int64_t         at;
	bool            durable;
	struct buf      buf;
};

/* One allocation: the message, its parcels, its recipients, its text. */
struct message {
	struct message *next;                          /* of the same hash */
	uint64_t        id;
	struct list     all;
	int64_t         arrived, queued;               /* calendar */
	uint64_t        size;
	struct records *unrecorded;
	struct heap_node warning;                      /* of delay */
	uint32_t        bytes;
	uint32_t        content_at;
	uint32_t        nrcpts, nparcels;
	uint32_t        pending, owed;                 /* recipients; owed: a notice is due or on its way */
	uint32_t        active, inflight;              /* parcels */
	uint32_t        flags;
	uint16_t        sender_n;
	unsigned        dir:4;
	unsigned        asking:4;                      /* enum notice_kind that is asked for; message_asking() */
	bool            held:1, deleted:1, forced:1, moving:1, moving_to_hold:1, expiry_told:1;
	bool            to_move:1;                     /* is in sched.to_move */
	bool            reported:1;                    /* a report of the first attempt is durable */
	struct parcel   parcels[];
};

struct agent {
	struct transport *t;
	void             *owner;
	struct heap_node  load;
	struct list       deliveries;
	uint32_t          capacity, busy;
};

struct delivery {
	struct list    by_agent, by_age;
	struct list    by_late;                        /* in sched.late: one of an earlier qmgr's */
	struct parcel *parcel;                         /* NULL: free; by_age links the free ones */
	struct agent  *agent;                          /* NULL only of a late one that has ended */
	uint64_t       late;                           /* sched_late.name; 0: it is not late */
	int64_t        started;
	uint32_t       slot, turn;                     /* its name is both */
	bool           probe;
};

struct sched {
	struct sched_settings   settings;
	const struct sched_do  *verbs;
	void                   *arg;
	int64_t                 now, wall;
	uint64_t                random;
	bool                    paused;
	struct message        **ids;
	size_t                  nids;
	struct list             all, cursors;
	struct map              by_name;               /* transports */
	struct list             transports;
	struct map              dests;
	struct list             idle;
	size_t                  nidle;
	uint64_t                serial;
	struct lane           **lanes;
	size_t                  nlanes, lanes_used;
	struct reason         **reasons;
	size_t                  nreasons, reasons_used;
	struct heap             parcel_timers, dest_timers, warnings;
	struct delivery       **deliveries;
	size_t                  ndeliveries;
	struct list             free_deliveries, by_age, late;
	struct list             unrecorded;
	struct fifo             to_move;               /* ids of messages that could not be moved when they settled */
	struct buf              key, text;
	struct msg_rcpt        *rcpts;                 /* scratch of deliver() */
	size_t                  rcpts_cap;
	struct sched_stats      stats;
};

static inline bool parcel_active(uint8_t state) { return state >= G_READY; }
static inline struct message *
parcel_message(const struct parcel *g)
{
	return container_of((const void *)(g - g->place), struct message, parcels);
}
static inline struct rcpt *
message_rcpts(const struct message *m)
{
	return (struct rcpt *)(uintptr_t)(m->parcels + m->nparcels);
}
static inline const char *message_text(const struct message *m) { return (const char *)(message_rcpts(m) + m->nrcpts); }
static inline struct str message_sender(const struct message *m) { return (struct str){ message_text(m), m->sender_n }; }
static inline struct str
rcpt_addr(const struct message *m, const struct rcpt *r)
{
	return (struct str){ message_text(m) + r->text, r->addr_n };
}
static inline struct str
rcpt_orig(const struct message *m, const struct rcpt *r)
{
	return (struct str){ message_text(m) + r->text + r->addr_n, r->orig_n };
}

/* sched_reason.c */
struct reason *reason_get(struct sched *s, struct str esc, struct str text, struct str mta, struct str diag);
void           reason_put(struct sched *s, struct reason **r);
void           reason_set(struct sched *s, struct reason **at, struct reason *r);      /* takes over r's count */
enum { REASON_ESC, REASON_TEXT, REASON_MTA, REASON_DIAG };
struct str     reason_part(const struct reason *r, int part);          /* empty for NULL */

/* sched_dest.c */
struct transport *transport_get(struct sched *s, struct str name);
struct dest      *dest_get(struct sched *s, struct str transport, struct str nexthop);
void              dest_ref(struct sched *s, struct dest *d);
void              dest_unref(struct sched *s, struct dest *d);
void              dest_free(struct sched *s, struct dest *d);
void              dest_place(struct sched *s, struct dest *d);         /* into the ring where it now belongs */
void              dest_rotate(struct sched *s, struct dest *d);        /* the same, behind the others */
void              dest_classify(struct dest *d);
void              dest_feedback(struct sched *s, struct dest *d, const struct delivery *del, enum site_state site,
                                struct str esc, struct str text);
void              dest_revive(struct sched *s, struct dest *d);
void              dest_release(struct sched *s, struct dest *d);       /* its waiting parcels may go */
/* Why nothing of it can be tried for now: WHY_SITE, WHY_TRANSPORT, or WHY_TURN: nothing in the way.  */
enum sched_why    dest_blocked(const struct sched *s, const struct dest *d);

/* sched_parcel.c */
struct lane *lane_get(struct sched *s, struct dest *d, uint32_t sender);
void         parcel_set(struct sched *s, struct parcel *g, enum parcel_state state);
void         parcel_ready(struct sched *s, struct parcel *g, bool front);
void         parcel_take(struct sched *s, struct parcel *g);           /* out of whatever list and timer it is in */
void         parcel_next_turn(struct sched *s, struct parcel *g);      /* g left the lane: its follower's turn */
void         parcel_wait(struct sched *s, struct parcel *g, int64_t until);
void         parcel_retry(struct sched *s, struct parcel *g, int64_t at);
void         parcel_done(struct sched *s, struct parcel *g);
void         parcel_expire(struct sched *s, struct parcel *g, struct reason *otherwise);
void         parcel_timer(struct sched *s, struct parcel *g);          /* its time has come */
int64_t      message_backoff(struct sched *s, const struct message *m);
int64_t      message_expires(const struct sched *s, const struct message *m);
int64_t      jitter(struct sched *s, int64_t t);

void         parcel_look(struct sched *s, struct parcel *g);           /* ready, or back to wait for what is not there */

/* sched_route.c */
void         parcel_again(struct sched *s, struct parcel *g, enum parcel_then then);   /* ask its route, then that */
void         parcel_move(struct sched *s, struct parcel *g, struct dest *to);  /* one that is in no list */
void         parcel_go(struct sched *s, struct parcel *g, enum parcel_then then);      /* where it is routed to */

/* sched_run.c */
void         delivery_end(struct sched *s, struct delivery *del);
void         parcel_late(struct sched *s, struct parcel *g, const struct sched_late *late);    /* it is under way already */

/* sched_done.c */
struct result { enum site_state site; struct str site_text; const struct msg_outcome *outcomes; size_t n; };
void         delivery_result(struct sched *s, struct delivery *del, const struct result *result);
void         record_rcpt(struct sched *s, struct message *m, const struct rcpt *r, enum jrn_type type, int64_t next_try);
void         record_message(struct sched *s, struct message *m, enum jrn_type type);     /* of it as a whole */
void         records_flush(struct sched *s, struct message *m);
void         message_settle(struct sched *s, struct message *m);       /* m may be gone afterwards */
void         message_move(struct sched *s, struct message *m, enum spool_dir to);
void         message_free(struct sched *s, struct message *m);
void         message_unlink(struct sched *s, struct message *m);       /* from the table of ids and the walks */

void         rcpt_finish(struct sched *s, struct message *m, struct rcpt *r, bool failed);
void         record_noticed(struct sched *s, struct message *m, const struct rcpt *r, enum jrn_type type);

/* sched_notice.c */
struct ending { bool failed, noticed, warned, reported; uint8_t notify, action; };
/* The notices that are due when a recipient comes to this end, a bit for each kind. */
uint8_t      notices_at_end(const struct sched *s, uint32_t flags, const struct ending *e);
void         rcpt_owe(struct message *m, struct rcpt *r, uint8_t due);
void         rcpt_tried(struct message *m, struct rcpt *r);            /* a report of it is due, if one was asked for */
void         rcpt_forget_delay(struct message *m, struct rcpt *r);
bool         message_asking(const struct message *m);
void         notices_init(struct sched *s, struct message *m);
void         notices_schedule(struct sched *s, struct message *m);     /* when to warn of delay */
void         notices_warn(struct sched *s, struct message *m);         /* now */
/* Ask for one that is due, if none is asked for.  settled: nothing of m is ready or under way; else only for warnings. */
void         notices_ask(struct sched *s, struct message *m, bool settled);

/* sched_op.c */
void         message_stop(struct sched *s, struct message *m);         /* all of it G_HELD */
void         message_expire(struct sched *s, struct message *m);       /* all that is not being delivered: an operator's word */

/* sched_enter.c */
void         message_link(struct sched *s, struct message *m);

#endif
