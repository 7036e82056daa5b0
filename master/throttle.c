/* SPDX-License-Identifier: Apache-2.0 */
#include "master/throttle.h"

enum { STEADY = 30 };                                  /* seconds a worker has to live to be no crasher */

bool
throttle_died(struct throttle *t, struct time started, struct time now, int ceiling)
{
	/* Workers from before the last crash that counted fell to the same blow: many at once are one crash. */
	if (t->level > 0 && time_before(started, t->counted))
		return !throttle_is_open(t, now);
	if (!time_before(now, time_after(started, STEADY + t->delay)))
		t->level = 0;
	t->delay = t->level == 0 ? 0 : t->level > 16 ? ceiling : 1 << (t->level - 1);
	if (t->delay > ceiling)
		t->delay = ceiling;
	t->level++;
	t->counted = now;
	t->until = time_after(now, t->delay);
	return t->delay > 0;
}

bool
throttle_is_open(const struct throttle *t, struct time now)
{
	return !time_before(now, t->until);
}
