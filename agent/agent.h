/* SPDX-License-Identifier: Apache-2.0 */
/* agent.h - a delivery agent as a process: its channel to qmgr, a task for each delivery, the spool to read from.  A daemon
 * that delivers says what is its own in an agent_spec and calls agent_main(). */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include "agent/job.h"
#include "mail/service.h"

enum { AGENT_CAPACITY = 100 };

struct agent_spec {
	const char *prog;                              /* also its role in msgs.h */
	int         helpers;                           /* offload threads */
	const char *promises;                          /* as in service_spec */
	/* Before the first job (NULL: nothing to prepare); end the process with log_fatal() when it cannot work. */
	void      (*start)(struct service *s, struct spool *spool, struct tasks *own);
	/* Deliveries at once; NULL: AGENT_CAPACITY. */
	uint32_t  (*capacity)(const struct params *p);
	/* One delivery: give each recipient its outcome. */
	void      (*deliver)(struct job *j);
	void      (*finish)(void);                     /* after the last one; may be NULL */
	bool        writes;                            /* makes messages of its own in the spool */
	/* Knows trials (MF_VERIFY): deliver() then says what it would do, and does nothing.  Of others' trials it is said that they
	 * would be given to them. */
	bool        trials;
};

/* main() of the daemon. */
int agent_main(int argc, char **argv, const struct agent_spec *spec);

#endif
