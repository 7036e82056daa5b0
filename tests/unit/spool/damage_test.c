/* SPDX-License-Identifier: Apache-2.0 */
/* Rule 2 of docs/SPOOL.md: a damaged file is never taken for a good one, nor for debris, and never does us harm. */
#include "spool/crc.h"
#include "tests/unit/spool/fixture.h"

enum { SIZE = 300 };

/* A message with two journal entries, and where its parts end. */
struct sample {
	struct spool    *s;
	struct spool_msg m;
	struct buf       file;
	size_t           content_at, mark_at, committed, first;
};

static WAITS struct sample
sample_up(void)
{
	struct sample x = { .s = spool_up(SYNC_NONE) };
	struct buf b;

	need(put(x.s, SIZE, &x.m));
	need(note(x.s, x.m.id, JRN_T_SENT, 0, "first"));
	b = slurp(file_of(SPOOL_INCOMING, x.m.id));
	x.first = b.n;
	buf_free(&b);
	need(note(x.s, x.m.id, JRN_T_DEFERRED, 1, "second"));
	x.file = slurp(file_of(SPOOL_INCOMING, x.m.id));
	x.content_at = x.m.content_at;
	x.mark_at = x.content_at + SIZE;
	x.committed = x.mark_at + LAYOUT_MARK;
	return x;
}

static void
sample_down(struct sample *x)
{
	buf_free(&x->file);
	spool_down(&x->s);
}

/* What reading says of these bytes in the sample's place; on OK *entries: how many journal entries count. */
static enum err
judge(struct sample *x, enum spool_dir d, struct str file, bool check_content, int *entries)
{
	struct spool_view v;
	enum err e;

	spew(file_of(d, x->m.id), file);
	e = spool_read(x->s, d, x->m.id, check_content, &v);
	if (e == OK)
		*entries = (v.progress[0].state == JRN_SENT) + (v.progress[1].state == JRN_DEFERRED);
	else
		CHECK(v.memory == NULL && strlen(err_why()) > 0);
	spool_view_fini(&v);
	return e;
}

static void
r2_1_a_file_cut_off_before_its_mark_is_debris(void)
{
	struct sample x = sample_up();
	int entries;

	for (size_t n = 0; n <= x.file.n; n++) {
		enum err e = judge(&x, SPOOL_INCOMING, str_sub(buf_str(&x.file), 0, n), true, &entries);

		CHECK(e == (n < x.committed ? E_EOF : OK));
		CHECK(e != OK || entries == (n >= x.first) + (n == x.file.n));
	}
	sample_down(&x);
}

static void
r2_2_outside_incoming_a_file_cut_off_is_damaged(void)
{
	struct sample x = sample_up();
	int entries;

	need(spool_move(x.s, x.m.id, SPOOL_INCOMING, SPOOL_DEFERRED));
	for (size_t n = 0; n < x.committed; n++)
		CHECK(judge(&x, SPOOL_DEFERRED, str_sub(buf_str(&x.file), 0, n), false, &entries) == E_CORRUPT);
	sample_down(&x);
}

static void
r2_2_any_byte_changed_is_noticed(void)
{
	static const unsigned char changes[] = { 0x01, 0x80, 0xFF };
	struct sample x = sample_up();
	int entries;

	for (size_t i = 0; i < x.file.n * countof(changes); i++) {
		size_t at = i / countof(changes);
		char old = x.file.p[at];
		bool in_content;
		enum err e;

		x.file.p[at] = (char)(old ^ changes[i % countof(changes)]);
		e = judge(&x, SPOOL_INCOMING, buf_str(&x.file), true, &entries);
		CHECK(e == (at < x.first ? E_CORRUPT : OK));
		CHECK(e != OK || entries == 1);        /* the last entry: as if it had not been finished */
		e = judge(&x, SPOOL_INCOMING, buf_str(&x.file), false, &entries);
		in_content = at >= x.content_at && at < x.mark_at;
		CHECK(e == (at < x.first && !in_content ? E_CORRUPT : OK));
		CHECK(!in_content || entries == 2);
		x.file.p[at] = old;
	}
	sample_down(&x);
}

static void
r2_2_a_lost_block_is_damage_not_debris(void)
{
	struct sample x = sample_up();
	char saved[64];
	int entries;

	for (size_t at = 0; at + sizeof saved <= x.first; at += 16) {
		memcpy(saved, x.file.p + at, sizeof saved);
		memset(x.file.p + at, 0, sizeof saved);
		CHECK(judge(&x, SPOOL_INCOMING, buf_str(&x.file), true, &entries) == E_CORRUPT);
		memcpy(x.file.p + at, saved, sizeof saved);
	}
	sample_down(&x);
}

static void
r2_1_an_unfinished_large_file_is_debris(void)
{
	struct sample x = sample_up();
	char *zeros = mem_new(200000), *noise = bytes(200000);
	int entries;

	CHECK(judge(&x, SPOOL_INCOMING, (struct str){ zeros, 200000 }, true, &entries) == E_EOF);
	memset(noise, 0, LAYOUT_HEADER);
	CHECK(judge(&x, SPOOL_INCOMING, (struct str){ noise, 200000 }, true, &entries) == E_EOF);
	/* With neither zeros nor a header there nobody knows what it was. */
	CHECK(judge(&x, SPOOL_INCOMING, (struct str){ noise + 1000, 100000 }, true, &entries) == E_CORRUPT);
	free(zeros);
	free(noise);
	sample_down(&x);
}

