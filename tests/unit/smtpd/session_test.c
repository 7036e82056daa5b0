/* SPDX-License-Identifier: Apache-2.0 */
/* Whole sessions over a socket pair, with a spool of their own. */
#include <fcntl.h>
#include "tests/unit/smtpd/world.h"

/* A dialogue is the clearest test: a line, and the reply it must get. */
static const struct { const char *line; int reply; } dialogue[] = {
	{ "DATA", 503 },                          { "RCPT TO:<u@here.test>", 503 },
	{ "EHLO", 501 },                          { "ehlo client.test", 250 },
	{ "MAIL FROM:<a@b.test> SIZE=99999999", 552 }, { "MAIL FROM:<a@b.test> SIZE=10", 250 },
	{ "MAIL FROM:<a@b.test>", 503 },          { "DATA", 554 },
	{ "RCPT TO:<u@far.test>", 554 },          { "RCPT TO:<u%far.test@here.test>", 554 },
	{ "RCPT TO:<far.test!u@here.test>", 554 }, { "RCPT TO:<\"u@far.test\"@here.test>", 554 },
	{ "DATA", 554 },                          { "RCPT TO:<postmaster>", 250 },
	{ "RCPT TO:<u@HERE.test>", 250 },         { "DATA now", 501 },
	{ "RSET", 250 },                          { "DATA", 503 },
	{ "VRFY u@here.test", 252 },              { "VRFY u@far.test", 554 },
	{ "VRFY", 501 },                          { "WIZ", 500 },
	{ "", 500 },                              { "HELP", 214 },
	{ "STARTTLS", 502 },                      { "AUTH PLAIN", 503 },
	{ "QUIT", 221 },
};

static void
a_stranger_gets_these_replies(void)
{
	struct world w;

	set_up(&w, NULL);
	call(&w);
	CHECK(hear(&w, NULL) == 220);
	for (size_t i = 0; i < countof(dialogue); i++)
		CHECK(tell(&w, dialogue[i].line) == dialogue[i].reply);
	CHECK(hear(&w, NULL) == 0);
	hang_up(&w);
	CHECK(messages(&w) == 0);
	tear_down(&w);
}

static void
begin(struct world *w)
{
	CHECK(tell(w, "EHLO a") == 250);
	CHECK(tell(w, "MAIL FROM:<a@b.test>") == 250);
	CHECK(tell(w, "RCPT TO:<u@here.test>") == 250);
	CHECK(tell(w, "DATA") == 354);
}

static void
size_is_that_of_the_stored_content(void)
{
	static const char *const settings[] = { "message_size_limit=20", NULL };
	static const struct { const char *content; int reply; } table[] = {
		{ "012345678901234567\r\n.", 250 },       /* 20 */
		{ "0123456789012345678\r\n.", 552 },      /* 21 */
		{ "..12345678901234567\r\n.", 250 },      /* 21 on the wire, 20 stored */
		{ "...2345678901234567\r\n\r\n.", 552 },
		{ "012345678\r\n0123456\r\n.", 250 },
	};
	struct world w;

	set_up(&w, settings);
	call(&w);
	CHECK(hear(&w, NULL) == 220);
	for (size_t i = 0; i < countof(table); i++) {
		begin(&w);
		CHECK(tell(&w, table[i].content) == table[i].reply);
	}
	hang_up(&w);
	CHECK(messages(&w) == 3);
	tear_down(&w);
}

static void
what_is_stored_bears_our_trace_and_the_envelope(void)
{
	struct world w;
	struct buf text = BUF(0), expected = BUF(0);
	struct spool_view v;
	char content[512], date[TIME_RFC5322];
	uint64_t id = 0;
	int fd;

	set_up(&w, NULL);
	call(&w);
	CHECK(hear(&w, NULL) == 220);
	begin(&w);
	io_print(w.peer, "..x\r\ny\r\n.\r\n");
	CHECK(io_flush(w.peer, later()) == OK);
	CHECK(hear(&w, &text) == 250);
	CHECK(qid_parse(str_sub(buf_str(&text), strlen("250 2.0.0 Ok: queued as "), 99), &id));
	CHECK(spool_read(w.smtpd.spool, SPOOL_INCOMING, id, true, &v) == OK);
	wall_rfc5322(v.msg.arrived, date);
	CHECK(buf_printf(&expected, "Received: from a (unknown [192.0.2.1])\r\n\tby mx.test (Postroad) with ESMTP id %s\r\n"
	    "\tfor <u@here.test>; %s\r\n.x\r\ny\r\n", buf_cstr(&text) + strlen("250 2.0.0 Ok: queued as "), date));
	CHECK_STR(v.msg.sender, "a@b.test");
	CHECK(v.msg.nrcpts == 1 && v.msg.flags == MF_DOTS && v.msg.size == expected.n);
	CHECK(spool_open_content(w.smtpd.spool, SPOOL_INCOMING, id, &fd) == OK);
	CHECK(fd_read_all(fd, content, v.msg.size, v.msg.content_at) == OK);
	CHECK(str_eq((struct str){ content, v.msg.size }, buf_str(&expected)));
	close(fd);
	spool_view_fini(&v);
	buf_free(&text);
	buf_free(&expected);
	hang_up(&w);
	tear_down(&w);
}

