/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/reply.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/check.h"
#include "util/mem.h"

static struct time later(void) { return time_after(time_now(), 60); }

static void
one_line_is_a_reply_only_in_the_form_of_the_standard(void)
{
	static const struct {
		struct str      line;
		enum reply_step step;
		int             code;
		const char     *text, *esc;
	} cases[] = {
		{ STR("250 2.1.0 Ok"), REPLY_DONE, 250, "250 2.1.0 Ok", "2.1.0" },
		{ STR("250"), REPLY_DONE, 250, "250", "" },
		{ STR("250 "), REPLY_DONE, 250, "250", "" },
		{ STR("354 go"), REPLY_DONE, 354, "354 go", "" },
		{ STR("200 x"), REPLY_DONE, 200, "200 x", "" },
		{ STR("599 x"), REPLY_DONE, 599, "599 x", "" },
		{ STR("550 5.1.1"), REPLY_DONE, 550, "550 5.1.1", "5.1.1" },
		{ STR("550 5.123.123 x"), REPLY_DONE, 550, "550 5.123.123 x", "5.123.123" },
		{ STR("550 5.1234.1 x"), REPLY_DONE, 550, "550 5.1234.1 x", "" },
		{ STR("550 4.1.1 x"), REPLY_DONE, 550, "550 4.1.1 x", "" },
		{ STR("550 5.1.1x"), REPLY_DONE, 550, "550 5.1.1x", "" },
		{ STR("550  5.1.1 x"), REPLY_DONE, 550, "550  5.1.1 x", "" },
		{ STR("550 5.1.1\0x"), REPLY_DONE, 550, "550 5.1.1?x", "" },
		{ STR("250 a\0b\nc\033\\\377"), REPLY_DONE, 250, "250 a?b?c???", "" },
		{ STR("250-"), REPLY_MORE, 0, "250-", "" },
		{ STR("250-x"), REPLY_MORE, 0, "250-x", "" },
		{ STR("250-5.1.1 x"), REPLY_MORE, 0, "250-5.1.1 x", "" },
		{ STR(""), REPLY_BAD, 0, "", "" },
		{ STR("2"), REPLY_BAD, 0, "2", "" },
		{ STR("25 ok"), REPLY_BAD, 0, "25 ok", "" },
		{ STR("2500 ok"), REPLY_BAD, 0, "2500 ok", "" },
		{ STR("250ok"), REPLY_BAD, 0, "250ok", "" },
		{ STR("250\tok"), REPLY_BAD, 0, "250?ok", "" },
		{ STR("250\0ok"), REPLY_BAD, 0, "250?ok", "" },
		{ STR("2\0000"), REPLY_BAD, 0, "2?0", "" },
		{ STR("199 x"), REPLY_BAD, 0, "199 x", "" },
		{ STR("600 x"), REPLY_BAD, 0, "600 x", "" },
		{ STR("999 x"), REPLY_BAD, 0, "999 x", "" },
		{ STR("-250 x"), REPLY_BAD, 0, "-250 x", "" },
		{ STR(" 250 x"), REPLY_BAD, 0, "250 x", "" },
		{ STR("220\rx"), REPLY_BAD, 0, "220?x", "" },
		{ STR("HTTP/1.1 200 OK"), REPLY_BAD, 0, "HTTP/1.1 200 OK", "" },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct reply r = { 0 };

		CHECK(reply_add(&r, cases[i].line) == cases[i].step);
		CHECK(r.code == cases[i].code);
		CHECK_STR(buf_str(&r.text), cases[i].text);
		CHECK_STR(str_of(r.esc), cases[i].esc);
		reply_fini(&r);
	}
}

