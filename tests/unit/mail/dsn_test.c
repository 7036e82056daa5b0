/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/dsn.h"

#include <inttypes.h>
#include <stdio.h>

#include "tests/unit/check.h"
#include "util/mem.h"

enum { PARTS_MAX = 8 };

static const struct params params = { .myhostname = "mx.here.test", .myorigin = "here.test", .mail_name = "Postroad" };
static char charset[] = "us-ascii", from[] = "Mail Delivery System <MAILER-DAEMON@mx.here.test>", subject[] = "Undelivered",
	    postmaster_subject[] = "Copy", words_above[] = "This is the mail system.\n\nIt did not work.\n";
#define OF(a) { .p = a, .n = sizeof a - 1 }
static const struct template template = { OF(charset), OF(from), OF(subject), OF(postmaster_subject), OF(words_above) };
static const char original[] = "Subject: hello\r\nTo: a@there.test\r\n\r\nbody\r\n..dots\r\n";

static const struct msg_failed failures[] = {
	{ .action = ACTION_FAILED, .addr = STR("a@there.test"), .esc = STR("5.1.1"), .mta = STR("mx.there.test"),
	    .text = STR("host mx.there.test[192.0.2.1] said: 550 5.1.1 no such user (in reply to RCPT TO command)"),
	    .diag = STR("550 5.1.1 no such user") },
	{ .index = 1, .action = ACTION_FAILED, .addr = STR("b@there.test"), .orig = STR("list@here.test"), .expired = 1, .esc = STR("4.4.1"),
	    .text = STR("connect to mx.there.test[192.0.2.1]:25: Connection timed out") },
	{ .index = 2, .action = ACTION_FAILED, .addr = STR("c@there.test"), .orig = STR("c@there.test"), .esc = STR("5.0.0"), .text = STR("no") },
};

static struct msg_bounce
job_of(struct buf *list)
{
	for (size_t i = 0; i < countof(failures); i++)
		CHECK(msg_failed_put(list, &failures[i]));
	return (struct msg_bounce){ .id = 0xabc, .sender = STR("s@sender.test"), .arrived = 1700000000000000,
		.failed = buf_str(list) };
}

static struct dsn
notice_of(const struct msg_bounce *job)
{
	return (struct dsn){ .params = &params, .template = &template, .job = job, .id = 0x123, .now = { 1700000100000000 },
		.to = STR("s@sender.test"),
		.original = { original, sizeof original - 1 } };
}

static size_t
count(struct str s, const char *what)
{
	size_t n = 0;

	for (size_t i = 0; i + strlen(what) <= s.n; i++)
		n += str_starts(str_sub(s, i, s.n), str_of(what));
	return n;
}

/* Take the text up to and with sep off the front of *s; what stood before sep. */
static struct str
upto(struct str *s, struct str sep)
{
	const char *p = memmem(s->p, s->n, sep.p, sep.n);
	struct str head = str_sub(*s, 0, p ? (size_t)(p - s->p) : s->n);

	CHECK(p != NULL);
	*s = str_sub(*s, head.n + sep.n, s->n);
	return head;
}

/* Take a notice apart as a mail program does: header, then what is between the boundaries.  Number of parts. */
static size_t
take_apart(struct str notice, struct str *header, struct str parts[PARTS_MAX])
{
	struct str rest, mark;
	char delimiter[200];
	size_t n = 0;

	*header = upto(&notice, STR("\r\n\r\n"));
	rest = *header;
	upto(&rest, STR("boundary=\""));
	mark = upto(&rest, STR("\""));
	snprintf(delimiter, sizeof delimiter, "\r\n--%.*s", STR_ARG(mark));
	upto(&notice, str_of(delimiter));
	while (n < PARTS_MAX && str_starts(notice, STR("\r\n"))) {
		notice = str_sub(notice, 2, notice.n);
		parts[n++] = upto(&notice, str_of(delimiter));
	}
	CHECK_STR(notice, "--\r\n");
	return n;
}

