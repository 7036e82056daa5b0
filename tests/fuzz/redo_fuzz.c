/* SPDX-License-Identifier: Apache-2.0 */
/* A redo log.  First byte: bit 0: what follows is the file as it stands.  Otherwise records whose checksums are made right: u8 id, u8
 * generation, u16 length, the image; bit 1: the last byte of the file is changed. */
#include <sys/mman.h>
#include <unistd.h>

#include "spool/crc.h"
#include "spool/redo.h"
#include "util/buf.h"
#include "util/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { RAW = 1, SPOILT = 2 };

struct walked { struct str whole; size_t records, bytes; };

static bool
found(void *arg, uint64_t id, struct str image)
{
	struct walked *w = arg;

	(void)id;
	w->records++;
	w->bytes += REDO_RECORD_SIZE + image.n;
	ENSURE(image.n <= REDO_MESSAGE_MAX && REDO_HEAD + w->bytes <= w->whole.n);
	ENSURE(memcmp(image.p, w->whole.p + REDO_HEAD + w->bytes - image.n, image.n) == 0);
	return image.n == 0 || image.p[0] != 'X';
}

static size_t
seal(const uint8_t *p, size_t n, struct buf *out)
{
	struct redo_header h = { .magic = REDO_MAGIC, .version = REDO_VERSION };
	size_t records = 0;

	ENSURE(redo_header_seal(out, &h));
	while (out->n < REDO_HEAD)
		ENSURE(buf_addc(out, 0));
	while (n >= 4) {
		size_t size = (size_t)(p[2] << 8 | p[3]);
		struct redo_record r = { .magic = REDO_MAGIC, .id = p[0], .generation = p[1] / 64, .at = out->n };
		struct str image = { (const char *)p + 4, size < n - 4 ? size : n - 4 };

		r.size = (uint32_t)image.n;
		r.image_crc = crc32c(0, image.p, image.n);
		ENSURE(redo_record_seal(out, &r) && buf_add(out, image));
		p += 4 + image.n;
		n -= 4 + image.n;
		records++;
	}
	return records;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static int file = -1;
	struct buf whole = BUF(1 << 20);
	struct walked w = { 0 };
	size_t records = SIZE_MAX;

	if (n == 0)
		return 0;
	if (file < 0)
		file = memfd_create("log", MFD_CLOEXEC);
	if (data[0] & RAW)
		ENSURE(buf_add(&whole, (struct str){ (const char *)data + 1, n - 1 }));
	else
		records = seal(data + 1, n - 1, &whole);
	if ((data[0] & SPOILT) && whole.n > 0)
		whole.p[whole.n - 1] ^= 1;
	ENSURE(ftruncate(file, 0) == 0 && pwrite(file, whole.p, whole.n, 0) == (ssize_t)whole.n);
	w.whole = buf_str(&whole);
	redo_walk(file, found, &w);
	ENSURE(w.records <= records);
	buf_free(&whole);
	return 0;
}
