/* SPDX-License-Identifier: Apache-2.0 */
/* Every sequence of commands of a certain length, in one session: content is reached with a sender and a recipient of the same
 * transaction, and never else; what is stored has these and no others. */
#include "tests/unit/smtpd/world.h"

enum { DEPTH = 5 };

/* What a command is, and what becomes of it before MAIL, after MAIL, after MAIL and RCPT. */
enum effect { NOTHING, BEGINS, ADDS, ENDS, CONTENT };
static const struct act {
	const char *line, *rest;               /* rest: follows with the number of the command before it */
	const char *content;                   /* sent when the reply is 354 */
	int code[3], content_code;
	enum effect effect;                    /* when code is 250 or 354 */
} acts[] = {
	{ "MAIL FROM:<a", "@b.test>", NULL, { 250, 503, 503 }, 0, BEGINS },
	{ "MAIL FROM:<a", "@b.test> SIZE=101", NULL, { 552, 503, 503 }, 0, NOTHING },
	{ "RCPT TO:<u", "@here.test>", NULL, { 503, 250, 250 }, 0, ADDS },
	{ "RCPT TO:<u", "@far.test>", NULL, { 503, 554, 554 }, 0, NOTHING },
	{ "DATA", NULL, "x\r\n.", { 503, 554, 354 }, 250, CONTENT },
	{ "DATA", NULL, "bare\nnewline\r\n.", { 503, 554, 354 }, 550, CONTENT },
	{ "DATA", NULL, "0123456789012345678901234567890123456789012345678901234567890123456789\r\n"
	  "0123456789012345678901234567890123456789012345678901234567890123456789\r\n.", { 503, 554, 354 }, 552, CONTENT },
	{ "DATA x", NULL, NULL, { 503, 554, 501 }, 0, NOTHING },
	{ "RSET", NULL, NULL, { 250, 250, 250 }, 0, ENDS },
	{ "EHLO a", NULL, NULL, { 250, 250, 250 }, 0, ENDS },
	{ "BDAT 1", NULL, NULL, { 502, 502, 502 }, 0, NOTHING },
};
enum { ACTS = countof(acts) };

struct model {
	struct world w;
	unsigned     now;                              /* number of the command */
	unsigned     sender;                           /* number of the MAIL that counts; 0: none */
	unsigned     rcpts[64], nrcpts;
	size_t       stored, contents;
	bool         lost;                             /* the server hung up */
};

static void
check_stored(struct model *m, struct str reply)
{
	struct spool_view v;
	char want[64];
	uint64_t id = 0;

	CHECK(qid_parse(str_sub(reply, strlen("250 2.0.0 Ok: queued as "), reply.n), &id));
	if (spool_read(m->w.smtpd.spool, SPOOL_INCOMING, id, false, &v) != OK) {
		CHECK(!"what was taken can be read");
		return;
	}
	snprintf(want, sizeof want, "a%u@b.test", m->sender);
	CHECK_STR(v.msg.sender, want);
	CHECK(v.msg.nrcpts == m->nrcpts);
	for (size_t i = 0; i < v.msg.nrcpts && i < m->nrcpts; i++) {
		snprintf(want, sizeof want, "u%u@here.test", m->rcpts[i]);
		CHECK_STR(v.msg.rcpts[i].addr, want);
	}
	spool_view_fini(&v);
	m->stored++;
}

static void
take(struct model *m, const struct act *a)
{
	struct buf reply = BUF(0);

	m->contents++;
	io_print(m->w.peer, "%s\r\n", a->content);
	CHECK(io_flush(m->w.peer, later()) == OK);
	CHECK(hear(&m->w, &reply) == a->content_code);
	if (a->content_code == 250)
		check_stored(m, buf_str(&reply));
	m->sender = m->nrcpts = 0;
	buf_free(&reply);
}

static void
act(struct model *m, const struct act *a)
{
	int code = a->code[m->sender == 0 ? 0 : m->nrcpts == 0 ? 1 : 2], got;
	char line[64];

	if (m->lost)
		return;
	m->now++;
	snprintf(line, sizeof line, a->rest ? "%s%u%s" : "%s", a->line, m->now, a->rest);
	got = tell(&m->w, line);
	CHECK(got == code);
	m->lost = got == 0;
	if (code != 250 && code != 354)
		return;
	if (a->effect == BEGINS)
		m->sender = m->now;
	else if (a->effect == ADDS && m->nrcpts < countof(m->rcpts))
		m->rcpts[m->nrcpts++] = m->now;
	else if (a->effect == ENDS)
		m->sender = m->nrcpts = 0;
	else if (a->effect == CONTENT)
		take(m, a);
}

/* A de Bruijn sequence, put together from Lyndon words (Fredricksen, Kessler, Maiorana): each sequence of DEPTH acts is in it. */
static void
all_sequences(struct model *m, unsigned char *word, size_t at, size_t period)
{
	if (at > DEPTH) {
		if (DEPTH % period == 0)
			for (size_t i = 1; i <= period; i++)
				act(m, &acts[word[i]]);
		return;
	}
	word[at] = word[at - period];
	all_sequences(m, word, at + 1, period);
	for (unsigned char c = (unsigned char)(word[at - period] + 1); c < ACTS; c++) {
		word[at] = c;
		all_sequences(m, word, at + 1, at);
	}
}

static void
no_sequence_of_commands_reaches_content_without_sender_and_recipient(void)
{
	static const char *const settings[] = { "message_size_limit=100", "smtpd_forbid_bare_newline=reject", NULL };
	unsigned char word[DEPTH + 1] = { 0 };
	struct model m = { .now = 0 };
	unsigned all = 1;

	set_up(&m.w, settings);
	call(&m.w);
	CHECK(hear(&m.w, NULL) == 220);
	CHECK(tell(&m.w, "EHLO a") == 250);
	all_sequences(&m, word, 1, 1);
	for (int i = 0; i < DEPTH; i++)
		all *= ACTS;
	CHECK(m.now == all);
	CHECK(m.contents > 1000 && m.stored > 300);
	hang_up(&m.w);
	CHECK(messages(&m.w) == m.stored);
	tear_down(&m.w);
}

SUITE(sequence, TASK_TEST(no_sequence_of_commands_reaches_content_without_sender_and_recipient));