static void
a_notice_has_three_parts_in_order(void)
{
	struct buf list = BUF(0), out = BUF(0);
	struct msg_bounce job = job_of(&list);
	struct dsn d = notice_of(&job);
	struct str header, parts[PARTS_MAX], body;

	CHECK(dsn_write(&d, &out) == OK);
	CHECK(take_apart(buf_str(&out), &header, parts) == 3);
	CHECK(str_starts(header, STR("Received: by mx.here.test (Postroad)\r\n\tid 0000000000000123; ")));
	CHECK(count(header, "\r\nFrom: Mail Delivery System <MAILER-DAEMON@mx.here.test>\r\n") == 1);
	CHECK(count(header, "\r\nTo: s@sender.test\r\n") == 1 && count(header, "\r\nSubject: Undelivered\r\n") == 1);
	CHECK(count(header, "\r\nAuto-Submitted: auto-replied\r\n") == 1);
	CHECK(count(header, "\r\nMIME-Version: 1.0\r\n") == 1);
	CHECK(count(header, "\r\nContent-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=") == 1);
	CHECK(count(header, "\r\nContent-Transfer-Encoding: 7bit\r\n") == 1);
	CHECK(count(header, "\r\nMessage-Id: <") == 1 && count(header, "\r\nDate: ") == 1);
	CHECK(count(parts[0], "\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n") == 1);
	CHECK(count(parts[1], "\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.here.test\r\n") == 1);
	CHECK(count(parts[2], "\r\nContent-Type: message/rfc822\r\n\r\n") == 1);
	body = parts[2];
	upto(&body, STR("\r\n\r\n"));
	upto(&body, STR("Return-Path: <s@sender.test>\r\n"));
	CHECK_STR(body, original);
	buf_free(&out);
	buf_free(&list);
}

/* A group of fields for each, in the order given (RFC 3464 section 2.3). */
static void
all_that_failed_are_reported(void)
{
	static const char *const groups[] = {
		"Final-Recipient: rfc822; a@there.test\r\nAction: failed\r\nStatus: 5.1.1\r\n"
		"Remote-MTA: dns; mx.there.test\r\nDiagnostic-Code: smtp; 550 5.1.1 no such user",
		"Final-Recipient: rfc822; b@there.test\r\nOriginal-Recipient: rfc822;list@here.test\r\n"
		"Action: failed\r\nStatus: 4.4.1\r\n"
		"Diagnostic-Code: X-Postroad; connect to mx.there.test[192.0.2.1]:25:\r\n    Connection timed out",
		"Final-Recipient: rfc822; c@there.test\r\nOriginal-Recipient: rfc822;c@there.test\r\n"
		"Action: failed\r\nStatus: 5.0.0\r\nDiagnostic-Code: X-Postroad; no\r\n",
	};
	struct buf list = BUF(0), out = BUF(0);
	struct msg_bounce job = job_of(&list);
	struct dsn d = notice_of(&job);
	struct str header, parts[PARTS_MAX], status;

	CHECK(dsn_write(&d, &out) == OK);
	CHECK(take_apart(buf_str(&out), &header, parts) == 3);
	CHECK(count(parts[0], "\r\n<a@there.test>: host mx.there.test[192.0.2.1] said: 550 5.1.1") == 1);
	CHECK(count(parts[0], "\r\n<b@there.test> (expanded from <list@here.test>): ") == 1);
	CHECK(count(parts[0], "\r\n<c@there.test>: no\r\n") == 1);
	status = parts[1];
	upto(&status, STR("\r\n\r\n"));
	CHECK(count(status, "X-Postroad-Queue-ID: 0000000000000ABC\r\n") == 1);
	upto(&status, STR("\r\n\r\n"));
	for (size_t i = 0; i < countof(groups); i++) {
		struct str group = i + 1 < countof(groups) ? upto(&status, STR("\r\n\r\n")) : status;

		CHECK_STR(group, groups[i]);
	}
	buf_free(&out);
	buf_free(&list);
}

static void
no_line_of_a_notice_is_long_and_all_end_in_crlf(void)
{
	struct buf list = BUF(0), out = BUF(0);
	struct msg_bounce job = job_of(&list);
	struct dsn d = notice_of(&job);
	struct str rest, line;

	CHECK(dsn_write(&d, &out) == OK);
	for (rest = buf_str(&out); str_cut(&rest, '\n', &line);) {
		CHECK(line.n > 0 && line.p[line.n - 1] == '\r');
		CHECK(line.n - 1 < 79);
		CHECK(str_find(str_sub(line, 0, line.n - 1), '\r') == line.n - 1);
	}
	CHECK(str_ends(buf_str(&out), STR("--\r\n")));
	buf_free(&out);
	buf_free(&list);
}

