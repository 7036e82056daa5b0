/* SPDX-License-Identifier: Apache-2.0 */
/* Whole transactions over a socket pair; the server reads from a script.  Its lines: "C: " what the client must say next, "S: " what
 * the server says then, "X" the server hangs up.  What the client says beyond what the script asks for is an error, so the order of
 * the lines shows whether commands are pipelined.  After each transaction a NOOP shows whether client and server are in step. */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "smtp/delivery.h"
#include "spool/spool.h"
#include "tests/unit/check.h"
#include "util/log.h"
#include "util/mem.h"

enum { SCRIPT_MAX = 24, RCPTS_MAX = 3 };

static const struct params params = { .smtp_mail_timeout = 5, .smtp_rcpt_timeout = 5, .smtp_data_init_timeout = 5,
	.smtp_data_xfer_timeout = 5, .smtp_data_done_timeout = 5, .smtp_rset_timeout = 5, .smtp_line_length_limit = 998 };
static const char text[] = "Subject: x\r\n\r\n.dot\r\n";
#define BODY "C: Subject: x", "C: ", "C: ..dot", "C: ."
#define MAIL "C: MAIL FROM:<s@here.test>"
#define RCPT_A "C: RCPT TO:<a@there.test>"
#define RCPT_B "C: RCPT TO:<b@there.test>"
#define RCPT_C "C: RCPT TO:<c@there.test>"

struct scene {
	const char *script[SCRIPT_MAX];
	const char *outcomes[RCPTS_MAX];               /* of as many recipients: "sent 2.0.0"; "": none yet */
	unsigned    can;
	enum err    err;
	bool        unanswered, tainted;
	/* how it begins */
	uint64_t    size_limit;
	unsigned    uses;
	bool        first_is_final;                    /* another server refused it */
};

struct server {
	struct io         *io;
	const char *const *script;
	bool               failed;
};

static struct time later(void) { return time_after(time_now(), 5); }

static bool
hear(struct server *s, const char *expected)
{
	enum io_ending ending;
	struct str line;
	enum err e = io_line(s->io, &line, &ending, later());

	if (e == OK && ending == END_CRLF && str_eq(line, str_of(expected)))
		return true;
	printf("\n    the client should say '%s', but: %.*s\n", expected, e == OK ? (int)line.n : 30,
	    e == OK ? line.p : err_text(e));
	return false;
}

/* After the script a NOOP, or the end of a connection that is out of step. */
static void
serve_noop(struct server *s)
{
	enum io_ending ending;
	struct str line;

	if (io_line(s->io, &line, &ending, later()) != OK)
		return;
	s->failed = !str_eq(line, STR("NOOP"));
	if (s->failed)
		printf("\n    the client should be silent, but: %.*s\n", STR_ARG(line));
	io_print(s->io, "250 in step\r\n");
	s->failed |= io_flush(s->io, later()) != OK;
}

static void
serve(void *arg)
{
	struct server *s = arg;
	const char *const *l = s->script;

	for (; *l && !s->failed && **l != 'X'; l++) {
		if (**l == 'C') {
			s->failed = !hear(s, *l + 3);
			continue;
		}
		if (io_has_input(s->io)) {
			printf("\n    the client did not wait for '%s'\n", *l);
			s->failed = true;
		}
		io_print(s->io, "%s\r\n", *l + 3);
		s->failed |= io_flush(s->io, later()) != OK;
	}
	if (*l == NULL && !s->failed)
		serve_noop(s);
	io_close(&s->io);
}

static struct io *
end_of(int fd)
{
	CHECK(task_fd_add(fd) == OK);
	return io_new(fd, REPLY_IO_LINE);
}

static struct conn *
connection(const struct scene *scene, int fd)
{
	struct conn *c = mem_new(sizeof *c);

	c->io = end_of(fd);
	c->key = mem_dup("there.test");
	c->host = mem_dup("mx.there.test");
	c->who = mem_dup("mx.there.test[192.0.2.1]");
	c->relay = mem_dup("mx.there.test[192.0.2.1]:25");
	c->can = scene->can;
	c->size_limit = scene->size_limit;
	c->uses = scene->uses ? scene->uses : 1;
	return c;
}

