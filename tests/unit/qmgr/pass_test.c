/* SPDX-License-Identifier: Apache-2.0 */
/* A recipient that one transport hands to another: local to lmtp. */
#include "tests/unit/qmgr/fixture.h"

static struct world w;
static struct agent *first, *second;
static int first_owner, second_owner;

/* One recipient a delivery, as local has it. */
static void
up(void)
{
	world_init(&w);
	w.limits.recipients = 1;
	first = sched_agent_add(w.s, STR("smtp"), 10, &first_owner);
	second = sched_agent_add(w.s, STR("lmtp"), 10, &second_owner);
}

static void
down(void)
{
	sched_agent_gone(w.s, &second);
	world_fini(&w, &first);
}

/* The oldest delivery ends with this. */
static void
end(struct agent *a, enum rcpt_status status, const char *text)
{
	struct flight f = w.flights[0];
	struct msg_outcome o = { .index = f.index[0], .status = (uint8_t)status, .esc = STR("2.0.0"), .text = str_of(text) };

	memmove(&w.flights[0], &w.flights[1], --w.nflights * sizeof f);
	CHECK(sched_done(w.s, a, f.delivery, SITE_OK, STR(""), &o, 1));
	world_run(&w);
}

static void
a_passed_recipient_is_delivered_by_the_other_transport(void)
{
	up();
	world_mail(&w, 1, "alice");
	world_run(&w);
	CHECK(w.nflights == 1 && w.flights[0].agent == &first_owner);
	end(first, RCPT_PASSED, "lmtp:unix:/run/lmtp");
	CHECK(w.nflights == 1 && w.flights[0].agent == &second_owner && strcmp(w.flights[0].nexthop, "unix:/run/lmtp") == 0);
	CHECK(w.records == 0);                         /* nothing has become of it yet */
	end(second, RCPT_SENT, "250 Ok");
	CHECK(w.removed == 1 && w.nflights == 0);
	down();
}

static void
what_was_deferred_there_is_tried_again_there(void)
{
	up();
	world_mail(&w, 1, "alice");
	world_run(&w);
	end(first, RCPT_PASSED, "lmtp");
	end(second, RCPT_DEFERRED, "450 later");
	CHECK(w.nflights == 0 && w.deferred_records == 1);
	world_pass(&w, 500);
	CHECK(w.nflights == 1 && w.flights[0].agent == &second_owner);
	end(second, RCPT_BOUNCED, "550 no");
	CHECK(w.nbounces == 1);
	down();
}

static void
each_recipient_of_a_message_goes_its_own_way(void)
{
	int passed = 0, sent = 0;

	up();
	world_mail_from(&w, 1, "s@example.org", "alice", 3);
	world_run(&w);
	while (w.nflights > 0 && passed <= 3) {
		if (w.flights[0].agent == &first_owner)
			end(first, RCPT_PASSED, ++passed == 1 ? "lmtp:a" : "lmtp:b");
		else
			end(second, RCPT_SENT, ++sent == 1 ? "250 one" : "250 Ok");
	}
	CHECK(w.removed == 1 && passed == 3 && sent == 3);
	down();
}

static void
one_that_is_held_meanwhile_stays_held(void)
{
	up();
	world_mail(&w, 1, "alice");
	world_run(&w);
	CHECK(sched_op(w.s, sched_find(w.s, 1), QUEUE_HOLD));
	end(first, RCPT_PASSED, "lmtp:x");
	CHECK(w.nflights == 0 && world_why(&w, 1) == WHY_HELD);
	CHECK(sched_op(w.s, sched_find(w.s, 1), QUEUE_RELEASE));
	world_run(&w);
	CHECK(w.nflights == 1 && w.flights[0].agent == &second_owner);
	end(second, RCPT_SENT, "250 Ok");
	CHECK(w.removed == 1);
	down();
}

static void
nowhere_is_a_deferral(void)
{
	up();
	world_mail(&w, 1, "alice");
	world_run(&w);
	end(first, RCPT_PASSED, "");
	CHECK(w.nflights == 0 && w.deferred_records == 1);
	down();
	world_init(&w);                                /* only a recipient alone can be passed */
	first = sched_agent_add(w.s, STR("smtp"), 10, &first_owner);
	world_mail_from(&w, 1, "s@example.org", "alice", 2);
	world_run(&w);
	CHECK(w.nflights == 1 && w.flights[0].n == 2);
	world_end(&w, first, 0, SITE_OK, RCPT_PASSED);
	world_run(&w);
	CHECK(w.nflights == 0 && w.deferred_records == 2);
	world_fini(&w, &first);
}

SUITE(pass, TEST(a_passed_recipient_is_delivered_by_the_other_transport), TEST(what_was_deferred_there_is_tried_again_there),
    TEST(each_recipient_of_a_message_goes_its_own_way), TEST(one_that_is_held_meanwhile_stays_held), TEST(nowhere_is_a_deferral));
