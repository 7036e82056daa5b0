/* SPDX-License-Identifier: Apache-2.0 */
/* submit.h - a message handed to postdrop, which alone may write into maildrop/. */
#ifndef CMD_SUBMIT_H
#define CMD_SUBMIT_H

#include <sys/types.h>

#include "cmd/cmd.h"
#include "spool/spool.h"
#include "util/buf.h"

struct submission {
	struct buf sender, envid, rcpts;               /* rcpts: envelope_rcpt ... */
	size_t     nrcpts;
	uint8_t    ret, notify;                        /* notify: of recipients added from now on */
	uint32_t   flags;                              /* MF_BODY8 MF_UTF8 */
	int        to;                                 /* postdrop's standard input; -1: not started */
	pid_t      pid;
};

void submit_init(struct submission *s);
void submit_fini(struct submission *s);                /* one that was not ended is called off */
/* An address as sendmail takes it: "user", "user@domain", quoting as given; no blanks or control characters outside quotes. */
bool submit_is_address(struct str addr);
/* Copied.  False: too many. */
bool submit_rcpt(struct submission *s, struct str addr);
/* Start postdrop and give it the envelope, content piece by piece, the end.  Once anything fails the rest does nothing; the exit status
 * of submit_end() tells: EX_OK is the only one that means that the message is safe; the reason is on stderr. */
void submit_begin(struct submission *s, const struct cmd *c, const struct params *p);
void submit_add(struct submission *s, struct str content);
int  submit_end(struct submission *s);

#endif