/* What belongs to one scene: the frame that its delivery borrows from. */
struct play {
	struct buf frame;
	struct job job;
	struct delivery d;
};

static void
play_fini(struct play *p)
{
	body_close(&p->d.body);
	job_fini(&p->job);
	buf_free(&p->frame);
}

static void
begin(const struct scene *scene, struct play *p)
{
	static const char *const names[RCPTS_MAX] = { "a@there.test", "b@there.test", "c@there.test" };
	struct msg_deliver m = { .id = 1, .size = sizeof text - 1, .sender = STR("s@here.test"), .nexthop = STR("there.test"),
		.flags = MF_DOTS | MF_8BIT };
	struct buf rcpts = BUF(0);

	*p = (struct play){ .frame = BUF(0), .d = { .job = &p->job, .body = { .fd = -1 } } };
	for (uint32_t i = 0; i < RCPTS_MAX && scene->outcomes[i]; i++)
		CHECK(msg_rcpt_put(&rcpts, &(struct msg_rcpt){ .index = i, .addr = str_of(names[i]) }));
	m.rcpts = buf_str(&rcpts);
	CHECK(msg_deliver_put(&p->frame, &m));
	CHECK(job_init(&p->job, &params, NULL, buf_str(&p->frame)) == OK);
	p->d.body.size = m.size;
	p->d.body.flags = m.flags;
	CHECK(buf_adds(&p->d.body.text, text));
	if (scene->first_is_final)
		outcome_set(&p->job, &p->job.rcpts[0], RCPT_BOUNCED, "5.9.9", "", STR(""), "elsewhere");
	buf_free(&rcpts);
}

static bool
outcomes_are(const struct job *d, const struct scene *scene)
{
	static const char *const words[] = { "sent", "deferred", "bounced" };
	bool same = true;

	for (size_t i = 0; i < d->n; i++) {
		const struct outcome *o = &d->rcpts[i];
		char got[40] = "";

		if (o->known)
			snprintf(got, sizeof got, "%s %s", words[o->status], o->esc);
		CHECK(o->final == (o->known && o->status != RCPT_DEFERRED));
		if (strcmp(got, scene->outcomes[i]) == 0)
			continue;
		printf("\n    recipient %zu: expected '%s', found '%s'\n", i, scene->outcomes[i], got);
		same = false;
	}
	return same;
}

static void
check_in_step(struct conn *c)
{
	io_print(c->io, "NOOP\r\n");
	CHECK(reply_read(c->io, &c->reply, NULL, NULL, later()) == OK);
	CHECK_STR(buf_str(&c->reply.text), "250 in step");
}

/* Play it; what the server was told to be said to the client is in c->reply. */
static void
play(const struct scene *scene, size_t number, struct play *p)
{
	struct server server = { .script = scene->script };
	const char *during = "";
	bool unanswered, ok;
	struct conn *c;
	struct tasks g;
	enum err e;
	int fd[2];

	log_stderr("transaction_test");
	tasks_init(&g);
	begin(scene, p);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == 0);
	c = connection(scene, fd[0]);
	server.io = end_of(fd[1]);
	CHECK(task_start(&g, "server", serve, &server) != NULL);
	e = transaction(&p->d, c, &during, &unanswered);
	ok = e == scene->err && unanswered == scene->unanswered && (e != OK || c->tainted == scene->tainted);
	if (!ok)
		printf("\n    %s%s%s\n", err_name(e), unanswered ? ", unanswered" : "", c->tainted ? ", tainted" : "");
	if (e == OK && !c->tainted)
		check_in_step(c);
	c->tainted = true;
	conn_close(&c);
	tasks_wait(&g);
	ok &= !server.failed;
	ok &= outcomes_are(&p->job, scene);
	if (!ok)
		printf("    in scene %zu\n", number);
	CHECK(ok);
}

