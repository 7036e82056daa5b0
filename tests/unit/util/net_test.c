/* SPDX-License-Identifier: Apache-2.0 */
#include "util/net.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/check.h"
#include "util/mem.h"

static struct addr
addr(const char *text)
{
	struct addr a = { .len = 0 };

	CU_ASSERT_FATAL(addr_parse(str_of(text), 25, &a) == OK);
	return a;
}

static void
addresses_are_read_in_every_form(void)
{
	static const struct { const char *in, *want; } cases[] = {
		{ "192.0.2.1", "192.0.2.1" }, { "[192.0.2.1]", "192.0.2.1" },
		{ "2001:db8::1", "2001:db8::1" }, { "[2001:DB8:0:0::1]", "2001:db8::1" },
		{ "IPv6:2001:db8::1", "2001:db8::1" }, { "[ipv6:::1]", "::1" },
		{ "::ffff:192.0.2.1", "192.0.2.1" }, { "[IPv6:::ffff:192.0.2.1]", "192.0.2.1" },
		{ "", NULL }, { "[]", NULL }, { "[", NULL }, { "[::1", NULL }, { "::1]", NULL }, { "IPv6:192.0.2.1", NULL },
		{ "192.0.2", NULL }, { "192.0.2.256", NULL }, { "192.0.2.1 ", NULL }, { "example.com", NULL },
		{ "2001:db8::1::", NULL }, { "[[::1]]", NULL }, { "192.0.2.1:25", NULL },
		{ "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc", NULL },
	};
	char text[ADDR_TEXT];

	for (size_t i = 0; i < countof(cases); i++) {
		struct addr a;
		enum err e = addr_parse(str_of(cases[i].in), 2525, &a);

		CHECK(e == (cases[i].want ? OK : E_SYNTAX));
		if (e != OK)
			continue;
		CU_ASSERT_STRING_EQUAL(addr_text(&a, text), cases[i].want);
		CHECK(addr_port(&a) == 2525);
	}
}

static void
hosts_are_told_apart(void)
{
	struct addr a = addr("192.0.2.1"), b = addr("192.0.2.1"), c = addr("192.0.2.2"), d = addr("::1");
	struct addr local = { .un = { .sun_family = AF_UNIX }, .len = sizeof local.un };
	char text[ADDR_TEXT];

	b.in.sin_port = htons(99);
	CHECK(addr_same_host(&a, &b) && !addr_same_host(&a, &c) && !addr_same_host(&a, &d));
	CHECK(addr_is_loopback(&d) && !addr_is_loopback(&a) && addr_is_loopback(&local));
	a = addr("127.9.9.9");
	CHECK(addr_is_loopback(&a));
	CU_ASSERT_STRING_EQUAL(addr_text(&local, text), "local");
	CHECK(addr_port(&local) == 0);
}

static void
reverse_names_follow_the_dns(void)
{
	static const struct { const char *in, *want; } cases[] = {
		{ "127.0.0.2", "2.0.0.127.in-addr.arpa" },
		{ "2001:db8::567:89ab",
		    "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa" },
	};
	struct addr local = { .un = { .sun_family = AF_UNIX }, .len = sizeof local.un };
	struct buf b = BUF(0);

	for (size_t i = 0; i < countof(cases); i++) {
		struct addr a = addr(cases[i].in);

		buf_clear(&b);
		CHECK(addr_reverse_name(&a, &b));
		CHECK_STR(buf_str(&b), cases[i].want);
	}
	CHECK(!addr_reverse_name(&local, &b));
	buf_free(&b);
}

