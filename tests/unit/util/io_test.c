/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/check.h"
#include "util/io.h"
#include "util/net.h"

static struct time soon(int64_t ms) { return time_after_ms(time_now(), ms); }
static struct time later(void) { return time_after(time_now(), 60); }

/* Our end is a stream, the peer's a bare non-blocking socket. */
static struct io *
stream(int *peer, size_t line_max)
{
	int fd[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == 0);
	CHECK(task_fd_add(fd[0]) == OK);
	*peer = fd[1];
	return io_new(fd[0], line_max);
}

static void
say(int peer, struct str s)
{
	CHECK(write(peer, s.p, s.n) == (ssize_t)s.n);
}

static bool
hears(int peer, const char *expected)
{
	char got[256];
	ssize_t n = read(peer, got, sizeof got);

	return n >= 0 && str_eq((struct str){ got, (size_t)n }, str_of(expected));
}

static void
the_end_of_a_line_is_told(void)
{
	static const struct { const char *wire, *line; enum io_ending ending; } cases[] = {
		{ "EHLO a\r\n", "EHLO a", END_CRLF },
		{ "EHLO a\n", "EHLO a", END_LF },
		{ "EHLO a\r\r\n", "EHLO a", END_CRCRLF },
		{ "\n", "", END_LF },
		{ "\r\n", "", END_CRLF },
		{ "\r\r\n", "", END_CRCRLF },
		{ "\r\r\r\n", "\r", END_CRCRLF },
		{ "a\rb\r\n", "a\rb", END_CRLF },
		{ "a\r \n", "a\r ", END_LF },
	};
	enum io_ending ending;
	struct str line;
	int peer;
	struct io *io = stream(&peer, 64);

	for (size_t i = 0; i < countof(cases); i++) {
		CHECK(!io_has_line(io) && !io_has_input(io));
		say(peer, str_of(cases[i].wire));
		CHECK(io_line(io, &line, &ending, later()) == OK);
		CHECK_STR(line, cases[i].line);
		CHECK(ending == cases[i].ending);
	}
	io_close(&io);
	CHECK(io == NULL);
	io_close(&io);
	close(peer);
}

static const char dialogue_bytes[] = "MAIL FROM:<a@b>\r\nx\n\r\nlast\r\r\n";
static const struct str dialogue = { dialogue_bytes, sizeof dialogue_bytes - 1 };
static int talker_end;
static size_t cut_at;

static void
talk_in_two_parts(void *arg)
{
	(void)arg;
	say(talker_end, str_sub(dialogue, 0, cut_at));
	CHECK(task_sleep(soon(1)) == OK);
	say(talker_end, str_sub(dialogue, cut_at, dialogue.n));
	close(talker_end);
}

static void
lines_are_found_wherever_the_reads_are_cut(void)
{
	static const char *const lines[] = { "MAIL FROM:<a@b>", "x", "", "last" };
	enum io_ending ending;
	struct str line;
	struct tasks g;

	tasks_init(&g);
	for (cut_at = 0; cut_at <= dialogue.n; cut_at++) {
		struct io *io = stream(&talker_end, 18);

		task_start(&g, "talker", talk_in_two_parts, NULL);
		for (size_t i = 0; i < countof(lines); i++) {
			CHECK(io_line(io, &line, &ending, later()) == OK);
			CHECK_STR(line, lines[i]);
		}
		CHECK(io_line(io, &line, &ending, later()) == E_EOF);
		CHECK(io_received(io) == dialogue.n);
		io_close(&io);
		tasks_wait(&g);
	}
}

static void
a_partial_line_at_the_end_is_dropped(void)
{
	enum io_ending ending;
	struct str line;
	int peer;
	struct io *io = stream(&peer, 64);

	say(peer, STR("whole\r\npart"));
	close(peer);
	CHECK(io_line(io, &line, &ending, later()) == OK);
	CHECK_STR(line, "whole");
	CHECK(io_line(io, &line, &ending, later()) == E_EOF);
	CHECK(io_line(io, &line, &ending, later()) == E_EOF);
	io_close(&io);
}

