/* SPDX-License-Identifier: Apache-2.0 */
#include "util/fifo.h"

#include <string.h>

#include "util/mem.h"

enum { FIFO_LEAST = 64 };

static void
fifo_grow(struct fifo *f)
{
	size_t former = f->cap;

	f->cap = former ? 2 * former : FIFO_LEAST;
	f->v = mem_grow(f->v, f->cap * sizeof *f->v);
	/* What had come round the end moves behind it. */
	memcpy(f->v + former, f->v, f->first * sizeof *f->v);
}

void
fifo_push(struct fifo *f, uint64_t x)
{
	if (f->n == f->cap)
		fifo_grow(f);
	f->v[(f->first + f->n++) & (f->cap - 1)] = x;
}

bool
fifo_pop(struct fifo *f, uint64_t *x)
{
	if (f->n == 0)
		return false;
	*x = f->v[f->first];
	f->first = (f->first + 1) & (f->cap - 1);
	if (--f->n == 0 && f->cap > FIFO_LEAST)
		fifo_fini(f);
	return true;
}

bool
fifo_ends_with(const struct fifo *f, uint64_t x)
{
	return f->n > 0 && f->v[(f->first + f->n - 1) & (f->cap - 1)] == x;
}

void
fifo_fini(struct fifo *f)
{
	mem_free(&f->v);
	*f = (struct fifo){ 0 };
}
