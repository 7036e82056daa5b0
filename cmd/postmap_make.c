/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/postmap.h"
#include "util/map_cdb.h"
#include "util/map_db.h"
#include "util/mem.h"
#include "util/proc.h"

enum { TEXT_MAX = 1 << 30 };

/* A table file on its way, under a name of its own until it is whole. */
struct maker {
	const struct postmap  *how;
	char                  *text, *made, *temp;     /* paths */
	int                    fd;
	struct map_db         *db;                     /* one of the two */
	struct map_cdb_maker  *cdb;
	struct buf             folded;
};

void
postmap_name(struct str name, struct str default_type, struct str *type, struct str *path)
{
	size_t colon = str_find(name, ':');

	*type = colon < name.n ? str_sub(name, 0, colon) : default_type;
	*path = colon < name.n ? str_sub(name, colon + 1, name.n) : name;
}

static char *
joined(struct str a, const char *b)
{
	struct buf out = BUF(0);

	(void)(buf_add(&out, a) && buf_adds(&out, b));
	return mem_dup(buf_cstr(&out));
}

static enum err
open_maker(struct maker *k, struct str type, struct str path)
{
	bool cdb = str_eq(type, STR("cdb"));
	struct stat st;

	if (!cdb && !str_eq(type, STR("hash")) && !str_eq(type, STR("btree")))
		return fail(E_SYNTAX, "tables of type %.*s are not made, but read as they are", STR_ARG(type));
	k->text = str_dup(path);
	k->made = joined(path, cdb ? ".cdb" : ".db");
	k->temp = joined(path, cdb ? ".cdb.new" : ".db.new");
	if (stat(k->text, &st) != 0)
		return fail_errno("%s", k->text);
	(void)unlink(k->temp);
	k->fd = open(k->temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, st.st_mode & 0666);
	if (k->fd < 0)
		return fail_errno("%s", k->temp);
	/* Made by root for a table of somebody else's: his, like the table. */
	if (fchmod(k->fd, st.st_mode & 0666) != 0 || (geteuid() == 0 && fchown(k->fd, st.st_uid, st.st_gid) != 0))
		return fail_errno("%s", k->temp);
	if (cdb)
		return map_cdb_begin(k->fd, &k->cdb);
	return map_db_create(k->temp, str_eq(type, STR("hash")) ? MAP_DB_HASH : MAP_DB_BTREE, &k->db);
}

static enum err
put(struct maker *k, struct str key, struct str value, unsigned line)
{
	const struct postmap *how = k->how;
	char text[ERR_WHY_MAX];
	bool was = false;

	buf_clear(&k->folded);
	if (how->fold) {
		if (!maptext_fold(key, &k->folded))
			return fail(E_TOOBIG, "%s:%u: the key is too long", k->text, line);
		key = buf_str(&k->folded);
	}
	if (k->cdb)
		return map_cdb_add(k->cdb, key, value, how->key_nul);
	TRY(map_db_put(k->db, key, value, how->key_nul, how->replace, &was));
	if (was && !how->quiet) {
		snprintf(text, sizeof text, "%s:%u: duplicate entry: \"%.*s\"%s", k->text, line, STR_ARG(key),
		    how->replace ? "" : "; the first one counts");
		how->warn(how->arg, text);
	}
	return OK;
}

/* One bad line spoils the whole table: half of it would be found wanting in silence. */
static enum err
put_all(struct maker *k)
{
	struct buf whole = BUF(TEXT_MAX);
	enum err e = proc_read_file(k->text, &whole), bad = OK;
	struct maptext *t = e == OK ? maptext_open(k->text, buf_str(&whole)) : NULL;
	struct str key, value;
	bool more = t != NULL;

	while (more && (e == OK || e == E_SYNTAX)) {
		e = maptext_entry(t, k->how->form, &key, &value, &more);
		if (e == OK && more)
			e = put(k, key, value, maptext_number(t));
		if (e == E_SYNTAX) {
			bad = e;
			k->how->warn(k->how->arg, err_why());
		}
	}
	maptext_close(&t);
	buf_free(&whole);
	return e != OK && e != E_SYNTAX ? e : bad != OK ? fail(bad, "%s: not indexed", k->text) : OK;
}

static enum err
sync_directory(const char *path)
{
	struct str dir = str_sub(str_of(path), 0, str_rfind(str_of(path), '/'));
	char *name = dir.n == strlen(path) ? mem_dup(".") : dir.n == 0 ? mem_dup("/") : str_dup(dir);
	int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum err e = fd >= 0 && fsync(fd) == 0 ? OK : fail_errno("%s", name);

	if (fd >= 0)
		close(fd);
	free(name);
	return e;
}

static enum err
finish(struct maker *k)
{
	enum err e = OK;

	if (k->cdb) {
		e = map_cdb_end(&k->cdb, false);
	} else {
		e = map_db_sync(k->db);
		map_db_close(&k->db);
	}
	TRY(e);
	if (fsync(k->fd) != 0)
		return fail_errno("%s", k->temp);
	if (rename(k->temp, k->made) != 0)
		return fail_errno("%s", k->made);
	return sync_directory(k->made);
}

enum err
postmap_make(const struct postmap *how, struct str name)
{
	struct maker k = { .how = how, .fd = -1, .folded = BUF(1 << 20) };
	struct str type, path;
	enum err e;

	postmap_name(name, STR("hash"), &type, &path);
	e = open_maker(&k, type, path);
	if (e == OK)
		e = put_all(&k);
	if (e == OK)
		e = finish(&k);
	map_db_close(&k.db);
	if (k.cdb)
		(void)map_cdb_end(&k.cdb, true);
	if (e != OK && k.fd >= 0)
		(void)unlink(k.temp);
	if (k.fd >= 0)
		close(k.fd);
	free(k.text);
	free(k.made);
	free(k.temp);
	buf_free(&k.folded);
	return e;
}
