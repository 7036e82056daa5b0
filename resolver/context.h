/* SPDX-License-Identifier: Apache-2.0 */
/* context.h - libunbound, set up as the settings say. */
#ifndef RESOLVER_CONTEXT_H
#define RESOLVER_CONTEXT_H

#include "mail/params.h"
#include "util/err.h"

struct ub_ctx;

/* Answers come through ub_fd() and ub_process().  E_IO, E_SYNTAX with words: a setting that cannot be used. */
enum err context_new(const struct params *p, struct ub_ctx **out) MUST_USE;

#endif
