/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <unistd.h>

#include "cmd/queue.h"

enum { STEP_MS = 100, PATIENCE_MS = 500 };

/* Short work says nothing. */
void
progress_begin(struct progress *p, const char *what, uint64_t total)
{
	*p = (struct progress){ what, total, time_after_ms(time_now(), PATIENCE_MS),
		isatty(STDERR_FILENO) != 0, false };
}

void
progress_at(struct progress *p, uint64_t done)
{
	if (!p->on || time_before(time_now(), p->next))
		return;
	p->next = time_after_ms(time_now(), STEP_MS);
	p->shown = true;
	fprintf(stderr, "\r%s: %" PRIu64, p->what, done);
	if (p->total > 0)
		fprintf(stderr, " of %" PRIu64 " (%d%%)", p->total, (int)(done * 100 / p->total));
	fputs("\033[K", stderr);
	fflush(stderr);
}

void
progress_end(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
	*p = (struct progress){ 0 };
}