static void
play_all(const struct scene *scenes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct play p;

		play(&scenes[i], i, &p);
		play_fini(&p);
	}
}

static void
mail_that_is_taken_is_sent(void)
{
	static const struct scene scenes[] = {
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 250 ok", "C: DATA", "S: 354 go", BODY, "S: 250 2.6.0 queued" },
		    .outcomes = { "sent 2.6.0" } },
		{ { MAIL, "S: 250-o", "S: 250 k", RCPT_A, "S: 251 will do", RCPT_B, "S: 250 ok", "C: DATA", "S: 354 go", BODY,
		      "S: 250 queued" }, .outcomes = { "sent 2.0.0", "sent 2.0.0" } },
		{ { MAIL, RCPT_A, RCPT_B, "C: DATA", "S: 250 ok", "S: 250 ok", "S: 250 ok", "S: 354 go", BODY, "S: 250 queued" },
		    .outcomes = { "sent 2.0.0", "sent 2.0.0" }, .can = CAN_PIPELINE },
		{ { MAIL " SIZE=20 BODY=8BITMIME", RCPT_A, "C: DATA", "S: 250 ok", "S: 250 ok", "S: 354 go", BODY, "S: 250 queued" },
		    .outcomes = { "sent 2.0.0" }, .can = CAN_PIPELINE | CAN_8BIT | CAN_SIZE, .size_limit = 20 },
		{ { MAIL, RCPT_B, "C: DATA", "S: 250 ok", "S: 250 ok", "S: 354 go", BODY, "S: 250 queued" },
		    .outcomes = { "bounced 5.9.9", "sent 2.0.0" }, .can = CAN_PIPELINE, .first_is_final = true },
	};

	play_all(scenes, countof(scenes));
}

static void
each_recipient_has_its_own_answer(void)
{
	static const struct scene scenes[] = {
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 550 5.1.1 who", RCPT_B, "S: 250 ok", RCPT_C, "S: 450 4.2.1 later", "C: DATA", "S: 354 go",
		      BODY, "S: 250 queued" }, .outcomes = { "bounced 5.1.1", "sent 2.0.0", "deferred 4.2.1" } },
		{ { MAIL, RCPT_A, RCPT_B, RCPT_C, "C: DATA", "S: 250 ok", "S: 550 5.1.1 who", "S: 250 ok", "S: 450 later", "S: 354 go", BODY,
		      "S: 250 queued" }, .outcomes = { "bounced 5.1.1", "sent 2.0.0", "deferred 4.0.0" }, .can = CAN_PIPELINE },
		/* and the end of DATA is the answer to those that were accepted alone */
		{ { MAIL, RCPT_A, RCPT_B, RCPT_C, "C: DATA", "S: 250 ok", "S: 550 5.1.1 who", "S: 250 ok", "S: 450 later", "S: 354 go", BODY,
		      "S: 554 5.7.1 spam" }, .outcomes = { "bounced 5.1.1", "bounced 5.7.1", "deferred 4.0.0" }, .can = CAN_PIPELINE },
		/* too many recipients, as RFC 5321 section 4.5.3.1.10 wants it read */
		{ { MAIL, RCPT_A, RCPT_B, "C: DATA", "S: 250 ok", "S: 250 ok", "S: 552 5.5.3 too many", "S: 354 go", BODY, "S: 250 queued" },
		    .outcomes = { "sent 2.0.0", "deferred 4.5.3" }, .can = CAN_PIPELINE },
	};

	play_all(scenes, countof(scenes));
}