static void
the_last_line_decides(void)
{
	static const struct {
		const char *lines[4];
		int         code;
		const char *text, *esc;
	} cases[] = {
		{ { "250-a", "250-b", "250 c" }, 250, "250-a 250-b 250 c", "" },
		{ { "250-ok", "550 5.7.1 no" }, 550, "250-ok 550 5.7.1 no", "5.7.1" },
		{ { "550-5.7.1 no", "450 4.7.1 wait" }, 450, "550-5.7.1 no 450 4.7.1 wait", "4.7.1" },
		{ { "550-5.7.1 no", "550 really" }, 550, "550-5.7.1 no 550 really", "" },
		{ { "553-", "553" }, 553, "553- 553", "" },
		{ { "250-", "250-  x  ", "250 " }, 250, "250- 250-  x 250", "" },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct reply r = { 0 };
		enum reply_step step = REPLY_MORE;

		for (size_t k = 0; cases[i].lines[k]; k++) {
			CHECK(step == REPLY_MORE);
			step = reply_add(&r, str_of(cases[i].lines[k]));
		}
		CHECK(step == REPLY_DONE);
		CHECK(r.code == cases[i].code);
		CHECK_STR(buf_str(&r.text), cases[i].text);
		CHECK_STR(str_of(r.esc), cases[i].esc);
		reply_fini(&r);
	}
}

static void
a_reply_has_a_status_code_even_if_the_server_gave_none(void)
{
	static const struct { const char *line, *esc; } cases[] = {
		{ "250 ok", "2.0.0" }, { "550 no", "5.0.0" }, { "421 bye", "4.0.0" }, { "354 go", "3.0.0" },
		{ "550 5.1.1 no", "5.1.1" }, { "550 4.1.1 no", "5.0.0" },
	};
	char esc[ESC_MAX];

	for (size_t i = 0; i < countof(cases); i++) {
		struct reply r = { 0 };

		CHECK(reply_add(&r, str_of(cases[i].line)) == REPLY_DONE);
		CHECK_STR(str_of(reply_esc(&r, esc)), cases[i].esc);
		reply_fini(&r);
	}
}

static void
an_enhanced_status_code_has_a_class_and_two_numbers(void)
{
	static const struct { const char *text; int class; size_t n; } cases[] = {
		{ "5.1.1", 5, 5 },        { "5.1.1 x", 5, 5 },      { "5.1.1\tx", 5, 5 }, { "2.0.0", 2, 5 },
		{ "4.123.123 x", 4, 9 },  { "5.1.1", 4, 0 },        { "5.1", 5, 0 },      { "5.1.", 5, 0 },
		{ "5..1", 5, 0 },         { "5.1.1.1", 5, 0 },      { "5.1.1,", 5, 0 },   { "5.1234.1", 5, 0 },
		{ "5.1.1234", 5, 0 },     { "", 5, 0 },             { "5", 5, 0 },        { "5.a.1", 5, 0 },
		{ "5.1.a", 5, 0 },        { "55.1.1", 5, 0 },
	};

	for (size_t i = 0; i < countof(cases); i++)
		CHECK(esc_length(str_of(cases[i].text), cases[i].class) == cases[i].n);
}

static void
what_is_kept_is_bounded_and_the_rest_is_cut(void)
{
	static char wide[REPLY_IO_LINE];
	struct reply r = { 0 };

	memset(wide, 'x', sizeof wide);
	memcpy(wide, "250-", 4);
	CHECK(reply_add(&r, (struct str){ wide, sizeof wide }) == REPLY_MORE);
	CHECK(r.text.n == REPLY_LINE_MAX);
	for (int i = 0; i < 5; i++)
		CHECK(reply_add(&r, (struct str){ wide, sizeof wide }) == REPLY_MORE);
	CHECK(r.text.n == REPLY_TEXT_MAX);
	CHECK(reply_add(&r, STR("550 5.1.1 no")) == REPLY_DONE);
	CHECK(r.code == 550 && r.text.n == REPLY_TEXT_MAX);
	CHECK_STR(str_of(r.esc), "5.1.1");
	reply_clear(&r);
	CHECK(r.code == 0 && r.lines == 0 && r.text.n == 0 && r.esc[0] == '\0');
	CHECK(reply_add(&r, STR("250 ok")) == REPLY_DONE);
	CHECK_STR(buf_str(&r.text), "250 ok");
	reply_fini(&r);
}

