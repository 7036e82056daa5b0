/* SPDX-License-Identifier: Apache-2.0 */
/* The resolver's clients, against a resolver that follows a script. */
#include "mail/dns.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/check.h"
#include "util/ipc.h"
#include "util/mem.h"

enum { SECONDS = 5, HELD_MAX = 8 };

struct fake {
	char         dir[32], path[64];
	int          listening;
	struct tasks tasks;
	unsigned     questions;
	bool         mute;                             /* hear, and say nothing */
	bool         hang_up_once;                     /* at the first question */
	bool         garbage;
	unsigned     hold;                             /* answer so many together, the last one first */
	struct msg_query held[HELD_MAX];
	char         names[HELD_MAX][256];
};

static const struct zone { const char *name; uint16_t type; enum err err; uint16_t pref; struct str text; } zone[] = {
	{ "x.test", DNS_MX, OK, 10, STR("a.x.test") },
	{ "x.test", DNS_MX, OK, 20, STR("b.x.test") },
	{ "a.x.test", DNS_A, OK, 0, STR("\300\0\2\1") },
	{ "a.x.test", DNS_A, OK, 0, STR("\300\0\2") },
	{ "a.x.test", DNS_AAAA, OK, 0, STR("\40\1\r\270\0\0\0\0\0\0\0\0\0\0\0\1") },
	{ "six.test", DNS_A, E_DNS_TEMP, 0, STR("") },
	{ "six.test", DNS_AAAA, OK, 0, STR("\40\1\r\270\0\0\0\0\0\0\0\0\0\0\0\2") },
	{ "doubt.test", DNS_A, E_DNS_TEMP, 0, STR("") },
	{ "none.test", DNS_A, OK, 0, STR("") },
	{ "none.test", DNS_AAAA, OK, 0, STR("") },
	{ "1.2.0.192.in-addr.arpa", DNS_PTR, OK, 0, STR("a.x.test") },
	{ "9.2.0.192.in-addr.arpa", DNS_PTR, OK, 0, STR("a.x.test") },
	{ "8.2.0.192.in-addr.arpa", DNS_PTR, OK, 0, STR("bad name") },
};

static void
answer(struct ipc *c, const struct msg_query *m)
{
	struct msg_answer a = { .query = m->query, .err = E_DNS_NONE, .rcode = 3, .ttl = 7, .canonical = STR("canon.test") };
	struct buf records = BUF(4096), *out;

	for (size_t i = 0; i < countof(zone); i++) {
		if (zone[i].type != m->type || !str_eq(m->name, str_of(zone[i].name)))
			continue;
		a.err = zone[i].err;
		if (a.err == OK && zone[i].text.n > 0)
			CHECK(msg_record_put(&records, &(struct msg_record){ zone[i].pref, zone[i].text }));
	}
	a.records = buf_str(&records);
	out = ipc_begin(c, MSG_ANSWER_TAG);
	CHECK(out && msg_answer_put(out, &a));
	ipc_end(c);
	buf_free(&records);
}

/* False: the conversation is over. */
static bool
hear(struct fake *f, struct ipc *c, const struct msg_query *m)
{
	static unsigned held;

	f->questions++;
	if (f->hang_up_once) {
		f->hang_up_once = false;
		return false;
	}
	if (f->garbage)
		return ipc_send(c, MSG_ANSWER_TAG, STR("what")) == OK;
	if (f->mute)
		return true;
	snprintf(f->names[held], sizeof f->names[held], "%.*s", STR_ARG(m->name));
	f->held[held] = *m;
	f->held[held].name = str_of(f->names[held]);
	if (++held < f->hold)
		return true;
	while (held > 0)
		answer(c, &f->held[--held]);
	return true;
}

static WAITS void
serve(struct fake *f, struct ipc *c)
{
	struct msg_hello mine = { .role = STR("resolver"), .name = STR("resolver") }, peer;
	struct msg_query m;
	struct str body;
	uint16_t tag;

	if (msg_hello_exchange(c, &mine, &peer) != OK)
		return;
	do {
		if (ipc_recv(c, &tag, &body, time_after(time_now(), 2 * SECONDS)) != OK)
			return;
		CHECK(tag == MSG_QUERY_TAG && msg_query_get(body, &m) == OK);
	} while (hear(f, c, &m));
}

