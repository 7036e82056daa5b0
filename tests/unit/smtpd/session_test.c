/* SPDX-License-Identifier: Apache-2.0 */
/* Whole sessions over a socket pair, with a spool of their own. */
#include "smtpd/session.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

#include "smtpd/clients.h"
#include "intake/intake.h"
#include "tests/unit/check.h"
#include "util/log.h"
#include "util/proc.h"

struct world {
	char           dir[64];
	struct service service;
	struct smtpd   smtpd;
	struct tasks   own;
	struct addr    client;
	struct io     *peer;                           /* the client's end */
};

static struct time later(void) { return time_after(time_now(), 60); }

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st, (void)type, (void)at;
	return remove(path);
}

/* A server with these settings ("name=value", up to a NULL) on top of the usual ones. */
static void
set_up(struct world *w, const char *const *settings)
{
	char queue[96], data[96], main_cf[96];
	const char *set[32] = { queue, data, "local_recipient_maps=", "myhostname=mx.test", "mydestination=here.test", "relay_domains=",
		"mynetworks=10.0.0.0/8", "smtpd_peername_lookup=no", "spool_sync=none", "queue_minfree_inodes=0",
		"smtpd_soft_error_limit=100000", "smtpd_hard_error_limit=100000", "smtpd_junk_command_limit=100000" };
	size_t n = 13;

	memset(w, 0, sizeof *w);
	log_stderr("session_test");
	strcpy(w->dir, "/tmp/postroad-session-XXXXXX");
	CHECK(mkdtemp(w->dir) != NULL);
	snprintf(main_cf, sizeof main_cf, "%s/main.cf", w->dir);
	CHECK(proc_write_file(main_cf, STR(""), 0600) == OK);
	snprintf(queue, sizeof queue, "queue_directory=%s/spool", w->dir);
	snprintf(data, sizeof data, "data_directory=%s", w->dir);
	while (settings && *settings)
		set[n++] = *settings++;
	CHECK(params_load(&w->service.params, w->dir, set, n) == OK);
	w->service.name = "smtp";
	w->service.board = mem_new(sizeof *w->service.board);
	w->smtpd.service = &w->service;
	w->smtpd.params = &w->service.params;
	CHECK(spool_open(w->service.params.queue_directory, SYNC_NONE, false, &w->smtpd.spool) == OK);
	list_init(&w->smtpd.sessions);
	wait_init(&w->smtpd.room);
	wait_init(&w->smtpd.drained);
	tasks_init(&w->smtpd.group);
	tasks_init(&w->own);
	w->smtpd.clients = clients_open(&w->service);
	w->service.config_dir = w->dir;
	CHECK(intake_start(&w->service, "smtpd", w->smtpd.spool, &w->own, &w->smtpd.intake) == OK);
	CHECK(addr_parse(STR("192.0.2.1"), 0, &w->client) == OK);
}

