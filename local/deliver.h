/* SPDX-License-Identifier: Apache-2.0 */
/* deliver.h - the daemon local: one delivery from beginning to end. */
#ifndef LOCAL_DELIVER_H
#define LOCAL_DELIVER_H

#include "agent/agent.h"

void       local_start(struct service *s, struct spool *spool, struct tasks *own);
uint32_t   local_capacity(const struct params *p);
WAITS void local_deliver(struct job *j);
void       local_finish(void);

#endif
