/* SPDX-License-Identifier: Apache-2.0 */
/* maildrop.h - mail handed in on this host: written by postdrop on behalf of any user, whether the mail system runs or not,
 * and taken from there by pickup.  docs/SPOOL.md section 9.
 *
 * maildrop/ID is a message file like any other (spool/layout.h), not hashed, without a journal.  It belongs to the user who
 * handed it in, whom the directory keeps out; what is in it is as trustworthy as he is.  All functions block on the
 * disk. */
#ifndef SPOOL_MAILDROP_H
#define SPOOL_MAILDROP_H

#include <sys/types.h>

#include "spool/spool.h"

/* What sendmail says to postdrop on its standard input: u32 length and a submit_head; then content in pieces of u32 length and bytes, line ends
 * as they are; a piece of length 0 ends it, so that one who dies half-way is told from one who is done. */
enum { SUBMIT_VERSION = 1, SUBMIT_HEAD_MAX = 64 << 20, SUBMIT_PIECE_MAX = 64 << 10 };
/* flags: MF_BODY8, MF_UTF8; rcpts: envelope_rcpt of spool/layout.h, one after another. */
#define SUBMIT_HEAD(F) F(u32, version) F(str, sender) F(u8, ret) F(str, envid) F(u32, flags) F(str, rcpts)
WIRE_DECLARE(submit_head, SUBMIT_HEAD)

/* -- postdrop -- */
struct maildrop;
/* m: arrived and the envelope; the id is made here.  queue_directory/maildrop must be there. */
enum err maildrop_new(const char *queue_directory, const struct spool_msg *m, struct maildrop **out) MUST_USE;
enum err maildrop_add(struct maildrop *d, struct str content) MUST_USE;
uint64_t maildrop_size(const struct maildrop *d);
/* OK: file and name are durable.  The handle is gone, whatever the result; on error no file is left. */
enum err maildrop_commit(struct maildrop **d) MUST_USE;
void     maildrop_abort(struct maildrop **d);          /* NULL is a no-op */

/* -- pickup -- */
struct dropped {
	int               fd;                          /* content: [msg.content_at, msg.content_at + msg.size) */
	uid_t             uid;                         /* who handed it in */
	struct spool_view view;
};
/* Ids of all that is there, oldest first. */
enum err maildrop_list(struct spool *s, void (*fn)(void *arg, uint64_t id), void *arg) MUST_USE;
/* Read and check all of it.  E_BUSY: still being written; E_EOF: its writer died, nobody was told that it was taken;
 * E_CORRUPT: damaged, or not from postdrop; E_NOENT. */
enum err maildrop_open(struct spool *s, uint64_t id, struct dropped *d) MUST_USE;
void     dropped_close(struct dropped *d);
enum err maildrop_remove(struct spool *s, uint64_t id) MUST_USE;
enum err maildrop_set_aside(struct spool *s, uint64_t id) MUST_USE;    /* to corrupt/ */

#endif
