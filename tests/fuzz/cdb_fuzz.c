/* SPDX-License-Identifier: Apache-2.0 */
/* A cdb file.  First byte: bit 0: the rest is the file as it stands.  Otherwise entries, u8 length of the key and the key, u8 length of the
 * value and the value, of which a file is made; then some bytes of it are changed: u16 place and u8 value for each of (first byte
 * / 2). */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/input.h"
#include "util/log.h"
#include "util/map_cdb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { RAW = 1 };

struct seen { struct map_cdb *c; size_t entries, bytes, most; bool good; };

static size_t
make(int fd, struct str in, size_t changes)
{
	struct map_cdb_maker *m;
	size_t entries = 0;

	ENSURE(map_cdb_begin(fd, &m) == OK);
	while (in.n > 3 * changes) {
		struct str key = take_piece(&in, take_byte(&in));
		struct str value = take_piece(&in, take_byte(&in));

		ENSURE(map_cdb_add(m, key, value, false) == OK);
		entries++;
	}
	ENSURE(map_cdb_end(&m, false) == OK);
	while (in.n > 0) {
		size_t at = take_byte(&in) << 8 | take_byte(&in);
		char c = (char)take_byte(&in);

		if ((off_t)at < lseek(fd, 0, SEEK_END))
			ENSURE(pwrite(fd, &c, 1, (off_t)at) == 1);
	}
	return entries;
}

/* What is listed in a good file is also found.  c: a handle of its own, as that which lists is locked. */
static enum err
look(void *arg, struct str key, struct str value)
{
	struct seen *s = arg;
	struct buf found = BUF(1 << 20);
	bool is = false;
	enum err e = map_cdb_get(s->c, key, &found, &is);

	(void)value;
	ENSURE(!s->good || (e == OK && is));
	s->entries++;
	s->bytes += found.n;
	buf_free(&found);
	return s->entries > s->most ? E_TOOBIG : OK;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static int file = -1;
	static char path[64];
	struct str in = { (const char *)data, n };
	struct seen s = { .most = n + 1 };
	struct map_cdb *list;
	size_t entries = 0;

	if (n == 0)
		return 0;
	if (file < 0) {
		file = memfd_create("table", MFD_CLOEXEC);
		snprintf(path, sizeof path, "/proc/self/fd/%d", file);
	}
	in = str_sub(in, 1, n);
	ENSURE(ftruncate(file, 0) == 0 && lseek(file, 0, SEEK_SET) == 0);
	if (data[0] & RAW)
		ENSURE(pwrite(file, in.p, in.n, 0) == (ssize_t)in.n);
	else
		entries = make(file, in, data[0] / 2);
	s.good = !(data[0] & RAW) && data[0] / 2 == 0;
	if (map_cdb_open(path, &list) == OK) {
		ENSURE(map_cdb_open(path, &s.c) == OK);
		if (map_cdb_each(list, look, &s) == OK)
			ENSURE(!s.good || s.entries == entries);
		map_cdb_close(&s.c);
		map_cdb_close(&list);
	} else {
		ENSURE(!s.good);
	}
	return 0;
}
