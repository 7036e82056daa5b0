/* SPDX-License-Identifier: Apache-2.0 */
/* Files made by postmap: FILE.db and FILE.cdb.  Postfix's postmap writes a .db in place; so when an
 * entry is not found, the file must still be the one that was opened, or the answer would bounce
 * mail for want of an entry that is being written. */
#include <sys/stat.h>

#include "mail/maps_table.h"
#include "util/map_cdb.h"
#include "util/map_db.h"
#include "util/mem.h"

enum { SMALL = 1 << 20, TRIES = 3 };

struct made {
	struct content c;
	char *path;
	struct stat opened;
	struct map_db *db; /* one of the two */
	struct map_cdb *cdb;
};

static bool
same_place(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static bool
same_state(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static bool
replaced(const struct made *m)
{
	struct stat st;

	return stat(m->path, &st) < 0 || !same_place(&st, &m->opened) ||
	       !same_state(&st, &m->opened);
}

/* A file that has another in its place now is whole, whatever that other is. */
static bool
changed_in_place(const struct made *m)
{
	struct stat st;

	return stat(m->path, &st) == 0 && same_place(&st, &m->opened) &&
	       !same_state(&st, &m->opened);
}

static enum err
made_find(struct content *c, struct ask *a)
{
	struct made *m = container_of(c, struct made, c);
	enum err e = m->db ? map_db_get(m->db, a->folded, a->value, &a->found)
			   : map_cdb_get(m->cdb, a->folded, a->value, &a->found);

	if ((e != OK || !a->found) && replaced(m)) {
		buf_clear(a->value);
		a->found = false;
		a->stale = true;
		return OK;
	}
	return e;
}

static void
made_free(struct content *c)
{
	struct made *m = container_of(c, struct made, c);

	map_db_close(&m->db);
	map_cdb_close(&m->cdb);
	free(m->path);
	free(m);
}

static enum err
made_open(struct made *m, const char *path, bool cdb)
{
	m->path = mem_dup(path);
	/* Before it is opened: if it changes in between, it counts as replaced, which is the safe
	 * side. */
	if (stat(path, &m->opened) < 0)
		return fail_errno("%s", path);
	return cdb ? map_cdb_open(path, &m->cdb) : map_db_open(path, &m->db);
}

/* The table is as large as its file, about.  What is read while the file changes is not taken. */
static enum err
read_all(struct made *m, struct content **out)
{
	enum err e;

	*out = index_empty();
	e = m->db ? map_db_each(m->db, index_put, *out) : map_cdb_each(m->cdb, index_put, *out);
	if (e == OK && changed_in_place(m))
		e = fail(E_BUSY, "%s: changed while it was read", m->path);
	if (e != OK)
		content_drop(out);
	return e;
}

static enum err
made_try(const char *path, bool cdb, struct content **out)
{
	static const struct content_type type = { made_find, made_free, .quick = false };
	struct made *m = mem_new(sizeof *m);
	enum err e;

	m->c = (struct content){ &type, 1 };
	e = made_open(m, path, cdb);
	if (e == OK && m->opened.st_size > SMALL) {
		*out = &m->c;
		return OK;
	}
	if (e == OK)
		e = read_all(m, out);
	made_free(&m->c);
	return e;
}

static enum err
made_new(const char *path, bool cdb, struct content **out)
{
	enum err e = made_try(path, cdb, out);

	for (int i = 1; i < TRIES && e == E_BUSY; i++)
		e = made_try(path, cdb, out);
	return e;
}

enum err
db_content(const char *path, struct content **out)
{
	return made_new(path, false, out);
}

enum err
cdb_content(const char *path, struct content **out)
{
	return made_new(path, true, out);
}
