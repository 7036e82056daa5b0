/* SPDX-License-Identifier: Apache-2.0 */
#include "spool/spool.h"

#include <stdatomic.h>

#include "spool/files.h"

enum { NODE_BITS = 8, SLOT_BITS = 10, SEQ_BITS = 4, LOW_BITS = NODE_BITS + SLOT_BITS + SEQ_BITS, TIME_BITS = 42 };
_Static_assert(TIME_BITS + LOW_BITS == 64, "queue id");
_Static_assert(LOW_BITS + 10 == HASH_SHIFT, "a hash directory is for messages of about one second");

static _Atomic uint64_t last;                          /* time and sequence of the newest id */
static uint64_t         self;                          /* node and slot, in their place */

static const char digits[] = "0123456789ABCDEF";

const char *
qid_text(uint64_t id, char out[QID_TEXT])
{
	for (int i = QID_TEXT - 2; i >= 0; i--, id >>= 4)
		out[i] = digits[id & 15];
	out[QID_TEXT - 1] = '\0';
	return out;
}

bool
qid_parse(struct str text, uint64_t *id)
{
	uint64_t v = 0;

	if (text.n != QID_TEXT - 1)
		return false;
	for (size_t i = 0; i < text.n; i++) {
		const char *d = text.p[i] ? strchr(digits, text.p[i]) : NULL;

		if (d == NULL)
			return false;
		v = v << 4 | (uint64_t)(d - digits);
	}
	*id = v;
	return true;
}

void
qid_setup(unsigned node, unsigned slot)
{
	self = (uint64_t)(node & ((1U << NODE_BITS) - 1)) << (SLOT_BITS + SEQ_BITS) |
	       (uint64_t)(slot & ((1U << SLOT_BITS) - 1)) << SEQ_BITS;
}

uint64_t
qid_count(uint64_t was, struct wall now)
{
	uint64_t ms = (uint64_t)(now.us / 1000) << SEQ_BITS;

	return ms > was ? ms : was + 1;
}

uint64_t
qid_new(void)
{
	struct wall now = wall_now();
	uint64_t was = atomic_load(&last), next;

	do
		next = qid_count(was, now);
	while (!atomic_compare_exchange_weak(&last, &was, next));
	return next >> SEQ_BITS << LOW_BITS | self | (next & ((1U << SEQ_BITS) - 1));
}

unsigned
spool_hash(uint64_t id)
{
	return (unsigned)(id >> HASH_SHIFT & (HASHES - 1));
}

static char *
add(char *to, const char *z)
{
	while (*z)
		*to++ = *z++;
	return to;
}

const char *
spool_hash_path(enum spool_dir d, unsigned hash, char out[SPOOL_PATH])
{
	char *to = add(out, spool_dir_name(d));

	*to++ = '/';
	*to++ = digits[hash >> 4 & 15];
	*to++ = digits[hash & 15];
	*to = '\0';
	return out;
}

const char *
spool_path(enum spool_dir d, uint64_t id, char out[SPOOL_PATH])
{
	size_t n;

	spool_hash_path(d, spool_hash(id), out);
	n = strlen(out);
	out[n] = '/';
	qid_text(id, out + n + 1);
	return out;
}

bool
spool_is_young(uint64_t id)
{
	enum { YOUNG_MS = 60000 };

	return wall_now().us / 1000 - (int64_t)(id >> LOW_BITS) < YOUNG_MS;
}
