/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mime7.h"

#include <stdio.h>
#include <stdlib.h>

#include "mail/encode7.h"
#include "mail/mime_type.h"
#include "tests/unit/check.h"
#include "util/mem.h"

#define E "\xc3\xa9"                                   /* é in UTF-8 */
#define QP "Content-Transfer-Encoding: quoted-printable\r\n"
#define BASE64 "Content-Transfer-Encoding: base64\r\n"
#define SEVEN "Content-Transfer-Encoding: 7bit\r\n"
#define EIGHT "Content-Transfer-Encoding: 8bit\r\n"
#define MIME "MIME-Version: 1.0\r\n"
#define UNKNOWN "Content-Type: text/plain; charset=unknown-8bit\r\n"

/* Both passes, in pieces of step bytes. */
static struct buf
turned(struct str in, size_t step)
{
	struct buf out = BUF(64 << 20);
	struct mime7 *m = mime7_new();

	for (size_t i = 0; i < in.n; i += step)
		mime7_look(m, str_sub(in, i, step));
	for (size_t i = 0; i < in.n; i += step) {
		size_t before = out.n;

		mime7_turn(m, str_sub(in, i, step), &out);
		CHECK(out.n - before <= MIME7_GROWTH * ((step < in.n ? step : in.n) + MIME7_LINE_MAX));
	}
	mime7_end(m, &out);
	mime7_free(&m);
	return out;
}

struct turn_case { const char *in, *out; };            /* out: NULL when nothing changes */

static void
check_all(const struct turn_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct str in = str_of(cases[i].in), want = str_of(cases[i].out ? cases[i].out : cases[i].in);

		for (size_t step = 1; step <= in.n + 1; step = step < 8 ? step + 1 : step * 2) {
			struct buf out = turned(in, step);

			if (!str_eq(buf_str(&out), want))
				printf("\n    case %zu in pieces of %zu:\n%s\n    and not:\n%s\n", i, step, buf_cstr(&out), want.p);
			CHECK(str_eq(buf_str(&out), want));
			buf_free(&out);
		}
	}
}

static void
mail_without_mime_gets_it(void)
{
	static const struct turn_case cases[] = {
		{ "Subject: x\r\n\r\ncaf" E " = 1 \r\nend\r\n", "Subject: x\r\n" MIME UNKNOWN QP "\r\ncaf=C3=A9 =3D 1=20\r\nend\r\n" },
		{ "Subject: x\r\n\r\nplain = 1 \r\n", NULL },
		{ "Subject: caf" E "\r\n\r\nplain\r\n", NULL },                 /* a header has no code here */
		{ "Subject: caf" E "\r\n\r\n" E "\r\n", "Subject: caf" E "\r\n" MIME UNKNOWN QP "\r\n=C3=A9\r\n" },
		{ "no header" E "\r\nmore\r\n", MIME UNKNOWN QP "\r\nno header=C3=A9\r\nmore\r\n" },
		{ "Subject: x\r\nno field " E "\r\n", "Subject: x\r\n" MIME UNKNOWN QP "\r\nno field =C3=A9\r\n" },
		{ "\r\n" E "\r\n", MIME UNKNOWN QP "\r\n=C3=A9\r\n" },
		{ "From me now\r\nSubject: x\r\n\r\n" E "\r\n", "From me now\r\nSubject: x\r\n" MIME UNKNOWN QP "\r\n=C3=A9\r\n" },
		{ "", NULL },
		{ "\r\n", NULL },
		{ "Subject: x\r\n", NULL },
		{ "Subject: x", "Subject: x\r\n" },
		{ "Subject: x\r\n\r\n" E, "Subject: x\r\n" MIME UNKNOWN QP "\r\n=C3=A9" },
		{ "Subject: x\n\nbare\n" E "\n", "Subject: x\r\n" MIME UNKNOWN QP "\r\nbare\r\n=C3=A9\r\n" },
	};

	check_all(cases, countof(cases));
}

