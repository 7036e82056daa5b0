/* SPDX-License-Identifier: Apache-2.0 */
/* take.h - one message from maildrop into the queue. */
#ifndef PICKUP_TAKE_H
#define PICKUP_TAKE_H

#include "intake/intake.h"
#include "intake/notice.h"
#include "mail/service.h"
#include "spool/maildrop.h"

struct pickup {
	struct service *service;
	struct spool   *spool;
	struct intake  *intake;
	struct notices *notices;
};

/* Take it in, or say in the log why not yet; then false: it is worth another try soon.  What can never be taken in is returned
 * to its sender. */
WAITS bool     take(struct pickup *p, uint64_t id);
/* refuse.c: tell the sender why, durably; then the message may go.  id: the one that the log knows it by. */
WAITS enum err refuse(struct pickup *p, const struct dropped *d, uint64_t id, const char *esc, const char *why) MUST_USE;

#endif
