/* SPDX-License-Identifier: Apache-2.0 */
#include "spool/layout.h"

#include <endian.h>

#include "spool/crc.h"
#include "spool/spool.h"

WIRE_DEFINE(envelope_head, ENVELOPE_HEAD)
WIRE_DEFINE(envelope_rcpt, ENVELOPE_RCPT)
WIRE_DEFINE(jrn_record, JRN_RECORD)

/* Its own inverse: the same swaps lead to the file's order and back. */
static void
header_swap(struct layout_header *h)
{
	h->version = htole32(h->version);
	h->header_crc = htole32(h->header_crc);
	h->id = htole64(h->id);
	h->arrived = (int64_t)htole64((uint64_t)h->arrived);
	h->size = htole64(h->size);
	h->content_at = htole32(h->content_at);
	h->flags = htole32(h->flags);
	h->nrcpts = htole32(h->nrcpts);
	h->envelope_crc = htole32(h->envelope_crc);
	h->content_crc = htole32(h->content_crc);
	h->reserved = htole32(h->reserved);
}

static void
mark_swap(struct layout_mark *m)
{
	m->id = htole64(m->id);
	m->at = htole64(m->at);
	m->header_crc = htole32(m->header_crc);
	m->mark_crc = htole32(m->mark_crc);
}

static void
entry_swap(struct layout_entry *e)
{
	e->magic = htole32(e->magic);
	e->seq = htole32(e->seq);
	e->length = htole32(e->length);
	e->crc = htole32(e->crc);
}

void
layout_header_put(struct layout_header *h, char to[LAYOUT_HEADER])
{
	struct layout_header f;

	memcpy(h->magic, LAYOUT_HEADER_MAGIC, sizeof h->magic);
	h->version = LAYOUT_VERSION;
	h->header_crc = 0;
	f = *h;
	header_swap(&f);
	h->header_crc = crc32c(0, &f, sizeof f);
	f.header_crc = htole32(h->header_crc);
	memcpy(to, &f, sizeof f);
}

bool
layout_header_get(const char from[LAYOUT_HEADER], struct layout_header *h)
{
	struct layout_header f;
	uint32_t crc;

	memcpy(&f, from, sizeof f);
	crc = le32toh(f.header_crc);
	f.header_crc = 0;
	if (memcmp(f.magic, LAYOUT_HEADER_MAGIC, sizeof f.magic) != 0 || crc32c(0, &f, sizeof f) != crc)
		return false;
	*h = f;
	header_swap(h);
	h->header_crc = crc;
	return true;
}

void
layout_mark_put(const struct layout_header *h, char to[LAYOUT_MARK])
{
	struct layout_mark m = { .id = h->id, .at = h->content_at + h->size, .header_crc = h->header_crc };

	memcpy(m.magic, LAYOUT_MARK_MAGIC, sizeof m.magic);
	mark_swap(&m);
	m.mark_crc = htole32(crc32c(0, &m, offsetof(struct layout_mark, mark_crc)));
	memcpy(to, &m, sizeof m);
}

bool
layout_mark_get(const char from[LAYOUT_MARK], uint64_t id, uint64_t at, uint32_t *header_crc)
{
	struct layout_mark m;
	uint32_t crc;

	memcpy(&m, from, sizeof m);
	if (memcmp(m.magic, LAYOUT_MARK_MAGIC, sizeof m.magic) != 0)
		return false;
	crc = crc32c(0, &m, offsetof(struct layout_mark, mark_crc));
	mark_swap(&m);
	*header_crc = m.header_crc;
	return m.mark_crc == crc && m.id == id && m.at == at;
}

static uint32_t
entry_crc(const struct layout_entry *in_file_order, struct str payload)
{
	uint32_t crc = crc32c(0, in_file_order, offsetof(struct layout_entry, crc));

	return crc32c(crc, payload.p, payload.n);
}

void
layout_entry_put(uint32_t seq, struct str payload, char to[LAYOUT_ENTRY])
{
	struct layout_entry e = { .magic = LAYOUT_ENTRY_MAGIC, .seq = seq, .length = (uint32_t)payload.n };

	entry_swap(&e);
	e.crc = htole32(entry_crc(&e, payload));
	memcpy(to, &e, sizeof e);
}

static bool
entry_read(struct str in, struct layout_entry *e, struct str *payload)
{
	uint32_t crc;

	if (in.n < LAYOUT_ENTRY)
		return false;
	memcpy(e, in.p, sizeof *e);
	if (le32toh(e->magic) != LAYOUT_ENTRY_MAGIC || le32toh(e->length) > in.n - LAYOUT_ENTRY)
		return false;
	*payload = (struct str){ in.p + LAYOUT_ENTRY, le32toh(e->length) };
	crc = entry_crc(e, *payload);
	entry_swap(e);
	return e->crc == crc;
}

bool
layout_entry_get(struct str in, uint32_t seq, struct str *payload)
{
	struct layout_entry e;

	return entry_read(in, &e, payload) && e.seq == seq;
}

bool
layout_entry_follows(struct str in, uint32_t seq)
{
	struct layout_entry e;
	struct str payload;
	const uint32_t magic = htole32(LAYOUT_ENTRY_MAGIC);

	while (in.n >= LAYOUT_ENTRY) {
		const char *p = memmem(in.p, in.n, &magic, sizeof magic);

		if (p == NULL)
			return false;
		in = str_sub(in, (size_t)(p - in.p), in.n);
		if (entry_read(in, &e, &payload) && e.seq > seq)
			return true;
		in = str_sub(in, 1, in.n);
	}
	return false;
}
