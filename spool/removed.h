/* SPDX-License-Identifier: Apache-2.0 */
/* removed.h - the ids of messages that are finished: what a redo log (spool/redo.h) must not put back.  Rule R10.6 of docs/SPOOL.md.
 *
 * Two files, `redo/removed.0` and `redo/removed.1`, in turn: each is written for REMOVED_SECONDS, then the other is begun anew, so
 * that a note is there for at least that long.  A note is 16 bytes: the id, and the id mixed with REMOVED_MIX; one that does not
 * check out was never finished and is passed over. */
#ifndef SPOOL_REMOVED_H
#define SPOOL_REMOVED_H

#include <pthread.h>

#include "spool/spool.h"

enum {
	REMOVED_NOTE = 16,
	REMOVED_SECONDS = 120,                         /* far beyond the time between two checkpoints */
	REMOVED_SYNC_MS = 200,                         /* while there are many, notes are durable after that */
	REMOVED_SYNC_MIN = 16,                         /* fewer are left to the kernel: a few second copies cost less than a disk that never rests */
};
#define REMOVED_MIX UINT64_C(0x5245444F474F4E45)

struct removed {
	pthread_mutex_t lock;
	int             fd;                            /* -1: not open */
	struct time     opened, synced;
	size_t          unsynced;
};
void removed_init(struct removed *r);
void removed_fini(struct removed *r);

/* Note them, before their files go.  A note that cannot be written costs a second copy at worst, and only after a crash.  Blocks. */
void removed_note(struct spool *s, const uint64_t *ids, size_t n);

/* All that are noted, in order; empty when none can be read. */
struct removed_ids { uint64_t *v; size_t n; };
void removed_load(const struct spool *s, struct removed_ids *out);
bool removed_has(const struct removed_ids *ids, uint64_t id);
void removed_free(struct removed_ids *ids);

#endif
