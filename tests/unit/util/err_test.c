/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>

#include "tests/unit/check.h"
#include "util/err.h"
#include "util/mem.h"

static void
a_failure_keeps_its_words(void)
{
	CHECK(fail(E_BUSY, "spool %s", "x") == E_BUSY);
	CHECK(strcmp(err_why(), "spool x") == 0);
	CHECK(fail(E_IO, "outer: %s", err_why()) == E_IO);     /* its own words among the arguments */
	CHECK(strcmp(err_why(), "outer: spool x") == 0);
}

static void
the_system_s_error_picks_ours_and_is_spelled_out(void)
{
	static const struct { int errnum; enum err want; } cases[] = {
		{ ENOSPC, E_NOSPACE }, { EDQUOT, E_NOSPACE }, { EFBIG, E_NOSPACE }, { ENOENT, E_NOENT },
		{ EACCES, E_PERM }, { EPERM, E_PERM }, { EEXIST, E_EXISTS }, { EIO, E_IO }, { EBADF, E_IO },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		char want[128];

		errno = cases[i].errnum;
		CHECK(fail_errno("open %s", "f") == cases[i].want);
		CHECK(errno == cases[i].errnum);
		snprintf(want, sizeof want, "open f: %s", strerror(cases[i].errnum));
		CHECK(strcmp(err_why(), want) == 0);
	}
}

static void
too_many_words_are_cut(void)
{
	char text[2 * ERR_WHY_MAX];

	memset(text, 'w', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	CHECK(fail(E_IO, "%s", text) == E_IO);
	CHECK(strlen(err_why()) == ERR_WHY_MAX - 1);
	errno = EIO;
	CHECK(fail_errno("%s", text) == E_IO);
	CHECK(strlen(err_why()) == ERR_WHY_MAX - 1);
}

static void *
fail_elsewhere(void *arg)
{
	bool *ok = arg;

	*ok = fail(E_IO, "elsewhere") == E_IO && strcmp(err_why(), "elsewhere") == 0;
	return NULL;
}

static void
each_thread_and_each_task_has_its_own_words(void)
{
	char mine[ERR_WHY_MAX] = "";
	pthread_t t;
	bool ok = false;

	CHECK(fail(E_IO, "here") == E_IO);
	CHECK(pthread_create(&t, NULL, fail_elsewhere, &ok) == 0);
	pthread_join(t, NULL);
	CHECK(ok);
	CHECK(strcmp(err_why(), "here") == 0);
	err_why_install(mine);
	CHECK(fail(E_IO, "in the task") == E_IO);
	CHECK(strcmp(mine, "in the task") == 0);
	err_why_install(NULL);
	CHECK(strcmp(err_why(), "here") == 0);
}

static void
every_error_has_a_reply_of_its_class(void)
{
	for (enum err e = OK; e < ERR_COUNT; e++) {
		CHECK(err_reply(e) / 100 == err_esc(e)[0] - '0');
		CHECK(*err_text(e) && *err_name(e));
	}
	CHECK(strcmp(err_name(E_NOSPACE), "E_NOSPACE") == 0);
	CHECK(err_reply(E_IO) == 451 && err_reply(OK) == 250);
}

SUITE(err, TEST(a_failure_keeps_its_words), TEST(the_system_s_error_picks_ours_and_is_spelled_out),
    TEST(too_many_words_are_cut), TEST(each_thread_and_each_task_has_its_own_words),
    TEST(every_error_has_a_reply_of_its_class));
