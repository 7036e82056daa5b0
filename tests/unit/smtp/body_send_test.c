/* SPDX-License-Identifier: Apache-2.0 */
/* What a server receives, against a model that knows whole lines only. */
#include "smtp/body.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/check.h"
#include "util/mem.h"
#include "util/proc.h"

enum { LEAST_LIMIT = 16 };

static struct time later(void) { return time_after(time_now(), 60); }

/* The same in the simplest words: whole lines, one after the other.  ended: the last one has its line end. */
static void
model(struct str in, size_t limit, struct buf *out, bool *ended)
{
	if (limit > 0 && limit < LEAST_LIMIT)
		limit = LEAST_LIMIT;
	*ended = in.n == 0 || in.p[in.n - 1] == '\n';
	while (in.n > 0) {
		size_t n = str_find(in, '\n');
		struct str line = str_sub(in, 0, n);
		bool last = n == in.n, first = true;

		in = str_sub(in, n + 1, in.n);
		if (str_ends(line, STR("\r")))
			line.n--;
		if (str_starts(line, STR(".")))
			CHECK(buf_addc(out, '.'));
		while (first || line.n > 0) {
			size_t room = limit == 0 ? line.n : first ? limit : limit - 1;

			if (!first)
				CHECK(buf_adds(out, "\r\n "));
			CHECK(buf_add(out, str_sub(line, 0, room)));
			line = str_sub(line, room, line.n);
			first = false;
		}
		if (!last)
			CHECK(buf_adds(out, "\r\n"));
	}
}

/* Cut at `split`, then into pieces of `step`. */
static bool
wraps_to(struct str in, size_t limit, size_t split, size_t step, struct str expected, bool ended)
{
	struct buf out = BUF(1 << 20);
	struct wrap w = { 0 };
	bool same;

	body_wrap(&w, str_sub(in, 0, split), limit, &out);
	for (size_t at = split; at < in.n; at += step)
		body_wrap(&w, str_sub(in, at, step), limit, &out);
	same = str_eq(buf_str(&out), expected) && ended == !(w.inside || w.cr);
	if (!same)
		printf("\n    limit %zu, split at %zu, of '%.*s':\n    expected '%.*s'\n    found '%.*s'\n", limit, split, STR_ARG(in),
		    STR_ARG(expected), STR_ARG(buf_str(&out)));
	buf_free(&out);
	return same;
}

static bool
wraps_like_the_model(struct str in, size_t limit)
{
	struct buf expected = BUF(1 << 20);
	bool ended, same = true;

	model(in, limit, &expected, &ended);
	for (size_t split = 0; split <= in.n && same; split++)
		same = wraps_to(in, limit, split, in.n, buf_str(&expected), ended);
	same = same && wraps_to(in, limit, 0, 1, buf_str(&expected), ended);
	CHECK(expected.n <= 2 * in.n);
	buf_free(&expected);
	return same;
}

/* All texts of up to five of these, wherever they are cut. */
static void
all_short_texts_are_wrapped_as_the_model_does(void)
{
	static const char *const tokens[] = { ".", "x", "\r", "\n", "0123456789abcde" };
	static const size_t limits[] = { 0, 16, 17 };
	size_t total = 1;

	for (size_t length = 1; length <= 5; length++) {
		total *= countof(tokens);
		for (size_t number = 0; number < total; number++) {
			char text[80];
			size_t n = 0;

			for (size_t k = 0, left = number; k < length; k++, left /= countof(tokens))
				n += (size_t)snprintf(text + n, sizeof text - n, "%s", tokens[left % countof(tokens)]);
			for (size_t l = 0; l < countof(limits); l++)
				CHECK(wraps_like_the_model((struct str){ text, n }, limits[l]));
		}
	}
}

struct listener { struct io *io; struct buf heard; };

static void
listen_to_the_end(void *arg)
{
	struct listener *l = arg;
	struct str some;

	while (io_some(l->io, &some, later()) == OK) {
		CHECK(buf_add(&l->heard, some));
		io_ate(l->io, some.n);
	}
}

static struct io *
end_of(int fd)
{
	CHECK(task_fd_add(fd) == OK);
	return io_new(fd, 1000);
}

/* What a server receives. */
static struct buf
sent(const struct body *b, long long limit)
{
	struct params p = { .smtp_data_xfer_timeout = 60, .smtp_line_length_limit = limit };
	struct listener l = { .heard = BUF(16 << 20) };
	struct tasks g;
	struct io *io;
	int fd[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == 0);
	io = end_of(fd[0]);
	l.io = end_of(fd[1]);
	tasks_init(&g);
	CHECK(task_start(&g, "listener", listen_to_the_end, &l) != NULL);
	CHECK(body_send(&p, b, io, false) == OK);
	io_close(&io);
	tasks_wait(&g);
	io_close(&l.io);
	return l.heard;
}

static struct body
in_memory(struct str text, uint32_t flags)
{
	struct body b = { .fd = -1, .text = BUF(1 << 20), .size = text.n, .flags = flags };

	CHECK(buf_add(&b.text, text));
	return b;
}

