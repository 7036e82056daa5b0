/* SPDX-License-Identifier: Apache-2.0 */
/* queue.h - what the queue commands share: one request, answered by qmgr, or, while that is down, by the spool itself. */
#ifndef CMD_QUEUE_H
#define CMD_QUEUE_H

#include <stdio.h>

#include "cmd/cmd.h"
#include "mail/select.h"
#include "spool/spool.h"

/* Exit status of the queue commands. */
enum { EX_DONE = 0, EX_NOT_DONE = 1, EX_BAD_USAGE = 64, EX_NO_SERVICE = 69, EX_LATER = 75, EX_NOT_ALLOWED = 77 };

struct queue_request {
	enum queue_op     op;
	bool              dry;                         /* only say what would be done */
	bool              no_help;                     /* leave the spool alone when qmgr is not there */
	struct msg_select select;
};

/* What an answer consists of, as it comes; what is given is borrowed, NULL where it is not wanted. */
struct queue_answers {
	void (*item)(void *arg, const struct msg_item *item);                 /* LIST, in no order */
	void (*changed)(void *arg, uint64_t id);                               /* it was applied to this one */
	void (*site)(void *arg, const struct msg_site *site);                  /* SITES */
	void (*event)(void *arg, const struct jrn_record *record);             /* HISTORY, oldest first */
	void  *arg;
	bool   whole;                                  /* nothing is shown before the end: on a terminal say how many came */
};

struct queue_result {
	uint64_t   matched;
	struct buf missing;                            /* u64 ...: ids that were asked for and are not there */
	bool       partial;                            /* there is more than was looked at */
	bool       down;                               /* qmgr was not there; answered by the spool */
	bool       away;                               /* though the rest of the mail system runs */
};

/* The exit status; on failure the reason is on stderr.  *out is to be given to queue_result_fini() whatever comes. */
int  queue_do(struct cmd *c, const struct queue_request *r, const struct queue_answers *a, struct queue_result *out);
void queue_result_fini(struct queue_result *r);
/* The part of it that works on the spool (cmd/queue_offline.c).  E_BUSY: a qmgr holds it after all. */
enum err queue_offline(const struct params *p, const struct queue_request *r, const struct queue_answers *a,
    struct queue_result *out) MUST_USE;
/* "warning: …" for each missing id. */
void queue_say_missing(const struct cmd *c, const struct queue_result *r);

/* -- selections from words (cmd/queue_select.c) -- */
struct selector {
	struct buf ids, senders, rcpts, destinations, reasons;
	int64_t    before, after;
	uint8_t    states;
	bool       all;                                /* ALL was said */
};
void selector_fini(struct selector *s);
/* Take one criterion off argv at *at: "--sender PATTERN" and the like, an id, ALL.  False (having said why): it is none. */
bool selector_take(struct cmd *c, struct selector *s, int argc, char **argv, int *at);
bool selector_add_id(struct selector *s, struct str id);
void selector_add(struct buf *list, struct str pattern);
bool selector_is_empty(const struct selector *s);      /* nothing was said, not even ALL */
struct msg_select selector_select(const struct selector *s);   /* borrows from s */
extern const char selector_help[];

/* -- listings -- */
/* As mailq, or as JSON lines (cmd/queue_list.c). */
struct queue_lister {
	bool     json;
	uint64_t messages, bytes;
	struct buf line;                               /* scratch */
	struct time flush;                             /* what is written is to be seen by then */
};
void queue_list_item(void *lister, const struct msg_item *item);
void queue_list_end(struct queue_lister *l);
int  queue_list(struct cmd *c, const struct queue_request *r, bool json);
/* "incoming", "active", "deferred", "hold" */
const char *queue_state_name(const struct msg_item *item);
/* Tables of count, size and oldest by something (cmd/queue_sum.c). */
enum queue_sum { SUM_NONE, SUM_DESTINATION, SUM_SENDER, SUM_REASON, SUM_AGE, SUM_DOMAIN };
enum queue_sum queue_sum_of(const char *word);         /* SUM_NONE: no such */
int  queue_sum(struct cmd *c, const struct queue_request *r, enum queue_sum by);
/* Postfix's qshape (cmd/queue_shape.c). */
int  queue_shape(struct cmd *c, int argc, char **argv);

/* -- messages (cmd/queue_show.c) -- */
enum {
	SHOW_ENVELOPE = 1, SHOW_HEADER = 2, SHOW_BODY = 4, SHOW_HISTORY = 8, SHOW_MARKS = 16,
	SHOW_OFFSETS = 32, SHOW_RAW = 64
};
/* file: NULL, or the path of a message file anywhere; skip: what is before this offset of the file is left out. */
int  queue_show(struct cmd *c, struct str id, const char *file, unsigned what, uint64_t skip);
const char *queue_event_name(uint8_t type);            /* of enum jrn_type: "deferred" */
int  queue_show_many(struct cmd *c, int argc, char **argv);    /* `postroad queue cat` */

int  queue_load(struct cmd *c, int argc, char **argv);         /* `postroad queue load` */

/* -- a line about long work, when stderr is a terminal (cmd/progress.c) -- */
struct progress { const char *what; uint64_t total; struct time next; bool on, shown; };
void progress_begin(struct progress *p, const char *what, uint64_t total /* 0: not known */);
void progress_at(struct progress *p, uint64_t done);   /* cheap; writes at most ten times a second */
void progress_end(struct progress *p);

#endif
