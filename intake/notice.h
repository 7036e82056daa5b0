/* SPDX-License-Identifier: Apache-2.0 */
/* notice.h - a delivery status notification as a message of its own: written (mail/dsn.h) and taken in like any other mail from
 * the mail system itself. */
#ifndef INTAKE_NOTICE_H
#define INTAKE_NOTICE_H

#include "intake/intake.h"
#include "mail/msgs.h"

struct notices;
/* Templates are read; what is wrong with them is logged, and the built-in ones are used. */
struct notices *notices_start(struct intake *in);
void            notices_free(struct notices **n);

struct notice_job {
	const struct msg_bounce *what;                 /* the message, and what became of whom */
	const struct spool_msg  *envelope;             /* RET, ENVID and ORCPT of it; NULL: it has none */
	int                      fd;                   /* its file, for the original: [content_at, content_at + size) */
};

/* Durable, and logged as Postfix does ("ID: sender non-delivery notification: ID"), when it returns OK: the notice to the sender.  To a
 * null sender none is sent: the postmaster is told, if notify_classes has 2bounce.  Copies for the postmaster (classes bounce,
 * delay) are sent along; it is no failure when they cannot be.  When none to the sender can ever be made, this is logged as an error, and the
 * postmaster is told in the same way (of a delay, the reader of those).  *id: of the notice; 0 when there was nobody to tell. */
WAITS enum err notice_send(struct notices *n, const struct notice_job *job, uint64_t *id) MUST_USE;

#endif