static void
write_lines(void *arg)
{
	char block[4096];
	size_t left = *(size_t *)arg;

	memset(block, 'x', sizeof block);
	CHECK(task_fd_add(talker_end) == OK);
	while (left > 0) {
		ssize_t n = write(talker_end, block, left < sizeof block ? left : sizeof block);

		if (n > 0)
			left -= (size_t)n;
		else if (errno != EAGAIN || task_wait_fd(talker_end, FD_WRITE, later()) != OK)
			break;
	}
	if (left == 0)
		say(talker_end, STR("\r\nnext\r\n"));
	task_fd_del(talker_end);
	close(talker_end);
}

static void
a_line_too_long_is_dropped_and_the_next_one_found(void)
{
	static const struct { size_t length, max; enum err first; } cases[] = {
		{ 61, 64, OK }, { 62, 64, OK }, { 63, 64, E_TOOLONG }, { 64, 64, E_TOOLONG },
		{ 65, 64, E_TOOLONG }, { 32766, 32768, OK }, { 32767, 32768, E_TOOLONG },
		{ 32768, 64, E_TOOLONG }, { 39998, 40000, OK }, { 39999, 40000, E_TOOLONG },
		{ 1000000, 64, E_TOOLONG }, { 1048574, 1000, E_TOOLONG }, { 1048575, 1000, E_EOF },
		{ 3000000, 1000, E_EOF },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct io *io = stream(&talker_end, cases[i].max);
		size_t length = cases[i].length;
		enum io_ending ending;
		struct tasks g;
		struct str line;
		enum err e;

		tasks_init(&g);
		task_start(&g, "writer", write_lines, &length);
		e = io_line(io, &line, &ending, later());
		CHECK(e == cases[i].first);
		if (e == OK)
			CHECK(line.n == cases[i].length);
		if (e != E_EOF) {
			CHECK(io_line(io, &line, &ending, later()) == OK);
			CHECK_STR(line, "next");
		}
		io_close(&io);
		tasks_wait(&g);
	}
}

static void
pipelined_lines_need_no_further_read(void)
{
	enum io_ending ending;
	struct str line;
	int peer;
	struct io *io = stream(&peer, 64);

	say(peer, STR("one\r\ntwo\r\nthr"));
	CHECK(io_line(io, &line, &ending, later()) == OK);
	CHECK(io_has_line(io));
	CHECK(io_line(io, &line, &ending, later()) == OK);
	CHECK_STR(line, "two");
	CHECK(!io_has_line(io) && io_has_input(io));
	say(peer, STR("ee\r\n"));
	CHECK(io_line(io, &line, &ending, later()) == OK);
	CHECK_STR(line, "three");
	io_close(&io);
	close(peer);
}

static void
content_is_taken_in_pieces_between_lines(void)
{
	enum io_ending ending;
	struct str s;
	int peer;
	struct io *io = stream(&peer, 64);

	say(peer, STR("DATA\r\nhello world\r\nQUIT\r\n"));
	CHECK(io_line(io, &s, &ending, later()) == OK);
	CHECK(io_some(io, &s, later()) == OK);
	CHECK_STR(s, "hello world\r\nQUIT\r\n");
	io_ate(io, 6);
	CHECK(io_some(io, &s, later()) == OK);
	CHECK_STR(s, "world\r\nQUIT\r\n");
	io_ate(io, 7);
	CHECK(io_line(io, &s, &ending, later()) == OK);
	CHECK_STR(s, "QUIT");
	CHECK(io_some(io, &s, soon(2)) == E_TIMEOUT);
	close(peer);
	CHECK(io_some(io, &s, later()) == E_EOF);
	io_close(&io);
}

static void
output_leaves_when_flushed_or_before_a_wait_for_input(void)
{
	enum io_ending ending;
	struct str line;
	int peer;
	struct io *io = stream(&peer, 64);

	io_put(io, STR("220 "));
	io_print(io, "%s %d\r\n", "ready", 1);
	CHECK(hears(peer, "") || errno == EAGAIN);
	CHECK(io_flush(io, later()) == OK);
	CHECK(hears(peer, "220 ready 1\r\n"));
	io_put(io, STR("250 ok\r\n"));
	CHECK(io_line(io, &line, &ending, soon(1)) == E_TIMEOUT);
	CHECK(hears(peer, "250 ok\r\n"));
	CHECK(io_sent(io) == 21);

	/* A line that is here already keeps the reply back, so that replies to a pipeline leave
	 * together. */
	say(peer, STR("a\r\nb\r\n"));
	CHECK(io_line(io, &line, &ending, later()) == OK);
	io_put(io, STR("1\r\n"));
	CHECK(io_line(io, &line, &ending, later()) == OK);
	CHECK(!hears(peer, "1\r\n"));
	io_put(io, STR("2\r\n"));
	CHECK(io_flush(io, later()) == OK);
	CHECK(hears(peer, "1\r\n2\r\n"));
	io_close(&io);
	close(peer);
}

