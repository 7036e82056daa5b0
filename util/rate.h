/* SPDX-License-Identifier: Apache-2.0 */
/* rate.h - token bucket: at most `per` events in `seconds`, in bursts of at most `burst`. */
#ifndef UTIL_RATE_H
#define UTIL_RATE_H

#include "util/time.h"

struct rate {
	double      tokens;
	double      per_second;
	double      burst;
	struct time at;
};

void        rate_init(struct rate *r, double per, double seconds, double burst, struct time now);
bool        rate_take(struct rate *r, double n, struct time now);      /* false: not yet; nothing taken */
struct time rate_when(const struct rate *r, double n, struct time now);/* earliest time rate_take() would succeed */

#endif
