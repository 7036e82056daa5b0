/* SPDX-License-Identifier: Apache-2.0 */
/* frame.h - the lines that mail gets before its header on its way out of the mail system, into a mailbox or a command.  Pure. */
#ifndef AGENT_FRAME_H
#define AGENT_FRAME_H

#include "util/buf.h"
#include "util/time.h"

/* "From sender date" as in mailbox files, Return-Path, X-Original-To, Delivered-To. */
enum { FRAME_FROM = 1, FRAME_RETURN_PATH = 2, FRAME_ORIGINAL = 4, FRAME_DELIVERED = 8, FRAME_ALL = 15 };
struct frame {
	struct str sender;                             /* "" is the null sender */
	struct str original;                           /* recipient as first given */
	struct str delivered;                          /* for Delivered-To */
	unsigned   lines;                              /* FRAME_: which of them */
	struct wall now;
};
/* In that order; with LF. */
bool frame_head(const struct frame *f, struct buf *out);

#endif
