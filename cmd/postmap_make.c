/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/postmap.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/postmap_entries.h"
#include "util/map_cdb.h"
#include "util/map_db.h"
#include "util/mem.h"
#include "util/proc.h"

enum { TEXT_MAX = 1 << 30, PIECE = 64 << 10, DEFAULT_MODE = 0644 };

/* A table file on its way, under a name of its own until it is whole. */
struct maker {
	const struct postmap *how;
	struct str type;
	char *text, *made, *temp; /* paths */
	struct stat source;       /* of text; st_nlink 0: there is none */
	bool acting;              /* as the owner of text */
	int fd;                   /* of temp, locked */
	struct map_db *db;        /* one of the two */
	struct map_cdb_maker *cdb;
	struct entries entries; /* of a cdb, which cannot say what it has */
	struct buf folded;
};

void
postmap_name(struct str name, struct str default_type, struct str *type, struct str *path)
{
	size_t colon = str_find(name, ':');

	*type = colon < name.n ? str_sub(name, 0, colon) : default_type;
	*path = colon < name.n ? str_sub(name, colon + 1, name.n) : name;
}

static bool
is_cdb(const struct maker *k)
{
	return str_eq(k->type, STR("cdb"));
}

static enum map_db_kind
kind_of(const struct maker *k)
{
	return str_eq(k->type, STR("btree")) ? MAP_DB_BTREE : MAP_DB_HASH;
}

static char *
joined(struct str a, const char *b)
{
	struct buf out = { 0 };
	char *z;

	buf_add(&out, a);
	buf_adds(&out, b);
	z = mem_dup(buf_cstr(&out));
	buf_free(&out);
	return z;
}

static char *
directory_of(const char *path)
{
	struct str p = str_of(path), dir = str_sub(p, 0, str_rfind(p, '/'));

	return dir.n == p.n ? mem_dup(".") : dir.n == 0 ? mem_dup("/") : str_dup(dir);
}

/* Where somebody else can make names, one planted there could lead root to any file: there root
 * acts as the owner of the table's text, who can harm only himself. */
static enum err
act_as_owner(struct maker *k)
{
	char *dir = directory_of(k->made);
	struct stat st;
	bool ours = stat(dir, &st) == 0 && st.st_uid == 0 && (st.st_mode & 0022) == 0;

	free(dir);
	if (geteuid() != 0 || k->how->keep_root || ours || k->source.st_nlink == 0 ||
	    k->source.st_uid == 0)
		return OK;
	if (setgroups(0, NULL) < 0 || setegid(k->source.st_gid) < 0 ||
	    seteuid(k->source.st_uid) < 0)
		return fail_errno("acting as the owner of %s", k->text);
	k->acting = true;
	return OK;
}

/* Open temp, alone, whether a former run left it there or not.  Who waited for the lock finds that
 * the file has been given its final name meanwhile, and begins again. */
static enum err
open_temp(struct maker *k, mode_t mode)
{
	for (;;) {
		struct stat ours, there;

		k->fd = open(k->temp, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, mode);
		if (k->fd < 0)
			return fail_errno("%s", k->temp);
		while (flock(k->fd, LOCK_EX) < 0)
			if (errno != EINTR)
				return fail_errno("locking %s", k->temp);
		if (fstat(k->fd, &ours) < 0)
			return fail_errno("%s", k->temp);
		if (lstat(k->temp, &there) == 0 && there.st_dev == ours.st_dev &&
		    there.st_ino == ours.st_ino) {
			if (!S_ISREG(ours.st_mode) || ours.st_nlink != 1)
				return fail(E_PERM, "%s: not a file with one name", k->temp);
			break;
		}
		close(k->fd);
	}
	if (ftruncate(k->fd, 0) < 0 || fchmod(k->fd, mode) < 0 ||
	    (geteuid() == 0 && k->source.st_nlink > 0 &&
		fchown(k->fd, k->source.st_uid, k->source.st_gid) < 0))
		return fail_errno("%s", k->temp);
	return OK;
}

/* need_text: it is made from it. */
static enum err
begin(struct maker *k, const struct postmap *how, struct str name, bool need_text)
{
	struct str path;
	mode_t mode;

	*k = (struct maker){ .how = how, .fd = -1, .folded = BUF(TEXT_MAX) };
	entries_init(&k->entries);
	postmap_name(name, STR("hash"), &k->type, &path);
	if (!is_cdb(k) && !str_eq(k->type, STR("hash")) && !str_eq(k->type, STR("btree")))
		return fail(E_SYNTAX, "tables of type %.*s are not made, but read as they are",
		    STR_ARG(k->type));
	if (is_cdb(k) && !need_text)
		return fail(E_SYNTAX, "cdb tables cannot be changed, only made anew");
	k->text = str_dup(path);
	k->made = joined(path, is_cdb(k) ? ".cdb" : ".db");
	k->temp = joined(path, is_cdb(k) ? ".cdb.new" : ".db.new");
	if (stat(k->text, &k->source) < 0) {
		k->source.st_nlink = 0;
		if (need_text)
			return fail_errno("%s", k->text);
	}
	mode =
	    k->source.st_nlink == 0 || k->how->own_mode ? DEFAULT_MODE : k->source.st_mode & 0666;
	TRY(act_as_owner(k));
	return open_temp(k, mode);
}

static bool
ends_in_nul(const struct maker *k)
{
	return k->how->nul == NUL_BY_TYPE ? !is_cdb(k) : k->how->nul == NUL_ALWAYS;
}