static void
the_first_network_that_matches_decides(void)
{
	static const struct { const char *nets, *host; bool want; } cases[] = {
		{ "", "127.0.0.1", false }, { "127.0.0.0/8", "127.255.0.1", true },
		{ "127.0.0.0/8", "128.0.0.1", false }, { "0.0.0.0/0", "203.0.113.9", true },
		{ "0.0.0.0/0", "::1", false }, { "::/0", "203.0.113.9", false }, { "::/0", "2001:db8::1", true },
		{ "192.0.2.7", "192.0.2.7", true }, { "192.0.2.7", "192.0.2.6", false },
		{ "192.0.2.0/23", "192.0.3.255", true }, { "192.0.2.0/23", "192.0.4.0", false },
		{ "192.0.2.128/25", "192.0.2.127", false }, { "[::1]/128", "::1", true }, { "[::1]", "::2", false },
		{ "[2001:db8::]/32", "2001:db8:ffff::1", true }, { "2001:db8::/33", "2001:db8:8000::", false },
		{ "2001:db8::/33", "2001:db8:7fff::", true },
		{ "[::ffff:192.0.2.0]/120", "192.0.2.200", true }, { "[::ffff:192.0.2.0]/120", "192.0.3.0", false },
		{ "[::ffff:127.0.0.1]", "127.0.0.1", true }, { "192.0.2.1", "::ffff:192.0.2.1", true },
		{ "!10.0.0.1, 10.0.0.0/8", "10.0.0.1", false }, { "!10.0.0.1, 10.0.0.0/8", "10.0.0.2", true },
		{ "10.0.0.0/8 !10.0.0.1", "10.0.0.1", true }, { "!10.0.0.1", "10.0.0.2", false },
		{ "1.1.1.1,2.2.2.2\n\t3.3.3.3 4.4.4.4 5.5.5.5 6.6.6.6", "6.6.6.6", true },
		{ "!!10.0.0.1", "10.0.0.1", true },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct addr a = addr(cases[i].host);
		struct nets *n = NULL;

		CHECK(nets_parse(str_of(cases[i].nets), &n) == OK);
		CHECK(nets_match(n, &a) == cases[i].want);
		if (nets_match(n, &a) != cases[i].want)
			printf("case %zu\n", i);
		nets_free(&n);
		CHECK(n == NULL && !nets_match(n, &a));
	}
}

static void
a_bad_network_is_named(void)
{
	static const char *const bad[] = { "127.0.0.1/8", "10.0.0.0/33", "[::1]/129", "10.0.0.0/", "10.0.0.0/x", "/8",
		"example.com", "[::1", "!", "2001:db8::1/32", "[::ffff:10.0.0.1]/104" };

	for (size_t i = 0; i < countof(bad); i++) {
		struct nets *n = NULL;
		struct buf text = BUF(0);

		buf_printf(&text, "192.0.2.0/24, %s, ::1", bad[i]);
		CHECK(nets_parse(buf_str(&text), &n) == E_SYNTAX && n == NULL);
		CHECK(strstr(err_why(), bad[i][0] == '!' ? "\"\"" : bad[i]) != NULL);
		buf_free(&text);
	}
}

static void
this_host_has_a_loopback_address(void)
{
	struct addr a[64];
	size_t n = net_own_addresses(a, countof(a));
	bool found = false;

	for (size_t i = 0; i < n; i++)
		found |= addr_is_loopback(&a[i]);
	CHECK(found);
	CHECK(net_own_addresses(a, 1) == 1);
}

static struct time
soon(void)
{
	return time_after(time_now(), 10);
}

/* Listen on a free port of host and tell it in *a. */
static int
listen_on(const char *host, struct addr *a)
{
	int fd = -1;

	*a = addr(host);
	if (a->sa.sa_family == AF_INET)
		a->in.sin_port = 0;
	else
		a->in6.sin6_port = 0;
	CU_ASSERT_FATAL(net_listen(a, 10, &fd) == OK);
	CHECK(getsockname(fd, &a->sa, &a->len) == 0);
	CHECK(task_fd_add_shared(fd) == OK);
	return fd;
}

static void
drop(int fd)
{
	task_fd_del(fd);
	close(fd);
}

static void
a_connection_is_made_and_accepted(void)
{
	struct addr a, from = addr("127.0.0.3"), peer;
	int l = listen_on("127.0.0.1", &a), c = -1, s = -1;
	char text[ADDR_TEXT];

	from.in.sin_port = 0;
	CHECK(net_connect(&a, &from, soon(), &c) == OK);
	CHECK(net_accept(l, &s, &peer, soon()) == OK);
	CU_ASSERT_STRING_EQUAL(addr_text(&peer, text), "127.0.0.3");
	CHECK(net_accept(l, &s, &peer, time_after_ms(time_now(), 20)) == E_TIMEOUT);
	drop(c);
	close(s);
	drop(l);
}

static void
a_refused_connection_says_so(void)
{
	struct addr a, foreign = addr("192.0.2.1");
	int fd = listen_on("127.0.0.1", &a), c = -1, busy = -1;

	CHECK(net_listen(&a, 10, &busy) == E_BUSY);
	drop(fd);
	CHECK(net_connect(&a, NULL, soon(), &c) == E_CONNECT && c == -1);
	CU_ASSERT_STRING_EQUAL(err_why(), "Connection refused");
	CHECK(net_connect(&a, &foreign, soon(), &c) == E_CONNECT);
	CHECK(strstr(err_why(), "192.0.2.1") != NULL);
}

