/* SPDX-License-Identifier: Apache-2.0 */
/* frame.h - a command's environment.  Pure. */
#ifndef LOCAL_FRAME_H
#define LOCAL_FRAME_H

#include "local/name.h"
#include "spool/spool.h"

struct surroundings {
	const struct params    *p;
	const struct name      *name;                  /* on whose behalf */
	struct str              sender, original;
	const char             *user, *home, *shell;   /* whose rights */
	const struct spool_msg *m;                     /* where the mail came from; NULL: not known */
};
/* NAME=VALUE, a NUL after each.  What comes from outside has bytes outside command_expansion_filter made '_'. */
bool frame_environment(const struct surroundings *s, struct buf *out);

#endif
