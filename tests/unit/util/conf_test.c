/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/check.h"
#include "util/conf.h"
#include "util/mem.h"

static const char *
value_of(const struct conf *c, const char *name)
{
	const struct conf_entry *e = conf_get(c, str_of(name));

	return e ? e->value : "(none)";
}

static void
lines_are_joined_as_postfix_joins_them(void)
{
	static const struct { const char *text, *value; unsigned line, column; } cases[] = {
		{ "a = 1", "1", 1, 5 },
		{ "a=1\n", "1", 1, 3 },
		{ "\n# c\n  # c\n \t\na\t=  1  \n", "1", 5, 6 },
		{ "a = 1,\n 2\n", "1, 2", 1, 5 },
		{ "a = 1,\n# comment\n\n\t2\nb = x\n", "1,\t2", 1, 5 },
		{ "a =\n  1\n", "1", 2, 3 },
		{ "a = 1\r\n 2\r\n", "1 2", 1, 5 },
		{ "a =\nb = 2", "", 1, 4 },
		{ "a = # no comment", "# no comment", 1, 5 },
		{ "a = b = c", "b = c", 1, 5 },
		{ "a = 1\nb = 2\na = 3\n", "3", 3, 5 },
		{ "a\n = 1\n", "1", 2, 4 },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct conf c = { .file = NULL };
		const struct conf_entry *e;

		CHECK(conf_parse(&c, "main.cf", str_of(cases[i].text)) == OK);
		e = conf_get(&c, STR("a"));
		CU_ASSERT_FATAL(e != NULL);
		CU_ASSERT_STRING_EQUAL(e->value, cases[i].value);
		CHECK(e->line == cases[i].line && e->column == cases[i].column);
		conf_fini(&c);
	}
}

static void
errors_name_file_line_and_column(void)
{
	static const struct { struct str text; const char *want; } cases[] = {
		{ { "a = 1\nnonsense\n", 15 }, "main.cf:2:9: missing \"=\" after the name" },
		{ { "a b = 1", 7 }, "main.cf:1:3: missing \"=\" after the name" },
		{ { "\n= 1", 4 }, "main.cf:2:1: missing name before \"=\"" },
		{ { "# c\n a = 1", 10 },
		    "main.cf:2:1: starts with a blank, but there is no line before it to continue" },
		{ { "a = 1\n  2\0", 10 }, "main.cf:2:4: NUL byte" },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct conf c = { .file = NULL };

		CHECK(conf_parse(&c, "main.cf", cases[i].text) == E_SYNTAX);
		CU_ASSERT_STRING_EQUAL(err_why(), cases[i].want);
		conf_fini(&c);
	}
}

static void
a_file_is_loaded_or_the_reason_is_told(void)
{
	char path[] = "/tmp/conf.XXXXXX";
	struct conf c = { .file = NULL };
	int fd = mkstemp(path);

	CHECK(write(fd, "x = y\n", 6) == 6);
	close(fd);
	CHECK(conf_load(&c, path) == OK);
	CU_ASSERT_STRING_EQUAL(value_of(&c, "x"), "y");
	CU_ASSERT_STRING_EQUAL(c.file, path);
	unlink(path);
	CHECK(conf_load(&c, path) == E_NOENT && strstr(err_why(), path) != NULL);
	conf_fini(&c);
}

static void
settings_from_outside_win_and_have_no_line(void)
{
	struct conf c = { .file = NULL };

	CHECK(conf_parse(&c, "main.cf", STR("a = 1\n")) == OK);
	conf_set(&c, STR(" a "), STR(" 2 "));
	conf_set(&c, STR("b"), STR("3"));
	CU_ASSERT_STRING_EQUAL(value_of(&c, "a"), "2");
	CU_ASSERT_STRING_EQUAL(value_of(&c, "b"), "3");
	CHECK(conf_get(&c, STR("a"))->line == 0);
	CHECK(!conf_get(&c, STR("a"))->used);
	conf_used(&c, STR("a"));
	conf_used(&c, STR("nothing"));
	CHECK(conf_get(&c, STR("a"))->used && !conf_get(&c, STR("b"))->used);
	CHECK(conf_get(&c, STR("nothing")) == NULL);
	conf_fini(&c);
}

static void
a_byte_of_a_joined_line_leads_back_to_the_file(void)
{
	struct conf_lines *l = conf_lines_open(STR("# x\nab\n# y\n cd\n\n\tef\ngh\n"));
	static const struct { size_t at; unsigned line, column; } cases[] = {
		{ 0, 2, 1 }, { 1, 2, 2 }, { 2, 4, 1 }, { 4, 4, 3 }, { 5, 6, 1 }, { 7, 6, 3 }, { 8, 6, 4 },
	};
	unsigned line, column;
	struct str text;

	CHECK(conf_lines_next(l, &text, &line) && line == 2 && str_eq(text, STR("ab cd\tef")));
	for (size_t i = 0; i < countof(cases); i++) {
		conf_position(l, cases[i].at, &line, &column);
		CHECK(line == cases[i].line && column == cases[i].column);
	}
	CHECK(conf_lines_next(l, &text, &line) && line == 7 && str_eq(text, STR("gh")));
	CHECK(!conf_lines_next(l, &text, &line));
	conf_lines_close(&l);
	conf_lines_close(&l);
	CHECK(l == NULL);
}

