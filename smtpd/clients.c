/* SPDX-License-Identifier: Apache-2.0 */
/* The file is sparse: a page of owners (pids), then one table for each slot of the board.  A table is written by its
 * owner alone and read by all; what a reader misses by a race is one session more or less. */
#include "smtpd/clients.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util/log.h"

enum {
	TABLE_SIZE = 16 << 10,                         /* a power of two */
	PROBES = 32,                                   /* places looked at for one client */
};

struct entry_of_client {
	_Atomic uint64_t who;                          /* hash of service and address; 0: never used */
	_Atomic uint32_t count;
	uint32_t         unused;
};

struct shared {
	_Atomic int32_t        owner[BOARD_SLOTS];
	struct entry_of_client table[BOARD_SLOTS][TABLE_SIZE];
};

struct clients {
	const struct service *service;
	struct shared        *shared;
};

/* An empty table, in place of that of who had this slot before us.  To write to a page that a full disk has no room for
 * would be death by SIGBUS. */
static bool
make_room(struct shared *s, int fd, unsigned slot)
{
	const off_t size = (off_t)sizeof s->table[slot];
	bool empty = madvise(s->table[slot], sizeof s->table[slot], MADV_REMOVE) == 0;
	int error = posix_fallocate(fd, 0, (off_t)sizeof s->owner);

	if (error == 0)
		error = posix_fallocate(fd, (off_t)offsetof(struct shared, table) + slot * size, size);
	if (error == 0 && !empty)
		memset(s->table[slot], 0, sizeof s->table[slot]);
	errno = error;
	return error == 0;
}

/* An anonymous one when there is no file: then we see our own sessions only. */
static struct shared *
map(const char *dir, unsigned slot)
{
	struct buf path = BUF(0);
	void *p = MAP_FAILED;
	int fd;

	ENSURE(buf_printf(&path, "%s/smtpd_clients", dir));
	fd = open(buf_cstr(&path), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && ftruncate(fd, sizeof(struct shared)) == 0)
		p = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p != MAP_FAILED && !make_room(p, fd, slot)) {
		int error = errno;

		munmap(p, sizeof(struct shared));
		errno = error;
		p = MAP_FAILED;
	}
	if (p == MAP_FAILED)
		log_warn("%s: %s: sessions are counted for this process alone", buf_cstr(&path), strerror(errno));
	if (fd >= 0)
		close(fd);
	buf_free(&path);
	if (p == MAP_FAILED)
		p = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		log_fatal("mmap: %s", strerror(errno));
	return p;
}

struct clients *
clients_open(const struct service *s)
{
	struct clients *c = mem_new(sizeof *c);

	c->service = s;
	c->shared = map(s->params.data_directory, s->slot);
	atomic_store(&c->shared->owner[s->slot], (int32_t)getpid());
	return c;
}

void
clients_close(struct clients **pc)
{
	struct clients *c = *pc;

	if (c == NULL)
		return;
	atomic_store(&c->shared->owner[c->service->slot], 0);
	munmap(c->shared, sizeof *c->shared);
	mem_free(pc);
}

static uint64_t
identity(const struct clients *c, const struct addr *a)
{
	const struct params *p = &c->service->params;
	bool v6 = a->sa.sa_family == AF_INET6;
	size_t bits = (size_t)(v6 ? p->smtpd_client_ipv6_prefix_length : p->smtpd_client_ipv4_prefix_length);
	size_t n = (bits + 7) / 8;
	char bytes[sizeof a->in6.sin6_addr];
	uint64_t h;

	memcpy(bytes, v6 ? (const void *)&a->in6.sin6_addr : &a->in.sin_addr, n);
	if (bits % 8 > 0)
		bytes[n - 1] &= (char)(0xff00 >> bits % 8);
	h = str_hash((struct str){ bytes, n }) ^ str_hash(str_of(c->service->name)) * 31 ^ v6;
	return h ? h : 1;
}

static struct entry_of_client *
find(struct clients *c, unsigned slot, uint64_t who, bool make)
{
	struct entry_of_client *table = c->shared->table[slot], *vacant = NULL;

	for (unsigned i = 0; i < PROBES; i++) {
		struct entry_of_client *e = &table[(who + i) % TABLE_SIZE];
		uint64_t here = atomic_load_explicit(&e->who, memory_order_relaxed);

		if (here == who)
			return e;
		if (vacant == NULL && atomic_load_explicit(&e->count, memory_order_relaxed) == 0)
			vacant = e;
		if (here == 0)
			break;
	}
	if (!make || vacant == NULL)
		return NULL;
	atomic_store_explicit(&vacant->who, who, memory_order_relaxed);
	return vacant;
}

static bool
is_alive(const struct clients *c, unsigned slot)
{
	int32_t owner = atomic_load_explicit(&c->shared->owner[slot], memory_order_relaxed);

	if (owner == 0 || slot == c->service->slot)
		return slot == c->service->slot;
	return atomic_load_explicit(&c->service->board->slot[slot].pid, memory_order_relaxed) == owner;
}

unsigned
clients_enter(struct clients *c, const struct addr *client)
{
	uint64_t who = identity(c, client);
	struct entry_of_client *own = find(c, c->service->slot, who, true);
	unsigned sum = 0;

	/* A full table leaves the client uncounted rather than turned away. */
	if (own)
		atomic_fetch_add_explicit(&own->count, 1, memory_order_relaxed);
	for (unsigned slot = 0; slot < BOARD_SLOTS; slot++) {
		struct entry_of_client *e = is_alive(c, slot) ? find(c, slot, who, false) : NULL;

		if (e)
			sum += atomic_load_explicit(&e->count, memory_order_relaxed);
	}
	return sum;
}

void
clients_leave(struct clients *c, const struct addr *client)
{
	struct entry_of_client *own = find(c, c->service->slot, identity(c, client), false);

	if (own && atomic_load_explicit(&own->count, memory_order_relaxed) > 0)
		atomic_fetch_sub_explicit(&own->count, 1, memory_order_relaxed);
}
