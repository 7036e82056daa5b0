/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/maptext.h"

#include "tests/unit/check.h"
#include "util/buf.h"
#include "util/mem.h"

/* All entries as "key=value;", errors as "!line:column;". */
static void
read_all(enum maptext_form form, struct str text, struct buf *out)
{
	struct maptext *t = maptext_open("F", text);
	struct str key, value, why;
	bool more = true;

	while (more) {
		enum err e = maptext_entry(t, form, &key, &value, &more);

		if (e == OK && more) {
			buf_printf(out, "%.*s=%.*s;", STR_ARG(key), STR_ARG(value));
		} else if (e != OK) {
			CHECK(e == E_SYNTAX);
			why = str_of(err_why());
			CHECK(str_starts(why, STR("F:")));
			why = str_sub(why, 2, str_find(why, ' ') - 3);
			buf_printf(out, "!%.*s;", STR_ARG(why));
		}
	}
	maptext_close(&t);
}

struct reading {
	struct str  text;
	const char *want;
};

static void
check_all(enum maptext_form form, const struct reading *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct buf out = { 0 };

		read_all(form, cases[i].text, &out);
		if (strcmp(buf_cstr(&out), cases[i].want) != 0)
			printf("case %zu: %s\n", i, buf_cstr(&out));
		CHECK_STR(buf_str(&out), cases[i].want);
		buf_free(&out);
	}
}

static void
tables_are_key_blank_value(void)
{
	static const struct reading cases[] = {
		{ STR(""), "" },
		{ STR("# only\n\n  \t\n   # this\n"), "" },
		{ STR("a b\nc\td e\n"), "a=b;c=d e;" },
		{ STR("a b"), "a=b;" },
		{ STR("a b\r\nc d\r\n"), "a=b;c=d;" },
		{ STR("a  b\n  c\n# between\n\td\ne f\n"), "a=b  c\td;e=f;" },
		{ STR("\"a b\"@c d\n"), "\"a b\"@c=d;" },
		{ STR("\"a \\\" b\" d\n"), "\"a \\\" b\"=d;" },
		{ STR("a\"b c\"d e\n"), "a\"b c\"d=e;" },
		{ STR("Case KEPT\n"), "Case=KEPT;" },
		{ STR("a b\nkey\nc d\n"), "a=b;!2:1;c=d;" },
		{ STR("a b\nxy\"z w\nc d\n"), "a=b;!2:3;c=d;" },
		{ STR("  a b\nc d\n"), "!1:1;c=d;" },
		{ STR("a b\nc d\0e\n"), "a=b;!2:4;" },
		{ STR("x \\\n"), "x=\\;" },
	};

	check_all(MAPTEXT_TABLE, cases, countof(cases));
}

static void
aliases_are_name_colon_value(void)
{
	static const struct reading cases[] = {
		{ STR("root: joe\n"), "root=joe;" },
		{ STR("root:joe, jim\n\t,jack\n"), "root=joe, jim\t,jack;" },
		{ STR("FOO : bar\n"), "FOO=bar;" },
		{ STR("\"a b\":   x, y\n"), "a b=x, y;" },
		{ STR("\"a:b\": x\n"), "a:b=x;" },
		{ STR("\"a\\\"b\": x\n"), "a\"b=x;" },
		{ STR("\"a@b\": x\n"), "a@b=x;" },
		{ STR("\" a \": x\n"), " a =x;" },
		{ STR("a\\:b: x\n"), "a:b=x;" },
		{ STR("owner-l:\"|prog a b\", /file\n"), "owner-l=\"|prog a b\", /file;" },
		{ STR("l: :include:/x\n"), "l=:include:/x;" },
		{ STR("x:y: z\n"), "x=y: z;" },
		{ STR("noval:\nok: 1\n"), "!1:1;ok=1;" },
		{ STR("ok: 1\n  \nbad\n"), "ok=1;!3:1;" },
		{ STR("a@b: c\n"), "!1:2;" },
		{ STR(": novalue\n"), "!1:1;" },
		{ STR("\"open: x\n"), "!1:1;" },
	};

	check_all(MAPTEXT_ALIASES, cases, countof(cases));
}

static void
folding_touches_ascii_capitals_alone(void)
{
	struct buf out = BUF(16);

	CHECK(maptext_fold(STR("AZaz@[`{09\xc3\x84"), &out));
	CHECK_STR(buf_str(&out), "azaz@[`{09\xc3\x84");
	CHECK(!maptext_fold(STR("much too long for it"), &out));
	buf_free(&out);
}

SUITE(maptext_text, TEST(tables_are_key_blank_value), TEST(aliases_are_name_colon_value),
    TEST(folding_touches_ascii_capitals_alone));
