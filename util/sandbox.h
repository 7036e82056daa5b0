/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox.h - what a process gives up for good: new privileges (no_new_privs), system calls (seccomp), files and TCP ports
 * (Landlock).  mail/promises.h says it in words; this does it.
 *
 * What the kernel cannot do is left out with a line of debug: a sandbox is a second wall, and a mail system without it works.
 * A call that was not promised is not made.  One that only an intruder would try (DEADLY below) ends the process with
 * SIGSYS; any other fails with ENOSYS or EACCES, so that a newer C library that tries something new goes on as on an older
 * kernel.  Both are logged: "system call NAME (NUMBER) is not among the promises of PROG". */
#ifndef UTIL_SANDBOX_H
#define UTIL_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "util/err.h"

/* Sets of system calls.  What every process needs (memory, threads, waiting, reading and writing what is open, opening
 * files, UNIX sockets) is always there. */
enum {
	CALLS_FILES   = 1,                             /* make, rename, remove, sync files and directories */
	CALLS_STREAMS = 2,                             /* sockets of TCP over IPv4 and IPv6 */
	CALLS_DATAGRAMS = 4,                           /* the same of UDP */
	CALLS_ACCOUNTS = 8,                            /* what NSS modules may need besides */
	CALLS_PROGRAMS = 16,                           /* start programs, become another user, wait for them */
	CALLS_JIT     = 32,                            /* memory that is written and executed */
};

/* What may be done with the files below a directory, or with one file. */
enum {
	FILES_READ    = 1,
	FILES_LIST    = 2,                             /* open directories */
	FILES_WRITE   = 4,                             /* open for writing, truncate */
	FILES_CREATE  = 8,                             /* files and directories */
	FILES_REMOVE  = 16,
	FILES_MOVE    = 32,                            /* rename between directories that both have this */
	FILES_EXECUTE = 64,
};

struct sandbox_place { const char *path; unsigned rights; };

struct sandbox {
	const char                 *prog;              /* for the log */
	unsigned                    calls;             /* CALLS_ */
	const struct sandbox_place *places;            /* those that do not exist are passed over */
	size_t                      nplaces;
	bool                        connects;          /* TCP connections to anywhere */
	bool                        programs;          /* starts programs that must not be bound by any of this, set-id ones among
	                                                  them: only what no program of a user needs is given up, and only by root */
};

/* Before any other thread is there: Landlock binds the calling thread and those it starts.  E_PERM, E_IO: something the kernel
 * has could not be applied. */
enum err sandbox_enter(const struct sandbox *s) MUST_USE;
/* The first part of it alone. */
enum err sandbox_no_new_privs(void) MUST_USE;
/* False in builds that no sandbox can hold: sanitizers and coverage do things of their own. */
bool     sandbox_is_built(void);

/* -- for sandbox.c and its tests -- */
/* The kernel's Landlock: its version, 0 without. */
int      sandbox_landlock_version(void);
enum err sandbox_files(const struct sandbox *s) MUST_USE;
enum err sandbox_calls(const struct sandbox *s) MUST_USE;

#endif
