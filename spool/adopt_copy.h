/* SPDX-License-Identifier: Apache-2.0 */
/* adopt_copy.h - what the two files of adopt.h share: one file on its way in (adopt_copy.c), and a batch of them (adopt.c). */
#ifndef SPOOL_ADOPT_COPY_H
#define SPOOL_ADOPT_COPY_H

#include "spool/adopt.h"
#include "spool/files.h"
#include "spool/ledger.h"

enum { LOAD_PATH = 32 };

struct copy {
	char *path; /* of the source */
	struct adopt_how how;
	struct ledger_line line;
	bool there;     /* nothing to copy: only its source is to go */
	int source, fd; /* fd: load/ID, locked */
	enum err failed;
	char why[ERR_WHY_MAX];
};

struct adopt {
	struct spool *s;
	adopt_fn *fn;
	void *arg;
	struct ledger ledger;
	struct copy *v; /* ADOPT_MAX of them */
	size_t n;
};


const char *load_path(uint64_t id, char out[LOAD_PATH]);
void        copy_tell(struct adopt *a, const struct copy *c, enum adopt_fate fate, const char *why);
void        copy_drop(struct adopt *a, const struct copy *c);  /* its load/ID, if it made one */
void        copy_free(struct copy *c);

#endif
