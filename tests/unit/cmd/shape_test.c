/* SPDX-License-Identifier: Apache-2.0 */
/* qshape's table, byte for byte what Postfix's prints of the same mail. */
#include "cmd/queue_shape.h"
#include "cmd/queue_sum.h"
#include "tests/unit/check.h"
#include "util/mem.h"

static const int64_t NOW = INT64_C(1700000000) * 1000000;

struct mail { const char *sender, *rcpt, *other; int64_t minutes; };

static void
add(void (*fn)(void *arg, const struct msg_item *item), void *arg, const struct mail *m, uint64_t id)
{
	struct buf rcpts = BUF(0);

	(void)msg_item_rcpt_put(&rcpts, &(struct msg_item_rcpt){ .addr = str_of(m->rcpt), .transport = STR("smtp"),
					    .nexthop = STR("next"), .reason = STR("no") });
	if (m->other)
		(void)msg_item_rcpt_put(&rcpts, &(struct msg_item_rcpt){ .addr = str_of(m->other), .transport = STR("smtp"),
						    .nexthop = STR("next"), .reason = STR("later") });
	fn(arg, &(struct msg_item){ .id = id, .arrived = NOW - m->minutes * 60 * 1000000, .size = 1000,
			    .sender = str_of(m->sender), .rcpts = buf_str(&rcpts) });
	buf_free(&rcpts);
}

static const struct mail mails[] = {
	{ "a@one.test", "x@Example.COM", NULL, 0 },           { "a@one.test", "x@example.com", NULL, 5 },
	{ "a@one.test", "x@mail.example.com.", NULL, 2561 },  { "", "x@a.b.example.org", "y@example.com", 1279 },
	{ "b@a-very-long-name-of-a-domain-indeed.example.net", "x@a-very-long-name-of-a-domain-indeed.example.net", NULL, 40 },
};

static void
check_shape(struct shape *s, const char *want)
{
	struct buf out = { 0 };

	s->now = NOW;
	for (size_t i = 0; i < countof(mails); i++)
		add(shape_item, s, &mails[i], i + 1);
	shape_print(s, &out);
	CHECK_STR(buf_str(&out), want);
	if (!str_eq(buf_str(&out), str_of(want)))
		printf("got:\n%swant:\n%s", buf_cstr(&out), want);
	buf_free(&out);
	shape_fini(s);
}

static void
recipients_by_domain_and_age(void)
{
	struct shape s;

	shape_init(&s);
	check_shape(&s,
	    "                                         T  5 10 20 40 80 160 320 640 1280 1280+\n"
	    "                                  TOTAL  6  1  1  0  0  1   0   0   0    2     1\n"
	    "                            example.com  3  1  1  0  0  0   0   0   0    1     0\n"
	    "                        a.b.example.org  1  0  0  0  0  0   0   0   0    1     0\n"
	    "                       mail.example.com  1  0  0  0  0  0   0   0   0    0     1\n"
	    "+ng-name-of-a-domain-indeed.example.net  1  0  0  0  0  1   0   0   0    0     0\n");
}

static void
senders_in_few_linear_columns(void)
{
	struct shape s;

	shape_init(&s);
	s.senders = s.linear = true;
	s.buckets = 3;
	s.minutes = 20;
	check_shape(&s,
	    "                                                                     T 20 40 40+\n"
	    "                                                              TOTAL  5  2  0   3\n"
	    "                                                           one.test  3  2  0   1\n"
	    "                                                      MAILER-DAEMON  1  0  0   1\n"
	    "                    a-very-long-name-of-a-domain-indeed.example.net  1  0  0   1\n");
}

static void
parents_with_enough_children_have_rows(void)
{
	struct shape s;

	shape_init(&s);
	s.parents = true;
	s.min_subdomains = 1;
	s.buckets = 2;
	s.top = 7;
	check_shape(&s,
	    "                                                                         T  5 5+\n"
	    "                                                                  TOTAL  6  1  5\n"
	    "                                                            example.com  3  1  2\n"
	    "                                                           .example.com  1  0  1\n"
	    "                                                           .example.net  1  0  1\n"
	    "                                                           .example.org  1  0  1\n"
	    "                                                         .b.example.org  1  0  1\n"
	    "                                                        a.b.example.org  1  0  1\n");
}

static void
a_message_counts_once_a_line_however_many_recipients_share_it(void)
{
	struct sum s = { .by = SUM_DESTINATION, .now = NOW };
	const struct sum_line **v;

	for (size_t i = 0; i < countof(mails); i++)
		add(sum_item, &s, &mails[i], i + 1);
	v = sum_sorted(&s);
	CHECK(v[0] && v[1] == NULL && v[0]->messages == 5 && v[0]->rcpts == 6 && v[0]->bytes == 5000);
	CHECK_STR(v[0]->key, "smtp:next");
	CHECK(v[0]->oldest == NOW - INT64_C(2561) * 60000000);
	free(v);
	sum_fini(&s);
}

static void
lines_by_reason_come_the_fullest_first_and_ages_in_order(void)
{
	struct sum reasons = { .by = SUM_REASON, .now = NOW }, ages = { .by = SUM_AGE, .now = NOW };
	const struct sum_line **v;

	for (size_t i = 0; i < countof(mails); i++) {
		add(sum_item, &reasons, &mails[i], i + 1);
		add(sum_item, &ages, &mails[i], i + 1);
	}
	v = sum_sorted(&reasons);
	CHECK_STR(v[0]->key, "no");
	CHECK_STR(v[1]->key, "later");
	CHECK(v[0]->messages == 5 && v[1]->messages == 1 && v[2] == NULL);
	free(v);
	v = sum_sorted(&ages);
	CHECK_STR(v[0]->key, "under 5m");
	CHECK_STR(v[1]->key, "5m to 20m");
	CHECK_STR(v[2]->key, "20m to 1h");
	CHECK_STR(v[3]->key, "4h to 1d");
	CHECK_STR(v[4]->key, "1d to 2d");
	CHECK(v[5] == NULL);
	free(v);
	sum_fini(&reasons);
	sum_fini(&ages);
}

static void
sizes_and_ages_in_few_letters(void)
{
	static const struct { uint64_t bytes; const char *text; } sizes[] = {
		{ 0, "0" }, { 1023, "1023" }, { 1024, "1.0K" }, { 1536, "1.5K" }, { 20 << 20, "20M" }, { UINT64_MAX, "16E" },
	};
	static const struct { int64_t seconds; const char *text; } ages[] = {
		{ -1, "0s" }, { 59, "59s" }, { 303, "5m03s" }, { 11520, "3h12m" }, { 198000, "2d07h" },
	};
	char out[SHORT_TEXT];

	for (size_t i = 0; i < countof(sizes); i++)
		CHECK_STR(str_of(text_of_size(sizes[i].bytes, out)), sizes[i].text);
	for (size_t i = 0; i < countof(ages); i++)
		CHECK_STR(str_of(text_of_age(ages[i].seconds, out)), ages[i].text);
}

SUITE(shape, TEST(recipients_by_domain_and_age), TEST(senders_in_few_linear_columns),
    TEST(parents_with_enough_children_have_rows));
SUITE(sum, TEST(a_message_counts_once_a_line_however_many_recipients_share_it),
    TEST(lines_by_reason_come_the_fullest_first_and_ages_in_order), TEST(sizes_and_ages_in_few_letters));
