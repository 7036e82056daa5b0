/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"
#include "util/task.h"

extern const struct suite *const __start_suites[];
extern const struct suite *const __stop_suites[];

static const struct test *running;

static void
in_task(void *arg)
{
	(void)arg;
	running->run();
	task_exit();
}

/* CUnit's test functions take no argument, so the test to run is found by counting. */
static struct {
	const struct test *test[4096];
	size_t n, next;
} order;

static void
run_next(void)
{
	running = order.test[order.next++];
	if (running->in_task)
		task_run(in_task, NULL, 4);
	else
		running->run();
}

int
main(int argc, char **argv)
{
	const char *only = argc > 1 ? argv[1] : NULL;
	unsigned failed;

	CU_initialize_registry();
	for (const struct suite *const *s = __start_suites; s < __stop_suites; s++) {
		CU_pSuite suite;

		if (only && strcmp(only, (*s)->name) != 0)
			continue;
		suite = CU_add_suite((*s)->name, NULL, NULL);
		for (const struct test *t = (*s)->tests; t->name; t++) {
			CU_add_test(suite, t->name, run_next);
			order.test[order.n++] = t;
		}
	}
	CU_basic_set_mode(CU_BRM_NORMAL);
	CU_basic_run_tests();
	failed = CU_get_number_of_failures();
	CU_cleanup_registry();
	return failed != 0;
}
