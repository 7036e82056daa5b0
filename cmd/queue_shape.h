/* SPDX-License-Identifier: Apache-2.0 */
/* queue_shape.h - the table of qshape: a row a domain, a column an age. */
#ifndef CMD_QUEUE_SHAPE_H
#define CMD_QUEUE_SHAPE_H

#include "cmd/queue.h"
#include "util/map.h"

enum { SHAPE_BUCKETS_MAX = 60 };

struct shape {
	bool     senders;                              /* of senders, not of recipients */
	bool     parents;                              /* parent domains have rows, too */
	unsigned min_subdomains;                       /* … those with as many */
	unsigned buckets;
	unsigned minutes;                              /* of the first bucket */
	bool     linear;                               /* all as wide as the first, not each twice the one before */
	unsigned width;                                /* of the table, columns */
	unsigned top;                                  /* most rows; 0: all */
	int64_t  now;                                  /* us since 1970 */
	struct map rows;
	struct buf key;
	uint64_t total[SHAPE_BUCKETS_MAX + 1];
};

void shape_init(struct shape *s);                      /* as qshape does without options */
void shape_item(void *shape, const struct msg_item *item);
void shape_print(const struct shape *s, struct buf *out);
void shape_fini(struct shape *s);

#endif
