/* SPDX-License-Identifier: Apache-2.0 */
/* attempt.h - what a delivery agent tells the next qmgr when the one that gave it work has died: which deliveries are under way, and
 * how those ended of which that one may not have written down what it was told (docs/SPOOL.md R12).
 *
 * Kept are results that no qmgr was there for, and final ones that were told to their own qmgr in the last ATTEMPT_SECONDS, longer than
 * that keeps a result in memory only; both until the next qmgr is told, and if they are final for ATTEMPT_LATE_SECONDS more, as that one may
 * die before it has found the message.  Of all of these at most ATTEMPTS_MAX and ATTEMPT_BYTES_MAX, the oldest are
 * forgotten first; those under way are as many as qmgr gave. */
#ifndef AGENT_ATTEMPT_H
#define AGENT_ATTEMPT_H

#include "agent/job.h"

enum { ATTEMPTS_MAX = 4000, ATTEMPT_BYTES_MAX = 8 << 20, ATTEMPT_SECONDS = 3, ATTEMPT_LATE_SECONDS = 300 };

struct attempt {
	struct list link;
	uint64_t    name;                              /* of this process's own; not 0 */
	uint64_t    channel;                           /* the latest one over which it was given or told */
	bool        late;                              /* that was not the one it was given over */
	bool        told;                              /* how it ended, to some qmgr */
	bool        final;                             /* some recipient is done with */
	struct str  asked;                             /* msg_deliver, of the job's frame */
	struct buf  frame, done;                       /* once it has ended: that frame, and msg_done */
	struct time until;                             /* kept until then */
};

void attempts_start(void);
/* Embedded in the stack of the task that runs the job. */
void attempt_begin(struct attempt *a, const struct channel_job *from);
/* It has ended, j says how: tell qmgr, or keep that for the next one. */
void attempt_end(struct attempt *a, const struct job *j, struct channel_job *from);
void attempts_greet(void);                             /* a new qmgr: all of them */
void attempts_parted(void);                            /* it is gone */
bool attempts_owed(void);                              /* some results no qmgr has been told */

#endif
