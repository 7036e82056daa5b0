/* SPDX-License-Identifier: Apache-2.0 */
/* environment.h - what every command finds in its environment, whoever runs it: PATH, and what export_environment names. */
#ifndef AGENT_ENVIRONMENT_H
#define AGENT_ENVIRONMENT_H

#include "mail/params.h"
#include "util/buf.h"

/* NAME=VALUE, a NUL after each; PATH is /usr/bin:/bin unless it is exported.  False: out's ceiling. */
bool environment_add(const struct params *p, struct buf *out);

#endif