/* In a file, behind other things. */
static struct body
in_file(struct str text, uint32_t flags)
{
	struct body b = { .fd = memfd_create("body", MFD_CLOEXEC), .at = 7, .size = text.n, .flags = flags };

	CHECK(fd_write_all(b.fd, STR("ENVLOPE"), 0) == OK);
	CHECK(fd_write_all(b.fd, text, 7) == OK);
	CHECK(fd_write_all(b.fd, STR("TRAILER"), (off_t)(7 + text.n)) == OK);
	return b;
}

static void
a_message_ends_in_a_dot_on_a_line_of_its_own(void)
{
	static const struct { const char *text; uint32_t flags; const char *wire; } cases[] = {
		{ "", 0, ".\r\n" },
		{ "a: b\r\n\r\nc\r\n", 0, "a: b\r\n\r\nc\r\n.\r\n" },
		{ "a", 0, "a\r\n.\r\n" },
		{ "\r\n", 0, "\r\n.\r\n" },
		{ ".\r\n", MF_DOTS, "..\r\n.\r\n" },
		{ "a\r\n.", MF_DOTS, "a\r\n..\r\n.\r\n" },
		{ "", MF_DOTS, ".\r\n" },
		{ "a\r\n", MF_DOTS | MF_8BIT, "a\r\n.\r\n" },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct body b = in_memory(str_of(cases[i].text), cases[i].flags), f = in_file(str_of(cases[i].text), cases[i].flags);
		struct buf wire = sent(&b, 998), wire_f = sent(&f, 998);

		CHECK_STR(buf_str(&wire), cases[i].wire);
		CHECK_STR(buf_str(&wire_f), cases[i].wire);
		buf_free(&wire);
		buf_free(&wire_f);
		body_close(&b);
		body_close(&f);
	}
}

/* Lines of many lengths, some with dots in front, `n` bytes in all. */
static void
fill(struct buf *text, size_t n)
{
	unsigned seed = 1;

	while (text->n < n) {
		seed = seed * 1103515245 + 12345;
		for (unsigned k = seed >> 16 & 0x7ff; k > 0 && text->n < n; k--)
			CHECK(buf_addc(text, k % 7 ? 'x' : '.'));
		if (text->n < n)
			CHECK(buf_adds(text, "\r\n"));
	}
	buf_cut(text, n);
}

/* Sizes around that of a piece, and line ends cut apart by it. */
static void
large_messages_are_sent_in_pieces_without_a_seam(void)
{
	static const size_t sizes[] = { 12287, 12288, 12289, 16384, 16385, 24575, 24576, 24577, 24578, 49151, 49152, 49153, 300000 };
	static const long long limits[] = { 998, 16, 1, 0 };

	for (size_t i = 0; i < countof(sizes); i++) {
		struct buf text = BUF(16 << 20);

		fill(&text, sizes[i]);
		for (size_t k = 0; k < countof(limits); k++) {
			struct body f = in_file(buf_str(&text), MF_DOTS | MF_LONG);
			struct buf expected = BUF(16 << 20), wire = sent(&f, limits[k]);
			bool ended;

			model(buf_str(&text), (size_t)limits[k], &expected, &ended);
			CHECK(buf_adds(&expected, ended ? ".\r\n" : "\r\n.\r\n"));
			CHECK(str_eq(buf_str(&wire), buf_str(&expected)));
			buf_free(&wire);
			buf_free(&expected);
			body_close(&f);
		}
		buf_free(&text);
	}
}

static void
plain_content_is_sent_as_it_is(void)
{
	static const size_t sizes[] = { 1, 2, 49152, 49153, 400001 };

	for (size_t i = 0; i < countof(sizes); i++) {
		struct buf text = BUF(16 << 20), wire;
		struct body f;

		while (text.n < sizes[i])
			CHECK(buf_adds(&text, "line\r\n"));
		buf_cut(&text, sizes[i]);
		f = in_file(buf_str(&text), 0);
		wire = sent(&f, 998);
		CHECK(buf_adds(&text, str_ends(buf_str(&text), STR("\r\n")) ? ".\r\n" : "\r\n.\r\n"));
		CHECK(str_eq(buf_str(&wire), buf_str(&text)));
		buf_free(&wire);
		buf_free(&text);
		body_close(&f);
	}
}

/* Nothing that looks like the end of a message may follow what is not all of it. */
static void
a_file_that_is_too_short_is_no_message(void)
{
	static const uint32_t flags[] = { 0, MF_DOTS };

	for (size_t i = 0; i < countof(flags); i++) {
		struct params p = { .smtp_data_xfer_timeout = 60, .smtp_line_length_limit = 998 };
		struct body f = in_file(STR("a\r\n"), flags[i]);
		char wire[64];
		struct io *io;
		ssize_t n;
		int fd[2];

		f.size = 100000;
		CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == 0);
		io = end_of(fd[0]);
		CHECK(body_send(&p, &f, io, false) != OK);
		io_close(&io);
		n = read(fd[1], wire, sizeof wire);
		CHECK(n <= 0 || memmem(wire, (size_t)n, "\r\n.\r\n", 5) == NULL);
		close(fd[1]);
		body_close(&f);
	}
}

SUITE(body_send, TEST(all_short_texts_are_wrapped_as_the_model_does),
    TASK_TEST(a_message_ends_in_a_dot_on_a_line_of_its_own), TASK_TEST(large_messages_are_sent_in_pieces_without_a_seam),
    TASK_TEST(plain_content_is_sent_as_it_is), TASK_TEST(a_file_that_is_too_short_is_no_message));
