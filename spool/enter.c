/* SPDX-License-Identifier: Apache-2.0 */
/* A message on its way in.  Small ones are built whole in memory and cost the committer one open and one write. */
#include "spool/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>

#include "spool/crc.h"
#include "spool/files.h"
#include "util/fault.h"
#include "util/log.h"
#include "util/proc.h"

enum { IN_MEMORY = 128 << 10, FIRST_ROOM = 3 << 10 };
#define CONTENT_MAX ((uint64_t)1 << 48)

static enum err
give_up(struct entry *e, enum err why)
{
	e->failed = why;
	if (e->item.why != err_why())
		snprintf(e->item.why, sizeof e->item.why, "%s", err_why());
	return why;
}

bool
envelope_put(struct buf *b, const struct spool_msg *m)
{
	const struct envelope_head head = {
		.sender = m->sender, .ret = m->ret, .envid = m->envid,
		.client_name = m->client_name, .client_addr = m->client_addr,
		.client_helo = m->client_helo, .protocol = m->protocol, .login = m->login,
	};
	size_t before = b->n;

	if (m->nrcpts >= JRN_ALL || !envelope_head_put(b, &head))
		return false;
	for (size_t i = 0; i < m->nrcpts; i++) {
		const struct spool_rcpt *r = &m->rcpts[i];

		if (!envelope_rcpt_put(b, &(struct envelope_rcpt){ r->addr, r->orig, r->notify, r->orcpt }))
			return false;
	}
	return b->n - before <= LAYOUT_ENVELOPE_MAX;
}

static bool
has_options(const struct spool_msg *m)
{
	bool any = m->ret != RET_UNSAID || m->envid.n > 0;

	for (size_t i = 0; i < m->nrcpts && !any; i++)
		any = m->rcpts[i].notify != 0 || m->rcpts[i].orcpt.n > 0;
	return any;
}

struct entry *
entry_new(struct spool *s, const struct spool_msg *m)
{
	static const char no_header[LAYOUT_HEADER];    /* zeros on disk say: never finished */
	struct entry *e = mem_new(sizeof *e);

	e->spool = s;
	s->refs++;
	e->fd = e->dir = -1;
	e->b = BUF(LAYOUT_ENVELOPE_MAX + 4 * IN_MEMORY);
	e->h = (struct layout_header){ .id = m->id, .arrived = m->arrived.us };
	if (!buf_room(&e->b, FIRST_ROOM) || !buf_add(&e->b, (struct str){ no_header, sizeof no_header }) ||
	    !envelope_put(&e->b, m)) {
		give_up(e, fail(E_TOOBIG, "the envelope is too large"));
		return e;
	}
	e->dsn = has_options(m);
	e->h.nrcpts = (uint32_t)m->nrcpts;
	e->h.content_at = (uint32_t)e->b.n;
	e->h.envelope_crc = crc32c(0, e->b.p + LAYOUT_HEADER, e->b.n - LAYOUT_HEADER);
	if (spool_may_write(s) != OK)
		give_up(e, E_PERM);
	return e;
}

void
entry_free(struct entry **pe)
{
	struct entry *e = *pe;

	buf_free(&e->b);
	spool_unref(e->spool);
	mem_free(pe);
}

enum err
entry_open_dir(struct spool *s, unsigned hash, int *fd)
{
	char path[SPOOL_PATH];
	const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

	spool_hash_path(SPOOL_INCOMING, hash, path);
	*fd = sys_openat(s->root, path, flags, 0);
	if (*fd < 0 && errno == ENOENT) {
		atomic_store(&s->known[hash], false);
		TRY(spool_make_hash(s, SPOOL_INCOMING, hash));
		*fd = sys_openat(s->root, path, flags, 0);
	}
	return *fd < 0 ? fail_errno("open %s/%s", s->path, path) : OK;
}

enum err
entry_create(struct entry *e, int dir)
{
	char name[QID_TEXT];

	e->fd = sys_openat(dir, qid_text(e->h.id, name), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, e->spool->file_mode);
	if (e->fd < 0)
		return fail_errno("create %s", name);
	/* Tells a scan that the file is being written (rule 2).  Where locks are not to be had its age must do. */
	while (flock(e->fd, LOCK_EX | LOCK_NB) != 0 && errno == EINTR)
		;
	return OK;
}

/* A large message syncs its file and its directory through descriptors of its own, opened before there was anything
 * to go wrong, so that no other batch's sync can take away the error that is ours. */
