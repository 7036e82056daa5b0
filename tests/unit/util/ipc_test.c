/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/check.h"
#include "util/ipc.h"

enum { MAX_FRAME = 100000 };

static struct time soon(int64_t ms) { return time_after_ms(time_now(), ms); }
static struct time later(void) { return time_after(time_now(), 60); }

static void
channel(struct ipc **a, struct ipc **b, size_t max_queued)
{
	int fd[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == 0);
	CHECK(task_fd_add(fd[0]) == OK && task_fd_add(fd[1]) == OK);
	*a = ipc_new(fd[0], MAX_FRAME, max_queued);
	*b = ipc_new(fd[1], MAX_FRAME, max_queued);
}

/* A channel whose other end is a bare socket. */
static struct ipc *
half(int *peer)
{
	int fd[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == 0);
	CHECK(task_fd_add(fd[0]) == OK);
	*peer = fd[1];
	return ipc_new(fd[0], MAX_FRAME, 0);
}

static void
frames_arrive_in_order_with_their_tags(void)
{
	struct ipc *a, *b;
	struct str body;
	struct buf *in_place;
	uint16_t tag;

	channel(&a, &b, 0);
	CHECK(ipc_send(a, 1, STR("one")) == OK);
	CHECK(ipc_send(a, 65535, STR("")) == OK);
	in_place = ipc_begin(a, 3);
	CHECK(in_place && buf_adds(in_place, "thr") && buf_adds(in_place, "ee"));
	ipc_end(a);
	CHECK(ipc_queued(a) == 6 + 3 + 6 + 6 + 5);
	CHECK(!ipc_has_frame(b));
	CHECK(ipc_recv(b, &tag, &body, later()) == OK);
	CHECK(ipc_queued(a) == 0);
	CHECK(tag == 1);
	CHECK_STR(body, "one");
	CHECK(ipc_has_frame(b));
	CHECK(ipc_recv(b, &tag, &body, later()) == OK);
	CHECK(tag == 65535 && body.n == 0);
	CHECK(ipc_recv(b, &tag, &body, later()) == OK);
	CHECK(tag == 3);
	CHECK_STR(body, "three");
	CHECK(!ipc_has_frame(b));
	CHECK(ipc_recv(b, &tag, &body, soon(2)) == E_TIMEOUT);
	CHECK(!ipc_dead(b));
	ipc_free(&a);
	CHECK(a == NULL);
	CHECK(ipc_recv(b, &tag, &body, later()) == E_EOF);
	CHECK(ipc_dead(b));
	CHECK(ipc_send(b, 1, STR("x")) == E_EOF);
	CHECK(ipc_begin(b, 1) == NULL);
	CHECK(ipc_flush(b, later()) == E_EOF);
	ipc_free(&b);
	ipc_free(&b);
}

static const char wire[] = "\5\0\0\0\7\0abc" "\2\0\0\0\10\0" "\3\0\0\0\11\0z";

static void
frames_are_found_wherever_the_reads_are_cut(void)
{
	struct str all = { wire, sizeof wire - 1 }, body;
	uint16_t tag;
	int peer;

	for (size_t cut = 0; cut <= all.n; cut++) {
		struct ipc *c = half(&peer);
		size_t frames = 0, before = cut >= 22 ? 3 : cut >= 15 ? 2 : cut >= 9 ? 1 : 0;

		CHECK(write(peer, all.p, cut) == (ssize_t)cut);
		while (ipc_recv(c, &tag, &body, soon(cut == 0 ? 1 : 0)) == OK)
			frames++;
		CHECK(frames == before);
		CHECK(!ipc_dead(c));
		CHECK(write(peer, all.p + cut, all.n - cut) == (ssize_t)(all.n - cut));
		for (; frames < 3; frames++) {
			CHECK(ipc_recv(c, &tag, &body, later()) == OK);
			CHECK(tag == 7 + frames);
			CHECK_STR(body, frames == 0 ? "abc" : frames == 1 ? "" : "z");
		}
		ipc_free(&c);
		close(peer);
	}
}

