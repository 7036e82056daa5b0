/* SPDX-License-Identifier: Apache-2.0 */
/* act.h - what is done about the leaves of an expansion. */
#ifndef LOCAL_ACT_H
#define LOCAL_ACT_H

#include "local/local.h"

/* Do all of it, forwarding last.  OK: text says what was done ("delivered to mailbox"), *forwarded whether it all went on to other
 * addresses.  E_REFUSED: something failed for good, and the rest was done.  Others: something failed for now.  Words and d->esc
 * are set. */
WAITS enum err act(struct delivery *d, struct buf *text, bool *forwarded) MUST_USE;

/* One new message for all leaves that are to be forwarded with this sender (NULL: the message's own); they are LEAF_NONE
 * afterwards.  text: "forwarded as ID". */
WAITS enum err resend(struct delivery *d, const char *sender, struct buf *text) MUST_USE;

#endif
