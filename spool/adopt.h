/* SPDX-License-Identifier: Apache-2.0 */
/* adopt.h - message files from elsewhere taken into this spool, with their journals: docs/SPOOL.md R11.  Whether qmgr runs or not; it is
 * to be told of what was taken.  All functions block on the disk.
 *
 * load/ID is a copy that is not yet live; load/ledger has a line for each message that was ever taken, with the size of
 * the file: the same file is never taken twice, also when the message has long been delivered. */
#ifndef SPOOL_ADOPT_H
#define SPOOL_ADOPT_H

#include "spool/spool.h"

struct adopt;

enum adopt_fate {
	ADOPT_TAKEN,
	ADOPT_THERE,                                   /* it is in this spool already */
	ADOPT_BEFORE,                                  /* it was taken before, and has left the spool since; nothing is done */
	ADOPT_DAMAGED,                                 /* why says what; nothing is done */
	ADOPT_UNFINISHED,                              /* it was never committed: nobody was told that it is safe */
	ADOPT_FAILED                                   /* not this time */
};

struct adoption {
	const char     *path;
	uint64_t        id;                            /* 0: not known */
	enum spool_dir  dir;                           /* where it now is */
	enum adopt_fate fate;
	const char     *why;                           /* "" when all is well */
};

struct adopt_how {
	enum spool_dir dir;                            /* incoming, deferred or hold; SPOOL_DIR_COUNT: as its journal says */
	bool           keep;                           /* the source is not removed */
	bool           again;                          /* also what was taken before */
	bool           dry;                            /* only look */
};

/* Called once for each file that was added, when its fate is known. */
typedef void adopt_fn(void *arg, const struct adoption *a);

/* s is open for writing.  What a former one left behind is forgotten: its source is still there.  E_BUSY: another one is at work. */
enum err adopt_open(struct spool *s, adopt_fn *fn, void *arg, struct adopt **out) MUST_USE;
/* Look at a file; with how->dry or when it is not to be taken fn is called at once. */
void     adopt_add(struct adopt *a, const char *path, const struct adopt_how *how);
/* How many are waiting for adopt_commit(); never more than ADOPT_MAX. */
enum { ADOPT_MAX = 128 };
size_t   adopt_waiting(const struct adopt *a);
/* Make them all durable and live, then remove their sources.  E_NOSPACE and the like: fn has said ADOPT_FAILED of each. */
enum err adopt_commit(struct adopt *a) MUST_USE;
void     adopt_close(struct adopt **a);

#endif
