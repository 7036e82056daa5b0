/* SPDX-License-Identifier: Apache-2.0 */
/* notify.h - tells qmgr of new messages, over one channel that is made again when it breaks.  A notice that cannot be
 * given is dropped: the message is durable, and qmgr's sweep finds it. */
#ifndef INTAKE_NOTIFY_H
#define INTAKE_NOTIFY_H

#include "mail/service.h"
#include "spool/spool.h"

struct notify;
/* role: of msgs.h, "smtpd".  Its task belongs to g. */
struct notify *notify_start(const struct service *s, const char *role, struct tasks *g);
void           notify_free(struct notify **n);         /* once the task has ended */
void           notify_entered(struct notify *n, const struct spool_msg *m);
WAITS void     notify_flush(struct notify *n, struct time deadline);

#endif
