/* SPDX-License-Identifier: Apache-2.0 */
/* qmgr.h - the daemon around the scheduler: channels to the other processes, the disk, the log, and
 * the clock.
 *
 * All of it runs on the logic thread, in tasks, but for the disk: each message's disk work goes
 * through one of a few lanes, chosen by its id, so that what is done to one message is done in
 * order. */
#ifndef QMGR_QMGR_H
#define QMGR_QMGR_H

#include "mail/msgs.h"
#include "mail/service.h"
#include "qmgr/sched.h"
#include "spool/spool.h"
#include "util/ipc.h"
#include "util/map.h"

enum { DISK_LANES = 2, QMGR_FRAME_MAX = 16 << 20 };

enum peer_kind { PEER_ENTERS, PEER_AGENT, PEER_BOUNCE, PEER_CMD, PEER_NOBODY };

struct peer {             /* a channel */
	struct task *task;
	struct list link; /* in qmgr.peers */
	struct ipc *ipc;
	enum peer_kind kind;
	bool retired; /* wants no more work */
	struct agent *agent; /* of PEER_AGENT; NULL once it has retired and is idle */
	bool told; /* has said all that an earlier qmgr should have known (late.h) */
	int pid;
	unsigned slot; /* on the board; 0: none, a process that master does not know */
	uid_t uid;
	bool ours; /* root, or one of the accounts of this mail system */
	bool trusted; /* root, or the account of its role; others may look, and flush */
	char role[32], name[128];
};

/* A notice that is asked for and not yet durable. */
struct notice {
	struct map_node node; /* key: the id's bytes */
	struct list link;     /* in qmgr.notices */
	uint64_t id;
	enum notice_kind kind;
	struct peer *peer; /* who works on it; NULL: nobody yet */
	struct time not_before;
	struct wall since; /* first asked for, by this process */
	unsigned failures; /* in a row */
	struct buf why;    /* of the last one */
	bool given_up;     /* the postmaster is asked to be told instead */
};

struct qmgr {
	struct service *service;
	struct spool *spool;
	struct sched *sched;
	struct list peers, notices;
	struct map notices_by_id;
	struct tasks tasks;
	struct wait kick; /* something happened: the scheduler wants a turn */
	bool kicked;
	struct batch *disk[DISK_LANES];
	size_t disk_busy; /* jobs under way */
	struct wait disk_idle;
	unsigned readers; /* scans and sweeps under way */
	bool overflow; /* some messages wait in the spool until there is room for them */
	struct map gone;  /* ids being removed, or removed meanwhile, which they must not bring back */
	struct list gone_list; /* those removed meanwhile */
	bool rebuilt; /* all that was in the spool at the start is known */
	struct wait more_read; /* some more of that, or all, has been entered */
	unsigned strangers; /* channels of those who are not ours */
	struct wait sweep; /* look for unknown messages now */
	struct time loaded_by; /* when files that somebody loads should be there; TIME_NEVER: nobody does */
	struct time next_sweep;
};

extern struct qmgr qmgr;

/* Before an event is told to the scheduler, and after it. */
void qmgr_event(void);
void qmgr_kick(void);

/* verbs.c: what the scheduler wants done. */
extern const struct sched_do qmgr_verbs;
void qmgr_limits(void *arg, struct str transport, struct sched_limits *out);

/* disk.c */
void disk_start(void);
void disk_stop(void);
void disk_record(uint64_t id, enum spool_dir d, struct str records, bool durable);
void disk_check(uint64_t id, enum spool_dir d); /* set it aside if it is damaged */
bool disk_move(uint64_t id, enum spool_dir from, enum spool_dir to); /* false: not now */
void disk_remove(uint64_t id, enum spool_dir d);
WAITS void disk_wait(struct time deadline); /* until all that was asked for is done */
/* Until all that was asked for up to now is done, as durably as it is to be.  E_IO: something failed meanwhile; E_STOPPED. */
WAITS enum err disk_settle(void) MUST_USE;

/* notices.c */
bool notice_want(const struct message *m, enum notice_kind kind);
bool notice_is_double_bounce(struct str addr);          /* our own double_bounce_sender */
void notice_log_discarded(const struct sched_msg *m, const struct sched_rcpt *r);
void notice_peer_came(struct peer *p);
void notice_peer_gone(struct peer *p);
void notice_answer(struct peer *p, const struct msg_bounced *b);
void notice_timer(struct time now); /* ask again for what failed */
/* For a listing: what is in the way of the notice that is due; all is 0 when nothing is. */
void notice_explain(const struct sched_msg *m, struct msg_item *out);

/* channel.c: accept and serve channels. */
void channels_start(void);
/* The outcomes of a result, which borrow from list; *v is the caller's to free.  E_IPC: malformed. */
enum err outcomes_take(struct str list, struct msg_outcome **v, size_t *n) MUST_USE;

/* enter.c: messages from notices and from the disk. */
WAITS enum err enter_notice(const struct msg_entered *e) MUST_USE;   /* E_IPC: malformed */
WAITS void enter_view(const struct spool_view *v);
bool gone_recently(uint64_t id);
void gone_note(uint64_t id);                            /* its removal begins */
void gone_end(uint64_t id);                             /* its file is gone */
void gone_clear(void);                                 /* unless somebody still reads */

/* route.c: where mail goes, by mail/route.h. */
WAITS void routes_open(void);                          /* the settings as they are; ends the process when they cannot be used */
WAITS void routes_reload(void);                        /* they have changed; the former ones stay when the new cannot be used */
void routes_close(void);
void routes_start(void);                               /* the task behind the verb reroute */
bool route_now(void *arg, const struct message *m, struct str addr, struct str *transport, struct str *nexthop);
void route_later(void *arg, const struct message *m);
/* The routes of all recipients of a message from sender: filled in, with texts that are borrowed from `texts` or stay until the next call
 * that waits.  A table that cannot be asked sends mail to retry.  E_STOPPED: it is over. */
WAITS enum err route_all(struct str sender, struct sched_rcpt *v, size_t n, struct buf *texts) MUST_USE;

/* scan.c: everything at the start, and what notices were lost for. */
void scan_start(void);
void scan_stop(void);                                  /* the readers need not finish */

/* queue.c: an operator's request, answered on its channel. */
WAITS enum err queue_request(struct peer *p, const struct msg_queue *q) MUST_USE;

#endif
