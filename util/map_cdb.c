/* SPDX-License-Identifier: Apache-2.0 */
#include "util/map_cdb.h"

#include <cdb.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "util/mem.h"

struct map_cdb {
	pthread_mutex_t lock; /* a lookup notes in the handle where it is */
	struct cdb cdb;
	char *path;
};

struct map_cdb_maker {
	struct cdb_make make;
};

enum err
map_cdb_open(const char *path, struct map_cdb **out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct map_cdb *c;
	enum err e;

	if (fd < 0)
		return fail_errno("%s", path);
	c = mem_new(sizeof *c);
	if (cdb_init(&c->cdb, fd) == 0) {
		pthread_mutex_init(&c->lock, NULL);
		c->path = mem_dup(path);
		*out = c;
		/* The file is mapped; its descriptor is needed no more. */
		close(fd);
		return OK;
	}
	e = errno == EPROTO ? fail(E_CORRUPT, "%s: not a cdb file", path) : fail_errno("%s", path);
	close(fd);
	free(c);
	return e;
}

void
map_cdb_close(struct map_cdb **c)
{
	if (*c == NULL)
		return;
	cdb_free(&(*c)->cdb);
	pthread_mutex_destroy(&(*c)->lock);
	free((*c)->path);
	mem_free(c);
}

static enum err
corrupt(const struct map_cdb *c)
{
	return fail(E_CORRUPT, "%s: damaged cdb file", c->path);
}

static struct str
without_nul(const void *p, unsigned n)
{
	struct str s = { p ? p : "", n };

	if (s.n > 0 && s.p[s.n - 1] == '\0')
		s.n--;
	return s;
}

enum err
map_cdb_get(struct map_cdb *c, struct str key, struct buf *value, bool *found)
{
	char *with_nul = str_dup(key);
	const void *data = NULL;
	enum err e = OK;
	int got = 0;

	*found = false;
	pthread_mutex_lock(&c->lock);
	if (key.n < UINT32_MAX - 1) {
		got = cdb_find(&c->cdb, with_nul, (unsigned)key.n);
		if (got == 0)
			got = cdb_find(&c->cdb, with_nul, (unsigned)key.n + 1);
	}
	if (got > 0) {
		data = cdb_get(&c->cdb, cdb_datalen(&c->cdb), cdb_datapos(&c->cdb));
		if (data == NULL && cdb_datalen(&c->cdb) > 0)
			e = corrupt(c);
		else if (!buf_add(value, without_nul(data, cdb_datalen(&c->cdb))))
			e = fail(E_IO, "%s: value too long", c->path);
		*found = e == OK;
	} else if (got < 0) {
		e = corrupt(c);
	}
	pthread_mutex_unlock(&c->lock);
	free(with_nul);
	return e;
}

enum err
map_cdb_each(
    struct map_cdb *c, enum err (*each)(void *arg, struct str key, struct str value), void *arg)
{
	enum err e = OK;
	unsigned at;
	int got = 0;

	pthread_mutex_lock(&c->lock);
	cdb_seqinit(&at, &c->cdb);
	while (e == OK && (got = cdb_seqnext(&at, &c->cdb)) > 0) {
		const void *k = cdb_get(&c->cdb, cdb_keylen(&c->cdb), cdb_keypos(&c->cdb));
		const void *v = cdb_get(&c->cdb, cdb_datalen(&c->cdb), cdb_datapos(&c->cdb));

		if ((k == NULL && cdb_keylen(&c->cdb) > 0) ||
		    (v == NULL && cdb_datalen(&c->cdb) > 0))
			e = corrupt(c);
		else
			e = each(arg, without_nul(k, cdb_keylen(&c->cdb)),
			    without_nul(v, cdb_datalen(&c->cdb)));
	}
	pthread_mutex_unlock(&c->lock);
	return e == OK && got < 0 ? corrupt(c) : e;
}

enum err
map_cdb_begin(int fd, struct map_cdb_maker **out)
{
	struct map_cdb_maker *m = mem_new(sizeof *m);

	if (cdb_make_start(&m->make, fd) != 0) {
		free(m);
		return fail_errno("cdb");
	}
	*out = m;
	return OK;
}

enum err
map_cdb_add(struct map_cdb_maker *m, struct str key, struct str value, bool nul)
{
	char *k, *v;
	int code;

	if (key.n >= UINT32_MAX / 4 || value.n >= UINT32_MAX / 4)
		return fail(E_IO, "cdb: entry too long");
	k = str_dup(key);
	v = str_dup(value);
	code = cdb_make_add(&m->make, k, (unsigned)(key.n + nul), v, (unsigned)(value.n + nul));
	free(v);
	free(k);
	return code == 0 ? OK : fail_errno("cdb");
}

enum err
map_cdb_end(struct map_cdb_maker **m, bool only_free)
{
	/* The library frees its memory only when it finishes the file, wanted or not. */
	int failed = cdb_make_finish(&(*m)->make);
	enum err e = failed && !only_free ? fail_errno("cdb") : OK;

	mem_free(m);
	return e;
}
