/* SPDX-License-Identifier: Apache-2.0 */
/* late.h - deliveries that an earlier qmgr gave to agents which have outlived it (docs/SPOOL.md R12).  An agent's first words are of these; they
 * wait here for their messages, which the readers of the disk enter.  Until all agents that were ever given a delivery, as the board says,
 * have told theirs, nothing is entered. */
#ifndef QMGR_LATE_H
#define QMGR_LATE_H

#include "qmgr/qmgr.h"

void late_start(void);                                 /* before the first message is entered, and the first channel opened */
/* Until it may be entered.  E_STOPPED. */
WAITS enum err late_wait(void) MUST_USE;
/* It is given a delivery now: the next qmgr must wait for it. */
void late_given(struct peer *p);
enum err late_got(struct peer *p, const struct msg_late *l) MUST_USE;        /* E_IPC: malformed */
void late_peer_gone(struct peer *p);                   /* before the scheduler is told */
/* Which of the recipients of a message that is about to enter (rising by index) are being delivered already: late, transport and
 * nexthop are filled in, valid until late_entered() is told that it has entered.  No wait between. */
void late_mark(const struct sched_msg *m, struct sched_rcpt *v, size_t n);
void late_entered(uint64_t id);
/* The whole spool is known: what is still here is of messages that are gone. */
void late_all_known(void);

#endif
