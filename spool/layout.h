/* SPDX-License-Identifier: Apache-2.0 */
/* layout.h - a message file, byte for byte.  docs/SPOOL.md says why it is so.
 *
 *	offset                 what
 *	0                      struct layout_header
 *	64                     envelope: one envelope_head, then nrcpts times envelope_rcpt (util/wire.h)
 *	content_at             content, `size` bytes
 *	content_at + size      struct layout_mark: with it the message is committed
 *	... + 32               journal: struct layout_entry and its payload, again and again to the end of the file
 *
 * Integers are little-endian.  CRCs are CRC32C.  The structs below hold the host's byte order in memory. */
#ifndef SPOOL_LAYOUT_H
#define SPOOL_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/str.h"
#include "util/wire.h"

struct layout_header {
	uint8_t  magic[8];                             /* LAYOUT_HEADER_MAGIC */
	uint32_t version;                              /* LAYOUT_VERSION */
	uint32_t header_crc;                           /* of these 64 bytes with header_crc = 0 */
	uint64_t id;                                   /* the file's name, too */
	int64_t  arrived;                              /* us since 1970 */
	uint64_t size;                                 /* of the content */
	uint32_t content_at;                           /* 64 + size of the envelope */
	uint32_t flags;                                /* MF_ */
	uint32_t nrcpts;
	uint32_t envelope_crc;                         /* of [64, content_at) */
	uint32_t content_crc;                          /* of [content_at, content_at + size) */
	uint32_t reserved;                             /* 0 */
};

/* It names its own place and message, so that it can be told from content even when the header is lost. */
struct layout_mark {
	uint8_t  magic[8];                             /* LAYOUT_MARK_MAGIC */
	uint64_t id;
	uint64_t at;                                   /* offset of this mark in the file */
	uint32_t header_crc;                           /* the header's: the two belong together */
	uint32_t mark_crc;                             /* of the 28 bytes before */
};

struct layout_entry {
	uint32_t magic;                                /* LAYOUT_ENTRY_MAGIC */
	uint32_t seq;                                  /* 0, 1, 2, ... */
	uint32_t length;                               /* of the payload: jrn_records one after another */
	uint32_t crc;                                  /* of the 12 bytes before and of the payload */
};

#define LAYOUT_HEADER_MAGIC "POSTROAD"
#define LAYOUT_MARK_MAGIC   "\x1A" "COMMIT\n"
enum {
	LAYOUT_VERSION      = 2,
	LAYOUT_HEADER       = 64,
	LAYOUT_MARK         = 32,
	LAYOUT_ENTRY        = 16,
	LAYOUT_ENTRY_MAGIC  = 0x4E524A1A,              /* "\x1AJRN" */
	LAYOUT_ENVELOPE_MAX = 64 << 20,
	LAYOUT_ENTRY_MAX    = 64 << 20,                /* payload of one entry */
	LAYOUT_JOURNAL_MAX  = 1 << 30,
};

#define LAYOUT_AT(type, field, offset) \
	_Static_assert(offsetof(struct layout_##type, field) == (offset), #type "." #field)
LAYOUT_AT(header, version, 8);
LAYOUT_AT(header, header_crc, 12);
LAYOUT_AT(header, id, 16);
LAYOUT_AT(header, arrived, 24);
LAYOUT_AT(header, size, 32);
LAYOUT_AT(header, content_at, 40);
LAYOUT_AT(header, flags, 44);
LAYOUT_AT(header, nrcpts, 48);
LAYOUT_AT(header, envelope_crc, 52);
LAYOUT_AT(header, content_crc, 56);
LAYOUT_AT(header, reserved, 60);
LAYOUT_AT(mark, id, 8);
LAYOUT_AT(mark, at, 16);
LAYOUT_AT(mark, header_crc, 24);
LAYOUT_AT(mark, mark_crc, 28);
LAYOUT_AT(entry, seq, 4);
LAYOUT_AT(entry, length, 8);
LAYOUT_AT(entry, crc, 12);
_Static_assert(sizeof(struct layout_header) == LAYOUT_HEADER, "header");
_Static_assert(sizeof(struct layout_mark) == LAYOUT_MARK, "mark");
_Static_assert(sizeof(struct layout_entry) == LAYOUT_ENTRY, "entry");

#define ENVELOPE_HEAD(F) F(str, sender) F(u8, ret) F(str, envid) F(str, client_name) F(str, client_addr) F(str, client_helo) F(str, protocol) F(str, login)
#define ENVELOPE_RCPT(F) F(str, addr) F(str, orig) F(u8, notify) F(str, orcpt)
WIRE_DECLARE(envelope_head, ENVELOPE_HEAD)
WIRE_DECLARE(envelope_rcpt, ENVELOPE_RCPT)

/* put: fills in magic, version and CRC, also in *h, and writes the bytes.  get: false when they are not a whole one. */
void layout_header_put(struct layout_header *h, char to[LAYOUT_HEADER]);
bool layout_header_get(const char from[LAYOUT_HEADER], struct layout_header *h);
void layout_mark_put(const struct layout_header *h, char to[LAYOUT_MARK]);
/* A mark that stands at offset `at` in the file of message id; *header_crc: the header it was made for. */
bool layout_mark_get(const char from[LAYOUT_MARK], uint64_t id, uint64_t at, uint32_t *header_crc);
void layout_entry_put(uint32_t seq, struct str payload, char to[LAYOUT_ENTRY]);
/* The first entry of `in`, if it is whole and numbered seq. */
bool layout_entry_get(struct str in, uint32_t seq, struct str *payload);
/* Is there a whole entry anywhere in `in`, numbered over seq? */
bool layout_entry_follows(struct str in, uint32_t seq);

#endif
