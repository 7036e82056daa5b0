/* SPDX-License-Identifier: Apache-2.0 */
#include "util/mem.h"

#include <stdint.h>
#include <string.h>
#include <unistd.h>

/* No log here: the log may be what ran out.  abort() lets the crash handler write what it still holds. */
static void __attribute__((noreturn))
out_of_memory(void)
{
	static const char words[] = "out of memory\n";

	if (write(STDERR_FILENO, words, sizeof words - 1) < 0)
		abort();
	abort();
}

void *
mem_new(size_t n)
{
	return mem_array(1, n);
}

void *
mem_array(size_t count, size_t size)
{
	void *p = count && size ? calloc(count, size) : calloc(1, 1);

	if (p == NULL)
		out_of_memory();
	return p;
}

void *
mem_grow(void *p, size_t n)
{
	if ((p = realloc(p, n ? n : 1)) == NULL)
		out_of_memory();
	return p;
}

char *
mem_dup(const char *z)
{
	size_t n = strlen(z) + 1;
	char *copy = mem_new(n);

	memcpy(copy, z, n);
	return copy;
}
