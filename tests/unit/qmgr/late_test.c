/* SPDX-License-Identifier: Apache-2.0 */
/* Deliveries of an earlier qmgr, as agents tell of them (docs/SPOOL.md R12). */
#include "qmgr/late.h"
#include "tests/unit/qmgr/fixture.h"

enum { SIZE = 1000, CONTENT_AT = 200 };

static struct world w;
static struct service service;
static struct board board;
static struct peer first, second;

static void
peer_up(struct peer *p, int pid)
{
	*p = (struct peer){ .kind = PEER_AGENT, .pid = pid, .name = "smtp" };
	p->agent = sched_agent_add(w.s, STR("smtp"), 10, p);
	list_push(&qmgr.peers, &p->link);
}

static void
up(void)
{
	world_init(&w);
	service.board = &board;
	qmgr = (struct qmgr){ .service = &service, .sched = w.s };
	list_init(&qmgr.peers);
	late_start();
	peer_up(&first, 101);
	peer_up(&second, 102);
}

static void
gone(struct peer *p)
{
	late_peer_gone(p);
	sched_agent_gone(w.s, &p->agent);
}

static void
down(void)
{
	gone(&first);
	gone(&second);
	late_all_known();
	world_fini(&w, NULL);
}

static const char *const addresses[] = { "a@example.com", "b@example.com", "c@example.com" };

static struct buf
asked(uint64_t id, unsigned rcpts)
{
	struct buf b = BUF(0), list = BUF(0);

	for (uint32_t i = 0; i < 3; i++)
		if (rcpts & 1U << i)
			CHECK(msg_rcpt_put(&list, &(struct msg_rcpt){ .index = i, .addr = str_of(addresses[i]) }));
	CHECK(msg_deliver_put(&b, &(struct msg_deliver){ .delivery = 7, .id = id, .arrived = WORLD_START, .size = SIZE,
	    .content_at = CONTENT_AT, .sender = STR("sender@example.org"), .nexthop = STR("there"), .rcpts = buf_str(&list) }));
	buf_free(&list);
	return b;
}

static struct buf
done(unsigned rcpts, enum rcpt_status status)
{
	struct buf b = BUF(0), list = BUF(0);

	for (uint32_t i = 0; i < 3; i++)
		if (rcpts & 1U << i)
			CHECK(msg_outcome_put(&list, &(struct msg_outcome){ .index = i, .status = (uint8_t)status,
			    .esc = status == RCPT_SENT ? STR("2.0.0") : status == RCPT_BOUNCED ? STR("5.1.1") : STR("4.2.0"), .text = STR("said so") }));
	CHECK(msg_done_put(&b, &(struct msg_done){ .delivery = 7, .site = SITE_OK, .outcomes = buf_str(&list) }));
	buf_free(&list);
	return b;
}

/* What the agent tells of an attempt at these recipients (a bit each); status < 0: it is under way. */
static enum err
tell(struct peer *p, uint64_t attempt, uint64_t id, unsigned rcpts, int status)
{
	struct buf a = asked(id, rcpts), d = BUF(0);
	enum err e;

	if (status >= 0)
		d = done(rcpts, (enum rcpt_status)status);
	e = late_got(p, &(struct msg_late){ .attempt = attempt, .asked = buf_str(&a), .done = buf_str(&d) });
	buf_free(&a);
	buf_free(&d);
	return e;
}

/* Read from the disk: three recipients; those of `sent` are finished by its journal. */
static void
enter_as(const struct sched_msg *m, unsigned sent)
{
	struct sched_rcpt v[3];
	size_t n = 0;

	for (uint32_t i = 0; i < 3; i++)
		if (!(sent & 1U << i))
			v[n++] = (struct sched_rcpt){ .index = i, .addr = str_of(addresses[i]), .transport = STR("smtp"), .nexthop = STR("there") };
	late_mark(m, v, n);
	CHECK(sched_enter(w.s, m, v, n));
	late_entered(m->id);
	world_run(&w);
}

static void
enter(uint64_t id, unsigned sent)
{
	enter_as(&(struct sched_msg){ .id = id, .dir = SPOOL_INCOMING, .arrived = { WORLD_START }, .size = SIZE, .content_at = CONTENT_AT,
	    .sender = STR("sender@example.org") }, sent);
}

