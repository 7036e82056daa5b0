/* SPDX-License-Identifier: Apache-2.0 */
#include "util/mem.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "tests/unit/check.h"

static void
new_memory_is_zero_and_never_null(void)
{
	char *p = mem_new(1000), *none = mem_new(0);
	int *v = mem_array(10, sizeof *v), *empty = mem_array(0, 0);

	for (int i = 0; i < 1000; i++)
		CHECK(p[i] == 0);
	for (int i = 0; i < 10; i++)
		CHECK(v[i] == 0);
	CHECK(none != NULL && empty != NULL);
	mem_free(&p);
	CHECK(p == NULL);
	free(none);
	free(v);
	free(empty);
}

static void
growing_keeps_what_is_there(void)
{
	char *p = mem_dup("abc");

	p = mem_grow(p, 100000);
	CHECK(strcmp(p, "abc") == 0);
	free(mem_grow(p, 0));
}

static void
too_much_memory_is_death(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		void *volatile p;

		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
		close(STDERR_FILENO);
		p = mem_array((size_t)1 << 62, 16);    /* the product does not fit */
		_exit(p == NULL); /* not reached */
	}
	CHECK(waitpid(pid, &status, 0) == pid);
#ifdef __SANITIZE_ADDRESS__
	CHECK(status != 0);                            /* it does not let calloc say no */
#else
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == EX_TEMPFAIL);
#endif
}

static void
a_member_leads_to_its_struct(void)
{
	struct outer { int a; char b; } o;

	CHECK(container_of(&o.b, struct outer, b) == &o);
	CHECK(countof("abc") == 4);
}

SUITE(mem, TEST(new_memory_is_zero_and_never_null), TEST(growing_keeps_what_is_there),
    TEST(too_much_memory_is_death), TEST(a_member_leads_to_its_struct));
