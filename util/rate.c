/* SPDX-License-Identifier: Apache-2.0 */
#include "util/rate.h"

/* Sums of fractions fall short by a hair; what lacks no more than this is there. */
static const double HAIR = 1e-9;

void
rate_init(struct rate *r, double per, double seconds, double burst, struct time now)
{
	*r = (struct rate){ .tokens = burst, .per_second = per / seconds, .burst = burst, .at = now };
}

static double
tokens_at(const struct rate *r, struct time now)
{
	double tokens = r->tokens;

	if (time_before(r->at, now))
		tokens += time_seconds(r->at, now) * r->per_second;
	return tokens < r->burst ? tokens : r->burst;
}

bool
rate_take(struct rate *r, double n, struct time now)
{
	double tokens = tokens_at(r, now);

	if (tokens + HAIR < n)
		return false;
	r->tokens = tokens - n;
	if (time_before(r->at, now))
		r->at = now;
	return true;
}

struct time
rate_when(const struct rate *r, double n, struct time now)
{
	double lacking = n - tokens_at(r, now), ns;

	if (lacking <= HAIR)
		return now;
	if (r->per_second <= 0 || n > r->burst + HAIR)
		return TIME_NEVER;
	ns = lacking / r->per_second * 1e9;
	if (ns >= 9e18 - (double)now.ns)
		return TIME_NEVER;
	return (struct time){ now.ns + (int64_t)ns + 1 };
}
