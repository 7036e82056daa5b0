/* SPDX-License-Identifier: Apache-2.0 */
#include "smtpd/clients.h"

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/check.h"

static struct {
	char           dir[64];
	struct board  *board;
} world;

static void
set_up(void)
{
	strcpy(world.dir, "/tmp/postroad-clients-XXXXXX");
	CHECK(mkdtemp(world.dir) != NULL);
	world.board = mmap(NULL, sizeof *world.board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(world.board != MAP_FAILED);
}

static void
tear_down(void)
{
	char path[128];

	munmap(world.board, sizeof *world.board);
	snprintf(path, sizeof path, "%s/smtpd_clients", world.dir);
	unlink(path);
	rmdir(world.dir);
}

static struct service
service(unsigned slot, const char *name)
{
	struct service s = { .name = name,
		.slot = slot,
		.board = world.board,
		.params = { .data_directory = world.dir, .smtpd_client_ipv4_prefix_length = 32, .smtpd_client_ipv6_prefix_length = 64 } };

	world.board->slot[slot].pid = (int32_t)getpid();
	return s;
}

static struct addr
host(const char *text)
{
	struct addr a;

	CHECK(addr_parse(str_of(text), 0, &a) == OK);
	return a;
}

static void
sessions_are_counted_for_each_client_and_service(void)
{
	struct addr a = host("192.0.2.1"), b = host("2001:db8::1");
	struct service smtp, other;
	struct clients *c, *d;

	set_up();
	smtp = service(3, "smtp");
	other = service(4, "submission");
	c = clients_open(&smtp);
	d = clients_open(&other);
	CHECK(clients_enter(c, &a) == 1);
	CHECK(clients_enter(c, &a) == 2);
	CHECK(clients_enter(c, &b) == 1);
	CHECK(clients_enter(d, &a) == 1);
	clients_leave(c, &a);
	CHECK(clients_enter(c, &a) == 2);
	clients_close(&c);
	clients_close(&d);
	tear_down();
}

static void
clients_are_told_apart_by_the_first_bits_of_their_addresses(void)
{
	static const struct { const char *one, *other; long long bits4, bits6; bool same; } cases[] = {
		{ "2001:db8::1", "2001:db8::2", 32, 64, true },
		{ "2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", 32, 64, true },
		{ "2001:db8::1", "2001:db8:0:1::1", 32, 64, false },
		{ "2001:db8::1", "2001:db8::2", 32, 128, false },
		{ "2001:db8::1", "2001:db8::1", 32, 128, true },
		{ "2001:db8:0:10::1", "2001:db8:0:1f::1", 32, 60, true },
		{ "2001:db8:0:10::1", "2001:db8:0:20::1", 32, 60, false },
		{ "2001:db8::1", "fe80::1", 32, 0, true },
		{ "192.0.2.1", "192.0.2.2", 32, 64, false },
		{ "192.0.2.1", "192.0.2.254", 24, 64, true },
		{ "192.0.2.1", "192.0.3.1", 24, 64, false },
		{ "192.0.2.128", "192.0.2.255", 25, 64, true },
		{ "192.0.2.128", "192.0.2.127", 25, 64, false },
		{ "192.0.2.1", "10.0.0.1", 0, 64, true },
		{ "192.0.2.1", "fe80::1", 0, 0, false },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct addr a = host(cases[i].one), b = host(cases[i].other);
		struct service s;
		struct clients *c;

		set_up();
		s = service(3, "smtp");
		s.params.smtpd_client_ipv4_prefix_length = cases[i].bits4;
		s.params.smtpd_client_ipv6_prefix_length = cases[i].bits6;
		c = clients_open(&s);
		CHECK(clients_enter(c, &a) == 1);
		CHECK(clients_enter(c, &b) == (cases[i].same ? 2 : 1));
		clients_close(&c);
		tear_down();
	}
}

static void
ports_do_not_matter(void)
{
	struct addr a = host("192.0.2.1"), b = host("192.0.2.1");
	struct service s;
	struct clients *c;

	set_up();
	s = service(0, "smtp");
	c = clients_open(&s);
	a.in.sin_port = 1;
	b.in.sin_port = 2;
	CHECK(clients_enter(c, &a) == 1);
	CHECK(clients_enter(c, &b) == 2);
	clients_close(&c);
	tear_down();
}

/* A sibling that enters the client twice, tells so, and is then killed. */
static pid_t
start_sibling(const struct addr *a)
{
	int told[2];
	pid_t pid;
	char byte = 0;

	CHECK(pipe(told) == 0);
	pid = fork();
	if (pid == 0) {
		struct service s = service(7, "smtp");
		struct clients *c = clients_open(&s);

		clients_enter(c, a);
		clients_enter(c, a);
		_exit(write(told[1], "x", 1) == 1 ? pause() : 1);
	}
	close(told[1]);
	CHECK(read(told[0], &byte, 1) == 1);
	close(told[0]);
	return pid;
}

static void
what_a_killed_process_leaves_behind_does_not_count(void)
{
	struct addr a = host("192.0.2.1");
	struct service s, heir;
	struct clients *c, *d;
	pid_t pid;

	set_up();
	s = service(0, "smtp");
	c = clients_open(&s);
	pid = start_sibling(&a);
	CHECK(clients_enter(c, &a) == 3);
	kill(pid, SIGKILL);
	CHECK(waitpid(pid, NULL, 0) == pid);
	world.board->slot[7].pid = 0;                  /* as master does */
	CHECK(clients_enter(c, &a) == 2);
	heir = service(7, "smtp");
	CHECK(clients_enter(c, &a) == 3);
	d = clients_open(&heir);
	CHECK(clients_enter(d, &a) == 4);
	clients_close(&d);
	clients_close(&c);
	tear_down();
}

static void
more_clients_than_fit_do_no_harm(void)
{
	struct service s;
	struct clients *c;
	struct addr a = host("10.0.0.0");

	set_up();
	s = service(0, "smtp");
	c = clients_open(&s);
	for (uint32_t i = 1; i <= 40000; i++) {
		a.in.sin_addr.s_addr = htonl(0x0A000000 + i);
		CHECK(clients_enter(c, &a) <= 1);
	}
	for (uint32_t i = 1; i <= 40000; i++) {
		a.in.sin_addr.s_addr = htonl(0x0A000000 + i);
		clients_leave(c, &a);
	}
	a = host("192.0.2.1");
	CHECK(clients_enter(c, &a) == 1);
	clients_close(&c);
	tear_down();
}

SUITE(clients, TEST(sessions_are_counted_for_each_client_and_service), TEST(ports_do_not_matter),
    TEST(clients_are_told_apart_by_the_first_bits_of_their_addresses),
    TEST(what_a_killed_process_leaves_behind_does_not_count), TEST(more_clients_than_fit_do_no_harm));
