/* SPDX-License-Identifier: Apache-2.0 */
/* overload.h - what smtpd does when (nearly) all sessions of its service are taken, or the memory for them: from then on strangers meet the
 * settings as they are with stress = yes (params.stressed), and those who wait already are waited for no longer than these say.
 *
 * Each process looks once a second, at its own sessions and, on the board, at those of its siblings and at what they found, so that
 * all of a service are of one mind. */
#ifndef SMTPD_OVERLOAD_H
#define SMTPD_OVERLOAD_H

#include <stddef.h>
#include <stdint.h>

#include "mail/params.h"
#include "util/time.h"

/* How much there is, and how much there may be. */
struct load {
	size_t   sessions, most;                       /* of the service */
	uint64_t memory, memory_limit;                 /* of this process; limit 0: none */
	int64_t  until;                                /* its siblings take it for an overload until then; 0: they do not */
};

struct overload {
	bool        on;
	bool        full;                              /* on, and nothing is left at all: for permitted clients as well */
	struct time began;
	int64_t     until;                             /* it lasts if nothing keeps it up; 0: not on */
	size_t      dismissed;                         /* sessions that ended for their timeout since it began */
};

/* Sessions that are an overload; 0: none are, as this service can have but one. */
size_t overload_mark(const struct params *p, size_t most);
/* Take a look.  True: it has just begun or ended.  It begins at the mark, at the limit of memory, or with a sibling's, and ends when nobody of
 * the service has seen more than 2/3 of the mark and half the memory for smtpd_stress_time. */
bool   overload_judge(struct overload *o, const struct params *p, const struct load *l, struct time now);

/* The task that looks, and does what follows; arg: struct smtpd. */
void   overload_watch(void *smtpd);

#endif
