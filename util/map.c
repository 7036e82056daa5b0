/* SPDX-License-Identifier: Apache-2.0 */
#include "util/map.h"

#include <endian.h>
#include <pthread.h>
#include <sys/random.h>

#include "util/log.h"
#include "util/mem.h"

/* SipHash-1-3 with a key of the process: strangers choose many of our keys (addresses, domains), and must not
 * be able to choose ones that meet in a slot. */
static uint64_t secret[2];
static pthread_once_t secret_once = PTHREAD_ONCE_INIT;

static void
make_secret(void)
{
	ENSURE(getrandom(secret, sizeof secret, 0) == (ssize_t)sizeof secret);
}

static uint64_t
turn(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static void
sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = turn(v[1], 13) ^ v[0];
	v[0] = turn(v[0], 32);
	v[2] += v[3];
	v[3] = turn(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = turn(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = turn(v[1], 17) ^ v[2];
	v[2] = turn(v[2], 32);
}

static uint64_t
hash(struct str key)
{
	uint64_t v[4] = { secret[0] ^ 0x736f6d6570736575U, secret[1] ^ 0x646f72616e646f6dU,
		secret[0] ^ 0x6c7967656e657261U, secret[1] ^ 0x7465646279746573U };
	uint64_t w;
	size_t i;

	for (i = 0; i + 8 <= key.n; i += 8) {
		memcpy(&w, key.p + i, 8);
		v[3] ^= w;
		sip_round(v);
		v[0] ^= w;
	}
	w = 0;
	if (i < key.n)
		memcpy(&w, key.p + i, key.n - i);
	w = le64toh(w) | (uint64_t)key.n << 56;
	v[3] ^= w;
	sip_round(v);
	v[0] ^= w;
	v[2] ^= 0xff;
	for (int round = 0; round < 3; round++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void
map_fini(struct map *m)
{
	free(m->slots);
	*m = (struct map){ 0 };
}

static struct map_node *
find(const struct map *m, struct str key, uint64_t h)
{
	struct map_node *n = m->slots[h & (m->nslots - 1)];

	while (n && (n->hash != h || !str_eq(n->key, key)))
		n = n->next;
	return n;
}

struct map_node *
map_get(const struct map *m, struct str key)
{
	return m->n ? find(m, key, hash(key)) : NULL;
}

static void
grow(struct map *m)
{
	size_t nslots = m->nslots ? 2 * m->nslots : 8;
	struct map_node **slots = mem_array(nslots, sizeof(struct map_node *));

	for (size_t i = 0; i < m->nslots; i++)
		for (struct map_node *n = m->slots[i], *next; n; n = next) {
			struct map_node **slot = &slots[n->hash & (nslots - 1)];

			next = n->next;
			n->next = *slot;
			*slot = n;
		}
	free(m->slots);
	m->slots = slots;
	m->nslots = nslots;
}

struct map_node *
map_put(struct map *m, struct str key, struct map_node *n)
{
	struct map_node **slot, *there;
	uint64_t h;

	pthread_once(&secret_once, make_secret);
	h = hash(key);
	if (m->n && (there = find(m, key, h)) != NULL)
		return there;
	if (m->n >= m->nslots)
		grow(m);
	slot = &m->slots[h & (m->nslots - 1)];
	*n = (struct map_node){ .next = *slot, .key = key, .hash = h };
	*slot = n;
	m->n++;
	return n;
}

void
map_del(struct map *m, struct map_node *n)
{
	struct map_node **at;

	ENSURE(m->n > 0);
	at = &m->slots[n->hash & (m->nslots - 1)];
	while (*at != n) {
		ENSURE(*at != NULL);
		at = &(*at)->next;
	}
	*at = n->next;
	n->next = NULL;
	m->n--;
}

/* it->next is fetched ahead, so that the one returned may go; it->slot is the next slot to look at. */
struct map_node *
map_next(const struct map *m, struct map_iter *it)
{
	struct map_node *n = it->next;

	while (n == NULL && it->slot < m->nslots)
		n = m->slots[it->slot++];
	it->next = n ? n->next : NULL;
	return n;
}