static void
what_is_under_way_is_not_begun_again(void)
{
	up();
	CHECK(tell(&first, 1, 9, 7, -1) == OK);
	enter(9, 0);
	CHECK(w.nflights == 0 && world_why(&w, 9) == WHY_FLIGHT && sched_in_flight(sched_find(w.s, 9)) == 1);
	world_pass(&w, 1000);
	CHECK(w.nflights == 0 && w.suspended == 0);
	CHECK(tell(&first, 1, 9, 7, RCPT_SENT) == OK);
	CHECK(w.removed == 1 && sched_find(w.s, 9) == NULL);
	down();
}

static void
recipients_that_nobody_has_are_delivered_meanwhile(void)
{
	up();
	CHECK(tell(&first, 1, 9, 2, -1) == OK);
	enter(9, 0);
	CHECK(w.nflights == 1 && w.flights[0].n == 2 && w.flights[0].index[0] == 0 && w.flights[0].index[1] == 2);
	world_end(&w, w.flights[0].agent == &first ? first.agent : second.agent, 0, SITE_OK, RCPT_SENT);
	world_pass(&w, 1.5);
	CHECK(w.removed == 0 && w.sent == 2);
	CHECK(tell(&first, 1, 9, 2, RCPT_SENT) == OK);
	CHECK(w.removed == 1);
	down();
}

static void
a_result_from_before_counts_as_soon_as_the_message_is_known(void)
{
	static const struct {
		enum rcpt_status status;
		unsigned removed, notices, deferred;
	} cases[] = { { RCPT_SENT, 1, 0, 0 }, { RCPT_BOUNCED, 0, 1, 0 }, { RCPT_DEFERRED, 0, 0, 3 } };

	for (size_t i = 0; i < countof(cases); i++) {
		up();
		CHECK(tell(&first, 1, 9, 7, (int)cases[i].status) == OK);
		gone(&first);                          /* it need not be there any more */
		enter(9, 0);
		CHECK(w.nflights == 0 && w.removed == cases[i].removed && w.nbounces == cases[i].notices);
		if (cases[i].deferred) {
			world_pass(&w, 1.5);
			CHECK(w.deferred_records == cases[i].deferred && world_why(&w, 9) == WHY_DEFERRED);
		}
		down();
	}
}

static void
an_agent_that_dies_during_it_makes_it_be_tried_again(void)
{
	up();
	CHECK(tell(&first, 1, 9, 7, -1) == OK);
	enter(9, 0);
	gone(&first);
	CHECK(w.lost == 3 && w.nflights == 0);
	world_pass(&w, 400);
	CHECK(w.nflights == 1 && w.flights[0].n == 3);
	down();
}

static void
an_agent_that_dies_before_the_message_is_known_has_never_been_at_it(void)
{
	up();
	CHECK(tell(&first, 1, 9, 7, -1) == OK);
	gone(&first);
	enter(9, 0);
	CHECK(w.nflights == 1 && w.flights[0].n == 3);
	down();
}

/* By id, time of arrival, size, and the recipient's address. */
static void
another_message_is_not_taken_for_it(void)
{
	struct sched_rcpt stranger = { .index = 0, .addr = STR("x@example.com"), .transport = STR("smtp"), .nexthop = STR("there") };
	struct sched_msg other = { .id = 9, .dir = SPOOL_INCOMING, .arrived = { WORLD_START }, .size = SIZE, .content_at = CONTENT_AT };

	for (int i = 0; i < 4; i++) {
		struct sched_msg m = other;

		up();
		CHECK(tell(&first, 1, 9, 7, RCPT_SENT) == OK);
		if (i == 0)
			m.arrived.us++;
		else if (i == 1)
			m.size++;
		else if (i == 2)
			m.content_at++;
		else
			m.id++;
		enter_as(&m, 0);
		CHECK(w.nflights == 1 && w.flights[0].n == 3 && w.removed == 0);
		down();
	}
	up();
	CHECK(tell(&first, 1, 9, 7, RCPT_SENT) == OK);
	late_mark(&other, &stranger, 1);
	CHECK(stranger.late == NULL);
	down();
}