static void
writing_to_one_who_left_is_an_end_of_file(void)
{
	int peer;
	struct io *io = stream(&peer, 64);

	CHECK(!io_is_dead(io));
	close(peer);
	CHECK(io_is_dead(io));
	io_put(io, STR("hello\r\n"));
	CHECK(io_flush(io, later()) == E_EOF);
	io_close(&io);
}

static void
an_idle_stream_that_was_closed_or_has_bytes_is_told_apart(void)
{
	int peer;
	struct io *io = stream(&peer, 64);

	say(peer, STR("x"));
	CHECK(!io_is_dead(io));
	io_close(&io);
	close(peer);
}

static void
flush_gives_up_at_its_deadline(void)
{
	char block[60000];
	enum err e;
	int peer;
	struct io *io = stream(&peer, 64);

	memset(block, 'x', sizeof block);
	do {
		io_put(io, (struct str){ block, sizeof block });
		e = io_flush(io, soon(2));
	} while (e == OK);
	CHECK(e == E_TIMEOUT);
	io_close(&io);
	close(peer);
}

static int
file_of(size_t n)
{
	char path[] = "/tmp/io_test.XXXXXX", block[4096];
	int fd = mkstemp(path);

	unlink(path);
	for (size_t i = 0; i < n; i += sizeof block) {
		for (size_t j = 0; j < sizeof block; j++)
			block[j] = (char)((i + j) * 7 >> 3);
		CHECK(write(fd, block, sizeof block) == sizeof block);
	}
	CHECK(ftruncate(fd, (off_t)n) == 0);
	return fd;
}

/* Reads slowly: some, then the others run, then some more. */
static void
read_all(void *arg)
{
	struct buf *b = arg;
	ssize_t n;

	CHECK(task_fd_add(talker_end) == OK);
	for (;;) {
		n = read(talker_end, buf_room(b, 50000), 50000);
		if (n == 0)
			break;
		if (n > 0)
			buf_grew(b, (size_t)n);
		else if (task_wait_fd(talker_end, FD_READ, later()) != OK)
			break;
		task_yield();
	}
	task_fd_del(talker_end);
	close(talker_end);
}

static void
files_arrive_whole_behind_what_was_queued_before(void)
{
	static const struct { off_t from; size_t n; } cases[] = {
		{ 0, 0 }, { 0, 1 }, { 5, 2000 }, { 1000, 32768 }, { 1000, 32769 }, { 77, 5000000 },
	};
	int file = file_of(5000077);

	for (size_t i = 0; i < countof(cases); i++) {
		struct io *io = stream(&talker_end, 64);
		struct buf got = BUF(8 << 20);
		struct tasks g;

		tasks_init(&g);
		task_start(&g, "reader", read_all, &got);
		io_put(io, STR("before "));
		CHECK(io_send_file(io, file, cases[i].from, cases[i].n, later()) == OK);
		io_put(io, STR(" after"));
		CHECK(io_flush(io, later()) == OK);
		CHECK(io_sent(io) == 13 + cases[i].n);
		io_close(&io);
		tasks_wait(&g);
		CHECK(got.n == 13 + cases[i].n);
		CHECK(str_starts(buf_str(&got), STR("before ")));
		CHECK(str_ends(buf_str(&got), STR(" after")));
		for (size_t j = 0; j < cases[i].n; j += cases[i].n / 500 + 1)
			CHECK(got.p[7 + j] == (char)(((size_t)cases[i].from + j) * 7 >> 3));
		buf_free(&got);
	}
	close(file);
}

static void
a_file_that_is_too_short_or_a_peer_that_left_is_an_error(void)
{
	int file = file_of(100000), peer;
	struct io *io = stream(&peer, 64);

	CHECK(io_send_file(io, file, 99999, 2, later()) == E_IO);
	CHECK(io_send_file(io, file, 99000, 50000, later()) == E_IO);
	close(peer);
	CHECK(io_send_file(io, file, 0, 50000, later()) == E_EOF);
	io_close(&io);
	close(file);
}

