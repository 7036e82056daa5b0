/* SPDX-License-Identifier: Apache-2.0 */
/* program.h - what master knows about the programs of the table: one line each. */
#ifndef MASTER_PROGRAM_H
#define MASTER_PROGRAM_H

#include <stdbool.h>

/* Told to end with the first, or when those are gone: what they still have to say must find a listener. */
enum program_end { END_FIRST, END_LAST };

struct program {
	const char      *name;
	bool             solitary;                     /* never two at once: its maxproc must be 1 */
	enum program_end end;
};

/* Never NULL: programs that are not in the table get its last line. */
const struct program *program_find(const char *name);

#endif