static void
a_refused_sender_is_the_answer_for_all(void)
{
	static const struct scene scenes[] = {
		{ { MAIL, "S: 550 5.7.1 no", "C: RSET", "S: 250 ok" }, .outcomes = { "bounced 5.7.1", "bounced 5.7.1" } },
		{ { MAIL, "S: 451 4.7.1 later", "C: RSET", "S: 250 ok" }, .outcomes = { "deferred 4.7.1", "deferred 4.7.1" } },
		{ { MAIL, RCPT_A, RCPT_B, "C: DATA", "S: 550 5.7.1 no", "S: 503 x", "S: 503 y", "S: 503 z", "C: RSET", "S: 250 ok" },
		    .outcomes = { "bounced 5.7.1", "bounced 5.7.1" }, .can = CAN_PIPELINE },
		{ { MAIL, RCPT_A, RCPT_B, "C: DATA", "S: 451 4.7.1 no", "S: 550 x", "S: 250 y", "S: 354 z", "C: .", "S: 250 q", "C: RSET",
		      "S: 250 ok" }, .outcomes = { "deferred 4.7.1", "deferred 4.7.1" }, .can = CAN_PIPELINE },
		{ { MAIL, RCPT_B, RCPT_C, "C: DATA", "S: 450 no", "S: 503 x", "S: 503 y", "S: 503 z", "C: RSET", "S: 250 ok" },
		    .outcomes = { "bounced 5.9.9", "deferred 4.0.0", "deferred 4.0.0" }, .can = CAN_PIPELINE, .first_is_final = true },
		{ { MAIL, RCPT_B, "C: DATA", "S: 550 no", "S: 503 x", "S: 503 z", "C: RSET", "S: 250 ok" },
		    .outcomes = { "bounced 5.9.9", "bounced 5.0.0" }, .can = CAN_PIPELINE, .first_is_final = true },
	};

	play_all(scenes, countof(scenes));
}

static void
without_recipients_there_is_no_message(void)
{
	static const struct scene scenes[] = {
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 550 no", RCPT_B, "S: 450 no", "C: RSET", "S: 250 ok" },
		    .outcomes = { "bounced 5.0.0", "deferred 4.0.0" } },
		{ { MAIL, RCPT_A, RCPT_B, "C: DATA", "S: 250 ok", "S: 550 no", "S: 450 no", "S: 503 none", "C: RSET", "S: 250 ok" },
		    .outcomes = { "bounced 5.0.0", "deferred 4.0.0" }, .can = CAN_PIPELINE },
		/* RFC 2920 section 3.1: a server may take DATA all the same */
		{ { MAIL, RCPT_A, RCPT_B, "C: DATA", "S: 250 ok", "S: 550 no", "S: 450 no", "S: 354 go", "C: .", "S: 554 none", "C: RSET",
		      "S: 250 ok" }, .outcomes = { "bounced 5.0.0", "deferred 4.0.0" }, .can = CAN_PIPELINE },
		{ { MAIL, RCPT_A, "C: DATA", "S: 250 ok", "S: 450 no", "S: 354 go", "C: .", "S: 250 queued", "C: RSET", "S: 250 ok" },
		    .outcomes = { "deferred 4.0.0" }, .can = CAN_PIPELINE },
		{ { MAIL, RCPT_A, "C: DATA", "S: 250 ok", "S: 450 no", "S: 354 go", "C: .", "X" },
		    .outcomes = { "deferred 4.0.0" }, .can = CAN_PIPELINE, .tainted = true },
		{ { MAIL, RCPT_A, "C: DATA", "S: 250 ok", "S: 450 no", "S: 250 ok", "X" },
		    .outcomes = { "deferred 4.0.0" }, .can = CAN_PIPELINE, .tainted = true },
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 550 no", "C: RSET", "S: 500 what" }, .outcomes = { "bounced 5.0.0" }, .tainted = true },
	};

	play_all(scenes, countof(scenes));
}

static void
data_may_be_refused(void)
{
	static const struct scene scenes[] = {
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 250 ok", "C: DATA", "S: 451 4.3.0 no", "C: RSET", "S: 250 ok" }, .outcomes = { "deferred 4.3.0" } },
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 250 ok", "C: DATA", "S: 554 no", "C: RSET", "S: 250 ok" }, .outcomes = { "bounced 5.0.0" } },
		{ { MAIL, RCPT_A, RCPT_B, "C: DATA", "S: 250 ok", "S: 450 a", "S: 250 ok", "S: 554 5.5.1 no", "C: RSET", "S: 250 ok" },
		    .outcomes = { "deferred 4.0.0", "bounced 5.5.1" }, .can = CAN_PIPELINE },
	};

	play_all(scenes, countof(scenes));
}