static const char *
sample_lookup(void *arg, struct str name)
{
	static const struct { const char *name, *value; } values[] = {
		{ "myhostname", "mx.$mydomain" }, { "mydomain", "example.com" }, { "empty", "" },
		{ "loop", "$loop" }, { "a-b.c", "dashed" }, { "twice", "$mydomain $mydomain" }, { "bomb0", "" },
		{ "bomb1", "$bomb0$bomb0$bomb0$bomb0$bomb0$bomb0$bomb0$bomb0$bomb0$bomb0" },
		{ "bomb2", "$bomb1$bomb1$bomb1$bomb1$bomb1$bomb1$bomb1$bomb1$bomb1$bomb1" },
		{ "bomb3", "$bomb2$bomb2$bomb2$bomb2$bomb2$bomb2$bomb2$bomb2$bomb2$bomb2" },
		{ "bomb4", "$bomb3$bomb3$bomb3$bomb3$bomb3$bomb3$bomb3$bomb3$bomb3$bomb3" },
		{ "bomb5", "$bomb4$bomb4$bomb4$bomb4$bomb4$bomb4$bomb4$bomb4$bomb4$bomb4" },
	};
	int *asked = arg;

	++*asked;
	for (size_t i = 0; i < countof(values); i++)
		if (str_eq(name, str_of(values[i].name)))
			return values[i].value;
	return NULL;
}

static void
names_in_values_are_expanded(void)
{
	static const struct { const char *in, *want; } cases[] = {
		{ "", "" }, { "plain", "plain" }, { "$$x", "$x" }, { "5$$", "5$" },
		{ "$mydomain", "example.com" }, { "<$myhostname>", "<mx.example.com>" },
		{ "${mydomain}s", "example.coms" }, { "$(mydomain)s", "example.coms" },
		{ "$mydomain.", "example.com." }, { "$mydomain-x", "example.com-x" }, { "${a-b.c}", "dashed" },
		{ "$unknown|${unknown}|$empty", "||" }, { "$twice", "example.com example.com" },
		{ "${mydomain?yes}", "yes" }, { "${empty?yes}", "" }, { "${unknown?yes}", "" },
		{ "${mydomain:no}", "" }, { "${empty:no}", "no" }, { "${unknown:no}", "no" },
		{ "${mydomain?{yes}}", "yes" }, { "${mydomain?{yes}:{no}}", "yes" },
		{ "${empty?{yes}:{no}}", "no" }, { "${empty:{no}}", "no" }, { "${mydomain:{no}}", "" },
		{ "${mydomain ? { yes } : { no }}", "yes" }, { "${ empty ?{yes}:{ no }}", "no" },
		{ "${mydomain?<$mydomain>}", "<example.com>" },
		{ "${empty?{$loop}:{${mydomain?{a}:{b}}}}", "a" },
		{ "${mydomain?{{x}}}", "{x}" }, { "${mydomain? spaced }", " spaced " },
		{ "${mydomain?{}:{no}}", "" }, { "a{b}c", "a{b}c" },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct buf out = BUF(0);
		int asked = 0;

		CHECK(conf_expand(str_of(cases[i].in), sample_lookup, &asked, &out) == OK);
		CU_ASSERT_STRING_EQUAL(buf_cstr(&out), cases[i].want);
		buf_free(&out);
	}
}

static void
what_cannot_be_expanded_is_an_error(void)
{
	static const struct { const char *in, *words; } cases[] = {
		{ "a$", "without a name" }, { "$-x", "without a name" }, { "${mydomain", "unbalanced" },
		{ "$(mydomain", "unbalanced" }, { "${}", "no name" }, { "${?x}", "no name" },
		{ "${mydomain!}", "bad character" }, { "${mydomain?{x}:y}", "bad \"{text}\"" },
		{ "${mydomain?{x}y}", "bad \"{text}\"" }, { "${empty:{x}:{y}}", "bad \"{text}\"" },
		{ "${{a} == {b} ? {c}}", "comparisons" }, { "$loop", "nested" }, { "$bomb5", "too many names" },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct buf out = BUF(0);
		int asked = 0;

		CHECK(conf_expand(str_of(cases[i].in), sample_lookup, &asked, &out) == E_SYNTAX);
		CHECK(strstr(err_why(), cases[i].words) != NULL);
		buf_free(&out);
	}
}

static void
an_expansion_past_the_ceiling_is_refused(void)
{
	struct buf out = BUF(12);
	int asked = 0;

	CHECK(conf_expand(STR("$mydomain"), sample_lookup, &asked, &out) == OK && asked == 1);
	CHECK(conf_expand(STR("$mydomain"), sample_lookup, &asked, &out) == E_TOOBIG);
	buf_free(&out);
}

SUITE(conf, TEST(lines_are_joined_as_postfix_joins_them), TEST(errors_name_file_line_and_column),
    TEST(a_file_is_loaded_or_the_reason_is_told), TEST(settings_from_outside_win_and_have_no_line),
    TEST(a_byte_of_a_joined_line_leads_back_to_the_file), TEST(names_in_values_are_expanded),
    TEST(what_cannot_be_expanded_is_an_error), TEST(an_expansion_past_the_ceiling_is_refused));