/* Lists cut short, everywhere but between two records. */
static void
a_malformed_list_is_refused(void)
{
	struct buf list = BUF(0);
	struct msg_bounce job = job_of(&list);
	size_t taken = 0;

	for (size_t n = 1; n < list.n; n++) {
		struct buf out = BUF(0);
		struct str whole = str_sub(buf_str(&list), 0, n);
		struct msg_failed f;
		bool good = true;
		struct dsn d = notice_of(&job);

		while (good && whole.n > 0)
			good = msg_failed_take(&whole, &f);
		job.failed = str_sub(buf_str(&list), 0, n);
		CHECK(dsn_write(&d, &out) == (good ? OK : E_IPC));
		taken += good;
		buf_free(&out);
	}
	CHECK(taken == countof(failures) - 1);
	buf_free(&list);
}

static void
a_header_alone_is_returned_as_such(void)
{
	struct buf list = BUF(0), out = BUF(0);
	struct msg_bounce job = job_of(&list);
	struct dsn d = notice_of(&job);
	struct str header, parts[PARTS_MAX];

	d.headers_only = true;
	d.original = message_header(d.original);
	CHECK(dsn_write(&d, &out) == OK);
	CHECK(take_apart(buf_str(&out), &header, parts) == 3);
	CHECK(count(parts[2], "\r\nContent-Type: text/rfc822-headers\r\n\r\n") == 1);
	CHECK(str_ends(parts[2], STR("\r\nTo: a@there.test\r\n")));
	CHECK(count(buf_str(&out), "body") == 0);
	CHECK(str_starts(parts[2], STR("Content-Description: Undelivered Message Headers\r\n")));
	buf_free(&out);
	buf_free(&list);
}

static void
eight_bit_content_is_said_to_be_so(void)
{
	struct buf list = BUF(0), out = BUF(0);
	struct msg_bounce job = job_of(&list);
	struct dsn d = notice_of(&job);
	struct str header, parts[PARTS_MAX];

	d.eight_bit = true;
	d.original = STR("Subject: \303\244\r\n\r\n\303\244");
	CHECK(dsn_write(&d, &out) == OK);
	CHECK(take_apart(buf_str(&out), &header, parts) == 3);
	CHECK(count(header, "\r\nContent-Transfer-Encoding: 8bit") == 1);
	CHECK(count(parts[2], "\r\nContent-Transfer-Encoding: 8bit\r\n\r\n") == 1);
	CHECK(str_ends(parts[2], STR("\r\n\r\n\303\244\r\n")));
	buf_free(&out);
	buf_free(&list);
}

/* RFC 3464 section 2.2.1 and 2.3.1, RFC 3461 section 6.3: what the sender called his message and his recipient. */
static void
the_senders_own_names_come_back(void)
{
	static const struct str orcpts[] = { STR("rfc822;First@example.test"), STR(""), STR("x400;/C=us/") };
	struct buf list = BUF(0), out = BUF(0);
	struct msg_bounce job = job_of(&list);
	struct dsn d = notice_of(&job);

	d.envid = STR("QQ 314159");
	d.orcpts = orcpts;
	d.norcpts = countof(orcpts);
	CHECK(dsn_write(&d, &out) == OK);
	CHECK(count(buf_str(&out), "Reporting-MTA: dns; mx.here.test\r\nOriginal-Envelope-Id: QQ 314159\r\nX-Postroad-Queue-ID: ") == 1);
	CHECK(count(buf_str(&out), "a@there.test\r\nOriginal-Recipient: rfc822;First@example.test\r\nAction: failed\r\n") == 1);
	CHECK(count(buf_str(&out), "b@there.test\r\nOriginal-Recipient: rfc822;list@here.test\r\nAction: failed\r\n") == 1);
	CHECK(count(buf_str(&out), "c@there.test\r\nOriginal-Recipient: x400;/C=us/\r\nAction: failed\r\n") == 1);
	buf_free(&out);
	buf_free(&list);
}