/* xorshift; the same every time */
static uint64_t
dice(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void
r2_2_no_mixture_of_damage_is_taken_for_the_message(void)
{
	struct sample x = sample_up();
	uint64_t seed = 88172645463325252;
	struct buf b = BUF(0);
	int entries, intact = 0;

	for (int round = 0; round < 5000; round++) {
		size_t from = dice(&seed) % x.file.n, n = dice(&seed) % 40, to = dice(&seed) % x.file.n;
		bool untouched;

		buf_clear(&b);
		buf_add(&b, buf_str(&x.file));
		for (size_t i = 0; i < dice(&seed) % 4; i++)
			b.p[dice(&seed) % b.n] = (char)dice(&seed);
		if (from + n <= b.n && to + n <= b.n && dice(&seed) % 2)
			memmove(b.p + to, b.p + from, n);
		if (dice(&seed) % 4 == 0)
			buf_cut(&b, dice(&seed) % (b.n + 1));
		untouched = str_starts(buf_str(&b), str_sub(buf_str(&x.file), 0, x.committed));
		if (judge(&x, SPOOL_INCOMING, buf_str(&b), true, &entries) == OK) {
			CHECK(untouched);
			intact++;
		}
	}
	CHECK(intact > 0);
	buf_free(&b);
	sample_down(&x);
}

/* Sums that are right over numbers that are not: what a broken or hostile writer would make. */
static void
r2_3_sizes_that_lie_are_refused(void)
{
	struct sample x = sample_up();
	struct layout_header good;
	int entries;

	CHECK(layout_header_get(x.file.p, &good));
	for (int i = 0; i < 12; i++) {
		struct layout_header h = good;
		enum err e;

		switch (i) {
		case 0: h.size = UINT64_MAX; break;
		case 1: h.size = INT64_MAX; break;
		case 2: h.size = UINT64_MAX - h.content_at + 1; break;
		case 3: h.size--; break;
		case 4: h.size++; break;
		case 5: h.content_at = 0; break;
		case 6: h.content_at = UINT32_MAX; break;
		case 7: h.content_at--; break;
		case 8: h.nrcpts = UINT32_MAX; break;
		case 9: h.nrcpts--; break;
		case 10: h.nrcpts++; break;
		case 11: h.id++; break;
		}
		layout_header_put(&h, x.file.p);
		e = judge(&x, SPOOL_INCOMING, buf_str(&x.file), true, &entries);
		CHECK(e == E_CORRUPT);
		/* With a mark to match. */
		if (h.content_at + h.size + LAYOUT_MARK < x.file.n && h.content_at + h.size > LAYOUT_HEADER) {
			char saved[LAYOUT_MARK];
			size_t at = h.content_at + h.size;

			memcpy(saved, x.file.p + at, sizeof saved);
			layout_mark_put(&h, x.file.p + at);
			CHECK(judge(&x, SPOOL_INCOMING, buf_str(&x.file), true, &entries) == E_CORRUPT);
			memcpy(x.file.p + at, saved, sizeof saved);
		}
	}
	sample_down(&x);
}

static void
r2_3_a_format_from_the_future_is_left_alone(void)
{
	struct sample x = sample_up();
	char header[LAYOUT_HEADER];
	uint32_t crc;
	int entries;

	memcpy(header, x.file.p, sizeof header);
	memset(header + 12, 0, 4);
	header[8] = LAYOUT_VERSION + 1;
	crc = crc32c(0, header, sizeof header);
	memcpy(x.file.p, header, sizeof header);
	for (int i = 0; i < 4; i++)
		x.file.p[12 + i] = (char)(crc >> 8 * i);
	CHECK(judge(&x, SPOOL_INCOMING, buf_str(&x.file), true, &entries) == E_IO);
	CHECK(scan_all(x.s, SPOOL_INCOMING, 0).errors == 1);
	CHECK(files_in(x.s, SPOOL_INCOMING) == 1 && files_in(x.s, SPOOL_CORRUPT) == 0);
	sample_down(&x);
}

static void
a_symbolic_link_is_not_followed(void)
{
	struct sample x = sample_up();
	struct spool_view v;
	char other[160];
	int fd;

	snprintf(other, sizeof other, "%s/elsewhere", scratch);
	CHECK(rename(file_of(SPOOL_INCOMING, x.m.id), other) == 0);
	CHECK(symlink(other, file_of(SPOOL_INCOMING, x.m.id)) == 0);
	CHECK(spool_read(x.s, SPOOL_INCOMING, x.m.id, true, &v) == E_IO);
	CHECK(spool_open_content(x.s, SPOOL_INCOMING, x.m.id, &fd) == E_IO);
	CHECK(note(x.s, x.m.id, JRN_T_SENT, 0, "") == E_IO);
	sample_down(&x);
}

SUITE(damage, TASK_TEST(r2_1_a_file_cut_off_before_its_mark_is_debris),
    TASK_TEST(r2_2_outside_incoming_a_file_cut_off_is_damaged), TASK_TEST(r2_2_any_byte_changed_is_noticed),
    TASK_TEST(r2_2_a_lost_block_is_damage_not_debris), TASK_TEST(r2_1_an_unfinished_large_file_is_debris),
    TASK_TEST(r2_2_no_mixture_of_damage_is_taken_for_the_message), TASK_TEST(r2_3_sizes_that_lie_are_refused),
    TASK_TEST(r2_3_a_format_from_the_future_is_left_alone), TASK_TEST(a_symbolic_link_is_not_followed));
