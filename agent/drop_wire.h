/* SPDX-License-Identifier: Apache-2.0 */
/* drop_wire.h - what a daemon says to `deliver`, and what that answers: one frame each (util/ipc.h's form) on descriptor 3 of
 * deliver.  Both are of one build: it is the same installation's program that is started. */
#ifndef AGENT_DROP_WIRE_H
#define AGENT_DROP_WIRE_H

#include "util/wire.h"

enum { DROP_FD = 3, DROP_FRAME_MAX = 4 << 20, DROP_OUTPUT_MAX = 1 << 20, DROP_TAG_REQUEST = 1, DROP_TAG_ANSWER = 2 };

/* The fields of struct drop; [at, at + size) of descriptor 0 is the content; host: for names in a Maildir. */
#define DROP_REQUEST(F) \
	F(u8,  kind) \
	F(u8,  has_user) \
	F(str, user) \
	F(u32, uid) \
	F(u32, gid) \
	F(str, path) \
	F(str, chroot) \
	F(str, argv) \
	F(str, env) \
	F(str, head) \
	F(u32, flags) \
	F(u64, size_limit) \
	F(u32, seconds) \
	F(u64, at) \
	F(u64, size) \
	F(str, host)

#define DROP_ANSWER(F) \
	F(u32, err) \
	F(u32, status) \
	F(str, esc) \
	F(str, why) \
	F(str, output)

WIRE_DECLARE(drop_request, DROP_REQUEST)
WIRE_DECLARE(drop_answer, DROP_ANSWER)

#endif
