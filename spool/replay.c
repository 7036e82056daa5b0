/* SPDX-License-Identifier: Apache-2.0 */
/* Redo logs that were left behind. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spool/crc.h"
#include "spool/files.h"
#include "spool/redo.h"
#include "util/fault.h"
#include "util/log.h"
#include "util/proc.h"

enum { HEADER_SIZE = 12 };

WIRE_DEFINE(redo_header, REDO_HEADER)
WIRE_DEFINE(redo_record, REDO_RECORD)

/* The CRC comes last in both, over all before it. */
static uint32_t
crc_before(struct str whole)
{
	return crc32c(0, whole.p, whole.n - sizeof(uint32_t));
}

bool
redo_header_seal(struct buf *b, struct redo_header *h)
{
	size_t from = b->n;

	if (!redo_header_put(b, h))
		return false;
	h->crc = crc_before(str_sub(buf_str(b), from, b->n));
	buf_cut(b, from);
	return redo_header_put(b, h);
}

bool
redo_record_seal(struct buf *b, struct redo_record *r)
{
	size_t from = b->n;

	if (!redo_record_put(b, r))
		return false;
	r->crc = crc_before(str_sub(buf_str(b), from, b->n));
	buf_cut(b, from);
	return redo_record_put(b, r);
}

bool
redo_header_check(struct str in, struct redo_header *h)
{
	struct str bytes = str_sub(in, 0, HEADER_SIZE);

	return redo_header_take(&in, h) && h->magic == REDO_MAGIC && h->version == REDO_VERSION &&
	       h->crc == crc_before(bytes);
}

bool
redo_record_check(struct str in, struct redo_record *r)
{
	struct str bytes = str_sub(in, 0, REDO_RECORD_SIZE);

	return redo_record_take(&in, r) && r->magic == REDO_MAGIC && r->crc == crc_before(bytes) &&
	       r->size <= REDO_MESSAGE_MAX;
}

void
redo_walk(int fd, bool (*fn)(void *arg, uint64_t id, struct str image), void *arg)
{
	char *head = mem_grow(NULL, REDO_RECORD_SIZE + REDO_MESSAGE_MAX), *image = head + REDO_RECORD_SIZE;
	struct redo_record r;
	uint64_t at = REDO_HEAD, generation = 0;

	while (fd_read_all(fd, head, REDO_RECORD_SIZE, (off_t)at) == OK &&
	    redo_record_check((struct str){ head, REDO_RECORD_SIZE }, &r) && r.at == at &&
	    (at == REDO_HEAD || r.generation == generation) &&
	    fd_read_all(fd, image, r.size, (off_t)at + REDO_RECORD_SIZE) == OK &&
	    crc32c(0, image, r.size) == r.image_crc && fn(arg, r.id, (struct str){ image, r.size })) {
		generation = r.generation;
		at += REDO_RECORD_SIZE + r.size;
	}
	free(head);
}

/* -- putting back -- */

struct redoing {
	struct spool      *s;
	uint64_t          *lost;                       /* ids whose file is missing or not whole, in the log's order */
	size_t             nlost, next;
	struct removed_ids removed;
	unsigned           seen, put_back;
	enum err           failed;
};

static enum err
write_image(struct spool *s, enum spool_dir d, uint64_t id, struct str image, bool anew)
{
	char path[SPOOL_PATH], hash[SPOOL_PATH];
	int fd = sys_openat(s->root, spool_path(d, id, path), (anew ? O_CREAT : 0) | O_WRONLY | O_CLOEXEC | O_NOFOLLOW,
	    s->file_mode);
	enum err e;

	if (fd < 0)
		return fail_errno("open %s", path);
	e = anew && ftruncate(fd, 0) != 0 ? fail_errno("truncate %s", path) : OK;
	if (e == OK && anew)
		e = spool_give(s, path);
	if (e == OK)
		e = fd_write_all(fd, image, 0);
	if (e == OK && sys_fsync(fd) != 0)
		e = fail_errno("fsync %s", path);
	if (sys_close(fd) != 0 && e == OK)
		e = fail_errno("close %s", path);
	return e == OK ? spool_sync_dir(s, spool_hash_path(d, spool_hash(id), hash)) : e;
}

/* Those that were set aside are nobody's business any more. */
static enum err
is_whole(struct spool *s, enum spool_dir d, uint64_t id, bool *whole)
{
	struct spool_view v;
	enum err e = d == SPOOL_CORRUPT ? OK : spool_read(s, d, id, true, &v);

	*whole = e == OK;
	if (e == OK && d != SPOOL_CORRUPT)
		spool_view_fini(&v);
	return e == E_EOF || e == E_CORRUPT ? OK : e;
}

