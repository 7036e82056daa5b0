/* SPDX-License-Identifier: Apache-2.0 */
#include "util/mem.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "util/log.h"

/* Of the log only what needs no memory.  The status tells master that nothing is wrong with the program. */
static void __attribute__((noreturn))
out_of_memory(void)
{
	log_last_words("out of memory");
	log_crash();
	_exit(EX_TEMPFAIL);
}

static bool patient;

void
mem_be_patient(void)
{
	patient = true;
}

/* After a failed call: true to try again. */
static bool
try_again(void)
{
	if (patient)
		nanosleep(&(struct timespec){ .tv_nsec = 50 * 1000 * 1000 }, NULL);
	return patient;
}

void *
mem_new(size_t n)
{
	return mem_array(1, n);
}

void *
mem_array(size_t count, size_t size)
{
	void *p;

	do
		p = count && size ? calloc(count, size) : calloc(1, 1);
	while (p == NULL && try_again());
	if (p == NULL)
		out_of_memory();
	return p;
}

void *
mem_grow(void *p, size_t n)
{
	void *grown;

	do
		grown = realloc(p, n ? n : 1);
	while (grown == NULL && try_again());
	if (grown == NULL)
		out_of_memory();
	return grown;
}

char *
mem_dup(const char *z)
{
	size_t n = strlen(z) + 1;
	char *copy = mem_new(n);

	memcpy(copy, z, n);
	return copy;
}
