/* SPDX-License-Identifier: Apache-2.0 */
/* spool.h - messages on disk.  docs/SPOOL.md numbers the rules; nothing outside spool/ knows where a message lives.
 *
 * A message is one file DIR/HH/ID below queue_directory (spool/layout.h): header, envelope, content exactly as it goes
 * on the wire less dot-stuffing, commit mark, then a journal of what happened, written by qmgr alone.  The directory is
 * the state: incoming (new), deferred (tried, or waiting to be), hold (an operator's), corrupt (set aside).
 *
 * Functions marked WAITS are for tasks (they offload); all others block on the disk and are for helper threads,
 * commands and start-up. */
#ifndef SPOOL_SPOOL_H
#define SPOOL_SPOOL_H

#include "mail/dsnparam.h"
#include <sys/types.h>

#include "util/buf.h"
#include "util/err.h"
#include "util/task.h"
#include "util/time.h"
#include "util/wire.h"

enum spool_dir { SPOOL_MAILDROP, SPOOL_INCOMING, SPOOL_ACTIVE, SPOOL_DEFERRED, SPOOL_HOLD, SPOOL_CORRUPT, SPOOL_DIR_COUNT };
const char *spool_dir_name(enum spool_dir d);
#define SPOOL_REDO "redo"                              /* a directory too, of logs: nothing in it is a message (spool/redo.h) */

/* Queue ids: 64 bits = 42 of ms since 1970, 8 of node, 10 of process slot, 4 of sequence; printed as 16 upper-case hex
 * digits, so they sort by time.  Never reused: each process counts on from its last one, borrowing from the next ms. */
enum { QID_TEXT = 17 };
const char *qid_text(uint64_t id, char out[QID_TEXT]);
bool        qid_parse(struct str text, uint64_t *id);
void        qid_setup(unsigned node, unsigned slot);
uint64_t    qid_new(void);

/* What the next hop must know of the content. */
enum {
	MF_8BIT  = 1,                                  /* has bytes over 127 */
	MF_DOTS  = 2,                                  /* has a line that starts with a dot */
	MF_LONG  = 4,                                  /* has a line of more than 998 bytes */
	MF_BODY8 = 8,                                  /* the client said BODY=8BITMIME */
	MF_NUL   = 16,                                 /* has NUL bytes */
	MF_LOCAL = 32,                                 /* made here: a notice, or submitted on this host */
	MF_DSN   = 64,                                 /* its envelope has options of RFC 3461; set by entry_commit() */
	MF_UTF8  = 128,                                /* the client said SMTPUTF8 */
	MF_REPORT = 256,                               /* the sender wants a report of the first attempt (sendmail -v) */
	MF_VERIFY = 512,                               /* only a report of what would be done (sendmail -bv): nothing is delivered */
};

/* Others in the list take this recipient's place, and his sender is told so if he asked to be told of success. */
enum { SPOOL_EXPANDED = 128 };
#define SPOOL_EXPANDED_ESC  "2.0.0"
#define SPOOL_EXPANDED_TEXT "alias expanded"

struct spool_rcpt {
	struct str addr;
	struct str orig;                               /* as first given; empty: same as addr */
	uint8_t    notify;                             /* NOTIFY_; with SPOOL_EXPANDED: nothing is to be delivered */
	struct str orcpt;                              /* "rfc822;user@example.com", xtext decoded; may be empty */
};

struct spool_msg {
	uint64_t           id;
	enum spool_dir     dir;
	struct wall        arrived;
	uint64_t           size;                       /* of the content, bytes */
	uint32_t           content_at;                 /* offset of the content in the file */
	uint32_t           flags;                      /* MF_ */
	struct str         sender;                     /* "" is the null sender */
	uint8_t            ret;                        /* RET_ */
	struct str         envid;                      /* xtext decoded; may be empty */
	struct spool_rcpt *rcpts;                      /* in the order given; their index is their name */
	size_t             nrcpts;
	struct str         client_name, client_addr, client_helo, protocol, login;     /* where it came from; may be empty */
};

enum spool_sync { SYNC_AUTO, SYNC_FSYNC, SYNC_SYNCFS, SYNC_NONE };
/* The setting spool_sync in words; anything unknown is the careful one. */
static inline enum spool_sync
spool_sync_of(const char *word)
{
	return strcmp(word, "fsync") == 0 ? SYNC_FSYNC :
	    strcmp(word, "syncfs") == 0   ? SYNC_SYNCFS :
	    strcmp(word, "none") == 0     ? SYNC_NONE :
					    SYNC_AUTO;
}