static enum err
start_file(struct entry *e)
{
	enum err r;

	if (e->fd >= 0)
		return OK;
	if (e->dir < 0)
		TRY(entry_open_dir(e->spool, spool_hash(e->h.id), &e->dir));
	r = entry_create(e, e->dir);
	if (r == E_NOENT) {
		sys_close(e->dir);
		e->dir = -1;
		TRY(entry_open_dir(e->spool, spool_hash(e->h.id), &e->dir));
		r = entry_create(e, e->dir);
	}
	return r;
}

enum err
entry_spill(void *entry)
{
	struct entry *e = entry;

	TRY(start_file(e));
	TRY(fd_write_all(e->fd, buf_str(&e->b), (off_t)e->written));
	e->written += e->b.n;
	buf_clear(&e->b);
	return OK;
}

static size_t
content_in_memory(const struct entry *e)
{
	return e->written > 0 ? e->b.n : e->b.n - e->h.content_at;
}

enum err
entry_add(struct entry *e, struct str content)
{
	enum err r;

	if (e->failed != OK)
		return fail(e->failed, "%s", e->item.why);
	if (content.n > CONTENT_MAX - e->h.size)
		return give_up(e, fail(E_TOOBIG, "the message is too large"));
	while (content.n > 0) {
		struct str piece = str_sub(content, 0, IN_MEMORY);

		ENSURE(buf_add(&e->b, piece));
		e->h.content_crc = crc32c(e->h.content_crc, piece.p, piece.n);
		e->h.size += piece.n;
		content = str_sub(content, piece.n, content.n);
		if (content_in_memory(e) > IN_MEMORY && (r = task_offload(entry_spill, e)) != OK)
			return give_up(e, r);
	}
	return OK;
}

uint64_t
entry_size(const struct entry *e)
{
	return e->h.size;
}

size_t
entry_memory(const struct entry *e)
{
	return sizeof *e + e->b.cap;
}

enum err
entry_write_out(struct entry *e)
{
	enum err r = e->failed == OK ? task_offload(entry_spill, e) : fail(e->failed, "%s", e->item.why);

	if (r != OK)
		return give_up(e, r);
	buf_free(&e->b);
	return OK;
}

static void
removed(struct batch_item *item)
{
	struct entry *e = container_of(item, struct entry, item);

	entry_free(&e);
}

static struct batch *
committer(struct spool *s)
{
	if (s->batch == NULL)
		s->batch = batch_new(commit_batch, s, LANES, BATCH_MAX);
	return s->batch;
}

static bool
has_logged(struct spool *s)
{
	bool any = false;

	for (int i = 0; i < LANES; i++)
		any |= redo_is_dirty(&s->lanes[i].redo);
	return any;
}

static enum err
checkpoint_all(void *spool)
{
	struct spool *s = spool;

	for (int i = 0; i < LANES; i++)
		redo_checkpoint(s, &s->lanes[i].redo);
	return OK;
}

static void
keep(void *spool)
{
	struct spool *s = spool;

	/* Also when told to stop: what was logged becomes files before the process ends. */
	do {
		(void)!task_sleep(time_after_ms(time_now(), REDO_CHECKPOINT_MS));
		(void)!task_offload(checkpoint_all, s);
	} while (has_logged(s) && !task_stopping());
}

static void
watch_log(struct spool *s)
{
	/* Without memory for a task the next message tries again. */
	if (!s->closed && tasks_empty(&s->keeper) && has_logged(s))
		(void)!task_start(&s->keeper, "checkpoints", keep, s);
}

void
entry_abort(struct entry **pe)
{
	struct entry *e = *pe;

	*pe = NULL;
	if (e == NULL)
		return;
	if (e->fd < 0 && e->dir < 0) {
		entry_free(&e);
		return;
	}
	e->abandoned = true;
	batch_post(committer(e->spool), &e->item, removed);
}

enum err
entry_commit(struct entry **pe, uint32_t flags, struct spool_msg *m)
{
	struct entry *e = *pe;
	enum err r;

	if (e->failed != OK) {
		r = fail(e->failed, "%s", e->item.why);
		entry_abort(pe);
		return r;
	}
	flags |= e->dsn ? MF_DSN : 0;
	e->h.flags = flags;
	r = task_batch(committer(e->spool), &e->item);
	if (r == OK) {
		m->size = e->h.size;
		m->content_at = e->h.content_at;
		m->flags = flags;
		m->dir = SPOOL_INCOMING;
	}
	watch_log(e->spool);
	entry_free(pe);
	return r;
}