static void
half_a_message_leaves_nothing(void)
{
	struct buf line = BUF(0);
	struct world w;

	set_up(&w, NULL);
	call(&w);
	CHECK(hear(&w, NULL) == 220);
	begin(&w);
	for (int i = 0; i < 1000; i++)
		CHECK(buf_adds(&line, "0123456789"));
	for (int i = 0; i < 40; i++) {                 /* more than is held in memory */
		io_put(w.peer, buf_str(&line));
		CHECK(io_flush(w.peer, later()) == OK);
	}
	buf_free(&line);
	hang_up(&w);
	/* The file goes in the background. */
	for (struct time end = later(); messages(&w) > 0 && time_before(time_now(), end);)
		CHECK(task_sleep(time_after_ms(time_now(), 1)) == OK);
	CHECK(messages(&w) == 0);
	tear_down(&w);
}

static void
pipelined_commands_are_answered_in_one_piece(void)
{
	static const int codes[] = { 250, 250, 250, 554, 354 };
	struct world w;
	struct str bytes;

	set_up(&w, NULL);
	call(&w);
	CHECK(hear(&w, NULL) == 220);
	CHECK(tell(&w, "EHLO a") == 250);
	io_print(w.peer, "MAIL FROM:<>\r\nRCPT TO:<u@here.test>\r\nRCPT TO:<v@here.test>\r\nRCPT TO:<v@far.test>\r\nDATA\r\n");
	CHECK(io_flush(w.peer, later()) == OK);
	CHECK(io_some(w.peer, &bytes, later()) == OK);
	CHECK(str_iends(bytes, STR("354 End data with <CR><LF>.<CR><LF>\r\n")));
	for (size_t i = 0; i < countof(codes); i++)
		CHECK(hear(&w, NULL) == codes[i]);
	io_print(w.peer, "x\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<u@here.test>\r\nQUIT\r\n");
	CHECK(io_flush(w.peer, later()) == OK);
	CHECK(hear(&w, NULL) == 250 && hear(&w, NULL) == 250 && hear(&w, NULL) == 250 && hear(&w, NULL) == 221);
	hang_up(&w);
	tear_down(&w);
}