struct spool;
/* Open queue_directory, making what is missing; readonly makes nothing.
 * The first thing a process of the MTA does with it. */
enum err spool_open(const char *queue_directory, enum spool_sync sync, bool readonly, struct spool **out) MUST_USE;
WAITS void spool_close(struct spool **s);              /* waits, in a task, when much was entered just before */
/* Give the spool (all but maildrop) to those it belongs to, whatever it was before; what is right already costs a look at its
 * directories.  uid and gid are qmgr's.  shared: other accounts, members of the group `readers`, make and read messages, see
 * docs/SPOOL.md; otherwise all is uid's alone.  As root, while no other process uses it. */
struct spool_owners { uid_t uid; gid_t gid, readers; bool shared; };
enum err spool_share(struct spool *s, const struct spool_owners *o) MUST_USE;
/* Does this file system do what the rules need?  Tries create, append, rename, unlink, fsync; refuses with the reason. */
enum err spool_self_test(struct spool *s) MUST_USE;
/* Only one qmgr per spool; held until the process ends.  E_BUSY. */
enum err spool_lock(struct spool *s) MUST_USE;
/* Who holds the lock looks every few seconds whether a process died and left a redo log behind.  Blocks. */
void     spool_tidy(struct spool *s);
/* Is there room for a message of `size` bytes, leaving minfree bytes and minfree inodes?  E_NOSPACE.  While there is plenty the
 * disk is looked at once a second. */
enum err spool_space(struct spool *s, uint64_t size, uint64_t minfree, uint64_t minfree_inodes) MUST_USE;

/* -- entering a message (smtpd, bounce, pickup) -- */
struct entry;
/* Begin: the envelope in m (id set by the caller, size/content_at/flags ignored) is copied.  Never touches the disk. */
struct entry  *entry_new(struct spool *s, const struct spool_msg *m);
/* Add content.  Held in memory up to 128 KiB, then the file is made and written as it comes.  After an error the entry can only
 * be aborted; E_NOSPACE, E_IO. */
WAITS enum err entry_add(struct entry *e, struct str content) MUST_USE;
uint64_t       entry_size(const struct entry *e);
size_t         entry_memory(const struct entry *e);    /* bytes that it holds in memory now */
/* Write what is gathered into the file now, and give its memory back.  As entry_add(). */
WAITS enum err entry_write_out(struct entry *e) MUST_USE;
/* Make it durable, file and name (rules 1, 3, 4).  OK is the only licence to say 250.  Fills in m's size, content_at and flags
 * (given here: known only at the end), dir = incoming.  The entry is gone afterwards, whatever the result; on error no
 * committed file is left. */
WAITS enum err entry_commit(struct entry **e, uint32_t flags, struct spool_msg *m) MUST_USE;
void           entry_abort(struct entry **e);          /* removes what is on disk (in the background); NULL is a no-op */

/* -- reading -- */
/* What the journal says about one recipient. */
enum jrn_state { JRN_PENDING, JRN_DEFERRED, JRN_SENT, JRN_BOUNCED, JRN_EXPIRED };
struct spool_progress {
	enum jrn_state state;
	uint32_t       attempts;
	struct wall    next_try;                       /* of the last deferral */
	struct str     esc, text, mta, diag;           /* words of the last event */
	uint8_t        action;                         /* of what is sent: enum rcpt_action of msgs.h */
	bool           noticed;                        /* failed or sent, and a notice of it is durable */
	bool           warned, reported;               /* the same of a warning of delay, and of a report (MF_REPORT) */
};
/* Everything about a message but its content; one allocation holds all text. */
struct spool_view {
	struct spool_msg       msg;
	struct spool_progress *progress;               /* msg.nrcpts of them */
	bool                   noticed;                /* a notice for some of the failed ones is durable */
	struct wall            requeued;               /* 0: never */
	bool                   forced;                 /* an operator wants what is left of it returned */
	void                  *memory;
};
/* E_NOENT: not there; E_CORRUPT: no longer checks out (rule 2) - err_why() says what; E_EOF: never committed (debris).
 * check_content: also the CRC of the content. */
enum err spool_read(struct spool *s, enum spool_dir d, uint64_t id, bool check_content, struct spool_view *v) MUST_USE;
void     spool_view_fini(struct spool_view *v);
/* Its journal, jrn_record one after another, oldest first, wherever it is.  When there is more than *records takes (its ceiling), the oldest
 * are left out and *cut is true. */