static void
what_is_declared_is_kept_and_relabelled(void)
{
	static const struct turn_case cases[] = {
		{ MIME "Content-Type: text/plain; charset=utf-8\r\n" EIGHT "Subject: x\r\n\r\n" E "\r\n",
		    MIME "Content-Type: text/plain; charset=utf-8\r\nSubject: x\r\n" QP "\r\n=C3=A9\r\n" },
		/* folded, with comments, in any case */
		{ "Content-Transfer-Encoding: (as\r\n it is) 8BIT\r\nContent-type: TEXT/(x)html;\r\n charset=utf-8\r\nmime-version: 1.0\r\n\r\n" E "\r\n",
		    "Content-type: TEXT/(x)html;\r\n charset=utf-8\r\nmime-version: 1.0\r\n" QP "\r\n=C3=A9\r\n" },
		{ "Content-Type: text/plain\r\n\r\n" E "\r\n", "Content-Type: text/plain\r\n" MIME QP "\r\n=C3=A9\r\n" },
		{ MIME EIGHT "\r\n7 bit all the same\r\n", MIME SEVEN "\r\n7 bit all the same\r\n" },
		{ MIME SEVEN "\r\nnot so " E "\r\n", MIME UNKNOWN QP "\r\nnot so =C3=A9\r\n" },
		{ MIME "Content-Transfer-Encoding: binary\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n" E "\r\n",
		    MIME "Content-Type: image/png\r\n" BASE64 "\r\niVBORw0Kw6kNCg==\r\n" },
		/* encoded already, well or badly */
		{ MIME QP "\r\n=C3=A9 " E "\r\n", NULL },
		{ MIME BASE64 "\r\n" E "\r\n", NULL },
		{ MIME "Content-Transfer-Encoding: x-uuencode\r\n\r\n" E "\r\n", NULL },
		{ MIME EIGHT QP "\r\n" E "\r\n", NULL },
		{ MIME EIGHT EIGHT "\r\n" E "\r\n", MIME UNKNOWN QP "\r\n=C3=A9\r\n" },
		/* no type that anyone knows */
		{ MIME "Content-Type: text\r\n\r\n" E "\r\n", MIME "Content-Type: text\r\n" QP "\r\n=C3=A9\r\n" },
		{ MIME "Content-Type: multipart/mixed\r\n" EIGHT "\r\n" E "\r\n", NULL },
	};

	check_all(cases, countof(cases));
}

static void
parts_are_turned_one_by_one(void)
{
#define MIXED MIME "Content-Type: multipart/mixed; boundary=\"b 1\"\r\n"
	static const struct turn_case cases[] = {
		{ MIXED EIGHT "\r\npreamble\r\n--b 1\r\nContent-Type: text/plain; charset=utf-8\r\n" EIGHT "\r\n" E "\r\n\r\n--b 1\r\n\r\nplain = \r\n--b 1  \r\n"
		  EIGHT "\r\nplain\r\n--b 1\r\nContent-Type: application/pdf\r\n\r\n" E E "\r\n--b 1--\r\nepilogue\r\n",
		    MIXED SEVEN "\r\npreamble\r\n--b 1\r\nContent-Type: text/plain; charset=utf-8\r\n" QP "\r\n=C3=A9\r\n\r\n--b 1\r\n\r\nplain = \r\n--b 1  \r\n"
		  SEVEN "\r\nplain\r\n--b 1\r\nContent-Type: application/pdf\r\n" BASE64 "\r\nw6nDqQ==\r\n--b 1--\r\nepilogue\r\n" },
		/* a part without a header, without a body, without an end */
		{ MIXED "\r\n--b 1\r\n" E "\r\n--b 1\r\nContent-Type: text/html\r\n--b 1\r\n\r\n--b 1\r\n\r\n" E "\r\n",
		    MIXED "\r\n--b 1\r\n" UNKNOWN QP "\r\n=C3=A9\r\n--b 1\r\nContent-Type: text/html\r\n--b 1\r\n\r\n--b 1\r\n" UNKNOWN QP "\r\n=C3=A9\r\n" },
		/* nested; of two boundaries that fit the exact one is meant, and closing the outer one closes all */
		{ MIME "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/alternative; boundary=b2\r\n" EIGHT
		  "\r\n--b2\r\n\r\n" E "\r\n--b2--\r\n--b\r\nContent-Type: multipart/x; boundary=b2\r\n\r\n--b2\r\n\r\n" E "\r\n--b--\r\n" E "\r\n",
		    MIME "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/alternative; boundary=b2\r\n" SEVEN
		  "\r\n--b2\r\n" UNKNOWN QP "\r\n=C3=A9\r\n--b2--\r\n--b\r\nContent-Type: multipart/x; boundary=b2\r\n\r\n--b2\r\n" UNKNOWN QP
		  "\r\n=C3=A9\r\n--b--\r\n" E "\r\n" },
		/* what stays 8-bit keeps its label */
		{ MIXED EIGHT "\r\n" E "\r\n--b 1\r\n\r\nx\r\n--b 1--\r\n", NULL },
	};

	check_all(cases, countof(cases));
}

