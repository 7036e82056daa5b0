/* SPDX-License-Identifier: Apache-2.0 */
/* crc.h - CRC32C (Castagnoli, RFC 3720 appendix B.4), by the processor's own instruction where there is one. */
#ifndef SPOOL_CRC_H
#define SPOOL_CRC_H

#include <stddef.h>
#include <stdint.h>

/* Of the n bytes there, going on from crc; 0 to begin with. */
uint32_t crc32c(uint32_t crc, const void *at, size_t n);
/* The same in plain C, whatever the processor can do; for tests. */
uint32_t crc32c_portable(uint32_t crc, const void *at, size_t n);

#endif