static void
what_the_journal_says_is_final(void)
{
	up();
	CHECK(tell(&first, 1, 9, 7, RCPT_BOUNCED) == OK);
	enter(9, 3);                                   /* the first two had been sent */
	world_pass(&w, 1.5);
	CHECK(w.bounced_records == 1 && w.nbounces == 1);
	down();
}

/* The former attempt was put off, then came another: that one counts. */
static void
of_two_attempts_the_one_that_is_done_with_it_counts(void)
{
	static const struct { int one, other; unsigned removed, flights; } cases[] = {
		{ RCPT_DEFERRED, RCPT_SENT, 1, 0 }, { RCPT_SENT, RCPT_DEFERRED, 1, 0 },
		{ -1, RCPT_SENT, 1, 0 }, { RCPT_SENT, -1, 1, 0 },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		up();
		CHECK(tell(&first, 1, 9, 7, cases[i].one) == OK && tell(&second, 1, 9, 7, cases[i].other) == OK);
		enter(9, 0);
		CHECK(w.removed == cases[i].removed && w.nflights == cases[i].flights);
		down();
	}
	up();
	CHECK(tell(&first, 1, 9, 7, RCPT_DEFERRED) == OK && tell(&second, 1, 9, 7, -1) == OK);
	enter(9, 0);
	CHECK(world_why(&w, 9) == WHY_FLIGHT && w.nflights == 0);
	CHECK(tell(&second, 1, 9, 7, RCPT_SENT) == OK && w.removed == 1);
	down();
}

static void
what_comes_when_the_message_is_known_already_changes_nothing(void)
{
	up();
	enter(9, 0);
	CHECK(w.nflights == 1);
	CHECK(tell(&first, 1, 9, 7, -1) == OK && tell(&first, 1, 9, 7, RCPT_SENT) == OK);
	CHECK(w.nflights == 1 && w.removed == 0);
	late_all_known();
	CHECK(tell(&first, 2, 10, 7, RCPT_SENT) == OK); /* of one that is gone */
	down();
}

static void
rubbish_is_refused(void)
{
	struct buf a = asked(9, 7), none = asked(9, 0), d = done(7, RCPT_SENT);
	struct str whole = buf_str(&a), ended = buf_str(&d);

	up();
	for (size_t n = 1; n < whole.n; n++)
		CHECK(late_got(&first, &(struct msg_late){ .attempt = n, .asked = str_sub(whole, 0, n) }) == E_IPC);
	for (size_t n = 1; n < ended.n; n++)
		CHECK(late_got(&first, &(struct msg_late){ .attempt = n, .asked = whole, .done = str_sub(ended, 0, n) }) == E_IPC);
	CHECK(late_got(&first, &(struct msg_late){ .attempt = 1, .asked = buf_str(&none) }) == OK);
	CHECK(tell(&first, 2, 9, 7, -1) == OK && tell(&first, 2, 9, 7, -1) == E_IPC);   /* twice */
	enter(9, 0);
	CHECK(world_why(&w, 9) == WHY_FLIGHT);
	down();
	buf_free(&a);
	buf_free(&none);
	buf_free(&d);
}

static void
an_agent_has_told_all_when_it_says_so(void)
{
	up();
	CHECK(tell(&first, 1, 9, 7, -1) == OK && !first.told);
	CHECK(late_got(&first, &(struct msg_late){ 0 }) == OK && first.told && !second.told);
	down();
}

SUITE(late, TEST(what_is_under_way_is_not_begun_again), TEST(recipients_that_nobody_has_are_delivered_meanwhile),
    TEST(a_result_from_before_counts_as_soon_as_the_message_is_known), TEST(an_agent_that_dies_during_it_makes_it_be_tried_again),
    TEST(an_agent_that_dies_before_the_message_is_known_has_never_been_at_it), TEST(another_message_is_not_taken_for_it),
    TEST(what_the_journal_says_is_final), TEST(of_two_attempts_the_one_that_is_done_with_it_counts),
    TEST(what_comes_when_the_message_is_known_already_changes_nothing), TEST(rubbish_is_refused),
    TEST(an_agent_has_told_all_when_it_says_so));
