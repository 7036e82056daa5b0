/* SPDX-License-Identifier: Apache-2.0 */
/* server.h - questions of the other processes, answered as answers come.
 *
 * libunbound runs in a thread of its own (ub_ctx_async) and hands results over through a descriptor that a task waits for.
 * Its event interface on our loop would save a hop between threads (some 10 us a question), but would put validation, which is
 * deep in stack and long in time, on the logic thread and its small stacks.  Answers are few: connections are kept, and the
 * library coalesces and caches. */
#ifndef RESOLVER_SERVER_H
#define RESOLVER_SERVER_H

#include "mail/service.h"

/* Serve until the service is told to end. */
WAITS void server_run(struct service *s);

#endif
