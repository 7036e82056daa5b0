/* SPDX-License-Identifier: Apache-2.0 */
/* pipe.h - what a service of pipe is told in master.cf, and the command line made of it for one delivery.  Pure.
 *
 *	maildrop unix - n n - - pipe flags=DRX user=vmail argv=/usr/bin/maildrop -d ${recipient}
 *
 * What comes from outside stands only where a ${macro} is in argv, as part of one word each, and no shell ever sees it. */
#ifndef PIPE_PIPE_H
#define PIPE_PIPE_H

#include "agent/job.h"

/* flags=: a letter each, as pipe(8) has them. */
enum {
	PIPE_BLANK_END   = 1,                          /* B: an empty line at the end */
	PIPE_DELIVERED   = 2,                          /* D: Delivered-To, and mail that has it already is a loop */
	PIPE_FROM        = 4,                          /* F: "From sender date" first */
	PIPE_ORIGINAL    = 8,                          /* O: X-Original-To */
	PIPE_RETURN_PATH = 16,                         /* R */
	PIPE_FINAL       = 32,                         /* X: this is the last stop, for reports of success */
	PIPE_FOLD_DOMAIN = 64,                         /* h: domains in lower case */
	PIPE_FOLD_USER   = 128,                        /* u: local parts in lower case */
	PIPE_QUOTE       = 256,                        /* q: local parts quoted where RFC 5321 wants it */
	PIPE_DOTS        = 512,                        /* .: a dot before lines that begin with one */
	PIPE_QUOTE_FROM  = 1024,                       /* >: ">" before lines that begin with "From " */
};

struct pipe_service {
	unsigned    flags;
	struct str  user, group;                       /* user= and its :group; "": none was said */
	struct str  directory, chroot, null_sender;
	bool        crlf;                              /* eol= */
	uint64_t    size;                              /* size=; 0: no limit */
	char      **argv;                              /* borrowed, NULL at the end */
	bool        envelope;                          /* argv has a macro that stands in the message's file */
};

/* The arguments of a line in master.cf.  E_SYNTAX with words when they cannot be. */
enum err pipe_service_parse(struct pipe_service *s, char **args) MUST_USE;

struct pipe_words {
	const struct pipe_service *service;
	const struct job          *job;
	const struct spool_msg    *envelope;           /* NULL unless service->envelope */
	size_t                     from, to;           /* of the job's recipients: a word with one of their macros is repeated for each */
};
/* The words, a NUL after each.  E_REFUSED: one would begin with "-" because of what came from outside, and be taken for an option;
 * E_TOOBIG: out's ceiling. */
enum err pipe_words(const struct pipe_words *w, struct buf *out) MUST_USE;

#endif
