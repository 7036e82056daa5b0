/* SPDX-License-Identifier: Apache-2.0 */
/* throttle.h - when may a service whose workers crash be started again?  By crash rate, whether they served before or not:
 * after 0, 1, 2, 4 … seconds up to a ceiling; forgotten when a worker stayed up for a while.  Pure: no clock of its own. */
#ifndef MASTER_THROTTLE_H
#define MASTER_THROTTLE_H

#include <stdbool.h>

#include "util/time.h"

struct throttle {
	unsigned    level;                             /* crashes in a row */
	int         delay;                             /* seconds, the last one given */
	struct time until;                             /* no start before */
	struct time counted;                           /* the last crash that counted */
};

/* A worker that was started at `started` died at `now`.  ceiling in seconds.  True when the service is now throttled. */
bool throttle_died(struct throttle *t, struct time started, struct time now, int ceiling);
bool throttle_is_open(const struct throttle *t, struct time now);      /* a worker may be started */

#endif