static void
the_end_of_data_may_be_refused(void)
{
	static const struct scene scenes[] = {
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 250 ok", "C: DATA", "S: 354 go", BODY, "S: 452 4.3.1 full" }, .outcomes = { "deferred 4.3.1" } },
		{ { MAIL, RCPT_A, RCPT_B, "C: DATA", "S: 250 ok", "S: 250 ok", "S: 250 ok", "S: 354 go", BODY, "S: 554 no" },
		    .outcomes = { "bounced 5.0.0", "bounced 5.0.0" }, .can = CAN_PIPELINE },
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 250 ok", "C: DATA", "S: 354 go", BODY, "S: 421 4.3.2 bye", "X" }, .outcomes = { "deferred 4.3.2" },
		    .tainted = true },
	};

	play_all(scenes, countof(scenes));
}

/* No code but a 2xx for the end of DATA means sent; who is out of step is not talked to again. */
static void
a_yes_in_the_wrong_place_is_no_yes(void)
{
	static const struct scene scenes[] = {
		{ { MAIL, "S: 354 go", "X" }, .outcomes = { "deferred 4.5.0" }, .tainted = true },
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 354 go", "X" }, .outcomes = { "deferred 4.5.0" }, .tainted = true },
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 250 ok", "C: DATA", "S: 250 ok", "X" }, .outcomes = { "deferred 4.5.0" }, .tainted = true },
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 250 ok", "C: DATA", "S: 354 go", BODY, "S: 354 go", "X" }, .outcomes = { "deferred 4.5.0" },
		    .tainted = true },
		{ { MAIL, RCPT_A, RCPT_B, "C: DATA", "S: 250 ok", "S: 550 no", "S: 250 ok", "S: 250 ok", "X" },
		    .outcomes = { "bounced 5.0.0", "deferred 4.5.0" }, .can = CAN_PIPELINE, .tainted = true },
	};

	play_all(scenes, countof(scenes));
}

static void
a_conversation_that_breaks_off_decides_nothing(void)
{
	static const struct scene scenes[] = {
		{ { "X" }, .outcomes = { "" }, .err = E_EOF, .unanswered = true },
		{ { MAIL, "X" }, .outcomes = { "" }, .err = E_EOF, .unanswered = true },
		{ { MAIL, RCPT_A, "C: DATA", "X" }, .outcomes = { "" }, .can = CAN_PIPELINE, .err = E_EOF, .unanswered = true },
		{ { MAIL, "S: 250 ok", RCPT_A, "X" }, .outcomes = { "" }, .err = E_EOF },
		{ { MAIL, RCPT_A, RCPT_B, "C: DATA", "S: 250 ok", "S: 550 5.1.1 no", "X" }, .outcomes = { "bounced 5.1.1", "" }, .can = CAN_PIPELINE,
		    .err = E_EOF },
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 250 ok", "C: DATA", "X" }, .outcomes = { "" }, .err = E_EOF },
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 250 ok", "C: DATA", "S: 354 go", "X" }, .outcomes = { "" }, .err = E_EOF },
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 250 ok", "C: DATA", "S: 354 go", BODY, "X" }, .outcomes = { "" }, .err = E_EOF },
		{ { MAIL, "S: 250 ok", RCPT_A, "S: what?", "X" }, .outcomes = { "" }, .err = E_SYNTAX },
		{ { MAIL, "S: 2500 ok", "X" }, .outcomes = { "" }, .err = E_SYNTAX, .unanswered = true },
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 250 ok", "C: DATA", "S: 354 go", BODY, "S: 999", "X" }, .outcomes = { "" }, .err = E_SYNTAX },
	};

	play_all(scenes, countof(scenes));
}