static void
note_failure(struct redoing *r, uint64_t id, enum err e)
{
	char text[QID_TEXT];

	if (e == OK)
		return;
	log_error("%s: cannot be written from the redo log: %s", qid_text(id, text), err_why());
	r->failed = e;
}

static bool
look_for(void *arg, uint64_t id, struct str image)
{
	struct redoing *r = arg;
	enum spool_dir d;
	enum err e = spool_find(r->s, id, &d);
	bool whole = false;

	(void)image;
	r->seen++;
	if (e == OK)
		e = is_whole(r->s, d, id, &whole);
	if (!whole) {
		r->lost = mem_grow(r->lost, (r->nlost + 1) * sizeof *r->lost);
		r->lost[r->nlost++] = id;
	}
	note_failure(r, id, e == E_NOENT ? OK : e);
	return true;
}

static bool
put_back(void *arg, uint64_t id, struct str image)
{
	struct redoing *r = arg;
	enum spool_dir d;
	enum err e;

	if (r->next == r->nlost)
		return false;
	if (id != r->lost[r->next])
		return true;
	r->next++;
	if (removed_has(&r->removed, id))
		return true;
	e = spool_find(r->s, id, &d);
	if (e == E_NOENT)
		e = spool_make_hash(r->s, d = SPOOL_INCOMING, spool_hash(id));
	if (e == OK && d != SPOOL_CORRUPT) {
		e = write_image(r->s, d, id, image, true);
		r->put_back += e == OK;
	}
	note_failure(r, id, e);
	return true;
}

/* What was removed is looked up after it was seen to be missing, as mail is finished meanwhile. */
static enum err
put_back_all(struct redoing *r, int fd)
{
	redo_walk(fd, look_for, r);
	if (r->nlost > 0) {
		removed_load(r->s, &r->removed);
		redo_walk(fd, put_back, r);
		removed_free(&r->removed);
	}
	mem_free(&r->lost);
	return r->failed;
}

/* The kernel has it, but the disk may not.  What is not there was finished. */
static bool
write_again(void *arg, uint64_t id, struct str image)
{
	struct redoing *r = arg;
	enum spool_dir d;
	enum err e = spool_find(r->s, id, &d);

	if (e == OK && d != SPOOL_CORRUPT)
		e = write_image(r->s, d, id, image, false);
	note_failure(r, id, e == E_NOENT ? OK : e);
	return true;
}

enum err
redo_rewrite(struct spool *s, int fd)
{
	struct redoing r = { .s = s };

	redo_walk(fd, write_again, &r);
	return r.failed;
}

/* -- all of them -- */

static enum err
sync_spool(struct spool *s)
{
	int root = sys_openat(s->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	enum err e = OK;

	if (root < 0)
		return fail_errno("open %s", s->path);
	if (sys_syncfs(root) != 0)
		e = fail_errno("syncfs %s", s->path);
	close(root);
	return e;
}

/* Its writer is gone, and ours is the lock.  OK: it can go. */
static enum err
deal_with(struct spool *s, int fd, const char *name)
{
	struct redoing r = { .s = s };
	struct redo_header h;
	struct stat st;
	char head[REDO_HEAD];

	if (fstat(fd, &st) != 0)
		return fail_errno("stat");
	if (st.st_size < REDO_HEAD)
		return OK;                             /* never finished, so nobody was told 250 for it */
	TRY(fd_read_all(fd, head, sizeof head, 0));
	if (!redo_header_check((struct str){ head, sizeof head }, &h))
		return fail(E_CORRUPT, "its header is damaged");
	TRY(put_back_all(&r, fd));
	if (r.put_back > 0)
		log_info(SPOOL_REDO "/%s: %u messages, of which %u were put back", name, r.seen, r.put_back);
	return sync_spool(s);
}

static void
look_at(struct spool *s, int dir, const char *name)
{
	int fd = sys_openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);
	enum err e;

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (fd >= 0)
			close(fd);
		return;                                /* its writer lives */
	}
	e = deal_with(s, fd, name);
	if (e == OK && sys_unlinkat(dir, name, 0) != 0 && errno != ENOENT)
		e = fail_errno("remove");
	if (e != OK)
		log_error(SPOOL_REDO "/%s: %s", name, err_why());
	close(fd);
}

void
redo_replay(struct spool *s)
{
	int fd = sys_openat(s->root, SPOOL_REDO, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	if (d == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	for (struct dirent *e; (e = readdir(d)) != NULL;)
		if (e->d_name[0] != '.' && !str_starts(str_of(e->d_name), STR("removed.")))
			look_at(s, fd, e->d_name);
	closedir(d);
}
