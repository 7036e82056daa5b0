/* SPDX-License-Identifier: Apache-2.0 */
/* macro.h - what ${name} in a word of argv stands for.  Pure. */
#ifndef PIPE_MACRO_H
#define PIPE_MACRO_H

#include "pipe/pipe.h"

/* Are all macros of this word known?  E_SYNTAX; envelope becomes true when one stands in the message's file. */
enum err macro_check(struct str word, bool *envelope) MUST_USE;
/* Has it one that each recipient has his own of? */
bool     macro_per_recipient(struct str word);
/* Append the word as it is for this recipient (NULL: it has no such macro).  False: out's ceiling. */
bool     macro_expand(const struct pipe_words *w, struct str word, const struct msg_rcpt *r, struct buf *out);

#endif
