/* SPDX-License-Identifier: Apache-2.0 */
/* drop.h - the last step of a delivery on this host, as another user: append to a mailbox file, make a file in a Maildir, run a
 * command, read a user's file.  It is done by a process of its own, the program `deliver` in daemon_directory, which becomes that
 * user before it touches anything of his; a daemon that runs as root only starts it.  Without root everybody is the
 * caller, and a drop for another user fails with E_PERM (temporary).
 *
 * deliver gets the request on descriptor 3 and answers there; 0 is the message file.  What it says is durable when it says so:
 * mailbox files and Maildir files are fsynced, new names too. */
#ifndef AGENT_DROP_H
#define AGENT_DROP_H

#include <sys/types.h>

#include "agent/job.h"
#include "util/buf.h"

enum drop_kind {
	DROP_MBOX,                                     /* append to the file path, locked (fcntl, then path.lock), made 0600 when missing */
	DROP_MAILDIR,                                  /* a new file in path/new, by way of path/tmp; made 0700 when missing */
	DROP_COMMAND,                                  /* run argv, content on its standard input */
	DROP_READ,                                     /* the contents of the file path into output; never a device, never through a symlink of others */
};

enum {
	DROP_QUOTE_FROM = 1,                           /* ">" before lines that begin with "From " (and ">From ", …) */
	DROP_QUOTE_DOT  = 2,                           /* "." before lines that begin with "." */
	DROP_FINAL_DOT  = 4,                           /* a line of "." at the end */
	DROP_EMPTY_END  = 8,                           /* an empty line at the end */
	DROP_CRLF       = 16,                          /* lines end in CRLF; else in LF */
	DROP_NO_CONTENT = 32,                          /* the command gets no input */
	DROP_NO_SHELL   = 64,                          /* argv is run as it is, a single word too */
};

struct drop {
	enum drop_kind kind;
	const char    *user;                           /* becomes this one, with its groups; NULL: uid and gid alone */
	uid_t          uid;
	gid_t          gid;
	struct str     path;                           /* see kind; of a COMMAND: where it runs, "" is / */
	struct str     chroot;                         /* of a COMMAND; usually "" */
	struct str     argv;                           /* NUL after each word; a single word that needs a shell is given to /bin/sh -c, unless NO_SHELL */
	struct str     env;                            /* NAME=VALUE, NUL after each; nothing is inherited */
	struct str     head;                           /* written before the content, line ends LF: From_ line, Return-Path, Delivered-To … */
	unsigned       flags;                          /* DROP_ */
	uint64_t       size_limit;                     /* of a mailbox file after the append, of what READ reads; 0: none */
	long long      seconds;                        /* how long it may take; a command is killed with its group then */
	struct buf     output;                         /* out: the end of what a command said, cleaned; the file read */
	int            status;                         /* out: exit status of a command, or 128 + signal */
	char           esc[ESC_MAX];                   /* out: "2.0.0", "5.2.2", … : what it means for the recipient */
};

/* OK: done, durable.  E_REFUSED: failed for good (a command's exit status in sysexits.h says so, the file is too large …); E_NOENT: READ
 * found no such file; every other error is temporary.  Words in err_why(), as they go into the log line and the notice, e.g.
 * "can't create user output file. Command output: …"; esc is set always.  j: whose content it is. */
WAITS enum err drop_run(struct job *j, struct drop *d) MUST_USE;
void           drop_fini(struct drop *d);              /* frees output */

#endif
