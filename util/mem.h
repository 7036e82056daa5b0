/* SPDX-License-Identifier: Apache-2.0 */
/* mem.h - allocation that does not return NULL.  Out of memory is impossible trouble: the process
 * dies (exit status 75, EX_TEMPFAIL), master restarts it, the spool recovers.  What outsiders can make large is bounded elsewhere. */
#ifndef UTIL_MEM_H
#define UTIL_MEM_H

#include <stddef.h>
#include <stdlib.h>

void *mem_new(size_t n) __attribute__((returns_nonnull, warn_unused_result, malloc));         /* zeroed */
void *mem_array(size_t count, size_t size) __attribute__((returns_nonnull, warn_unused_result, malloc));  /* zeroed, checked */
void *mem_grow(void *p, size_t n) __attribute__((returns_nonnull, warn_unused_result));
char *mem_dup(const char *z) __attribute__((returns_nonnull, warn_unused_result, malloc));
/* Free *p and set it to NULL. */
#define mem_free(pp) do { free(*(pp)); *(pp) = NULL; } while (0)
/* In master, whom nobody starts again: wait for memory instead of dying. */
void  mem_be_patient(void);
#define countof(a) (sizeof(a) / sizeof *(a))
/* The struct that contains member m at address p. */
#define container_of(p, type, m) ((type *)(void *)((char *)(p) - offsetof(type, m)))

#endif