/* What a client sends, and the last reply before the server hangs up. */
static const struct { struct str first; const char *last; } rude[] = {
	{ STR("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "221 2.7.0 Error: I can break rules, too. Goodbye." },
	{ STR("Subject: x\r\n"), "221 2.7.0 Error: I can break rules, too. Goodbye." },
	{ STR("\x16\x03\x01\x02\0\1\0\1\xfc\3\3"), "500 5.5.2 mx.test Error: TLS handshake without STARTTLS" },
	{ STR("EHLO x\r\nMAIL FROM:<>\r\n"), "554 5.5.0 Error: SMTP protocol synchronization" },
	{ STR("HELO x\r\nMAIL FROM:<>\r\n"), "554 5.5.0 Error: SMTP protocol synchronization" },
	{ STR("NOOP\r\nNOOP\r\n"), "554 5.5.0 Error: SMTP protocol synchronization" },
	{ STR("a\r\nb\r\nc\r\nd\r\n"), "421 4.7.0 mx.test Error: too many errors" },
	{ STR("\0\r\n\0\r\nQUIT\r\n"), "221 2.0.0 Bye" },
};

static void
rude_clients_are_told_off_and_sent_away(void)
{
	static const char *const settings[] = { "smtpd_hard_error_limit=3", NULL };
	struct buf text = BUF(0), last = BUF(0);
	struct world w;

	set_up(&w, settings);
	for (size_t i = 0; i < countof(rude); i++) {
		call(&w);
		CHECK(hear(&w, NULL) == 220);
		io_put(w.peer, rude[i].first);
		CHECK(io_flush(w.peer, later()) == OK);
		while (hear(&w, &text) != 0) {
			buf_clear(&last);
			CHECK(buf_add(&last, buf_str(&text)));
		}
		CHECK_STR(buf_str(&last), rude[i].last);
		hang_up(&w);
	}
	buf_free(&text);
	buf_free(&last);
	tear_down(&w);
}

static void
who_talks_before_the_greeting_gets_none(void)
{
	struct world w;
	int fd[2];

	set_up(&w, NULL);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == 0);
	CHECK(task_fd_add(fd[1]) == OK);
	w.peer = io_new(fd[1], 4096);
	CHECK(write(fd[1], "EHLO x\r\n", 8) == 8);
	CHECK(session_start(&w.smtpd, fd[0], &w.client));
	CHECK(hear(&w, NULL) == 554);
	CHECK(hear(&w, NULL) == 0);
	hang_up(&w);
	tear_down(&w);
}

static void
limits_hold(void)
{
	static const char *const settings[] = { "smtpd_recipient_limit=2", "smtpd_client_connection_count_limit=1", NULL };
	struct world w;
	struct io *first;

	set_up(&w, settings);
	call(&w);
	CHECK(hear(&w, NULL) == 220);
	CHECK(tell(&w, "EHLO a") == 250 && tell(&w, "MAIL FROM:<>") == 250);
	CHECK(tell(&w, "RCPT TO:<a@here.test>") == 250 && tell(&w, "RCPT TO:<b@here.test>") == 250);
	CHECK(tell(&w, "RCPT TO:<c@here.test>") == 452);
	first = w.peer;
	call(&w);
	CHECK(hear(&w, NULL) == 421 && hear(&w, NULL) == 0);
	io_close(&w.peer);
	w.peer = first;
	hang_up(&w);
	call(&w);
	CHECK(hear(&w, NULL) == 220);
	hang_up(&w);
	tear_down(&w);
}

static void
a_session_that_waits_is_stopped_with_a_word(void)
{
	struct world w;

	set_up(&w, NULL);
	call(&w);
	CHECK(hear(&w, NULL) == 220);
	CHECK(tell(&w, "EHLO a") == 250);
	LIST_EACH(&w.smtpd.sessions, s, struct session, link) {
		CHECK(s->idle);
		task_stop(s->task);
	}
	CHECK(hear(&w, NULL) == 421 && hear(&w, NULL) == 0);
	hang_up(&w);
	tear_down(&w);
}

/* By the rough measure of what was sent: nothing is forgotten, and nothing stays when it is over. */
static void
memory_is_accounted_for_while_it_is_held(void)
{
	static const char *const settings[] = { "notify_classes=", NULL };
	struct world w;
	struct buf rcpt = BUF(2000);
	uint64_t before;

	set_up(&w, settings);
	call(&w);
	CHECK(hear(&w, NULL) == 220 && tell(&w, "EHLO a") == 250);
	CHECK(w.smtpd.memory == 0);
	CHECK(tell(&w, "MAIL FROM:<>") == 250);
	for (int i = 0; i < 100; i++) {
		buf_clear(&rcpt);
		CHECK(buf_printf(&rcpt, "RCPT TO:<r%d@here.test> ORCPT=rfc822;%0400d@x", i, i));
		CHECK(tell(&w, buf_cstr(&rcpt)) == 250);
	}
	before = w.smtpd.memory;
	CHECK(before > 3 * 100 * 420 && before < 4 * 2 * 100 * 420);
	CHECK(tell(&w, "DATA") == 354);
	CHECK(w.smtpd.memory > 3 * 100 * 420 && w.smtpd.memory < before + before / 4);  /* what was set aside */
	for (int i = 0; i < 100; i++)
		io_print(w.peer, "%0500d\r\n", i);
	CHECK(tell(&w, ".") == 250);
	CHECK(w.smtpd.memory == 0);
	CHECK(tell(&w, "MAIL FROM:<>") == 250 && tell(&w, buf_cstr(&rcpt)) == 250 && w.smtpd.memory > 0);
	CHECK(tell(&w, "RSET") == 250 && w.smtpd.memory == 0);
	CHECK(tell(&w, "MAIL FROM:<>") == 250 && tell(&w, buf_cstr(&rcpt)) == 250 && tell(&w, "DATA") == 354);
	hang_up(&w);
	buf_free(&rcpt);
	tear_down(&w);                                 /* looks whether it is 0 */
}

static void
without_memory_mail_is_put_off(void)
{
	static const char *const settings[] = { "smtpd_memory_limit=4k", "notify_classes=", NULL };
	struct world w;
	struct buf text = BUF(0);

	set_up(&w, settings);
	call(&w);
	CHECK(hear(&w, NULL) == 220 && tell(&w, "EHLO a") == 250 && tell(&w, "MAIL FROM:<>") == 250);
	CHECK(tell(&w, "RCPT TO:<a@here.test>") == 250);
	w.smtpd.memory += 8192;                        /* of others */
	io_print(w.peer, "RCPT TO:<b@here.test>\r\n");
	CHECK(hear(&w, &text) == 452 && str_starts(buf_str(&text), STR("452 4.3.1 ")));
	CHECK(tell(&w, "DATA") == 354 && tell(&w, "x\r\n.") == 250);           /* what was taken is */
	CHECK(tell(&w, "MAIL FROM:<>") == 452);
	w.smtpd.memory -= 8192;
	CHECK(tell(&w, "MAIL FROM:<>") == 250);
	hang_up(&w);
	buf_free(&text);
	tear_down(&w);
}

SUITE(session, TASK_TEST(a_stranger_gets_these_replies), TASK_TEST(size_is_that_of_the_stored_content), TASK_TEST(what_is_stored_bears_our_trace_and_the_envelope),
    TASK_TEST(half_a_message_leaves_nothing), TASK_TEST(pipelined_commands_are_answered_in_one_piece),
    TASK_TEST(rude_clients_are_told_off_and_sent_away), TASK_TEST(who_talks_before_the_greeting_gets_none),
    TASK_TEST(limits_hold), TASK_TEST(a_session_that_waits_is_stopped_with_a_word),
    TASK_TEST(memory_is_accounted_for_while_it_is_held), TASK_TEST(without_memory_mail_is_put_off));
