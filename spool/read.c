/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a message file that may be damaged in any way: nothing in it is believed before its CRC is, and nothing
 * reaches past what the file holds. */
#include "spool/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spool/crc.h"
#include "spool/files.h"
#include "util/fault.h"
#include "util/proc.h"

static enum err
read_first(struct peek *k, const char *path)
{
	struct stat st;
	ssize_t n;

	do
		n = FAULT(read) ? -1 : pread(k->fd, k->first, sizeof k->first, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return fail_errno("read %s", path);
	k->have = (size_t)n;
	k->size = (uint64_t)n;
	if (k->have < sizeof k->first)                 /* that was all of it */
		return OK;
	if (fstat(k->fd, &st) != 0)
		return fail_errno("stat %s", path);
	k->size = (uint64_t)st.st_size;
	return OK;
}

enum err
peek_open(struct peek *k, int dir, const char *path, int flags, uint64_t id)
{
	enum err e;

	k->id = id;
	k->fd = sys_openat(dir, path, flags | O_CLOEXEC | (dir == AT_FDCWD ? 0 : O_NOFOLLOW), 0);
	if (k->fd < 0)
		return fail_errno("open %s", path);
	if ((e = read_first(k, path)) != OK)
		peek_close(k);
	return e;
}

void
peek_close(struct peek *k)
{
	if (k->fd >= 0)
		close(k->fd);
	k->fd = -1;
}

enum err
peek_bytes(const struct peek *k, uint64_t at, size_t n, char *to)
{
	size_t here = 0;

	if (at < k->have) {
		here = k->have - (size_t)at;
		here = here < n ? here : n;
		memcpy(to, k->first + at, here);
	}
	return here < n ? fd_read_all(k->fd, to + here, n - here, (off_t)(at + here)) : OK;
}

/* Is there a mark of this message anywhere?  Asked only when the header is lost and does not tell where. */
static enum err
find_mark(const struct peek *k, bool *found)
{
	enum { STEP = 64 << 10 };
	char *piece = mem_new(STEP + LAYOUT_MARK);
	uint32_t header_crc;
	enum err e = OK;

	*found = false;
	for (uint64_t at = 0; e == OK && !*found && at + LAYOUT_MARK <= k->size; at += STEP) {
		uint64_t left = k->size - at;
		size_t n = left < STEP + LAYOUT_MARK ? (size_t)left : STEP + LAYOUT_MARK;

		e = peek_bytes(k, at, n, piece);
		for (size_t i = 0; e == OK && !*found && i + LAYOUT_MARK <= n; i++)
			*found = layout_mark_get(piece + i, k->id, at + i, &header_crc);
	}
	free(piece);
	return e;
}

static enum err
no_header(const struct peek *k)
{
	static const char zeros[LAYOUT_HEADER];
	bool found;

	TRY(find_mark(k, &found));
	if (!found && memcmp(k->first, zeros, sizeof zeros) == 0)
		return fail(E_EOF, "never committed: no header yet");
	return fail(E_CORRUPT, found ? "the header is damaged" : "neither header nor commit mark is whole");
}

static enum err
check_mark(const struct peek *k)
{
	char mark[LAYOUT_MARK];
	uint64_t at = k->h.content_at + k->h.size;
	uint32_t header_crc;

	TRY(peek_bytes(k, at, sizeof mark, mark));
	if (!layout_mark_get(mark, k->id, at, &header_crc))
		return fail(E_CORRUPT, "the commit mark is damaged");
	return header_crc == k->h.header_crc ? OK : fail(E_CORRUPT, "the commit mark is for another header");
}

static enum err
check(struct peek *k)
{
	if (k->size < LAYOUT_HEADER)
		return fail(E_EOF, "never committed: %llu bytes", (unsigned long long)k->size);
	if (!layout_header_get(k->first, &k->h))
		return no_header(k);
	if (k->h.version != LAYOUT_VERSION)
		return fail(E_IO, "its format is version %u, this is for version %d", k->h.version, LAYOUT_VERSION);
	if (k->h.id != k->id)
		return fail(E_CORRUPT, "the header is that of another message");
	if (k->h.content_at < LAYOUT_HEADER || k->h.content_at > LAYOUT_HEADER + LAYOUT_ENVELOPE_MAX ||
	    k->h.size > INT64_MAX - LAYOUT_HEADER - LAYOUT_ENVELOPE_MAX - LAYOUT_MARK)
		return fail(E_CORRUPT, "the header makes no sense");
	if (k->size < layout_end(&k->h))
		return fail(E_EOF, "never committed: %llu of %llu bytes", (unsigned long long)k->size,
		    (unsigned long long)layout_end(&k->h));
	return check_mark(k);
}

/* A message leaves incoming only after it was read and found good, so elsewhere what is missing has been lost. */
enum err
peek_check(struct peek *k, enum spool_dir d)
{
	enum err e = check(k);

	if (e == E_EOF && d != SPOOL_INCOMING)
		return fail(E_CORRUPT, "the end is missing");
	return e;
}

static enum err
check_content_crc(const struct peek *k)
{
	enum { STEP = 256 << 10 };
	char *piece = mem_new(STEP);
	uint32_t crc = 0;
	enum err e = OK;

	for (uint64_t done = 0; e == OK && done < k->h.size;) {
		uint64_t left = k->h.size - done;
		size_t n = left < STEP ? (size_t)left : STEP;

		e = peek_bytes(k, k->h.content_at + done, n, piece);
		crc = crc32c(crc, piece, n);
		done += n;
	}
	free(piece);
	if (e == OK && crc != k->h.content_crc)
		return fail(E_CORRUPT, "the content is damaged");
	return e;
}

/* The view's one allocation: recipients, progress, envelope, journal.  Text in it points into the last two. */
static enum err
lay_out(const struct peek *k, struct spool_view *v, struct str *envelope, struct str *journal)
{
	size_t each = sizeof *v->msg.rcpts + sizeof *v->progress, fixed, n, text = k->h.content_at - LAYOUT_HEADER;
	uint64_t tail = k->size - layout_end(&k->h);
	char *p;

	if (tail > LAYOUT_JOURNAL_MAX)
		return fail(E_CORRUPT, "the journal is too long");
	/* A recipient takes at least the lengths of its two texts. */
	if (k->h.nrcpts > text / (2 * sizeof(uint32_t)))
		return fail(E_CORRUPT, "the header promises more recipients than there are");
	fixed = k->h.nrcpts * each;
	if (__builtin_add_overflow(fixed + text, (size_t)tail, &n))
		return fail(E_CORRUPT, "the journal is too long");
	p = v->memory = mem_grow(NULL, n);
	memset(p, 0, fixed);
	v->progress = v->memory;
	v->msg.rcpts = (struct spool_rcpt *)(void *)(v->progress + k->h.nrcpts);
	v->msg.nrcpts = k->h.nrcpts;
	TRY(peek_bytes(k, LAYOUT_HEADER, text, p + fixed));
	TRY(peek_bytes(k, layout_end(&k->h), (size_t)tail, p + fixed + text));
	*envelope = (struct str){ p + fixed, text };
	*journal = (struct str){ p + fixed + text, (size_t)tail };
	return OK;
}

static enum err
read_envelope(const struct peek *k, struct str in, struct spool_msg *m)
{
	struct envelope_head head;
	struct envelope_rcpt r;

	if (crc32c(0, in.p, in.n) != k->h.envelope_crc)
		return fail(E_CORRUPT, "the envelope is damaged");
	if (!envelope_head_take(&in, &head))
		return fail(E_CORRUPT, "the envelope makes no sense");
	m->sender = head.sender;
	m->ret = head.ret;
	m->envid = head.envid;
	m->client_name = head.client_name;
	m->client_addr = head.client_addr;
	m->client_helo = head.client_helo;
	m->protocol = head.protocol;
	m->login = head.login;
	for (size_t i = 0; i < m->nrcpts; i++) {
		if (!envelope_rcpt_take(&in, &r))
			return fail(E_CORRUPT, "the envelope makes no sense");
		m->rcpts[i] = (struct spool_rcpt){ r.addr, r.orig, r.notify, r.orcpt };
	}
	return in.n == 0 ? OK : fail(E_CORRUPT, "the envelope makes no sense");
}

static enum err
view(struct peek *k, enum spool_dir d, bool check_content, struct spool_view *v)
{
	struct str envelope = STR(""), journal = STR("");

	TRY(peek_check(k, d));
	v->msg.id = k->id;
	v->msg.dir = d;
	v->msg.arrived = (struct wall){ k->h.arrived };
	v->msg.size = k->h.size;
	v->msg.content_at = k->h.content_at;
	v->msg.flags = k->h.flags;
	TRY(lay_out(k, v, &envelope, &journal));
	TRY(read_envelope(k, envelope, &v->msg));
	TRY(journal_replay(journal, v));
	return check_content ? check_content_crc(k) : OK;
}

enum err
peek_view(struct peek *k, enum spool_dir d, bool check_content, struct spool_view *v)
{
	enum err e;

	*v = (struct spool_view){ 0 };
	e = view(k, d, check_content, v);
	/* It was cut short between our reads: qmgr is at work on it, or the disk is not what it was. */
	if (e == E_EOF && d != SPOOL_INCOMING)
		e = fail(E_IO, "the file became shorter while it was read");
	if (e != OK)
		spool_view_fini(v);
	return e;
}

enum err
spool_read(struct spool *s, enum spool_dir d, uint64_t id, bool check_content, struct spool_view *v)
{
	char path[SPOOL_PATH];
	struct peek *k;
	enum err e;

	*v = (struct spool_view){ 0 };
	k = mem_grow(NULL, sizeof *k);
	e = peek_open(k, s->root, spool_path(d, id, path), O_RDONLY, id);
	if (e == OK) {
		e = peek_view(k, d, check_content, v);
		peek_close(k);
	}
	free(k);
	return e;
}

/* Its name need not be its id. */
static enum err
read_named(struct peek *k, const char *path, struct spool_view *v, struct buf *history)
{
	bool cut = false;

	TRY(peek_open(k, AT_FDCWD, path, O_RDONLY | O_NONBLOCK, 0));
	if (k->have >= LAYOUT_HEADER && layout_header_get(k->first, &k->h))
		k->id = k->h.id;
	TRY(peek_view(k, SPOOL_INCOMING, true, v));
	return history ? journal_records(k, history, &cut) : OK;
}

enum err
spool_read_file(const char *path, struct spool_view *v, struct buf *history, int *fd)
{
	struct peek *k = mem_new(sizeof *k);
	enum err e;

	*v = (struct spool_view){ 0 };
	k->fd = -1;
	e = read_named(k, path, v, history);
	*fd = e == OK ? k->fd : -1;
	if (e != OK) {
		peek_close(k);
		spool_view_fini(v);
		e = fail(e, "%s: %s", path, err_why());
	}
	free(k);
	return e;
}

void
spool_view_fini(struct spool_view *v)
{
	free(v->memory);
	*v = (struct spool_view){ 0 };
}

enum err
spool_open_content(struct spool *s, enum spool_dir d, uint64_t id, int *fd)
{
	char path[SPOOL_PATH];

	*fd = sys_openat(s->root, spool_path(d, id, path), O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);
	return *fd < 0 ? fail_errno("open %s", path) : OK;
}

enum err
spool_check_content(int fd, uint64_t id)
{
	struct peek *k = mem_grow(NULL, sizeof *k);
	enum err e;

	k->id = id;
	k->fd = fd;
	e = read_first(k, "content");
	if (e == OK)
		e = check(k);
	if (e == OK)
		e = check_content_crc(k);
	free(k);
	return e == E_EOF ? fail(E_CORRUPT, "the end is missing") : e;
}

enum err
spool_content_matches(const char head[CONTENT_HEAD], uint64_t id, struct str content)
{
	struct layout_header h;

	if (!layout_header_get(head, &h) || h.id != id)
		return fail(E_CORRUPT, "the header is damaged");
	if (h.size != content.n || crc32c(0, content.p, content.n) != h.content_crc)
		return fail(E_CORRUPT, "the content is damaged");
	return OK;
}

enum err
spool_find(struct spool *s, uint64_t id, enum spool_dir *d)
{
	static const enum spool_dir places[] = { SPOOL_INCOMING, SPOOL_DEFERRED, SPOOL_HOLD, SPOOL_CORRUPT };
	char path[SPOOL_PATH];

	/* Twice: it may be moved from a place not yet looked at to one that was. */
	for (size_t i = 0; i < 2 * countof(places); i++) {
		*d = places[i % countof(places)];
		if (faccessat(s->root, spool_path(*d, id, path), F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return OK;
		if (errno != ENOENT)
			return fail_errno("look for %s", path);
	}
	return fail(E_NOENT, "no message %s", qid_text(id, path));
}
