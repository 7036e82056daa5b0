/* SPDX-License-Identifier: Apache-2.0 */
/* queue_sum.h - adding up a listing by something, and short words for sizes and ages. */
#ifndef CMD_QUEUE_SUM_H
#define CMD_QUEUE_SUM_H

#include "cmd/queue.h"
#include "util/map.h"

struct sum_line {
	struct str key;
	uint64_t   messages, rcpts, bytes;
	int64_t    oldest;                             /* us since 1970 */
	size_t     place;                              /* lines with a lower one go first */
};

struct sum {
	enum queue_sum by;
	int64_t        now;                            /* us since 1970 */
	struct map     lines;
	struct buf     key;
};

void sum_item(void *sum, const struct msg_item *item);
/* NULL-terminated, to be freed; valid until sum_fini(). */
const struct sum_line **sum_sorted(const struct sum *s);
void sum_fini(struct sum *s);

enum { SHORT_TEXT = 32 };
const char *text_of_size(uint64_t bytes, char out[SHORT_TEXT]);        /* "512", "1.5K", "20M" */
const char *text_of_age(int64_t seconds, char out[SHORT_TEXT]);        /* "12s", "5m03s", "3h12m", "2d07h" */

#endif
