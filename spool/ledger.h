/* SPDX-License-Identifier: Apache-2.0 */
/* ledger.h - which messages were ever loaded (spool/adopt.h): load/ledger, lines of "ID SIZE DIRECTORY INODE", the last being that of load/ID.
 * The same with "undone" for the directory takes the line back.  A line without its end was never finished.  For spool/ only. */
#ifndef SPOOL_LEDGER_H
#define SPOOL_LEDGER_H

#include "spool/spool.h"

struct ledger_line { uint64_t id, size, inode; enum spool_dir dir; bool undone; };
struct ledger {
	int                 fd;                        /* locked */
	uint64_t            end;                       /* of the last whole line */
	struct ledger_line *v;                         /* rising by id, then size */
	size_t              n, cap;
};

/* load/ and the ledger are made when missing.  E_BUSY: somebody else has it. */
enum err ledger_open(struct spool *s, struct ledger *l) MUST_USE;
void     ledger_close(struct ledger *l);
/* A line about this file; NULL: none. */
const struct ledger_line *ledger_find(const struct ledger *l, uint64_t id, uint64_t size);
/* The line about this very copy. */
const struct ledger_line *ledger_of(const struct ledger *l, uint64_t id, uint64_t inode);
/* Durable when OK; nothing was added otherwise. */
enum err ledger_add(struct spool *s, struct ledger *l, const struct ledger_line *lines, size_t n) MUST_USE;

#endif