static void
messages_in_messages_are_walked_through(void)
{
	static const struct turn_case cases[] = {
		{ MIME "Content-Type: message/rfc822\r\n" EIGHT "\r\nSubject: in\r\n\r\n" E "\r\n",
		    MIME "Content-Type: message/rfc822\r\n" SEVEN "\r\nSubject: in\r\n" MIME UNKNOWN QP "\r\n=C3=A9\r\n" },
		{ MIME "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: 1\r\n\r\n" E "\r\n--b\r\nContent-Type: text/plain\r\n\r\n" E "\r\n--b--\r\n",
		    MIME "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: 1\r\n" MIME UNKNOWN QP
		  "\r\n=C3=A9\r\n--b\r\nContent-Type: text/plain\r\n" QP "\r\n=C3=A9\r\n--b--\r\n" },
		/* a header in 8 bits keeps what it is in 8-bit */
		{ MIME "Content-Type: message/rfc822\r\n" EIGHT "\r\nSubject: " E "\r\n\r\n" E "\r\n",
		    MIME "Content-Type: message/rfc822\r\n" EIGHT "\r\nSubject: " E "\r\n" MIME UNKNOWN QP "\r\n=C3=A9\r\n" },
		{ MIME "Content-Type: message/partial\r\n" EIGHT "\r\nSubject: in\r\n\r\n" E "\r\n", NULL },
		{ MIME "Content-Type: message/global\r\n\r\n" E ": x\r\n", MIME "Content-Type: message/global\r\n" QP "\r\n=C3=A9: x\r\n" },
	};

	check_all(cases, countof(cases));
}

static void
signed_and_encrypted_parts_stay_as_they_are(void)
{
	static const struct turn_case cases[] = {
		{ MIME "Content-Type: multipart/signed; boundary=s\r\n" EIGHT "\r\n--s\r\n" EIGHT "\r\n" E "\r\n--s\r\n\r\nsig\r\n--s--\r\n", NULL },
		{ MIME "Content-Type: multipart/mixed; boundary=b\r\n" EIGHT "\r\n--b\r\nContent-Type: multipart/signed; boundary=s\r\n" EIGHT
		  "\r\n--s\r\n" EIGHT "\r\n" E "\r\n--s--\r\n--b\r\n" EIGHT "\r\n" E "\r\n--b--\r\n",
		    MIME "Content-Type: multipart/mixed; boundary=b\r\n" EIGHT "\r\n--b\r\nContent-Type: multipart/signed; boundary=s\r\n" EIGHT
		  "\r\n--s\r\n" EIGHT "\r\n" E "\r\n--s--\r\n--b\r\n" UNKNOWN QP "\r\n=C3=A9\r\n--b--\r\n" },
		{ MIME "Content-Type: Multipart/Encrypted; boundary=s\r\n\r\n--s\r\n\r\n" E "\r\n--s--\r\n", NULL },
	};

	check_all(cases, countof(cases));
}

static void
lines_of_output_are_short_and_no_boundaries(void)
{
	static const struct turn_case cases[] = {
		{ "\r\n" E "23456789012345678901234567890123456789012345678901234567890123456789 --b\r\n",
		    MIME UNKNOWN QP "\r\n=C3=A923456789012345678901234567890123456789012345678901234567890123456789 =\r\n=2D-b\r\n" },
		{ "\r\n" E "2345678901234567890123456789012345678901234567890123456789012345678 \t \r\n",
		    MIME UNKNOWN QP "\r\n=C3=A92345678901234567890123456789012345678901234567890123456789012345678 \t=\r\n=20\r\n" },
		{ "\r\n" E "\x7f\x01\r1\r\n", MIME UNKNOWN QP "\r\n=C3=A9=7F=01=0D1\r\n" },
	};
	struct buf in = BUF(1 << 20), out;
	size_t column = 0;

	check_all(cases, countof(cases));
	/* longer than is looked at in one piece, in either code */
	for (int binary = 0; binary < 2; binary++) {
		buf_clear(&in);
		CHECK(buf_printf(&in, "Content-Type: %s/x\r\n\r\n", binary ? "image" : "text"));
		for (int i = 0; i < 20000; i++)
			CHECK(buf_addc(&in, (char)(i % 251 == 10 ? 11 : i % 251)));
		out = turned(buf_str(&in), 1000);
		for (size_t i = 0; i < out.n; i++) {
			column = out.p[i] == '\n' ? 0 : column + 1;
			CHECK(column <= 77 && (unsigned char)out.p[i] < 128);
		}
		buf_free(&out);
	}
	buf_free(&in);
}

