/* SPDX-License-Identifier: Apache-2.0 */
/* channel.h - the channel of a process that works for qmgr.  It is kept up, and made again when it breaks.  Each job that
 * comes over it runs in a task of its own and is answered over the same channel, or not at all: what was not answered
 * qmgr asks for again, unless it is told of it over the next channel (attempt.h). */
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
	void      (*run)(struct channel_job *j);       /* one job; the frame is valid until it returns, and may be taken */
	/* The channel is new: say what this qmgr must know first.  NULL: nothing. */
	void      (*greet)(void);
	void      (*parted)(void);                     /* it broke; NULL as above */
	bool      (*owes)(void);                       /* there is something to say to the next qmgr; NULL: never */
};

/* One channel a process.  spec must live on.  The jobs begun and under way are shown on the board. */
void        channel_start(struct service *s, const struct channel_spec *spec);
/* Begin a record to the qmgr that gave this job, as ipc_begin(); NULL: that one is gone. */
struct buf *channel_begin(const struct channel_job *j, enum msg_tag tag);
void        channel_end(void);
uint64_t    channel_current(void);                     /* which one there is now; 0: none */
/* As channel_begin(), over the one that there is now. */
struct buf *channel_begin_now(enum msg_tag tag);
/* Leave room for more: until little waits to go out.  E_EOF: it broke. */
WAITS enum err channel_drain(void) MUST_USE;
/* Ask for no more jobs.  Those under way are finished, in a hurry only until service_deadline(); what qmgr still sends
 * before it knows is done as well.  Then the answers are sent, if need be to the next qmgr, and the channel is closed. */
WAITS void  channel_wind_up(void);

#endif
