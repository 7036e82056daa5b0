/* SPDX-License-Identifier: Apache-2.0 */
/* files.h - what the files of spool/ share and nobody else sees. */
#ifndef SPOOL_FILES_H
#define SPOOL_FILES_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/statvfs.h>
#include <sys/types.h>

#include "spool/layout.h"
#include "spool/redo.h"
#include "spool/removed.h"
#include "spool/spool.h"

enum {
	HASHES = 256, HASH_SHIFT = 32,                 /* bits 39..32 of the id name the hash directory */
	SPOOL_PATH = 32,                               /* "incoming/HH/0123456789ABCDEF" */
	/* Modes of a spool that accounts share, docs/SPOOL.md.  Its top directories keep everybody else out. */
	SPOOL_CREATORS = 03777, SPOOL_READERS = 02755, SPOOL_SHARED_FILE = 0664,
	SPOOL_REDO_DIR = 03770, SPOOL_REDO_FILE = 0640,
	LANES = 2,                                     /* batches under way at once; measured, see docs/SPOOL.md */
	BATCH_MAX = 256,
	SYNCFS_MIN = 3,                                /* smallest batch that one syncfs() serves better; measured */
	LANE_DIRS = 16,                                /* directories a lane keeps open from one batch to the next */
};

/* Descriptors that one batch at a time uses.  A write-back error is told once for each open file, so two batches must
 * not share one, and it must be open before the files whose fate it is to tell are made. */
struct lane {
	bool busy;
	int  root;                                     /* queue_directory, for syncfs(); -1: not open */
	int  parent;                                   /* incoming/ */
	int  dir[HASHES];                              /* incoming/HH; -1 */
	int  ndirs;
	struct redo redo;
};

struct spool {
	char           *path;
	int             root;
	enum spool_sync sync;
	bool            readonly;
	mode_t          dir_mode, file_mode;
	uid_t           owner_uid;                     /* what root makes here belongs to the spool's owner */
	gid_t           owner_gid;
	bool            give;                          /* … who is not root himself */
	_Atomic bool    known[HASHES];                 /* incoming/HH exists and its name is durable */
	int             lock_file;
	struct batch   *batch;                         /* made with the first entry */
	size_t          refs;                          /* spool_open()'s and the entries'; the logic thread's */
	bool            closed;                        /* by its owner */
	struct tasks    keeper;                        /* makes checkpoints while a redo log holds something */
	struct removed  removed;

	pthread_mutex_t mutex;                         /* for the rest */
	struct lane     lanes[LANES];
	struct statvfs  space;
	struct time     space_until;
};

/* The time and sequence that follow `was`: a clock that stands still or goes back changes nothing. */
uint64_t    qid_count(uint64_t was, struct wall now);
unsigned    spool_hash(uint64_t id);
const char *spool_hash_path(enum spool_dir d, unsigned hash, char out[SPOOL_PATH]);
const char *spool_path(enum spool_dir d, uint64_t id, char out[SPOOL_PATH]);
/* May a redo log still stand for it?  A checkpoint comes every REDO_CHECKPOINT_MS, and logs of processes that are gone are soon
 * dealt with: a minute is far beyond both. */
bool        spool_is_young(uint64_t id);

void     spool_unref(struct spool *s);
/* rename() that never replaces a message; errno tells. */
int      rename_new(int root, const char *from, const char *to);
/* What root has made below queue_directory goes to the spool's owner. */
enum err spool_give(const struct spool *s, const char *path) MUST_USE;
/* fsync() a directory by its name below queue_directory. */
enum err spool_sync_dir(struct spool *s, const char *path) MUST_USE;
/* Make a hash directory (being there already is fine) and its name durable. */
enum err spool_make_hash(struct spool *s, enum spool_dir d, unsigned hash) MUST_USE;
enum err spool_may_write(const struct spool *s) MUST_USE;

/* -- entering -- */
/* The envelope as it stands in the file; false: too large. */
bool        envelope_put(struct buf *b, const struct spool_msg *m);
struct entry {
	struct batch_item    item;
	struct spool        *spool;
	struct layout_header h;
	struct buf           b;                        /* the file from `written` on */
	uint64_t             written;
	int                  fd;                       /* the file, locked, once it is made; else -1 */
	int                  dir;                      /* its directory, once spilled; else -1 */
	enum err             failed;                   /* words in item.why */
	bool                 marked;                   /* the commit mark may have reached the file */
	bool                 abandoned;
	bool                 logged;                   /* durable in the redo log */
	bool                 dsn;                      /* the envelope has options: MF_DSN */
};
/* Make incoming/HH/ID in dir, locked for as long as it is open (E_NOENT: dir is gone). */
enum err entry_create(struct entry *e, int dir) MUST_USE;
enum err entry_open_dir(struct spool *s, unsigned hash, int *fd) MUST_USE;
/* Write what is gathered; makes the file when there is none yet.  Blocks. */
enum err entry_spill(void *entry) MUST_USE;
void     entry_free(struct entry **e);
void     commit_batch(struct list *items, void *spool);
void     lane_close(struct lane *l);

/* -- reading -- */
enum { PEEK = 16 << 10 };                              /* most messages fit into the first read */
struct peek {
	int      fd;
	uint64_t id;
	uint64_t size;                                 /* of the file */
	size_t   have;
	char     first[PEEK];
	struct layout_header h;
};
/* Open the file at path below dir and read its first bytes. */
enum err peek_open(struct peek *k, int dir, const char *path, int flags, uint64_t id) MUST_USE;
void     peek_close(struct peek *k);
/* n bytes at offset `at` into `to`, which holds n; all of them must be inside the file. */
enum err peek_bytes(const struct peek *k, uint64_t at, size_t n, char *to) MUST_USE;
/* Rule 2: is it committed, damaged or debris?  On OK k->h is good.  d matters: only incoming has debris. */
enum err peek_check(struct peek *k, enum spool_dir d) MUST_USE;
enum err peek_view(struct peek *k, enum spool_dir d, bool check_content, struct spool_view *v) MUST_USE;
static inline uint64_t layout_end(const struct layout_header *h) { return h->content_at + h->size + LAYOUT_MARK; }

/* -- the journal -- */
/* Walk it: the next whole entry's payload; false at the end, then `torn` or `damaged` tell of what follows. */
struct journal { struct str rest; uint64_t good; uint32_t seq; bool torn, damaged; };
bool     journal_next(struct journal *j, struct str *payload);
/* Replay all of it into v. */
/* All records, as spool_history(). */
enum err journal_records(const struct peek *k, struct buf *records, bool *cut) MUST_USE;
enum err journal_replay(struct str all, struct spool_view *v) MUST_USE;

#endif
