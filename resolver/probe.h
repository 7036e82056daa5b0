/* SPDX-License-Identifier: Apache-2.0 */
/* probe.h - does libunbound's thread still answer?  A call that fails in it may make it lose its place in the pipe by which
 * questions come, or end without a word, and all questions from then on would go unanswered.  A question about a zone of our
 * own, which it answers without asking anybody, tells; a process whose library is deaf ends, and master starts another. */
#ifndef RESOLVER_PROBE_H
#define RESOLVER_PROBE_H

#include <stdbool.h>
#include <unbound.h>

#include "util/err.h"
#include "util/time.h"

enum err       probe_add_zone(struct ub_ctx *ctx) MUST_USE;    /* freezes the settings of ctx */
/* Look once; oldest: when the question was asked that has waited longest, TIME_NEVER if none does.  Ends the process. */
void           probe_look(struct ub_ctx *ctx, struct time oldest);
bool           probe_is_out(void);                     /* one has not been answered yet: look again soon */
void           probe_heard(void);                      /* the library has answered something */
/* As ub_resolve_async(), IN; ends the process when the pipe is out of step: then what was asked may be answered or not. */
int            probe_ask(struct ub_ctx *ctx, const char *name, int type, void *arg, ub_callback_type done) MUST_USE;

#endif
