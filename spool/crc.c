/* SPDX-License-Identifier: Apache-2.0 */
#include "spool/crc.h"

#include <endian.h>
#include <stdbool.h>
#include <string.h>
#if defined __x86_64__
#include <nmmintrin.h>
#elif defined __aarch64__
#include <arm_acle.h>
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

/* table[k][b]: what byte b does to the sum when k more bytes follow it (slicing by 8). */
static uint32_t table[8][256];

static void __attribute__((constructor))
make_table(void)
{
	const uint32_t polynomial = 0x82F63B78;

	for (uint32_t b = 0; b < 256; b++) {
		uint32_t c = b;

		for (int bit = 0; bit < 8; bit++)
			c = c & 1 ? c >> 1 ^ polynomial : c >> 1;
		table[0][b] = c;
	}
	for (int k = 1; k < 8; k++)
		for (int b = 0; b < 256; b++)
			table[k][b] = table[k - 1][b] >> 8 ^ table[0][table[k - 1][b] & 0xFF];
}

static uint64_t
load8(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof v);
	return v;
}

uint32_t
crc32c_portable(uint32_t crc, const void *at, size_t n)
{
	const uint8_t *p = at;
	uint32_t c = ~crc;

	for (; n >= 8; n -= 8, p += 8) {
		uint64_t v = le64toh(load8(p)) ^ c;

		c = 0;
		for (int k = 0; k < 8; k++)
			c ^= table[7 - k][v >> 8 * k & 0xFF];
	}
	for (; n > 0; n--, p++)
		c = c >> 8 ^ table[0][(c ^ *p) & 0xFF];
	return ~c;
}

#if defined __x86_64__
static uint32_t __attribute__((target("sse4.2")))
crc32c_hardware(uint32_t crc, const void *at, size_t n)
{
	const uint8_t *p = at;
	uint64_t c = ~crc;

	for (; n >= 8; n -= 8, p += 8)
		c = _mm_crc32_u64(c, load8(p));
	for (; n > 0; n--, p++)
		c = _mm_crc32_u8((uint32_t)c, *p);
	return ~(uint32_t)c;
}

static bool
has_hardware(void)
{
	return __builtin_cpu_supports("sse4.2");
}
#elif defined __aarch64__
static uint32_t __attribute__((target("+crc")))
crc32c_hardware(uint32_t crc, const void *at, size_t n)
{
	const uint8_t *p = at;
	uint32_t c = ~crc;

	for (; n >= 8; n -= 8, p += 8)
		c = __crc32cd(c, load8(p));
	for (; n > 0; n--, p++)
		c = __crc32cb(c, *p);
	return ~c;
}

static bool
has_hardware(void)
{
	return getauxval(AT_HWCAP) & HWCAP_CRC32;
}
#else
#define crc32c_hardware crc32c_portable
static bool
has_hardware(void)
{
	return false;
}
#endif

uint32_t
crc32c(uint32_t crc, const void *at, size_t n)
{
	return has_hardware() ? crc32c_hardware(crc, at, n) : crc32c_portable(crc, at, n);
}
