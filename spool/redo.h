/* SPDX-License-Identifier: Apache-2.0 */
/* redo.h - the redo log: what makes a busy spool durable with one small write instead of a commit of the whole file system.
 * Rules R10 of docs/SPOOL.md.
 *
 * Messages are files in incoming all the same, but the kernel may write those out when it likes: until a checkpoint (one syncfs)
 * has made the files durable, their bytes are in the log as well, and the log is.  When its writer is gone, whoever has the spool
 * locked puts back what the files lost, but not what was removed (spool/removed.h), and removes the log.
 *
 * A log is a file `redo/PID.LANE.N`, locked by its writer as long as that lives:
 *
 *	64 bytes    the header: REDO_HEADER, zeros behind it
 *	records     REDO_RECORD, then `size` bytes: the message's file as it was committed
 *	zeros       until somebody needs the room
 *
 * A record counts if all before it do, if it has the first one's generation, and if it checks out.  A checkpoint blanks the
 * first record and begins a new generation, so that what stands behind it is no longer reached. */
#ifndef SPOOL_REDO_H
#define SPOOL_REDO_H

#include <pthread.h>
#include <stdatomic.h>

#include "spool/spool.h"
#include "util/wire.h"

enum {
	REDO_HEAD = 64,                                /* where records begin */
	REDO_RECORD_SIZE = 40,
	REDO_MAGIC = 0x4F444552,                       /* "REDO" */
	REDO_VERSION = 1,
	REDO_FILE_MAX = 16 << 20,                      /* then a checkpoint is due; the other file's turn comes at half of it */
	REDO_STEP = 1 << 20,                           /* how much it grows at a time */
	REDO_MESSAGE_MAX = 160 << 10,                  /* all that are built in memory; larger ones are not written twice */
	REDO_BUSY = 16,                                /* messages a second from which on a log pays */
	REDO_CHECKPOINT_MS = 2000,
	REDO_PAUSE = 60,                               /* seconds without a log when the disk failed, or was full */
};

#define REDO_HEADER(F) F(u32, magic) F(u32, version) F(u32, crc)
#define REDO_RECORD(F) F(u32, magic) F(u32, size) F(u64, generation) F(u64, at) F(u64, id) F(u32, image_crc) F(u32, crc)
WIRE_DECLARE(redo_header, REDO_HEADER)
WIRE_DECLARE(redo_record, REDO_RECORD)
/* put: with its crc.  take: false when it does not check out. */
bool redo_header_seal(struct buf *b, struct redo_header *h);
bool redo_header_check(struct str in, struct redo_header *h);
bool redo_record_seal(struct buf *b, struct redo_record *r);
bool redo_record_check(struct str in, struct redo_record *r);

/* One file of it. */
struct redo_log {
	pthread_mutex_t lock;                          /* for all of it */
	int             fd;                            /* -1: none yet */
	int             root;                          /* for syncfs, opened before the first record: see struct lane */
	char            name[40];
	uint64_t        generation, at;                /* at: where the next record goes */
	uint64_t        size;                          /* of the file, zeros behind the records */
	bool            unsynced;                      /* the disk failed in a checkpoint */
	bool            kept;                          /* and the file is needed still */
	_Atomic bool    dirty;                         /* it holds records */
};

/* One lane's log: two files in turn, so that one is written to while a checkpoint waits for the disk to make the other one needless. */
struct redo {
	struct redo_log log[2];
	unsigned        lane;
	pthread_mutex_t lock;                          /* for the rest, and `kept` */
	unsigned        turn;                          /* the one that is written to */
	struct time     off_until;                     /* the disk failed */
	int64_t         second;                        /* of the count */
	size_t          count, before;                 /* messages in this second and the one before */
};
void redo_init(struct redo *r, unsigned lane);
void redo_fini(struct spool *s, struct redo *r);       /* what it holds stays for whoever finds it */
bool redo_is_dirty(struct redo *r);                    /* it holds records */

/* Put the small ones of these entries into the log if that pays, and mark them logged: they are durable then.  The others, and all
 * when the log fails, are left to be synced.  Blocks. */
void redo_write(struct spool *s, struct redo *r, struct list *entries);
/* Make the files durable that the log holds, and empty it.  Blocks. */
void redo_checkpoint(struct spool *s, struct redo *r);

/* The log at fd, record by record: fn(arg, id, image); false stops. */
void redo_walk(int fd, bool (*fn)(void *arg, uint64_t id, struct str image), void *arg);
/* With the spool locked (R10.1): put back what a crash took, and remove the logs of processes that are gone. */
void redo_replay(struct spool *s);
/* The disk failed while it made files durable: write them again from the log, fsync each.  E_IO when that fails too. */
enum err redo_rewrite(struct spool *s, int fd) MUST_USE;

#endif