static void
each_action_has_its_word_and_delay_its_end(void)
{
	static const char *const words[ACTION_COUNT] = { "delivered", "relayed", "relayed", "expanded", "failed", "delayed",
		"deliverable", "undeliverable" };

	for (uint8_t i = 0; i < ACTION_COUNT; i++) {
		struct buf list = BUF(0), out = BUF(0), want = BUF(0);
		struct msg_bounce job = { .kind = NOTICE_REPORT, .sender = STR("s@sender.test") };
		struct msg_failed f = { .action = i, .addr = STR("a@b.test"), .esc = STR("2.0.0"), .text = STR("so") };
		struct dsn d = notice_of(&job);

		d.until = (struct wall){ 1700000100000000 };
		CHECK(msg_failed_put(&list, &f));
		job.failed = buf_str(&list);
		CHECK(dsn_write(&d, &out) == OK);
		CHECK(buf_printf(&want, "\r\nAction: %s\r\nStatus: 2.0.0\r\n", words[i]));
		CHECK(count(buf_str(&out), buf_cstr(&want)) == 1);
		CHECK(count(buf_str(&out), "\r\nWill-Retry-Until: Tue, 14 Nov 2023 ") == (i == ACTION_DELAYED));
		CHECK(count(buf_str(&out), "Content-Description: Message\r\n") == 1);
		buf_free(&want);
		buf_free(&out);
		buf_free(&list);
	}
}

/* RFC 6533. */
static void
a_message_with_utf8_has_a_notice_with_utf8(void)
{
	struct buf list = BUF(0), out = BUF(0);
	struct msg_bounce job = { .sender = STR("s\303\244@sender.test") };
	struct msg_failed f = { .action = ACTION_FAILED, .addr = STR("\303\244@b.test"), .esc = STR("5.1.1"), .text = STR("no \303\244") };
	struct dsn d = notice_of(&job);
	struct str header, parts[PARTS_MAX];

	CHECK(msg_failed_put(&list, &f));
	job.failed = buf_str(&list);
	d.to = job.sender;
	for (int utf8 = 1; utf8 >= 0; utf8--) {
		d.utf8 = utf8;
		buf_clear(&out);
		CHECK(dsn_write(&d, &out) == OK);
		CHECK(take_apart(buf_str(&out), &header, parts) == 3);
		CHECK(count(header, utf8 ? "report-type=global-delivery-status;" : "report-type=delivery-status;") == 1);
		CHECK(count(header, utf8 ? "\r\nTo: s\303\244@sender.test\r\n" : "\r\nTo: s??@sender.test\r\n") == 1);
		CHECK(count(parts[0], utf8 ? "charset=utf-8\r\n" : "charset=us-ascii\r\n") == 1);
		CHECK(count(parts[1], utf8 ? "Content-Type: message/global-delivery-status\r\n" : "Content-Type: message/delivery-status\r\n") == 1);
		CHECK(count(parts[1], utf8 ? "Final-Recipient: utf-8; \303\244@b.test\r\n" : "Final-Recipient: rfc822; ??@b.test\r\n") == 1);
		CHECK(count(parts[2], utf8 ? "Content-Type: message/global\r\n" : "Content-Type: message/rfc822\r\n") == 1);
	}
	buf_free(&out);
	buf_free(&list);
}

static void
the_postmaster_has_a_subject_of_his_own(void)
{
	struct buf list = BUF(0), out = BUF(0);
	struct msg_bounce job = job_of(&list);
	struct dsn d = notice_of(&job);

	d.postmaster = true;
	d.to = STR("postmaster");
	CHECK(dsn_write(&d, &out) == OK);
	CHECK(count(buf_str(&out), "\r\nSubject: Copy\r\nTo: postmaster\r\n") == 1);
	buf_free(&out);
	buf_free(&list);
}

static void
a_sender_without_domain_gets_ours(void)
{
	static char bare[] = "MAILER-DAEMON (Mail Delivery System)";
	struct buf list = BUF(0), out = BUF(0);
	struct msg_bounce job = job_of(&list);
	struct template t = template;
	struct dsn d = notice_of(&job);

	t.from = (struct buf)OF(bare);
	d.template = &t;
	CHECK(dsn_write(&d, &out) == OK);
	CHECK(count(buf_str(&out), "\r\nFrom: MAILER-DAEMON@here.test (Mail Delivery System)\r\n") == 1);
	buf_free(&out);
	buf_free(&list);
}

