/* SPDX-License-Identifier: Apache-2.0 */
/* check.h - CUnit without the ceremony: a file of TESTs is a suite, and the linker collects the suites.
 *
 *	static void a_sentence_about_what_holds(void) { CHECK(1 + 1 == 2); }
 *	SUITE(arithmetic, TEST(a_sentence_about_what_holds));
 *
 * For code that WAITS, TASK_TEST(fn) runs fn inside the event loop. */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

#include <CUnit/Basic.h>

#include "util/str.h"

struct test {
	const char *name;
	void      (*run)(void);
	bool        in_task;
};

struct suite {
	const char        *name;
	const struct test *tests;
};

#define TEST(fn)      { #fn, fn, false }
#define TASK_TEST(fn) { #fn, fn, true }
#define CHECK         CU_ASSERT
#define CHECK_STR(s, z) CU_ASSERT(str_eq((s), str_of(z)))
#define SUITE(suite_name, ...) \
	static const struct test suite_name##_tests[] = { __VA_ARGS__, { NULL, NULL, false } }; \
	static const struct suite suite_name##_suite = { #suite_name, suite_name##_tests }; \
	static const struct suite *const suite_name##_entry \
		__attribute__((used, section("suites"))) = &suite_name##_suite

#endif