static enum err
put(struct maker *k, struct str key, struct str value, const struct maptext *t)
{
	const struct postmap *how = k->how;
	bool was = false;

	buf_clear(&k->folded);
	if (how->fold) {
		if (!maptext_fold(key, &k->folded))
			return fail(E_IO, "the key is too long");
		key = buf_str(&k->folded);
	}
	if (is_cdb(k)) {
		was = entries_put(&k->entries, key, value, how->replace);
	} else {
		TRY(map_db_put(k->db, key, value, ends_in_nul(k), how->replace, &was));
	}
	if (was && !how->quiet && !how->replace) {
		(void)maptext_error(t, NULL, "duplicate entry: \"%.*s\"", STR_ARG(key));
		how->warn(how->arg, err_why());
	}
	return OK;
}

/* One bad line spoils the whole table: what is not in it would be found wanting in silence. */
static enum err
put_all(struct maker *k, const char *name, struct str whole)
{
	struct maptext *t = maptext_open(name, whole);
	enum err e = OK, bad = OK;
	struct str key, value;
	bool more = true;

	while (e == OK && more) {
		e = maptext_entry(t, k->how->form, &key, &value, &more);
		if (e == OK && more) {
			e = put(k, key, value, t);
		} else if (e == E_SYNTAX) {
			k->how->warn(k->how->arg, err_why());
			bad = e;
			e = OK;
		}
	}
	maptext_close(&t);
	return e == OK && bad != OK ? fail(bad, "%s: nothing was changed", name) : e;
}

static bool
same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static enum err
put_text(struct maker *k)
{
	struct buf whole = BUF(TEXT_MAX);
	struct stat now;
	enum err e =
	    is_cdb(k) ? map_cdb_begin(k->fd, &k->cdb) : map_db_create(k->temp, kind_of(k), &k->db);

	if (e == OK)
		e = proc_read_file(k->text, &whole);
	if (e == OK)
		e = put_all(k, k->text, buf_str(&whole));
	buf_free(&whole);
	/* What is made must not look newer than a text that it does not contain. */
	if (e == OK && (stat(k->text, &now) < 0 || !same_file(&now, &k->source)))
		e = fail(E_BUSY, "%s: changed while it was read; nothing was changed", k->text);
	return e;
}

/* What the file has, if it is there, to temp. */
static enum err
copy_made(struct maker *k, bool *there)
{
	int from = open(k->made, O_RDONLY | O_CLOEXEC);
	char *piece;
	enum err e = OK;
	ssize_t n = 0;

	*there = from >= 0;
	if (from < 0)
		return errno == ENOENT ? OK : fail_errno("%s", k->made);
	piece = mem_new(PIECE);
	while (e == OK && (n = read(from, piece, PIECE)) > 0)
		e = fd_write_all(k->fd, (struct str){ piece, (size_t)n }, -1);
	if (n < 0)
		e = fail_errno("%s", k->made);
	free(piece);
	close(from);
	return e;
}

static enum err
open_copy(struct maker *k)
{
	bool there;

	TRY(copy_made(k, &there));
	return there ? map_db_update(k->temp, &k->db) : map_db_create(k->temp, kind_of(k), &k->db);
}

static enum err
sync_directory(const char *path)
{
	char *name = directory_of(path);
	int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum err e = fd >= 0 && fsync(fd) == 0 ? OK : fail_errno("%s", name);

	if (fd >= 0)
		close(fd);
	free(name);
	return e;
}

static enum err
add_to_cdb(void *arg, struct str key, struct str value)
{
	struct maker *k = arg;

	return map_cdb_add(k->cdb, key, value, ends_in_nul(k));
}

static enum err
finish(struct maker *k)
{
	if (k->cdb)
		TRY(entries_each(&k->entries, add_to_cdb, k));
	if (k->cdb)
		TRY(map_cdb_end(&k->cdb, false));
	if (k->db)
		TRY(map_db_sync(k->db));
	map_db_close(&k->db);
	if (fsync(k->fd) < 0)
		return fail_errno("%s", k->temp);
	if (rename(k->temp, k->made) < 0)
		return fail_errno("%s", k->made);
	return sync_directory(k->made);
}

/* Give up what begin() took; e says whether it went well. */
static enum err
end(struct maker *k, enum err e)
{
	if (e == OK)
		e = finish(k);
	map_db_close(&k->db);
	if (k->cdb)
		(void)map_cdb_end(&k->cdb, true);
	if (k->fd >= 0) {
		if (e != OK)
			(void)unlink(k->temp); /* its name is ours while we hold the lock */
		close(k->fd);
	}
	if (k->acting && (seteuid(0) < 0 || setegid(getgid()) < 0) && e == OK)
		e = fail_errno("becoming root again");
	entries_fini(&k->entries);
	buf_free(&k->folded);
	free(k->text);
	free(k->made);
	free(k->temp);
	return e;
}

enum err
postmap_make(const struct postmap *how, struct str name)
{
	struct maker k;
	enum err e = begin(&k, how, name, true);

	if (e == OK)
		e = put_text(&k);
	return end(&k, e);
}

enum err
postmap_add(const struct postmap *how, struct str name, struct str entries)
{
	struct maker k;
	enum err e = begin(&k, how, name, false);

	if (e == OK)
		e = open_copy(&k);
	if (e == OK)
		e = put_all(&k, "stdin", entries);
	return end(&k, e);
}

enum err
postmap_delete(const struct postmap *how, struct str name, struct str key, bool *was)
{
	struct maker k;
	enum err e = begin(&k, how, name, false);

	*was = false;
	if (e == OK && access(k.made, F_OK) < 0)
		e = fail_errno("%s", k.made);
	if (e == OK)
		e = open_copy(&k);
	if (e == OK && how->fold && maptext_fold(key, &k.folded))
		key = buf_str(&k.folded);
	if (e == OK)
		e = map_db_del(k.db, key, was);
	return end(&k, e);
}
