/* SPDX-License-Identifier: Apache-2.0 */
/* deliver.h - the program that finishes a local delivery as the recipient: one request, one answer, one process.  It blocks on
 * everything, and has nothing open but the message, the file it writes, and the line to who started it. */
#ifndef DELIVER_DELIVER_H
#define DELIVER_DELIVER_H

#include "agent/drop.h"
#include "agent/drop_wire.h"

struct delivering {
	struct drop_request r;
	char                esc[ESC_MAX];
	int                 status;
	struct buf          output;
};

/* Each: OK, E_REFUSED (for good), E_NOENT, else temporary; words with fail(), code in esc (set only when not the usual one). */
enum err deliver_mbox(struct delivering *d) MUST_USE;
enum err deliver_maildir(struct delivering *d) MUST_USE;
enum err deliver_command(struct delivering *d) MUST_USE;
enum err deliver_read(struct delivering *d) MUST_USE;

/* A mailbox is locked the two ways that other programs on this host know; each is waited for, up to 10 s: E_BUSY.
 * The dot lock, PATH.lock, holds "PID:HOST", as Dovecot's do.  One that names a process of this host which is no more is taken away at
 * once, any other when it is 500 s old.  *lock: its path, to be unlinked and freed; NULL where the directory is not ours to write in. */
enum err deliver_lock_dot(struct delivering *d, const char *path, char **lock) MUST_USE;
enum err deliver_lock_fcntl(struct delivering *d, const char *path, int fd) MUST_USE;

/* A failure whose code is not the error's own. */
enum err deliver_fail(struct delivering *d, enum err e, const char *esc, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Head and content, as flags say, in pieces to write(); stops at its first error. */
enum err deliver_copy(const struct delivering *d, enum err (*write)(void *arg, struct str piece), void *arg) MUST_USE;
enum err deliver_sync_parent(const char *path) MUST_USE;       /* the directory that path is in */

#endif
