/* SPDX-License-Identifier: Apache-2.0 */
/* reach.h - a command's channel to qmgr; and when nobody answers, why. */
#ifndef CMD_REACH_H
#define CMD_REACH_H

#include "cmd/cmd.h"
#include "util/ipc.h"

struct reach {
	const struct cmd    *cmd;
	const struct params *params;
	struct ipc          *ipc;                      /* NULL: nobody answered */
	bool                 down;                     /* the mail system is; else it runs, though its qmgr does not answer */
	bool                 locked;                   /* and some process, which may be qmgr, has the spool's lock */
	char                 why[ERR_WHY_MAX + 32];                 /* "mail system is down", "qmgr does not answer: process 42 is stopped" */
};

enum { REACH_FRAME_MAX = 16 << 20 };

/* A living qmgr says hello as soon as its loop turns, whatever else it has to do.  One that has said nothing after a second,
 * and has done nothing meanwhile, will not; one that works is given ten.  False: nobody
 * answered. */
WAITS bool reach_open(struct reach *r, const struct cmd *c, const struct params *p);
void       reach_close(struct reach *r);

#endif