static void
a_peer_that_leaves_in_the_middle_of_a_frame_is_an_end_of_file(void)
{
	struct str all = { wire, sizeof wire - 1 }, body;
	uint16_t tag;
	int peer;

	for (size_t cut = 0; cut <= all.n; cut++) {
		struct ipc *c = half(&peer);
		size_t frames = 0, before = cut >= 22 ? 3 : cut >= 15 ? 2 : cut >= 9 ? 1 : 0;
		enum err e;

		CHECK(write(peer, all.p, cut) == (ssize_t)cut);
		close(peer);
		while ((e = ipc_recv(c, &tag, &body, later())) == OK)
			frames++;
		CHECK(e == E_EOF);
		CHECK(frames == before);
		CHECK(ipc_dead(c));
		ipc_free(&c);
	}
}

static void
garbage_kills_the_channel(void)
{
	static const struct { const char *bytes; size_t n; } cases[] = {
		{ "\0\0\0\0\0\0", 6 }, { "\1\0\0\0\0", 5 }, { "\377\377\377\377", 4 },
		/* one more than MAX_FRAME */
		{ "GET / HTTP/1.0\r\n", 16 }, { "\243\206\1\0\1\0", 6 },
	};
	struct str body;
	uint16_t tag;
	int peer;

	for (size_t i = 0; i < countof(cases); i++) {
		struct ipc *c = half(&peer);
		char end;

		CHECK(write(peer, wire, 9) == 9);
		CHECK(write(peer, cases[i].bytes, cases[i].n) == (ssize_t)cases[i].n);
		CHECK(ipc_recv(c, &tag, &body, later()) == OK);
		CHECK(tag == 7);
		CHECK(ipc_has_frame(c));
		CHECK(ipc_recv(c, &tag, &body, later()) == E_IPC);
		CHECK(ipc_dead(c));
		CHECK(ipc_recv(c, &tag, &body, later()) == E_EOF);
		CHECK(read(peer, &end, 1) == 0);
		ipc_free(&c);
		close(peer);
	}
}

static void
the_largest_frame_passes(void)
{
	char *big = mem_new(MAX_FRAME);
	struct ipc *a, *b;
	struct str body;
	uint16_t tag;

	channel(&a, &b, 0);
	memset(big, 'x', MAX_FRAME);
	for (size_t n = MAX_FRAME - 3; n <= MAX_FRAME; n++) {
		CHECK(ipc_send(a, 1, STR("small")) == OK);
		CHECK(ipc_send(a, 2, (struct str){ big, n }) == OK);
		CHECK(ipc_recv(b, &tag, &body, later()) == OK);
		CHECK(ipc_recv(b, &tag, &body, later()) == OK);
		CHECK(tag == 2 && body.n == n && body.p[0] == 'x' && body.p[n - 1] == 'x');
	}
	free(big);
	ipc_free(&a);
	ipc_free(&b);
}

static void
the_queue_has_a_ceiling_and_the_channel_outlives_it(void)
{
	char block[1000];
	struct ipc *a, *b;
	struct str body;
	size_t sent = 0, got = 0;
	uint16_t tag;
	enum err e;

	memset(block, 'x', sizeof block);
	channel(&a, &b, 5000);
	CHECK(ipc_send(a, 1, (struct str){ block, 4994 + 1 }) == E_NOSPACE);
	while ((e = ipc_send(a, 1, (struct str){ block, sizeof block })) == OK)
		sent++;
	CHECK(e == E_NOSPACE);
	CHECK(sent == 4);
	CHECK(ipc_queued(a) == 4 * 1006);

	/* With the socket full as well, nothing is lost or doubled. */
	CHECK(ipc_flush(a, later()) == OK);
	for (; (e = ipc_send(a, 1, (struct str){ block, sizeof block })) == OK; sent++)
		CHECK(task_sleep(soon(0)) == OK);
	CHECK(e == E_NOSPACE);
	CHECK(!ipc_dead(a));
	CHECK(ipc_flush(a, soon(3)) == E_TIMEOUT);
	for (; got < sent; got++) {
		CHECK(ipc_recv(b, &tag, &body, later()) == OK);
		CHECK(tag == 1 && body.n == sizeof block);
	}
	CHECK(ipc_flush(a, later()) == OK);
	CHECK(ipc_queued(a) == 0);
	CHECK(ipc_send(a, 9, STR("alive")) == OK);
	CHECK(ipc_recv(b, &tag, &body, later()) == OK);
	CHECK(tag == 9);
	ipc_free(&a);
	ipc_free(&b);
}

