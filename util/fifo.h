/* SPDX-License-Identifier: Apache-2.0 */
/* fifo.h - numbers that wait in a row, first in, first out: a ring that grows as it must, and gives its memory back when it is empty.
 * A zeroed one is empty. */
#ifndef UTIL_FIFO_H
#define UTIL_FIFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fifo {
	uint64_t *v;
	size_t    first, n, cap;                       /* cap: a power of two, or 0 */
};

void fifo_push(struct fifo *f, uint64_t x);
bool fifo_pop(struct fifo *f, uint64_t *x);            /* false: it is empty */
bool fifo_ends_with(const struct fifo *f, uint64_t x); /* is x what was pushed last? */
void fifo_fini(struct fifo *f);

#endif