static void
a_reply_without_end_is_malformed(void)
{
	struct reply r = { 0 };

	for (int i = 0; i < REPLY_LINES_MAX; i++)
		CHECK(reply_add(&r, STR("250-x")) == REPLY_MORE);
	CHECK(r.text.n < (REPLY_LINES_KEPT + 1) * 6);
	CHECK(reply_add(&r, STR("250 x")) == REPLY_BAD);
	CHECK(r.code == 0);
	reply_fini(&r);
}

/* Our end, with the server's end in *peer. */
static struct io *
stream(int *peer)
{
	int fd[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == 0);
	CHECK(task_fd_add(fd[0]) == OK);
	*peer = fd[1];
	return io_new(fd[0], REPLY_IO_LINE);
}

static void
send_all(int fd, struct str s)
{
	CHECK(send(fd, s.p, s.n, MSG_NOSIGNAL) == (ssize_t)s.n);
}

struct talker { int fd; struct str first, second; };

static void
talk(void *arg)
{
	struct talker *t = arg;

	send_all(t->fd, t->first);
	task_yield();
	task_yield();
	send_all(t->fd, t->second);
}

static void
note_text(void *arg, struct str text)
{
	CHECK(buf_add(arg, text) && buf_addc(arg, '|'));
}

static void
a_reply_is_read_wherever_the_network_cuts_it(void)
{
	static const char bytes[] = "250-mx.test\r\n250-SIZE 100\n250 2.0.0 done\r\n554 next\r\n";
	struct str wire = { bytes, sizeof bytes - 1 };
	struct tasks g;

	tasks_init(&g);
	for (size_t cut = 0; cut <= wire.n; cut++) {
		struct talker t = { .first = str_sub(wire, 0, cut), .second = str_sub(wire, cut, wire.n) };
		struct buf seen = BUF(1000);
		struct reply r = { 0 };
		struct io *io = stream(&t.fd);

		CHECK(task_start(&g, "talker", talk, &t) != NULL);
		CHECK(reply_read(io, &r, note_text, &seen, later()) == OK);
		CHECK(r.code == 250 && r.lines == 3);
		CHECK_STR(buf_str(&r.text), "250-mx.test 250-SIZE 100 250 2.0.0 done");
		CHECK_STR(buf_str(&seen), "mx.test|SIZE 100|2.0.0 done|");
		CHECK(reply_read(io, &r, NULL, NULL, later()) == OK);
		CHECK(r.code == 554 && r.lines == 1 && r.esc[0] == '\0');
		CHECK_STR(buf_str(&r.text), "554 next");
		tasks_wait(&g);
		io_close(&io);
		close(t.fd);
		buf_free(&seen);
		reply_fini(&r);
	}
}

static void
hostile_servers_are_told_from_those_that_hang_up(void)
{
	static const struct { struct str wire; enum err e; const char *text; } cases[] = {
		{ STR("553-\n553\n\ntype: mda\nmda-exec: id\n"), OK, "553- 553" },
		{ STR("553 a\\nb\0c\r\n"), OK, "553 a?nb?c" },
		{ STR("250-x\r\n\r\n"), E_SYNTAX, "250-x " },
		{ STR("220\r"), E_EOF, "" },
		{ STR("2\0 0\r\n"), E_SYNTAX, "2? 0" },
		{ STR("999 x\r\n"), E_SYNTAX, "999 x" },
		{ STR("220\r\r\n"), OK, "220" },
		{ STR("220\rx\r\n"), E_SYNTAX, "220?x" },
		{ STR("250-a\r\n250-b"), E_EOF, "250-a" },
		{ STR(""), E_EOF, "" },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct reply r = { 0 };
		int peer;
		struct io *io = stream(&peer);

		send_all(peer, cases[i].wire);
		shutdown(peer, SHUT_WR);
		CHECK(reply_read(io, &r, NULL, NULL, later()) == cases[i].e);
		CHECK_STR(buf_str(&r.text), cases[i].text);
		CHECK((r.code != 0) == (cases[i].e == OK));
		io_close(&io);
		close(peer);
		reply_fini(&r);
	}
}

struct flood { int fd; struct str bytes; size_t times; bool done; };

