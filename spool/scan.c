/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at every message of a directory.  Threads share out its hash directories; a message costs an open, a read
 * and a close. */
#include "spool/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spool/files.h"
#include "util/fault.h"
#include "util/log.h"

struct ids { uint64_t *v; size_t n, cap; };

static void
add_id(struct ids *ids, uint64_t id)
{
	if (ids->n == ids->cap) {
		ids->cap = ids->cap ? 2 * ids->cap : 256;
		ids->v = mem_grow(ids->v, ids->cap * sizeof *ids->v);
	}
	ids->v[ids->n++] = id;
}

static int
by_age(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void
sort(struct ids *ids)
{
	if (ids->n > 1)
		qsort(ids->v, ids->n, sizeof *ids->v, by_age);
}

/* Add the ids in one hash directory, whose descriptor comes back in *dir (-1: there is none). */
static enum err
list_hash(struct spool *s, enum spool_dir d, unsigned hash, struct ids *ids, int *dir)
{
	char path[SPOOL_PATH];
	struct dirent *f;
	uint64_t id;
	DIR *stream;
	int own;

	*dir = sys_openat(s->root, spool_hash_path(d, hash, path), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (*dir < 0)
		return errno == ENOENT ? OK : fail_errno("open %s/%s", s->path, path);
	/* A descriptor of its own: closing the stream takes it along. */
	own = fcntl(*dir, F_DUPFD_CLOEXEC, 0);
	if (own < 0 || (stream = fdopendir(own)) == NULL) {
		if (own >= 0)
			close(own);
		return fail_errno("read %s/%s", s->path, path);
	}
	while (errno = 0, (f = readdir(stream)) != NULL)
		if (qid_parse(str_of(f->d_name), &id) && spool_hash(id) == hash)
			add_id(ids, id);
	if (errno != 0) {
		enum err e = fail_errno("read %s/%s", s->path, path);

		closedir(stream);
		return e;
	}
	closedir(stream);
	return OK;
}

struct scan {
	struct spool            *s;
	enum spool_dir           d;
	const struct spool_scan *how;
	atomic_uint              next;                 /* hash directory nobody has taken yet */
	atomic_bool              stop;
	pthread_mutex_t          lock;                 /* for the sums */
	struct spool_scan_stats  sum;
};

/* What one thread has in hand. */
struct hand {
	struct scan             *scan;
	struct peek              k;
	struct spool_scan_stats  n;
};

static void
set_aside(struct hand *h, uint64_t id)
{
	struct scan *c = h->scan;
	char path[SPOOL_PATH], why[ERR_WHY_MAX];

	h->n.corrupt++;
	if (c->s->readonly || c->d == SPOOL_CORRUPT)
		return;
	snprintf(why, sizeof why, "%s", err_why());
	spool_path(c->d, id, path);
	if (spool_move(c->s, id, c->d, SPOOL_CORRUPT) == OK)
		log_error("%s: damaged, set aside in %s: %s", path, spool_dir_name(SPOOL_CORRUPT), why);
	else
		log_error("%s: damaged: %s; cannot be set aside: %s", path, why, err_why());
}

/* Its writer holds a lock on a file until the message is durable, or gone: E_BUSY. */
static enum err
check_writer(const struct peek *k)
{
	if (!FAULT(flock) && flock(k->fd, LOCK_SH | LOCK_NB) == 0)
		return OK;
	return errno == EWOULDBLOCK ? fail(E_BUSY, "still being written") : fail_errno("flock");
}

static void
clear_debris(struct hand *h, int dir, uint64_t id)
{
	struct scan *c = h->scan;
	char name[QID_TEXT], why[ERR_WHY_MAX];
	struct stat st;

	snprintf(why, sizeof why, "%s", err_why());
	if (fstat(h->k.fd, &st) != 0 || wall_seconds(wall_now()) - st.st_mtim.tv_sec < c->how->debris_age ||
	    check_writer(&h->k) != OK) {
		h->n.busy++;
		return;
	}
	h->n.debris++;
	if (c->s->readonly)
		return;
	if (sys_unlinkat(dir, qid_text(id, name), 0) == 0)
		log_info("%s: removed: %s", name, why);
	else if (errno != ENOENT)
		log_warn("%s: %s; cannot be removed: %s", name, why, strerror(errno));
}

/* R2.4: whole, but perhaps not yet durable, and its writer may still have to take it back: E_BUSY. */
static enum err
check_ours(const struct peek *k, enum spool_dir d)
{
	struct stat st;

	TRY(check_writer(k));
	/* Elsewhere it is one that is just being loaded (R11), which does not take it back. */
	if (d == SPOOL_INCOMING && (fstat(k->fd, &st) != 0 || st.st_nlink == 0))
		return fail(E_BUSY, "taken back");
	return OK;
}

static void
look_at(struct hand *h, int dir, uint64_t id)
{
	struct scan *c = h->scan;
	char name[QID_TEXT];
	struct spool_view v;
	enum err e = peek_open(&h->k, dir, qid_text(id, name), O_RDONLY, id);

	if (e == E_NOENT)                              /* delivered or moved since */
		return;
	h->n.files++;
	if (e == OK)
		e = peek_view(&h->k, c->d, false, &v);
	if (e == OK && (e = check_ours(&h->k, c->d)) != OK)
		spool_view_fini(&v);
	if (e == OK) {
		h->n.messages++;
		if (!c->how->fn(c->how->arg, &v))
			atomic_store(&c->stop, true);
		spool_view_fini(&v);
	} else if (e == E_CORRUPT) {
		set_aside(h, id);
	} else if (e == E_EOF) {
		clear_debris(h, dir, id);
	} else if (e == E_BUSY) {
		h->n.busy++;
	} else {
		h->n.errors++;
		log_warn("%s: cannot be read: %s", name, err_why());
	}
	peek_close(&h->k);
}

static void
scan_hash(struct hand *h, unsigned hash)
{
	struct scan *c = h->scan;
	struct ids ids = { 0 };
	int dir;

	if (list_hash(c->s, c->d, hash, &ids, &dir) != OK) {
		h->n.errors++;
		log_warn("%s", err_why());
	}
	sort(&ids);
	for (size_t i = 0; i < ids.n && !atomic_load(&c->stop); i++)
		if (!c->how->known || !c->how->known(c->how->arg, ids.v[i]))
			look_at(h, dir, ids.v[i]);
	free(ids.v);
	if (dir >= 0)
		close(dir);
}

static void *
scan_thread(void *arg)
{
	struct scan *c = arg;
	struct hand *h = mem_new(sizeof *h);
	unsigned hash;

	h->scan = c;
	h->k.fd = -1;
	while (!atomic_load(&c->stop) && (hash = atomic_fetch_add(&c->next, 1)) < HASHES)
		scan_hash(h, hash);
	pthread_mutex_lock(&c->lock);
	c->sum.files += h->n.files;
	c->sum.messages += h->n.messages;
	c->sum.corrupt += h->n.corrupt;
	c->sum.debris += h->n.debris;
	c->sum.busy += h->n.busy;
	c->sum.errors += h->n.errors;
	pthread_mutex_unlock(&c->lock);
	free(h);
	return NULL;
}

enum err
spool_scan(struct spool *s, enum spool_dir d, const struct spool_scan *how, struct spool_scan_stats *stats)
{
	enum { MOST = 64 };
	struct scan c = { .s = s, .d = d, .how = how, .lock = PTHREAD_MUTEX_INITIALIZER };
	pthread_t threads[MOST];
	int n = 0;

	/* Fewer threads than wished for do the same work. */
	while (n < how->threads - 1 && n < MOST && pthread_create(&threads[n], NULL, scan_thread, &c) == 0)
		n++;
	scan_thread(&c);
	while (n > 0)
		pthread_join(threads[--n], NULL);
	if (stats)
		*stats = c.sum;
	return OK;
}

enum err
spool_ids(struct spool *s, enum spool_dir d, void (*fn)(void *arg, uint64_t id), void *arg)
{
	struct ids ids = { 0 };
	enum err e = OK;
	int dir;

	for (unsigned hash = 0; hash < HASHES && e == OK; hash++) {
		e = list_hash(s, d, hash, &ids, &dir);
		if (dir >= 0)
			close(dir);
	}
	sort(&ids);
	for (size_t i = 0; i < ids.n && e == OK; i++)
		fn(arg, ids.v[i]);
	free(ids.v);
	return e;
}
