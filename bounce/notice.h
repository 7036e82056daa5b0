/* SPDX-License-Identifier: Apache-2.0 */
/* notice.h - turn a BOUNCE job of qmgr's into a durable message to the sender. */
#ifndef BOUNCE_NOTICE_H
#define BOUNCE_NOTICE_H

#include "mail/msgs.h"
#include "mail/params.h"
#include "spool/spool.h"
#include "util/err.h"

/* OK: the notice is in the spool, durable, and *entered describes it (its rcpts live in *rcpts,
 * which the caller frees with buf_free).  Anything else: nothing was entered; qmgr asks again
 * later. */
WAITS enum err notice_enter(const struct params *p, struct spool *s, const struct msg_bounce *job,
    struct msg_entered *entered, struct buf *rcpts) MUST_USE;

#endif
