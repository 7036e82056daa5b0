/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/msgs.h"

#include <sys/socket.h>

#include "tests/unit/check.h"
#include "util/ipc.h"
#include "util/mem.h"
#include "util/task.h"

enum { FRAME_MAX = 1 << 16 };

static void
a_record_comes_back_as_it_was_sent(void)
{
	struct msg_deliver m = { .delivery = 7, .id = UINT64_MAX, .dir = 3, .arrived = -1, .size = 1, .sender = STR("a@b"),
	    .nexthop = STR("c.d") }, got;
	struct msg_rcpt r = { .index = 2, .addr = STR("x@y") }, rcpt;
	struct buf list = { 0 }, b = { 0 };

	CHECK(msg_rcpt_put(&list, &r) && msg_rcpt_put(&list, &r));
	m.rcpts = buf_str(&list);
	CHECK(msg_deliver_put(&b, &m));
	CHECK(msg_deliver_get(buf_str(&b), &got) == OK);
	CHECK(got.delivery == 7 && got.id == UINT64_MAX && got.arrived == -1);
	CHECK_STR(got.nexthop, "c.d");
	for (int i = 0; i < 2; i++) {
		CHECK(msg_rcpt_take(&got.rcpts, &rcpt));
		CHECK(rcpt.index == 2);
		CHECK_STR(rcpt.addr, "x@y");
	}
	CHECK(!msg_rcpt_take(&got.rcpts, &rcpt));
	buf_free(&list);
	buf_free(&b);
}

static void
no_shortened_or_lengthened_record_is_taken(void)
{
	struct msg_done m = { .delivery = 1, .site = 2, .site_text = STR("words"), .outcomes = STR("x") }, got;
	struct buf b = { 0 };

	CHECK(msg_done_put(&b, &m));
	for (size_t n = 0; n < b.n; n++)
		CHECK(msg_done_get(str_sub(buf_str(&b), 0, n), &got) == E_IPC);
	CHECK(msg_done_get(buf_str(&b), &got) == OK);
	buf_addc(&b, 'x');
	CHECK(msg_done_get(buf_str(&b), &got) == E_IPC);
	buf_free(&b);
}

static void
only_the_table_says_who_may_send_what(void)
{
	static const struct {
		unsigned tag;
		const char *from, *to;
		bool allowed;
	} cases[] = {
		{ MSG_HELLO_TAG,   "smtpd",    "qmgr",     true  },
		{ MSG_HELLO_TAG,   "",         "qmgr",     false },
		{ MSG_ENTERED_TAG, "smtpd",    "qmgr",     true  },
		{ MSG_ENTERED_TAG, "pickup",   "qmgr",     true  },
		{ MSG_ENTERED_TAG, "smtp",     "qmgr",     false },
		{ MSG_ENTERED_TAG, "smtpd",    "smtp",     false },
		{ MSG_DELIVER_TAG, "qmgr",     "smtp",     true  },
		{ MSG_DELIVER_TAG, "qmgr",     "relay",    true  },
		{ MSG_DELIVER_TAG, "qmgr",     "lmtp",     true  },
		{ MSG_DELIVER_TAG, "qmgr",     "local",    true  },
		{ MSG_DELIVER_TAG, "qmgr",     "discard",  true  },
		{ MSG_DELIVER_TAG, "qmgr",     "agent",    true  },
		{ MSG_DELIVER_TAG, "qmgr",     "smtpd",    false },
		{ MSG_DELIVER_TAG, "smtp",     "smtp",     false },
		{ MSG_DONE_TAG,    "error",    "qmgr",     true  },
		{ MSG_DONE_TAG,    "bounce",   "qmgr",     false },
		{ MSG_QUERY_TAG,   "smtp",     "resolver", true  },
		{ MSG_QUERY_TAG,   "smtp",     "qmgr",     false },
		{ MSG_ANSWER_TAG,  "resolver", "smtpd",    true  },
		{ MSG_QUEUE_TAG,   "cmd",      "qmgr",     true  },
		{ MSG_QUEUE_TAG,   "smtpd",    "qmgr",     false },
		{ MSG_QUEUE_TAG,   "any",      "qmgr",     false },
		{ MSG_TAG_COUNT,   "cmd",      "qmgr",     false },
		{ 60000,           "cmd",      "qmgr",     false },
	};

	for (size_t i = 0; i < countof(cases); i++)
		CHECK(msg_allowed(cases[i].tag, str_of(cases[i].from), str_of(cases[i].to)) == cases[i].allowed);
	CHECK_STR(str_of(msg_name(MSG_PONG_TAG)), "PONG");
	CHECK_STR(str_of(msg_name(MSG_TAG_COUNT)), "?");
}

struct pair {
	struct ipc *a, *b;
	struct tasks group;
	enum err heard;
	uint32_t wrong;                                /* added to the fingerprint that b sends */
};

static bool
pair_open(struct pair *p)
{
	int fd[2];

	*p = (struct pair){ 0 };
	tasks_init(&p->group);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0 || task_fd_add(fd[0]) != OK || task_fd_add(fd[1]) != OK)
		return false;
	p->a = ipc_new(fd[0], FRAME_MAX, 0);
	p->b = ipc_new(fd[1], FRAME_MAX, 0);
	return true;
}

static void
pair_close(struct pair *p)
{
	tasks_stop(&p->group);
	ipc_free(&p->a);
	ipc_free(&p->b);
}

static void
answer_hello(void *arg)
{
	struct pair *p = arg;
	struct msg_hello mine = { .role = STR("qmgr"), .name = STR("qmgr"), .pid = 9 }, peer;

	p->heard = msg_hello_exchange(p->b, &mine, &peer);
	if (p->heard == OK)
		CHECK_STR(peer.role, "smtp");
}

static void
two_of_one_build_say_hello(void)
{
	struct msg_hello mine = { .role = STR("smtp"), .name = STR("relay"), .capacity = 500 }, peer = { 0 };
	struct pair p;

	CHECK(pair_open(&p));
	task_start(&p.group, "answer", answer_hello, &p);
	CHECK(msg_hello_exchange(p.a, &mine, &peer) == OK);
	CHECK_STR(peer.role, "qmgr");
	CHECK(peer.pid == 9 && peer.schema == msg_schema());
	tasks_wait(&p.group);
	CHECK(p.heard == OK);
	pair_close(&p);
}

static void
send_strange_hello(void *arg)
{
	struct pair *p = arg;
	struct msg_hello mine = { .schema = msg_schema() + p->wrong, .role = STR("qmgr") };
	struct buf *out = ipc_begin(p->b, p->wrong ? MSG_HELLO_TAG : MSG_PING_TAG);

	CHECK(msg_hello_put(out, &mine));
	ipc_end(p->b);
	CHECK(ipc_flush(p->b, time_after(time_now(), 5)) == OK);
}

static void
another_build_or_another_greeting_is_refused(void)
{
	struct msg_hello mine = { .role = STR("smtp") }, peer;

	for (uint32_t wrong = 0; wrong < 2; wrong++) {
		struct pair p;

		CHECK(pair_open(&p));
		p.wrong = wrong;
		task_start(&p.group, "strange", send_strange_hello, &p);
		CHECK(msg_hello_exchange(p.a, &mine, &peer) == E_IPC);
		pair_close(&p);
	}
}

SUITE(msgs, TEST(a_record_comes_back_as_it_was_sent), TEST(no_shortened_or_lengthened_record_is_taken),
    TEST(only_the_table_says_who_may_send_what), TASK_TEST(two_of_one_build_say_hello),
    TASK_TEST(another_build_or_another_greeting_is_refused));