static void
fake_task(void *arg)
{
	struct fake *f = arg;
	int fd;

	while (net_accept(f->listening, &fd, NULL, time_after(time_now(), 2 * SECONDS)) == OK) {
		struct ipc *c;

		CHECK(task_fd_add(fd) == OK);
		c = ipc_new(fd, 1 << 16, 0);
		serve(f, c);
		ipc_free(&c);
	}
}

static void
fake_start(struct fake *f, const char *protocols)
{
	static struct params p;
	char private[48];

	*f = (struct fake){ .dir = "/tmp/postroad-dns-XXXXXX", .hold = 1 };
	CHECK(mkdtemp(f->dir) != NULL);
	snprintf(private, sizeof private, "%s/private", f->dir);
	CHECK(mkdir(private, 0700) == 0);
	snprintf(f->path, sizeof f->path, "%s/resolver", private);
	p = (struct params){ .queue_directory = f->dir, .inet_protocols = protocols, .smtp_address_preference = "ipv4" };
	dns_setup(&p);
	CHECK(net_listen_unix(f->path, 5, 0600, &f->listening) == OK);
	CHECK(task_fd_add(f->listening) == OK);
	tasks_init(&f->tasks);
	CHECK(task_start(&f->tasks, "resolver", fake_task, f) != NULL);
}

static WAITS void
fake_stop(struct fake *f)
{
	struct time deadline = time_after(time_now(), SECONDS);

	tasks_stop(&f->tasks);
	task_fd_del(f->listening);
	close(f->listening);
	/* The client's own task sees the end of the channel, and ends. */
	while (task_count() > 1 && time_before(time_now(), deadline))
		task_yield();
	CHECK(task_count() == 1);
	unlink(f->path);
	f->path[strlen(f->path) - strlen("/resolver")] = '\0';
	rmdir(f->path);
	rmdir(f->dir);
}

static WAITS enum err
ask(const char *name, enum dns_type type, struct dns_answer *a)
{
	return dns_ask(str_of(name), type, time_after(time_now(), SECONDS), a);
}

static void
a_question_gets_its_answer(void)
{
	struct dns_answer a;
	struct fake f;

	fake_start(&f, "all");
	CHECK(ask("x.test", DNS_MX, &a) == OK && a.n == 2 && a.ttl == 7 && !a.secure);
	CHECK(a.records[0].pref == 10 && a.records[1].pref == 20);
	CHECK_STR(a.records[1].text, "b.x.test");
	CHECK_STR(a.canonical, "canon.test");
	dns_answer_fini(&a);
	CHECK(ask("x.test.", DNS_MX, &a) == OK && a.n == 2);
	dns_answer_fini(&a);
	CHECK(ask("nobody.test", DNS_MX, &a) == E_DNS_NONE && a.n == 0);
	CHECK(ask("six.test", DNS_A, &a) == E_DNS_TEMP);
	CHECK(ask("none.test", DNS_A, &a) == OK && a.n == 0);
	dns_answer_fini(&a);
	fake_stop(&f);
}

static void
what_cannot_be_a_name_is_not_asked_for(void)
{
	char large[300];
	const struct str names[] = { STR(""), STR("."), STR("a\0b"), { large, sizeof large } };
	struct dns_answer a;
	struct fake f;

	memset(large, 'a', sizeof large);
	fake_start(&f, "all");
	for (size_t i = 0; i < countof(names); i++)
		CHECK(dns_ask(names[i], DNS_A, time_after(time_now(), SECONDS), &a) == E_DNS_NONE);
	CHECK(f.questions == 0);
	fake_stop(&f);
}

static void
answers_find_their_question_in_any_order(void)
{
	struct addr found[8];
	struct fake f;
	size_t n;

	fake_start(&f, "all");
	f.hold = 2;                                    /* AAAA is answered before A */
	CHECK(dns_addresses(STR("a.x.test"), 25, time_after(time_now(), SECONDS), found, countof(found), &n) == OK);
	/* The A record of three bytes is none. */
	CHECK(n == 2 && found[0].sa.sa_family == AF_INET && found[1].sa.sa_family == AF_INET6);
	CHECK(addr_port(&found[0]) == 25 && addr_port(&found[1]) == 25);
	CHECK(dns_addresses(STR("a.x.test"), 25, time_after(time_now(), SECONDS), found, 1, &n) == OK && n == 1);
	fake_stop(&f);
}