enum { FLOOD = 20000 };

static void
flood(void *arg)
{
	char text[32];

	for (unsigned i = 0; i < FLOOD; i++) {
		struct str s = { text, (size_t)snprintf(text, sizeof text, "%u", i) };

		while (ipc_send(arg, (uint16_t)i, s) == E_NOSPACE)
			if (ipc_flush(arg, later()) != OK)
				return;
	}
	CHECK(ipc_flush(arg, later()) == OK);
}

static void
a_flood_passes_through_a_narrow_channel_unharmed(void)
{
	struct ipc *a, *b;
	struct str body;
	struct tasks g;
	uint16_t tag;
	uint64_t v;

	tasks_init(&g);
	channel(&a, &b, 3000);
	task_start(&g, "flood", flood, a);
	for (unsigned i = 0; i < FLOOD; i++) {
		if (ipc_recv(b, &tag, &body, later()) != OK || tag != (uint16_t)i ||
		    !str_u64(body, &v) || v != i) {
			CU_FAIL("a frame is missing");
			break;
		}
	}
	tasks_wait(&g);
	ipc_free(&a);
	ipc_free(&b);
}

static void
the_last_words_of_a_peer_are_heard_though_it_left(void)
{
	struct str body;
	uint16_t tag;
	int peer;
	struct ipc *c = half(&peer);

	CHECK(write(peer, wire, 9) == 9);
	close(peer);
	CHECK(ipc_send(c, 1, STR("are you there?")) == OK);
	CHECK(ipc_flush(c, later()) == E_EOF);
	CHECK(ipc_dead(c));
	CHECK(ipc_recv(c, &tag, &body, later()) == OK);
	CHECK(tag == 7);
	CHECK(ipc_recv(c, &tag, &body, later()) == E_EOF);
	ipc_free(&c);
}

static void
receives(void *arg)
{
	struct str body;
	uint16_t tag;

	CHECK(ipc_recv(arg, &tag, &body, TIME_NEVER) == E_STOPPED);
}

static void
a_receiver_can_be_stopped(void)
{
	struct ipc *a, *b;
	struct tasks g;

	tasks_init(&g);
	channel(&a, &b, 0);
	task_start(&g, "receiver", receives, a);
	task_yield();
	tasks_stop(&g);
	CHECK(!ipc_dead(a));
	ipc_free(&a);
	ipc_free(&b);
}

SUITE(ipc, TASK_TEST(frames_arrive_in_order_with_their_tags),
    TASK_TEST(frames_are_found_wherever_the_reads_are_cut),
    TASK_TEST(a_peer_that_leaves_in_the_middle_of_a_frame_is_an_end_of_file),
    TASK_TEST(garbage_kills_the_channel), TASK_TEST(the_largest_frame_passes),
    TASK_TEST(the_queue_has_a_ceiling_and_the_channel_outlives_it),
    TASK_TEST(a_flood_passes_through_a_narrow_channel_unharmed),
    TASK_TEST(the_last_words_of_a_peer_are_heard_though_it_left),
    TASK_TEST(a_receiver_can_be_stopped));
