/* SPDX-License-Identifier: Apache-2.0 */
#include "qmgr/sched_core.h"

static uint64_t
reason_hash(const struct str part[4])
{
	uint64_t h = 0;

	for (int i = 0; i < 4; i++)
		h = (h ^ str_hash(part[i])) * UINT64_C(0x9E3779B97F4A7C15);
	return h ^ h >> 32;
}

struct str
reason_part(const struct reason *r, int part)
{
	size_t at = 0;

	if (r == NULL)
		return STR("");
	for (int i = 0; i < part; i++)
		at += r->n[i];
	return (struct str){ r->text + at, r->n[part] };
}

static bool
reason_is(const struct reason *r, uint64_t hash, const struct str part[4])
{
	if (r->hash != hash)
		return false;
	for (int i = 0; i < 4; i++)
		if (!str_eq(reason_part(r, i), part[i]))
			return false;
	return true;
}

static void
reasons_grow(struct sched *s)
{
	size_t n = s->nreasons ? 2 * s->nreasons : 64;
	struct reason **slots = mem_array(n, sizeof(struct reason *));

	for (size_t i = 0; i < s->nreasons; i++)
		for (struct reason *r = s->reasons[i], *next; r; r = next) {
			next = r->next;
			r->next = slots[r->hash & (n - 1)];
			slots[r->hash & (n - 1)] = r;
		}
	free(s->reasons);
	s->reasons = slots;
	s->nreasons = n;
}

struct reason *
reason_get(struct sched *s, struct str esc, struct str text, struct str mta, struct str diag)
{
	struct str part[4] = { esc, text, mta, diag };
	uint64_t hash = reason_hash(part);
	struct reason *r;
	size_t at = 0;

	if (s->reasons_used >= s->nreasons)
		reasons_grow(s);
	for (r = s->reasons[hash & (s->nreasons - 1)]; r; r = r->next)
		if (reason_is(r, hash, part)) {
			r->refs++;
			return r;
		}
	r = mem_new(sizeof *r + esc.n + text.n + mta.n + diag.n);
	r->hash = hash;
	r->refs = 1;
	for (int i = 0; i < 4; i++) {
		r->n[i] = (uint32_t)part[i].n;
		if (part[i].n)
			memcpy(r->text + at, part[i].p, part[i].n);
		at += part[i].n;
	}
	r->next = s->reasons[hash & (s->nreasons - 1)];
	s->reasons[hash & (s->nreasons - 1)] = r;
	s->reasons_used++;
	return r;
}

void
reason_put(struct sched *s, struct reason **at)
{
	struct reason *r = *at, **slot;

	*at = NULL;
	if (r == NULL || --r->refs > 0)
		return;
	slot = &s->reasons[r->hash & (s->nreasons - 1)];
	while (*slot != r)
		slot = &(*slot)->next;
	*slot = r->next;
	s->reasons_used--;
	free(r);
}

void
reason_set(struct sched *s, struct reason **at, struct reason *r)
{
	struct reason *former = *at;

	*at = r;
	reason_put(s, &former);
}
