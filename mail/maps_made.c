/* SPDX-License-Identifier: Apache-2.0 */
/* Files made by postmap: FILE.db and FILE.cdb.  Postfix's postmap writes a .db in place; so when an
 * entry is not found, the file must still be the one that was opened, or the answer would bounce
 * mail for want of an entry that is being written. */
#include <sys/stat.h>

#include "mail/maps_table.h"
#include "util/map_cdb.h"
#include "util/map_db.h"
#include "util/mem.h"

struct made {
	struct content c;
	char *path;
	struct stat opened;
	struct map_db *db; /* one of the two */
	struct map_cdb *cdb;
};

static bool
replaced(const struct made *m)
{
	struct stat st;

	return stat(m->path, &st) < 0 || st.st_dev != m->opened.st_dev ||
	       st.st_ino != m->opened.st_ino || st.st_size != m->opened.st_size ||
	       st.st_mtim.tv_sec != m->opened.st_mtim.tv_sec ||
	       st.st_mtim.tv_nsec != m->opened.st_mtim.tv_nsec;
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
made_new(const char *path, bool cdb, struct content **out)
{
	static const struct content_type type = { made_find, made_free, .quick = false };
	struct made *m = mem_new(sizeof *m);
	enum err e = OK;

	m->c = (struct content){ &type, 1 };
	m->path = mem_dup(path);
	/* Before it is opened: if it changes in between, it counts as replaced, which is the safe
	 * side. */
	if (stat(path, &m->opened) < 0)
		e = fail_errno("%s", path);
	if (e == OK)
		e = cdb ? map_cdb_open(path, &m->cdb) : map_db_open(path, &m->db);
	if (e == OK)
		*out = &m->c;
	else
		made_free(&m->c);
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