static void
a_message_above_the_limit_is_not_offered(void)
{
	static const struct scene scenes[] = {
		{ { NULL }, .outcomes = { "bounced 5.3.4", "bounced 5.3.4" }, .can = CAN_SIZE | CAN_PIPELINE, .size_limit = 19, .unanswered = true },
	};

	play_all(scenes, countof(scenes));
}

/* 421 is a server's last word: it defers all that is still open, and the connection is not used again. */
static void
a_goodbye_in_the_middle_defers_the_rest(void)
{
	static const struct scene scenes[] = {
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 550 5.1.1 no", RCPT_B, "S: 421 4.3.2 bye", "X" },
		    .outcomes = { "bounced 5.1.1", "deferred 4.3.2", "deferred 4.3.2" }, .tainted = true },
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 250 ok", RCPT_B, "S: 421 4.3.2 bye", "X" },
		    .outcomes = { "deferred 4.3.2", "deferred 4.3.2", "deferred 4.3.2" }, .tainted = true },
		{ { MAIL, RCPT_A, RCPT_B, RCPT_C, "C: DATA", "S: 250 ok", "S: 250 ok", "S: 421 4.3.2 bye", "X" },
		    .outcomes = { "deferred 4.3.2", "deferred 4.3.2", "deferred 4.3.2" }, .can = CAN_PIPELINE, .tainted = true },
		{ { MAIL, RCPT_A, RCPT_B, RCPT_C, "C: DATA", "S: 250 ok", "S: 250 ok", "S: 450 4.2.1 b", "S: 550 c", "S: 421 bye", "X" },
		    .outcomes = { "deferred 4.0.0", "deferred 4.2.1", "bounced 5.0.0" }, .can = CAN_PIPELINE, .tainted = true },
		{ { MAIL, "S: 250 ok", RCPT_A, "S: 250 ok", "C: DATA", "S: 421 4.3.2 bye", "X" }, .outcomes = { "deferred 4.3.2" }, .tainted = true },
	};

	play_all(scenes, countof(scenes));
}

static void
the_words_name_the_server_and_the_command(void)
{
	static const struct scene scene = { { MAIL, RCPT_A, RCPT_B, "C: DATA", "S: 250 ok", "S: 250 ok", "S: 550-5.1.1 a", "S: 550 5.1.1 b",
		"S: 354 go", BODY, "S: 250 2.0.0 Ok: queued as 42" }, .outcomes = { "sent 2.0.0", "bounced 5.1.1" }, .can = CAN_PIPELINE };
	struct play p;

	play(&scene, 0, &p);
	CHECK_STR(buf_str(&p.job.rcpts[0].text), "250 2.0.0 Ok: queued as 42");
	CHECK_STR(buf_str(&p.job.rcpts[1].text),
	    "host mx.there.test[192.0.2.1] said: 550-5.1.1 a 550 5.1.1 b (in reply to RCPT TO command)");
	CHECK_STR(buf_str(&p.job.rcpts[1].mta), "mx.there.test");
	CHECK_STR(buf_str(&p.job.rcpts[1].diag), "550-5.1.1 a 550 5.1.1 b");
	play_fini(&p);
}

SUITE(transaction, TASK_TEST(mail_that_is_taken_is_sent), TASK_TEST(each_recipient_has_its_own_answer),
    TASK_TEST(a_refused_sender_is_the_answer_for_all), TASK_TEST(without_recipients_there_is_no_message),
    TASK_TEST(data_may_be_refused), TASK_TEST(the_end_of_data_may_be_refused),
    TASK_TEST(a_yes_in_the_wrong_place_is_no_yes), TASK_TEST(a_conversation_that_breaks_off_decides_nothing),
    TASK_TEST(a_message_above_the_limit_is_not_offered), TASK_TEST(a_goodbye_in_the_middle_defers_the_rest),
    TASK_TEST(the_words_name_the_server_and_the_command));