/* Until all is sent or nobody listens any more. */
static void
pour(void *arg)
{
	struct flood *f = arg;

	CHECK(task_fd_add(f->fd) == OK);
	while (f->times > 0) {
		ssize_t n = send(f->fd, f->bytes.p, f->bytes.n, MSG_NOSIGNAL);

		if (n > 0)
			f->times--;
		else if (errno != EAGAIN || task_wait_fd(f->fd, FD_WRITE, later()) != OK)
			break;
	}
	f->done = f->times == 0;
	task_fd_del(f->fd);
	close(f->fd);
}

static void
a_flood_ends_in_an_error_and_little_memory(void)
{
	static char xs[1024];
	static const struct { bool lines; size_t times; enum err e; } cases[] = {
		{ true, 1000000, E_SYNTAX }, { false, 10, E_EOF }, { false, 2048, E_EOF },
	};
	struct tasks g;

	tasks_init(&g);
	memset(xs, 'x', sizeof xs);
	for (size_t i = 0; i < countof(cases); i++) {
		struct flood f = { .bytes = cases[i].lines ? STR("250-x\r\n") : (struct str){ xs, sizeof xs },
			.times = cases[i].times };
		struct reply r = { 0 };
		struct io *io = stream(&f.fd);

		CHECK(task_start(&g, "flood", pour, &f) != NULL);
		CHECK(reply_read(io, &r, NULL, NULL, later()) == cases[i].e);
		CHECK(r.text.cap <= 2 * REPLY_TEXT_MAX && r.code == 0);
		io_close(&io);
		tasks_wait(&g);
		CHECK(f.done == (cases[i].times == 10));
		reply_fini(&r);
	}
}

static void
an_overlong_line_is_malformed_and_the_next_one_is_found(void)
{
	static char xs[REPLY_IO_LINE + 100];
	struct reply r = { 0 };
	int peer;
	struct io *io = stream(&peer);

	memset(xs, 'x', sizeof xs);
	memcpy(xs, "250 ", 4);
	send_all(peer, (struct str){ xs, sizeof xs });
	send_all(peer, STR("\r\n250 ok\r\n"));
	CHECK(reply_read(io, &r, NULL, NULL, later()) == E_SYNTAX);
	CHECK(reply_read(io, &r, NULL, NULL, later()) == OK);
	CHECK_STR(buf_str(&r.text), "250 ok");
	io_close(&io);
	close(peer);
	reply_fini(&r);
}

static void
drip(void *arg)
{
	int *fd = arg;

	while (send(*fd, "250-x\r\n", 7, MSG_NOSIGNAL) == 7 && task_sleep(time_after_ms(time_now(), 2)) == OK)
		;
}

static void
the_deadline_is_for_the_whole_reply(void)
{
	struct reply r = { 0 };
	struct tasks g;
	int peer;
	struct io *io = stream(&peer);

	tasks_init(&g);
	CHECK(task_start(&g, "drip", drip, &peer) != NULL);
	task_yield();                                  /* the first line is there, however slow this machine */
	CHECK(reply_read(io, &r, NULL, NULL, time_after_ms(time_now(), 40)) == E_TIMEOUT);
	CHECK(r.lines > 0 && r.code == 0);
	tasks_stop(&g);
	io_close(&io);
	close(peer);
	reply_fini(&r);
}

SUITE(reply, TEST(one_line_is_a_reply_only_in_the_form_of_the_standard), TEST(the_last_line_decides),
    TEST(a_reply_has_a_status_code_even_if_the_server_gave_none),
    TEST(an_enhanced_status_code_has_a_class_and_two_numbers), TEST(what_is_kept_is_bounded_and_the_rest_is_cut),
    TEST(a_reply_without_end_is_malformed), TASK_TEST(a_reply_is_read_wherever_the_network_cuts_it),
    TASK_TEST(hostile_servers_are_told_from_those_that_hang_up),
    TASK_TEST(a_flood_ends_in_an_error_and_little_memory),
    TASK_TEST(an_overlong_line_is_malformed_and_the_next_one_is_found),
    TASK_TEST(the_deadline_is_for_the_whole_reply));
