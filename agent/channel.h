/* SPDX-License-Identifier: Apache-2.0 */
/* channel.h - the channel of a process that works for qmgr.  It is kept up, and made again when it breaks.  Each job that
 * comes over it runs in a task of its own and is answered over the same channel, or not at all: what was not answered
 * qmgr asks for again. */
#ifndef AGENT_CHANNEL_H
#define AGENT_CHANNEL_H

#include "mail/msgs.h"
#include "mail/service.h"
#include "util/buf.h"

struct channel_job {
	uint64_t   channel;                            /* which one it came over: they are counted */
	struct buf frame;                              /* the body of its record */
};

struct channel_spec {
	const char *role;                              /* of msgs.h: "smtp", "bounce" */
	enum msg_tag tag;                              /* of the jobs: MSG_DELIVER_TAG */
	uint32_t    capacity;                          /* jobs at once, for qmgr to keep to */
	void      (*run)(const struct channel_job *j); /* one job; the frame is valid until it returns */
};

/* One channel a process.  spec must live on.  The jobs begun and under way are shown on the board. */
void        channel_start(struct service *s, const struct channel_spec *spec);
/* Begin a record to the qmgr that gave this job, as ipc_begin(); NULL: that one is gone. */
struct buf *channel_begin(const struct channel_job *j, enum msg_tag tag);
void        channel_end(void);
/* Ask for no more jobs.  Those under way are finished, in a hurry only until service_deadline(); what qmgr still sends
 * before it knows is done as well.  Then the answers are sent, and the channel is closed. */
WAITS void  channel_wind_up(void);

#endif