static void
a_connection_that_nobody_takes_times_out(void)
{
	struct addr a = addr("127.0.0.1");
	int l, c[8], n = 0;
	enum err e = OK;

	/* A listener whose backlog is full drops what comes. */
	a.in.sin_port = 0;
	CHECK(net_listen(&a, 0, &l) == OK && getsockname(l, &a.sa, &a.len) == 0);
	while (n < 8 && (e = net_connect(&a, NULL, time_after_ms(time_now(), 100), &c[n])) == OK)
		n++;
	CHECK(n > 0 && n < 8 && e == E_CONNECT);
	CU_ASSERT_STRING_EQUAL(err_why(), "Connection timed out");
	while (n > 0)
		drop(c[--n]);
	close(l);
}

static void
a_local_socket_replaces_a_stale_one_only(void)
{
	char dir[] = "/tmp/net.XXXXXX", path[32];
	int l = -1, c = -1, s = -1, second = -1, pid = 0;
	unsigned uid = 99;
	struct stat st;
	struct addr peer;

	CHECK(mkdtemp(dir) != NULL);
	snprintf(path, sizeof path, "%s/s", dir);
	CHECK(net_connect_unix(path, soon(), &c) == E_CONNECT);
	CHECK(net_listen_unix(path, 5, 0620, &l) == OK);
	CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0620);
	CHECK(net_listen_unix(path, 5, 0600, &second) == E_BUSY);
	close(l);
	CHECK(net_listen_unix(path, 5, 0600, &l) == OK);       /* nobody listened on the old one */
	CHECK(task_fd_add_shared(l) == OK);
	CHECK(net_connect_unix(path, soon(), &c) == OK);
	CHECK(net_accept(l, &s, &peer, soon()) == OK && peer.sa.sa_family == AF_UNIX);
	CHECK(net_peer_cred(s, &pid, &uid) == OK && pid == getpid() && uid == getuid());
	close(s);
	drop(c);
	drop(l);
	CHECK(unlink(path) == 0 && mkdir(path, 0700) == 0);
	CHECK(net_listen_unix(path, 5, 0600, &l) == E_EXISTS);
	CHECK(rmdir(path) == 0 && rmdir(dir) == 0);
}

static void
a_full_backlog_of_a_local_socket_is_waited_for(void)
{
	char dir[] = "/tmp/net.XXXXXX", path[32];
	int l = -1, c[4], n = 0;
	enum err e = OK;

	CHECK(mkdtemp(dir) != NULL);
	snprintf(path, sizeof path, "%s/s", dir);
	CHECK(net_listen_unix(path, 1, 0600, &l) == OK);
	while (n < 4 && (e = net_connect_unix(path, time_after_ms(time_now(), 50), &c[n])) == OK)
		n++;
	CHECK(n == 2 && e == E_CONNECT && strcmp(err_why(), "Connection timed out") == 0);
	close(accept(l, NULL, NULL));
	CHECK(net_connect_unix(path, soon(), &c[n]) == OK);
	n++;
	while (n > 0)
		drop(c[--n]);
	close(l);
	CHECK(unlink(path) == 0 && rmdir(dir) == 0);
}

static void
a_name_too_long_for_a_socket_is_refused(void)
{
	char path[200];
	int fd;

	memset(path, 'x', sizeof path - 1);
	path[sizeof path - 1] = '\0';
	CHECK(net_listen_unix(path, 5, 0600, &fd) == E_IO);
	CHECK(net_connect_unix(path, soon(), &fd) == E_IO);
}

SUITE(net, TEST(addresses_are_read_in_every_form), TEST(hosts_are_told_apart),
    TEST(reverse_names_follow_the_dns), TEST(the_first_network_that_matches_decides),
    TEST(a_bad_network_is_named), TEST(this_host_has_a_loopback_address),
    TASK_TEST(a_connection_is_made_and_accepted), TASK_TEST(a_refused_connection_says_so),
    TASK_TEST(a_connection_that_nobody_takes_times_out), TASK_TEST(a_local_socket_replaces_a_stale_one_only),
    TASK_TEST(a_full_backlog_of_a_local_socket_is_waited_for), TASK_TEST(a_name_too_long_for_a_socket_is_refused));