enum err spool_history(struct spool *s, uint64_t id, struct buf *records, bool *cut) MUST_USE;
/* Where is it?  Looks into incoming, deferred, hold, corrupt. */
enum err spool_find(struct spool *s, uint64_t id, enum spool_dir *d) MUST_USE;
/* Its file, open for reading; the content is [content_at, content_at+size). */
enum err spool_open_content(struct spool *s, enum spool_dir d, uint64_t id, int *fd) MUST_USE;

/* A message file anywhere, all of it checked: what it says, its journal (as spool_history(); NULL: not wanted), and it open for reading,
 * which is the caller's to close.  Errors as of spool_read(). */
enum err spool_read_file(const char *path, struct spool_view *v, struct buf *history, int *fd) MUST_USE;
/* Is the content still what was committed?  Reads all of it.  E_CORRUPT: no.  Whoever hands content on asks this first (R2.2), or
 * compares what it read itself with what the first CONTENT_HEAD bytes of the file say its CRC32C must be. */
enum { CONTENT_HEAD = 64 };
enum err spool_check_content(int fd, uint64_t id) MUST_USE;
enum err spool_content_matches(const char head[CONTENT_HEAD], uint64_t id, struct str content) MUST_USE;

/* Content piece by piece, in a task.  fd stays the caller's. */
struct content_reader { int fd; uint64_t at, left; struct buf piece; };
void           content_reader_init(struct content_reader *r, int fd, const struct spool_msg *m);
/* The next piece, in r->piece until the next call; empty at the end.  E_EOF: the file is shorter than it should be. */
WAITS enum err content_reader_next(struct content_reader *r) MUST_USE;
void           content_reader_fini(struct content_reader *r);

/* -- changing: qmgr alone (rule 8), or a command while qmgr is down and the lock is held -- */
/* Journal records.  type: enum jrn_type; index: recipient, JRN_ALL for the whole message.  RELAYED, PASSED and EXPANDED are SENT with
 * another enum rcpt_action; WARNED and REPORTED are NOTICED of other notices. */
enum jrn_type {
	JRN_T_SENT = 1, JRN_T_DEFERRED, JRN_T_BOUNCED, JRN_T_EXPIRED, JRN_T_NOTICED, JRN_T_REQUEUED,
	JRN_T_RELAYED, JRN_T_PASSED, JRN_T_EXPANDED, JRN_T_WARNED, JRN_T_REPORTED,
	JRN_T_EXPIRE,                                  /* an operator wants what is left of it returned */
	JRN_T_LAST = JRN_T_EXPIRE
};
enum { JRN_ALL = 0xFFFFFFFF };
#define JRN_RECORD(F) \
	F(u8,  type) \
	F(i64, at) \
	F(u32, index) \
	F(u32, attempts) \
	F(i64, next_try) \
	F(str, esc) \
	F(str, text) \
	F(str, mta) \
	F(str, diag)
WIRE_DECLARE(jrn_record, JRN_RECORD)
/* Append records (encoded one after another by jrn_record_put) as one journal entry with length and CRC; durable: fdatasync. */
enum err spool_append(struct spool *s, enum spool_dir d, uint64_t id, struct str records, bool durable) MUST_USE;
enum err spool_move(struct spool *s, uint64_t id, enum spool_dir from, enum spool_dir to) MUST_USE;
/* Before they are removed: note that they are finished, so that no redo log puts them back. */
void     spool_removing(struct spool *s, const uint64_t *ids, size_t n);
enum err spool_remove(struct spool *s, enum spool_dir d, uint64_t id) MUST_USE;

/* -- scanning -- */
/* Calls fn for every committed message of d, in parallel from `threads` threads (fn must lock); v belongs to fn only during the
 * call.  Damaged files are moved to corrupt/ and logged (unless readonly), debris older than debris_age seconds (and from before
 * this boot of the writer) is removed; neither stops the scan.  fn returns false to stop.  known(arg, id), if not NULL, says that a file need
 * not be read. */
/* busy: still being written, or too young to be called debris. */
struct spool_scan_stats { uint64_t files, messages, corrupt, debris, busy, errors; };
struct spool_scan {
	bool (*fn)(void *arg, struct spool_view *v);
	bool (*known)(void *arg, uint64_t id);
	void  *arg;
	int    threads;
	int    debris_age;
};
enum err spool_scan(struct spool *s, enum spool_dir d, const struct spool_scan *how, struct spool_scan_stats *stats) MUST_USE;
/* Just the ids (and arrival order), no reading: for counts and sweeps. */
enum err spool_ids(struct spool *s, enum spool_dir d, void (*fn)(void *arg, uint64_t id), void *arg) MUST_USE;

#endif
