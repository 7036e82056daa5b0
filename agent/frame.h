/* SPDX-License-Identifier: Apache-2.0 */
/* frame.h - the lines that mail gets before its header on its way out of the mail system, into a mailbox or a command.  Pure. */
#ifndef AGENT_FRAME_H
#define AGENT_FRAME_H

#include "util/buf.h"
#include "util/time.h"

struct frame {
	struct str sender;                             /* "" is the null sender */
	struct str original;                           /* recipient as first given */
	struct str delivered;                          /* for Delivered-To; "": none */
	bool       from_line;                          /* "From sender date", as in mailbox files */
	struct wall now;
};
/* From_ line, Return-Path, X-Original-To, Delivered-To; with LF. */
bool frame_head(const struct frame *f, struct buf *out);

#endif
