/* SPDX-License-Identifier: Apache-2.0 */
/* scene.h - whole transactions over a socket pair; the server reads from a script.  Its lines: "C: " what the client must say next,
 * "S: " what the server says then, "X" the server hangs up.  What the client says beyond what the script asks for is an error, so the
 * order of the lines shows whether commands are pipelined.  After each transaction a NOOP shows whether client and server are in
 * step. */
#ifndef TESTS_SMTP_SCENE_H
#define TESTS_SMTP_SCENE_H

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
	bool        lmtp;
	uint32_t    flags;                             /* of the message, besides those it has always */
	const struct spool_msg *envelope;              /* read from the file; NULL: there is none to be read */
	const char *sender;                            /* NULL: s@here.test */
	const char *first;                             /* address of the first recipient; NULL: a@there.test */
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
	c->lmtp = scene->lmtp;
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
	struct msg_deliver m = { .id = 1, .size = sizeof text - 1, .nexthop = STR("there.test"),
		.sender = str_of(scene->sender ? scene->sender : "s@here.test"), .flags = MF_DOTS | MF_8BIT | scene->flags };
	struct buf rcpts = BUF(0);

	*p = (struct play){ .frame = BUF(0), .d = { .job = &p->job, .body = { .fd = -1 } } };
	for (uint32_t i = 0; i < RCPTS_MAX && scene->outcomes[i]; i++)
		CHECK(msg_rcpt_put(&rcpts, &(struct msg_rcpt){ .index = i,
		    .addr = str_of(i == 0 && scene->first ? scene->first : names[i]),
		    .notify = scene->envelope ? scene->envelope->rcpts[i].notify : 0 }));
	m.rcpts = buf_str(&rcpts);
	CHECK(msg_deliver_put(&p->frame, &m));
	CHECK(job_init(&p->job, &params, NULL, buf_str(&p->frame)) == OK);
	if (scene->envelope) {
		p->job.view = mem_new(sizeof *p->job.view);
		p->job.view->msg = *scene->envelope;
	}
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

#endif