static void
waits_for_line(void *arg)
{
	enum io_ending ending;
	struct str line;

	CHECK(io_line(arg, &line, &ending, later()) == E_STOPPED);
	io_put(arg, STR("421 bye\r\n"));
	CHECK(io_flush(arg, later()) == OK);
}

static void
one_that_is_stopped_can_still_say_good_bye(void)
{
	int peer;
	struct io *io = stream(&peer, 64);
	struct tasks g;

	tasks_init(&g);
	task_start(&g, "session", waits_for_line, io);
	task_yield();
	tasks_stop(&g);
	CHECK(hears(peer, "421 bye\r\n"));
	io_close(&io);
	close(peer);
}

/* Both ends in one loop: what a session and its peer do. */
static void
echo(void *arg)
{
	enum io_ending ending;
	struct str line;
	struct io *io = arg;

	while (io_line(io, &line, &ending, later()) == OK) {
		io_put(io, line);
		io_put(io, STR("\r\n"));
	}
	io_close(&io);
}

static void
many_dialogues_go_on_at_once(void)
{
	enum { PAIRS = 50, ROUNDS = 100 };
	struct io *ends[PAIRS];
	enum io_ending ending;
	struct str line;
	struct tasks g;
	int fd[2];

	tasks_init(&g);
	for (size_t i = 0; i < PAIRS; i++) {
		CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
		CHECK(task_fd_add(fd[0]) == OK && task_fd_add(fd[1]) == OK);
		ends[i] = io_new(fd[0], 128);
		task_start(&g, "echo", echo, io_new(fd[1], 128));
	}
	for (unsigned r = 0; r < ROUNDS; r++) {
		for (size_t i = 0; i < PAIRS; i++) {
			io_print(ends[i], "%zu %u\r\n", i, r);
			CHECK(io_flush(ends[i], later()) == OK);
		}
		for (size_t i = 0; i < PAIRS; i++) {
			char expected[32];

			snprintf(expected, sizeof expected, "%zu %u", i, r);
			CHECK(io_line(ends[i], &line, &ending, later()) == OK);
			CHECK_STR(line, expected);
		}
	}
	for (size_t i = 0; i < PAIRS; i++)
		io_close(&ends[i]);
	tasks_wait(&g);
}

static void
the_last_words_come_with_the_end(void)
{
	struct addr a;
	struct io *io;
	int l, ours, peer;

	CHECK(addr_parse(STR("127.0.0.1"), 0, &a) == OK && net_listen(&a, 1, &l) == OK);
	CHECK(getsockname(l, &a.sa, &a.len) == 0 && task_fd_add(l) == OK);
	CHECK(net_connect(&a, NULL, later(), &ours) == OK && net_accept(l, &peer, NULL, later()) == OK);
	io = io_new(ours, 64);
	io_put(io, STR("221 Bye\r\n"));
	CHECK(io_flush_last(io, later()) == OK && !hears(peer, "") && errno == EAGAIN);
	io_close(&io);
	CHECK(hears(peer, "221 Bye\r\n") && hears(peer, ""));
	close(peer);
	close(l);
}

SUITE(io, TASK_TEST(the_end_of_a_line_is_told),
    TASK_TEST(lines_are_found_wherever_the_reads_are_cut),
    TASK_TEST(a_partial_line_at_the_end_is_dropped),
    TASK_TEST(a_line_too_long_is_dropped_and_the_next_one_found),
    TASK_TEST(pipelined_lines_need_no_further_read),
    TASK_TEST(content_is_taken_in_pieces_between_lines),
    TASK_TEST(output_leaves_when_flushed_or_before_a_wait_for_input),
    TASK_TEST(the_last_words_come_with_the_end),
    TASK_TEST(writing_to_one_who_left_is_an_end_of_file),
    TASK_TEST(an_idle_stream_that_was_closed_or_has_bytes_is_told_apart),
    TASK_TEST(flush_gives_up_at_its_deadline),
    TASK_TEST(files_arrive_whole_behind_what_was_queued_before),
    TASK_TEST(a_file_that_is_too_short_or_a_peer_that_left_is_an_error),
    TASK_TEST(one_that_is_stopped_can_still_say_good_bye), TASK_TEST(many_dialogues_go_on_at_once));
