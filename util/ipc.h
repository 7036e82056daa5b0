/* SPDX-License-Identifier: Apache-2.0 */
/* ipc.h - frames between our own processes over a UNIX stream socket: u32 length of what follows, u16 tag, body.
 * What is sent is queued and leaves once a turn of the loop, many frames a write.  A peer that sends garbage or lets its
 * queue grow past the ceiling is dropped: the channel is then dead and every call returns an error. */
#ifndef UTIL_IPC_H
#define UTIL_IPC_H

#include "util/buf.h"
#include "util/err.h"
#include "util/task.h"

struct ipc;

/* Takes over fd, which must be registered with the loop.  max_frame: largest body taken; max_queued: most bytes waiting to
 * go out (0: 16 MiB). */
struct ipc    *ipc_new(int fd, size_t max_frame, size_t max_queued);
void           ipc_free(struct ipc **c);               /* closes; what is queued is lost */
/* Queue a frame; never waits.  E_NOSPACE: the ceiling is reached and this frame was not queued (the channel lives);
 * E_EOF: the channel is dead. */
enum err       ipc_send(struct ipc *c, uint16_t tag, struct str body) MUST_USE;
/* Build a frame in place: append the body to the returned buf, then ipc_end().  NULL when dead or full.  No wait between. */
struct buf    *ipc_begin(struct ipc *c, uint16_t tag);
void           ipc_end(struct ipc *c);
/* Next frame; body is valid until the next ipc_recv.  One receiver per channel.  */
WAITS enum err ipc_recv(struct ipc *c, uint16_t *tag, struct str *body, struct time deadline) MUST_USE;
bool           ipc_has_frame(const struct ipc *c);     /* a whole frame is already here: ipc_recv() will not wait */
WAITS enum err ipc_flush(struct ipc *c, struct time deadline) MUST_USE;        /* until the queue is empty */
size_t         ipc_queued(const struct ipc *c);        /* bytes waiting to go out */
bool           ipc_dead(const struct ipc *c);

#endif
