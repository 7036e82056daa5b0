/* SPDX-License-Identifier: Apache-2.0 */
/* queue.h - what the files that answer operators' requests share. */
#ifndef QMGR_QUEUE_H
#define QMGR_QUEUE_H

#include "mail/select.h"
#include "qmgr/qmgr.h"

struct request {
	struct peer       *peer;
	struct msg_queue   q;
	struct msg_select  select;
	struct msg_counted end;                        /* the answer so far */
	struct buf         changed, missing;           /* u64 ... */
};

/* queue_more.c */
WAITS enum err queue_allowed(struct request *r) MUST_USE;      /* E_PERM: this user may not ask for that */
WAITS enum err queue_read(struct request *r) MUST_USE;
enum err       queue_sites(struct request *r) MUST_USE;
WAITS enum err queue_history(struct request *r) MUST_USE;

#endif
