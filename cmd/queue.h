/* SPDX-License-Identifier: Apache-2.0 */
/* queue.h - what the queue commands share: one request, answered by qmgr or, while that is down, by the spool itself. */
#ifndef CMD_QUEUE_H
#define CMD_QUEUE_H

#include <stdio.h>

#include "cmd/cmd.h"
#include "mail/msgs.h"
#include "spool/spool.h"

struct queue_request {
	enum queue_op op;
	enum queue_by by;
	struct str    what;                            /* id, address or destination; empty with BY_ALL */
	bool          dry;                             /* only count */
};

/* Called for each message of a listing, in no order; item is borrowed.  NULL where nothing is listed. */
typedef void queue_item_fn(void *arg, const struct msg_item *item);

/* Do n requests; counted[i] gets the messages each applied to.  Asks qmgr; when it is not there and we may read the spool, says so
 * on stderr and does it there.  The exit status; on failure the reason is on stderr. */
int queue_do(struct cmd *c, const struct queue_request *requests, size_t n, queue_item_fn *fn, void *arg,
    uint32_t *counted);
/* The part of it that works on the spool (cmd/queue_offline.c).  E_BUSY: a qmgr holds it after all. */
enum err queue_offline(const struct params *p, const struct queue_request *r, queue_item_fn *fn, void *arg,
    uint32_t *counted) MUST_USE;

/* Listing on stdout: as mailq, or as JSON lines. */
struct queue_lister {
	bool     json;
	uint64_t messages, bytes;
};
void queue_list_item(void *lister, const struct msg_item *item);
void queue_list_end(const struct queue_lister *l);
int  queue_list(struct cmd *c, const struct queue_request *r, bool json);
/* Show a message: its envelope, header and body, as asked for by bits. */
enum { SHOW_ENVELOPE = 1, SHOW_HEADER = 2, SHOW_BODY = 4, SHOW_MARKS = 8 };
int  queue_show(struct cmd *c, struct str id, unsigned what);

#endif