static void
tear_down(struct world *w)
{
	tasks_wait(&w->smtpd.group);
	CHECK(w->smtpd.nsessions == 0);
	tasks_stop(&w->own);
	intake_free(&w->smtpd.intake);
	clients_close(&w->smtpd.clients);
	spool_close(&w->smtpd.spool);
	params_fini(&w->service.params);
	free(w->service.board);
	nftw(w->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void
call(struct world *w)
{
	int fd[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == 0);
	CHECK(task_fd_add(fd[1]) == OK);
	w->peer = io_new(fd[1], 4096);
	CHECK(session_start(&w->smtpd, fd[0], &w->client));
}

/* The code of the next reply; 0: the server hung up.  text gets its last line. */
static int
hear(struct world *w, struct buf *text)
{
	struct str line = STR("");
	enum io_ending ending;
	uint64_t code = 0;

	do
		if (io_line(w->peer, &line, &ending, later()) != OK)
			return 0;
	while (line.n > 3 && line.p[3] == '-');
	CHECK(ending == END_CRLF);
	CHECK(str_u64(str_sub(line, 0, 3), &code));
	if (text) {
		buf_clear(text);
		CHECK(buf_add(text, line));
	}
	return (int)code;
}

static int
tell(struct world *w, const char *line)
{
	io_print(w->peer, "%s\r\n", line);
	CHECK(io_flush(w->peer, later()) == OK);
	return hear(w, NULL);
}

static void
hang_up(struct world *w)
{
	io_close(&w->peer);
	tasks_wait(&w->smtpd.group);
}

static void
count_id(void *arg, uint64_t id)
{
	(void)id;
	++*(size_t *)arg;
}

static size_t
messages(struct world *w)
{
	size_t n = 0;

	CHECK(spool_ids(w->smtpd.spool, SPOOL_INCOMING, count_id, &n) == OK);
	return n;
}

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

/* Content, and what must become of it. */
static const struct { const char *content; int reply; } contents[] = {
	{ "Subject: x\r\n\r\nhello\r\n.", 250 },
	{ "Received: a\r\nReceived: b\r\nReceived: c\r\n\r\n.", 554 },
	{ "0123456789012345678901234567890123456789012345678901234567890123456789\r\n"
	  "0123456789012345678901234567890123456789012345678901234567890123456789\r\n.", 552 },
	{ "bare\nnewline\r\n.", 550 },
	{ ".", 250 },
};

/* The state of a transaction, told by the replies alone; whatever way a transaction ends, nothing of it is left. */
static void
random_commands_reach_content_only_with_sender_and_recipient(void)
{
	static const char *const settings[] = { "message_size_limit=100", "hopcount_limit=3", "smtpd_forbid_bare_newline=reject", NULL };
	static const char *const lines[] = { "MAIL FROM:<a@b.test>", "MAIL FROM:<a@b.test>", "MAIL FROM:<>", "MAIL FROM:<a", "RCPT TO:<u@here.test>",
		"RCPT TO:<postmaster>", "RCPT TO:<u@far.test>", "RCPT TO:<>", "DATA", "DATA", "DATA x", "RSET", "EHLO a", "HELO a",
		"NOOP", "VRFY u@here.test", "FOO", "MAIL FROM:<a@b.test> SIZE=101", "BDAT 1", "HELP" };
	uint64_t random = 7;
	bool mail = false, rcpt = false;
	size_t accepted = 0, taken = 0;
	struct world w;

	set_up(&w, settings);
	call(&w);
	CHECK(hear(&w, NULL) == 220);
	CHECK(tell(&w, "EHLO a") == 250);
	for (int i = 0; i < 4000; i++) {
		const char *line;
		int code;

		random = random * 6364136223846793005U + 1442695040888963407U;
		line = lines[(random >> 33) % countof(lines)];
		code = tell(&w, line);
		if (strncmp(line, "MAIL", 4) == 0 && code == 250) {
			CHECK(!mail);
			mail = true;
		} else if (strncmp(line, "RCPT", 4) == 0 && code == 250) {
			CHECK(mail);
			rcpt = true;
		} else if (strcmp(line, "RSET") == 0 || strncmp(line + 1, "ELO", 3) == 0 || strncmp(line, "EHLO", 4) == 0) {
			CHECK(code == 250);
			mail = rcpt = false;
		} else if (strcmp(line, "DATA") == 0) {
			size_t k = (random >> 20) % countof(contents);

			CHECK((code == 354) == (mail && rcpt));
			if (code != 354)
				continue;
			taken++;
			CHECK(tell(&w, contents[k].content) == contents[k].reply);
			accepted += contents[k].reply == 250;
			mail = rcpt = false;
		}
	}
	CHECK(taken > 50);
	hang_up(&w);
	CHECK(messages(&w) == accepted);
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

SUITE(session, TASK_TEST(a_stranger_gets_these_replies), TASK_TEST(random_commands_reach_content_only_with_sender_and_recipient),
    TASK_TEST(size_is_that_of_the_stored_content), TASK_TEST(what_is_stored_bears_our_trace_and_the_envelope),
    TASK_TEST(half_a_message_leaves_nothing), TASK_TEST(pipelined_commands_are_answered_in_one_piece),
    TASK_TEST(rude_clients_are_told_off_and_sent_away), TASK_TEST(who_talks_before_the_greeting_gets_none),
    TASK_TEST(limits_hold), TASK_TEST(a_session_that_waits_is_stopped_with_a_word));