static void
one_family_will_do_and_doubt_outweighs_no(void)
{
	static const struct { const char *host, *protocols; enum err err; size_t n; } cases[] = {
		{ "a.x.test", "ipv4", OK, 1 },
		{ "a.x.test", "ipv6", OK, 1 },
		{ "six.test", "all", OK, 1 },
		{ "six.test", "ipv4", E_DNS_TEMP, 0 },
		{ "doubt.test", "all", E_DNS_TEMP, 0 },
		{ "nobody.test", "all", E_DNS_NONE, 0 },
		{ "none.test", "all", OK, 0 },
		{ "192.0.2.77", "all", OK, 1 },
		{ "2001:db8::7", "all", OK, 1 },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct addr found[8];
		struct fake f;
		size_t n;

		fake_start(&f, cases[i].protocols);
		CHECK(dns_addresses(str_of(cases[i].host), 25, time_after(time_now(), SECONDS), found, countof(found), &n) == cases[i].err);
		CHECK(n == cases[i].n);
		fake_stop(&f);
	}
}

static void
without_a_resolver_nothing_is_known_and_nobody_waits(void)
{
	struct time before = time_now();
	struct dns_answer a;
	struct fake f;

	fake_start(&f, "all");
	fake_stop(&f);
	CHECK(ask("x.test", DNS_MX, &a) == E_DNS_TEMP);
	CHECK(time_seconds(before, time_now()) < SECONDS);
}

static void
a_frozen_resolver_costs_no_more_than_the_deadline(void)
{
	struct dns_answer a;
	struct fake f;

	fake_start(&f, "all");
	f.mute = true;
	CHECK(dns_ask(STR("x.test"), DNS_MX, time_after_ms(time_now(), 50), &a) == E_TIMEOUT);
	f.mute = false;
	CHECK(ask("x.test", DNS_MX, &a) == OK && a.n == 2);
	dns_answer_fini(&a);
	fake_stop(&f);
}

static void
a_question_survives_a_resolver_that_goes_away_once(void)
{
	struct dns_answer a;
	struct fake f;

	fake_start(&f, "all");
	f.hang_up_once = true;
	CHECK(ask("x.test", DNS_MX, &a) == OK && a.n == 2 && f.questions == 2);
	dns_answer_fini(&a);
	fake_stop(&f);
}

static void
a_resolver_that_talks_nonsense_is_no_resolver(void)
{
	struct dns_answer a;
	struct fake f;

	fake_start(&f, "all");
	f.garbage = true;
	CHECK(ask("x.test", DNS_MX, &a) == E_DNS_TEMP && f.questions == 2);
	fake_stop(&f);
}

static void
a_client_is_called_by_a_name_that_leads_back_to_it(void)
{
	static const struct { const char *address, *name; unsigned questions; } cases[] = {
		{ "192.0.2.1", "a.x.test", 2 },
		{ "192.0.2.1", "a.x.test", 0 },        /* remembered */
		{ "192.0.2.9", "unknown", 2 },         /* the name is another host's */
		{ "192.0.2.8", "unknown", 1 },         /* that is no host name */
		{ "192.0.2.7", "unknown", 1 },
		{ "192.0.2.7", "unknown", 0 },
		{ "127.0.0.1", "localhost", 0 },
		{ "::1", "localhost", 0 },
	};
	struct buf name = BUF(1024);
	struct addr a;
	struct fake f;

	fake_start(&f, "all");
	for (size_t i = 0; i < countof(cases); i++) {
		f.questions = 0;
		buf_clear(&name);
		CHECK(addr_parse(str_of(cases[i].address), 0, &a) == OK);
		dns_client_name(&a, time_after(time_now(), SECONDS), &name);
		CHECK_STR(buf_str(&name), cases[i].name);
		CHECK(f.questions == cases[i].questions);
	}
	buf_free(&name);
	fake_stop(&f);
}

SUITE(dns, TASK_TEST(a_question_gets_its_answer), TASK_TEST(what_cannot_be_a_name_is_not_asked_for),
    TASK_TEST(answers_find_their_question_in_any_order), TASK_TEST(one_family_will_do_and_doubt_outweighs_no),
    TASK_TEST(without_a_resolver_nothing_is_known_and_nobody_waits), TASK_TEST(a_frozen_resolver_costs_no_more_than_the_deadline),
    TASK_TEST(a_question_survives_a_resolver_that_goes_away_once), TASK_TEST(a_resolver_that_talks_nonsense_is_no_resolver),
    TASK_TEST(a_client_is_called_by_a_name_that_leads_back_to_it));