static void
a_notice_that_does_not_fit_is_too_big(void)
{
	struct buf list = BUF(0), whole = BUF(0);
	struct msg_bounce job = job_of(&list);
	struct dsn d = notice_of(&job);

	CHECK(dsn_write(&d, &whole) == OK);
	for (size_t max = 1; max < whole.n; max += 7) {
		struct buf out = BUF(max);

		CHECK(dsn_write(&d, &out) == E_TOOBIG);
		CHECK(out.n <= max);
		buf_free(&out);
	}
	buf_free(&whole);
	buf_free(&list);
}

static void
the_header_ends_at_the_first_empty_line(void)
{
	static const struct { const char *message, *header; } cases[] = {
		{ "A: b\r\n\r\nbody\r\n", "A: b\r\n" }, { "A: b\r\nC: d\r\n\r\n\r\n", "A: b\r\nC: d\r\n" },
		{ "\r\nbody\r\n\r\n", "" },             { "A: b\r\n", "A: b\r\n" },
		{ "A: b", "A: b" },                    { "", "" },
		{ "A: b\r\n\r\n", "A: b\r\n" },         { "\r\n", "" },
	};

	for (size_t i = 0; i < countof(cases); i++)
		CHECK_STR(message_header(str_of(cases[i].message)), cases[i].header);
}

#define TEN "0123456789"

static void
fields_are_folded_at_blanks(void)
{
	static const struct { const char *before, *name, *text, *out; } cases[] = {
		{ "", "A", "", "A:\r\n" },
		{ "", "A", " b \t c\r\n d ", "A: b c d\r\n" },
		{ "", "A", TEN TEN TEN TEN TEN TEN TEN "12345 x", "A: " TEN TEN TEN TEN TEN TEN TEN "12345\r\n    x\r\n" },
		{ "", "A", TEN TEN TEN TEN TEN TEN TEN "123 x", "A: " TEN TEN TEN TEN TEN TEN TEN "123 x\r\n" },
		{ "", "A", TEN TEN TEN TEN TEN TEN TEN "1234 x", "A: " TEN TEN TEN TEN TEN TEN TEN "1234\r\n    x\r\n" },
		{ "", "A", TEN TEN TEN TEN TEN TEN TEN TEN " x", "A: " TEN TEN TEN TEN TEN TEN TEN TEN "\r\n    x\r\n" },
		{ "", "Name", TEN TEN TEN TEN TEN TEN TEN TEN, "Name:\r\n    " TEN TEN TEN TEN TEN TEN TEN TEN "\r\n" },
		{ "x\r\n<" TEN TEN TEN TEN TEN TEN TEN ">", "", "one two three",
		    "x\r\n<" TEN TEN TEN TEN TEN TEN TEN ">: one\r\n    two three\r\n" },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct buf out = BUF(0);

		CHECK(buf_adds(&out, cases[i].before));
		CHECK(fold_field(&out, cases[i].name, str_of(cases[i].text)));
		CHECK_STR(buf_str(&out), cases[i].out);
		buf_free(&out);
	}
}

/* A server may say 4 KB without a blank; no line may have more than 998 bytes (RFC 5322 section 2.1.1). */
static void
words_without_end_are_broken(void)
{
	struct buf text = BUF(0), out = BUF(0);
	struct str rest, line;
	size_t xs = 0;

	for (int i = 0; i < 4096; i++)
		CHECK(buf_addc(&text, 'x'));
	CHECK(fold_field(&out, "Diagnostic-Code", buf_str(&text)));
	for (rest = buf_str(&out); str_cut(&rest, '\n', &line);)
		CHECK(line.n - 1 <= 998);
	xs = count(buf_str(&out), "x");
	CHECK(xs == 4096);
	buf_free(&text);
	buf_free(&out);
}

SUITE(dsn, TEST(a_notice_has_three_parts_in_order), TEST(all_that_failed_are_reported),
    TEST(no_line_of_a_notice_is_long_and_all_end_in_crlf), TEST(a_malformed_list_is_refused),
    TEST(a_header_alone_is_returned_as_such), TEST(eight_bit_content_is_said_to_be_so),
    TEST(the_senders_own_names_come_back), TEST(each_action_has_its_word_and_delay_its_end),
    TEST(a_message_with_utf8_has_a_notice_with_utf8), TEST(the_postmaster_has_a_subject_of_his_own),
    TEST(a_sender_without_domain_gets_ours), TEST(a_notice_that_does_not_fit_is_too_big), TEST(the_header_ends_at_the_first_empty_line),
    TEST(fields_are_folded_at_blanks), TEST(words_without_end_are_broken));
