/* SPDX-License-Identifier: Apache-2.0 */
/* time.h - two clocks that cannot be mixed up: struct time is monotonic (deadlines), struct wall is
 * the calendar (what is written down).
 *
 * For tests the calendar can be pushed forward while processes run: when the environment variable
 * POSTROAD_CLOCK names a file, its first 8 bytes (little-endian int64, seconds) are mapped and added to
 * wall_now() and sched_now().  Deadlines of sockets never see it. */
#ifndef UTIL_TIME_H
#define UTIL_TIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct time { int64_t ns; };                           /* since some fixed point of this boot */
struct wall { int64_t us; };                           /* since 1970-01-01 UTC */

#define TIME_NEVER ((struct time){ INT64_MAX })

struct time time_now(void);
struct time time_after(struct time t, int64_t seconds);        /* saturates at TIME_NEVER */
struct time time_after_ms(struct time t, int64_t ms);
static inline bool time_before(struct time a, struct time b) { return a.ns < b.ns; }
static inline struct time time_min(struct time a, struct time b) { return a.ns < b.ns ? a : b; }
int64_t     time_ms_until(struct time t);                      /* 0 when past; INT_MAX at most; rounds up */
double      time_seconds(struct time from, struct time to);

struct wall wall_now(void);
struct time sched_now(void);                                   /* time_now() plus the test offset */
bool        clock_is_settable(void);                           /* POSTROAD_CLOCK is in force: sleep in short steps */
static inline int64_t wall_seconds(struct wall w) { return w.us / 1000000; }
/* "Mon, 23 Nov 2026 23:32:01 +0000", RFC 5322 section 3.3, local zone; out holds TIME_RFC5322 bytes. */
enum { TIME_RFC5322 = 40, TIME_SYSLOG = 16, TIME_ISO = 40 };
void        wall_rfc5322(struct wall w, char out[TIME_RFC5322]);
void        wall_syslog(struct wall w, char out[TIME_SYSLOG]); /* "Nov 23 23:32:01", local zone */
void        wall_iso(struct wall w, char out[TIME_ISO]);       /* "2026-11-23T23:32:01.123456+00:00" */

#endif
