/* SPDX-License-Identifier: Apache-2.0 */
/* A message file.  First byte: bit 0: what follows is the whole file as it stands.  Otherwise its checksums are made right, so that what
 * is behind them is reached: u16 length of the envelope, the envelope, u8 number of recipients, then entries of the journal,
 * each u16 length and the payload; bit 1: the last entry lacks its last byte. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "spool/crc.h"
#include "spool/layout.h"
#include "spool/spool.h"
#include "util/buf.h"
#include "tests/fuzz/input.h"
#include "util/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { RAW = 1, CUT = 2, HISTORY_MAX = 1 << 20 };

static size_t
take_u16(struct str *in)
{
	struct str s = take_piece(in, 2);

	return s.n < 2 ? 0 : (size_t)((unsigned char)s.p[0] << 8 | (unsigned char)s.p[1]);
}

static void
seal(struct str in, bool cut, struct buf *out)
{
	static const char content[] = "Subject: x\r\n\r\nbody\r\n";
	struct layout_header h = { .id = 0x0123456789ABCDEF, .arrived = 1795000000000000, .size = sizeof content - 1 };
	char header[LAYOUT_HEADER], mark[LAYOUT_MARK], entry[LAYOUT_ENTRY];
	struct str envelope = take_piece(&in, take_u16(&in)), rcpts = take_piece(&in, 1);

	h.content_at = (uint32_t)(LAYOUT_HEADER + envelope.n);
	h.nrcpts = rcpts.n ? (unsigned char)rcpts.p[0] : 1;
	h.envelope_crc = crc32c(0, envelope.p, envelope.n);
	h.content_crc = crc32c(0, content, sizeof content - 1);
	layout_header_put(&h, header);
	layout_mark_put(&h, mark);
	ENSURE(buf_add(out, (struct str){ header, sizeof header }) && buf_add(out, envelope) && buf_adds(out, content) &&
	       buf_add(out, (struct str){ mark, sizeof mark }));
	for (uint32_t seq = 0; in.n > 0; seq++) {
		struct str payload = take_piece(&in, take_u16(&in));

		layout_entry_put(seq, payload, entry);
		ENSURE(buf_add(out, (struct str){ entry, sizeof entry }) && buf_add(out, payload));
	}
	if (cut)
		buf_cut(out, out->n - 1);
}

static size_t
sum(struct str s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += (unsigned char)s.p[i];
	return n;
}

/* All of it can be read. */
static size_t
look(const struct spool_view *v)
{
	size_t n = sum(v->msg.sender) + sum(v->msg.envid) + sum(v->msg.client_name) + sum(v->msg.login);

	for (size_t i = 0; i < v->msg.nrcpts; i++) {
		const struct spool_progress *p = &v->progress[i];

		ENSURE(p->state <= JRN_EXPIRED);
		n += sum(v->msg.rcpts[i].addr) + sum(v->msg.rcpts[i].orig) + sum(v->msg.rcpts[i].orcpt);
		n += sum(p->esc) + sum(p->text) + sum(p->mta) + sum(p->diag);
	}
	return n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static int file = -1;
	static char path[64];
	static volatile size_t seen;
	struct str in = { (const char *)data + 1, n - 1 };
	struct buf whole = BUF(1 << 20), history = BUF(HISTORY_MAX);
	struct spool_view v;
	int fd = -1;

	if (n == 0)
		return 0;
	if (file < 0) {
		file = memfd_create("message", MFD_CLOEXEC);
		snprintf(path, sizeof path, "/proc/self/fd/%d", file);
	}
	if (data[0] & RAW)
		ENSURE(buf_add(&whole, in));
	else
		seal(in, (data[0] & CUT) != 0, &whole);
	ENSURE(ftruncate(file, 0) == 0 && pwrite(file, whole.p, whole.n, 0) == (ssize_t)whole.n);
	if (spool_read_file(path, &v, &history, &fd) == OK) {
		seen += look(&v) + sum(buf_str(&history));
		ENSURE(v.msg.content_at + v.msg.size <= whole.n);
		spool_view_fini(&v);
		close(fd);
	}
	buf_free(&whole);
	buf_free(&history);
	return 0;
}