/* Nothing is looked into beyond the bounds, and nothing is lost. */
static void
what_is_too_much_stays_as_it_is(void)
{
	struct buf in = BUF(16 << 20), out;
	char boundary[MIME7_BOUNDARY_MAX + 2];

	for (int i = 0; i < 2 * MIME7_DEPTH_MAX; i++)
		CHECK(buf_printf(&in, "Content-Type: multipart/mixed; boundary=b%d.\r\n\r\n--b%d.\r\n", i, i));
	CHECK(buf_adds(&in, "\r\n" E "\r\n"));
	out = turned(buf_str(&in), 777);
	CHECK(str_eq(buf_str(&out), buf_str(&in)));
	buf_free(&out);
	buf_clear(&in);
	CHECK(buf_adds(&in, MIME "Content-Type: multipart/mixed; boundary=b\r\n\r\n"));
	for (int i = 0; i < MIME7_PARTS_MAX + 10; i++)
		CHECK(buf_adds(&in, "--b\r\n\r\nx\r\n"));
	CHECK(buf_adds(&in, "--b\r\n\r\n" E "\r\n--b--\r\n"));
	out = turned(buf_str(&in), 4096);
	CHECK(str_eq(buf_str(&out), buf_str(&in)));
	buf_free(&out);
	memset(boundary, 'y', sizeof boundary - 1);
	for (size_t n = MIME7_BOUNDARY_MAX; n <= MIME7_BOUNDARY_MAX + 1; n++) {
		boundary[n] = '\0';
		buf_clear(&in);
		CHECK(buf_printf(&in, MIME "Content-Type: multipart/mixed; boundary=%s\r\n\r\n--%s\r\n\r\n" E "\r\n", boundary, boundary));
		out = turned(buf_str(&in), 100);
		CHECK(str_eq(buf_str(&out), buf_str(&in)) == (n > MIME7_BOUNDARY_MAX));
		buf_free(&out);
		boundary[n] = 'y';
	}
	buf_free(&in);
}

static void
types_are_read_as_they_are_written(void)
{
	static const struct {
		const char *value, *type, *subtype, *boundary;
	} cases[] = {
		{ " text/plain", "text", "plain", "" },
		{ "multipart/mixed; charset=x; Boundary=\"a b\\\"c\"", "multipart", "mixed", "a b\"c" },
		{ " (c (d) \\) e) multipart / mixed ; boundary = ==_x=/y_ (f)", "multipart", "mixed", "==_x=/y_" },
		{ "multipart/mixed; name=\";boundary=no\"; boundary=yes; boundary=no", "multipart", "mixed", "yes" },
		{ "multipart/mixed; boundary=\"open", "multipart", "mixed", "open" },
		{ "multipart/mixed; boundary=123456789", "multipart", "mixed", "" },
		{ "multipart/mixed; boundary", "multipart", "mixed", "" },
		{ "multipart/mixed boundary=x", "multipart", "mixed", "" },
		{ "text", "", "", "" },
		{ "/plain", "", "", "" },
		{ "text/", "", "", "" },
		{ "(open text/plain", "", "", "" },
		{ "", "", "", "" },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct mime_type t;

		CHECK(mime_type_parse(str_of(cases[i].value), 8, &t) == (cases[i].type[0] != '\0'));
		CHECK_STR(t.type, cases[i].type);
		CHECK_STR(t.subtype, cases[i].subtype);
		CHECK_STR(buf_str(&t.boundary), cases[i].boundary);
		mime_type_fini(&t);
	}
}

SUITE(mime7, TEST(mail_without_mime_gets_it), TEST(what_is_declared_is_kept_and_relabelled), TEST(parts_are_turned_one_by_one),
    TEST(messages_in_messages_are_walked_through), TEST(signed_and_encrypted_parts_stay_as_they_are),
    TEST(lines_of_output_are_short_and_no_boundaries), TEST(what_is_too_much_stays_as_it_is), TEST(types_are_read_as_they_are_written));
