/* SPDX-License-Identifier: Apache-2.0 */
#include "spool/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spool/files.h"
#include "util/fault.h"
#include "util/mem.h"
#include "util/proc.h"

static const char directory[] = "load", path[] = "load/ledger", undone[] = "undone";

static int
by_id(const void *a, const void *b)
{
	const struct ledger_line *x = a, *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return x->size < y->size ? -1 : x->size > y->size;
}

static void
keep(struct ledger *l, const struct ledger_line *line)
{
	for (size_t i = l->n; line->undone && i-- > 0;)
		if (l->v[i].id == line->id && l->v[i].inode == line->inode && l->v[i].size == line->size) {
			l->v[i] = l->v[--l->n];
			break;
		}
	if (line->undone)
		return;
	if (l->n == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 256;
		l->v = mem_grow(l->v, l->cap * sizeof *l->v);
	}
	l->v[l->n++] = *line;
}

static bool
parse(struct str text, struct ledger_line *line)
{
	struct str id, size, dir, inode;

	if (!str_word(&text, " ", &id) || !str_word(&text, " ", &size) ||
	    !str_word(&text, " ", &dir) || !str_word(&text, " ", &inode) || !qid_parse(id, &line->id) ||
	    !str_u64(size, &line->size) || !str_u64(inode, &line->inode))
		return false;
	if ((line->undone = str_eq(dir, str_of(undone))))
		return true;
	for (line->dir = SPOOL_INCOMING; line->dir <= SPOOL_HOLD; line->dir++)
		if (str_eq(dir, str_of(spool_dir_name(line->dir))))
			return true;
	return false;
}

static enum err
read_all(struct ledger *l)
{
	struct ledger_line line;
	struct str rest, text;
	struct stat st;
	char *all;
	enum err e;

	if (fstat(l->fd, &st) != 0)
		return fail_errno("stat %s", path);
	all = mem_new((size_t)st.st_size + 1);
	e = fd_read_all(l->fd, all, (size_t)st.st_size, 0);
	rest = (struct str){ all, (size_t)st.st_size };
	while (e == OK && str_find(rest, '\n') < rest.n && str_cut(&rest, '\n', &text)) {
		if (parse(text, &line))
			keep(l, &line);
		l->end += text.n + 1;
	}
	free(all);
	if (e == OK && l->end < (uint64_t)st.st_size && ftruncate(l->fd, (off_t)l->end) != 0)
		e = fail_errno("truncate %s", path);
	if (l->n > 1)
		qsort(l->v, l->n, sizeof *l->v, by_id);
	return e;
}

static enum err
make(struct spool *s)
{
	if (FAULT(mkdir) || mkdirat(s->root, directory, s->dir_mode & 0777) != 0)
		return errno == EEXIST ? OK : fail_errno("mkdir %s/%s", s->path, directory);
	TRY(spool_give(s, directory));
	return spool_sync_dir(s, ".");
}

static enum err
open_file(struct spool *s, struct ledger *l)
{
	l->fd = sys_openat(s->root, path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, s->file_mode);
	if (l->fd < 0)
		return fail_errno("open %s/%s", s->path, path);
	TRY(spool_give(s, path));
	if (flock(l->fd, LOCK_EX | LOCK_NB) != 0)
		return fail(E_BUSY, "messages are being loaded into %s already", s->path);
	TRY(read_all(l));
	return spool_sync_dir(s, directory);
}

enum err
ledger_open(struct spool *s, struct ledger *l)
{
	enum err e;

	*l = (struct ledger){ .fd = -1 };
	TRY(spool_may_write(s));
	TRY(make(s));
	if ((e = open_file(s, l)) != OK)
		ledger_close(l);
	return e;
}

void
ledger_close(struct ledger *l)
{
	if (l->fd >= 0)
		close(l->fd);
	free(l->v);
	*l = (struct ledger){ .fd = -1 };
}

/* The first of this id, or where it would be. */
static size_t
place(const struct ledger *l, uint64_t id)
{
	size_t low = 0, high = l->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (l->v[mid].id < id)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct ledger_line *
ledger_find(const struct ledger *l, uint64_t id, uint64_t size)
{
	for (size_t i = place(l, id); i < l->n && l->v[i].id == id; i++)
		if (l->v[i].size == size)
			return &l->v[i];
	return NULL;
}

const struct ledger_line *
ledger_of(const struct ledger *l, uint64_t id, uint64_t inode)
{
	for (size_t i = place(l, id); i < l->n && l->v[i].id == id; i++)
		if (l->v[i].inode == inode)
			return &l->v[i];
	return NULL;
}

enum err
ledger_add(struct spool *s, struct ledger *l, const struct ledger_line *lines, size_t n)
{
	struct buf text = BUF(16 << 20);
	char id[QID_TEXT];
	enum err e = OK;

	for (size_t i = 0; i < n; i++)
		if (!buf_printf(&text, "%s %" PRIu64 " %s %" PRIu64 "\n", qid_text(lines[i].id, id), lines[i].size,
			lines[i].undone ? undone : spool_dir_name(lines[i].dir), lines[i].inode))
			e = fail(E_TOOBIG, "%s: too many lines at once", path);
	if (e == OK)
		e = fd_write_all(l->fd, buf_str(&text), (off_t)l->end);
	if (e == OK && s->sync != SYNC_NONE && sys_fdatasync(l->fd) != 0)
		e = fail_errno("fdatasync %s/%s", s->path, path);
	if (e == OK) {
		l->end += text.n;
		for (size_t i = 0; i < n; i++)
			keep(l, &lines[i]);
		if (l->n > 1)
			qsort(l->v, l->n, sizeof *l->v, by_id);
	} else if (ftruncate(l->fd, (off_t)l->end) != 0) {
		e = fail(e, "%s (nor could it be taken back)", err_why());
	}
	buf_free(&text);
	return e;
}
