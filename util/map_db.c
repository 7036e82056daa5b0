/* SPDX-License-Identifier: Apache-2.0 */
#include "util/map_db.h"

#include <db.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/mem.h"

enum { CACHE_READ = 128 << 10, CACHE_WRITE = 16 << 20, LOCK_TRIES = 10, LOCK_PAUSE_US = 10000 };

struct map_db {
	pthread_mutex_t lock; /* a handle of libdb without an environment serves one at a time */
	DB *db;
	char *path;
};

/* The library would write to stderr; its code says enough. */
static void
hush(const DB_ENV *env, const char *prefix, const char *text)
{
	(void)env;
	(void)prefix;
	(void)text;
}

static enum err
trouble(const char *path, int code)
{
	if (code == ENOENT)
		return fail(E_NOENT, "%s: %s", path, db_strerror(code));
	if (code == EACCES || code == EPERM)
		return fail(E_PERM, "%s: %s", path, db_strerror(code));
	if (code == ENOSPC || code == EDQUOT || code == EFBIG)
		return fail(E_NOSPACE, "%s: %s", path, db_strerror(code));
	/* EINVAL is what it says of a file that is no database, too. */
	if (code == EINVAL)
		return fail(E_CORRUPT, "%s: not a Berkeley DB file, or a damaged one", path);
	return fail(code < 0 ? E_CORRUPT : E_IO, "%s: %s", path, db_strerror(code));
}

static enum err
open_as(const char *path, DBTYPE type, uint32_t flags, uint32_t cache, struct map_db **out)
{
	struct map_db *d;
	DB *db;
	int code = db_create(&db, NULL, 0);

	if (code != 0)
		return trouble(path, code);
	db->set_errcall(db, hush);
	if ((code = db->set_cachesize(db, 0, cache, 1)) == 0)
		code = db->open(db, NULL, path, NULL, type, flags, 0);
	if (code != 0) {
		db->close(db, DB_NOSYNC);
		return trouble(path, code);
	}
	d = mem_new(sizeof *d);
	pthread_mutex_init(&d->lock, NULL);
	d->db = db;
	d->path = mem_dup(path);
	*out = d;
	return OK;
}

/* Postfix's postmap writes in place and holds this lock the while, usually not for long. */
static bool
is_locked(int fd)
{
	for (int i = 0; i < LOCK_TRIES; i++) {
		if (flock(fd, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK)
			return false;
		usleep(LOCK_PAUSE_US);
	}
	return true;
}

enum err
map_db_open(const char *path, struct map_db **out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	bool locked;
	struct stat st;
	enum err e;

	if (fd < 0)
		return fail_errno("%s", path);
	if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)) {
		close(fd);
		return fail(E_IO, "%s: not a file", path);
	}
	locked = is_locked(fd);
	e = locked ? fail(E_BUSY, "%s: locked by another process", path)
		   : open_as(path, DB_UNKNOWN, DB_RDONLY, CACHE_READ, out);
	close(fd);
	return e;
}

enum err
map_db_create(const char *path, enum map_db_kind kind, struct map_db **out)
{
	return open_as(path, kind == MAP_DB_HASH ? DB_HASH : DB_BTREE, DB_CREATE | DB_TRUNCATE,
	    CACHE_WRITE, out);
}

enum err
map_db_update(const char *path, struct map_db **out)
{
	return open_as(path, DB_UNKNOWN, 0, CACHE_READ, out);
}

enum err
map_db_sync(struct map_db *d)
{
	int code;

	pthread_mutex_lock(&d->lock);
	code = d->db->sync(d->db, 0);
	pthread_mutex_unlock(&d->lock);
	return code == 0 ? OK : trouble(d->path, code);
}

void
map_db_close(struct map_db **db)
{
	struct map_db *d = *db;

	if (d == NULL)
		return;
	d->db->close(d->db, DB_NOSYNC);
	pthread_mutex_destroy(&d->lock);
	free(d->path);
	mem_free(db);
}

/* The key with its NUL, in memory of the caller's. */
static DBT
key_of(struct str key, struct buf *with_nul)
{
	buf_clear(with_nul);
	with_nul->max = key.n + 2;
	buf_add(with_nul, key);
	buf_addc(with_nul, '\0');
	return (DBT){ .data = with_nul->p, .size = (uint32_t)key.n + 1 };
}

static bool
fits(struct str s)
{
	return s.n < UINT32_MAX - 1;
}

static struct str
without_nul(const DBT *t)
{
	struct str s = { t->data ? t->data : "", t->size };

	if (s.n > 0 && s.p[s.n - 1] == '\0')
		s.n--;
	return s;
}

enum err
map_db_get(struct map_db *d, struct str key, struct buf *value, bool *found)
{
	struct buf with_nul = { 0 };
	DBT v = { 0 }, k = key_of(key, &with_nul);
	int code = DB_NOTFOUND;
	enum err e = OK;

	*found = false;
	pthread_mutex_lock(&d->lock);
	if (fits(key) && (code = d->db->get(d->db, NULL, &k, &v, 0)) == DB_NOTFOUND) {
		k.size--;
		code = d->db->get(d->db, NULL, &k, &v, 0);
	}
	if (code == 0) {
		*found = true;
		/* What v points to is the handle's: copied before the next one may use it. */
		if (!buf_add(value, without_nul(&v)))
			e = fail(E_IO, "%s: value too long", d->path);
	} else if (code != DB_NOTFOUND) {
		e = trouble(d->path, code);
	}
	pthread_mutex_unlock(&d->lock);
	buf_free(&with_nul);
	return e;
}

enum err
map_db_del(struct map_db *d, struct str key, bool *was)
{
	struct buf with_nul = { 0 };
	DBT k = key_of(key, &with_nul);
	int code, bare;

	pthread_mutex_lock(&d->lock);
	code = d->db->del(d->db, NULL, &k, 0);
	k.size--;
	bare = d->db->del(d->db, NULL, &k, 0);
	pthread_mutex_unlock(&d->lock);
	buf_free(&with_nul);
	*was = code == 0 || bare == 0;
	if (code == 0 || code == DB_NOTFOUND)
		code = bare;
	return code == 0 || code == DB_NOTFOUND ? OK : trouble(d->path, code);
}

enum err
map_db_put(struct map_db *d, struct str key, struct str value, bool nul, bool replace, bool *was)
{
	struct buf k0 = { 0 }, v0 = { 0 }, old = BUF(UINT32_MAX);
	DBT k = key_of(key, &k0), v = key_of(value, &v0);
	enum err e = fits(key) && fits(value) ? OK : fail(E_IO, "%s: entry too long", d->path);
	int code;

	if (e == OK)
		e = map_db_get(d, key, &old, was);
	if (e == OK && *was && replace)
		e = map_db_del(d, key, was);
	if (e == OK && (!*was || replace)) {
		k.size -= !nul;
		v.size -= !nul;
		pthread_mutex_lock(&d->lock);
		code = d->db->put(d->db, NULL, &k, &v, 0);
		pthread_mutex_unlock(&d->lock);
		if (code != 0)
			e = trouble(d->path, code);
	}
	buf_free(&old);
	buf_free(&v0);
	buf_free(&k0);
	return e;
}

enum err
map_db_each(
    struct map_db *d, enum err (*each)(void *arg, struct str key, struct str value), void *arg)
{
	DBT k = { 0 }, v = { 0 };
	enum err e = OK;
	DBC *cursor;
	int code;

	pthread_mutex_lock(&d->lock);
	code = d->db->cursor(d->db, NULL, &cursor, 0);
	if (code == 0) {
		while (e == OK && (code = cursor->get(cursor, &k, &v, DB_NEXT)) == 0)
			e = each(arg, without_nul(&k), without_nul(&v));
		cursor->close(cursor);
	}
	pthread_mutex_unlock(&d->lock);
	if (e == OK && code != 0 && code != DB_NOTFOUND)
		e = trouble(d->path, code);
	return e;
}
