/* SPDX-License-Identifier: Apache-2.0 */
#include "util/wire.h"

#include <inttypes.h>

static bool
put_int(struct buf *b, uint64_t v, size_t bytes)
{
	char tmp[8];

	for (size_t i = 0; i < bytes; i++)
		tmp[i] = (char)(v >> (8 * i));
	return buf_add(b, (struct str){ tmp, bytes });
}

static bool
get_int(struct str *in, uint64_t *v, size_t bytes)
{
	uint64_t x = 0;

	if (in->n < bytes)
		return false;
	for (size_t i = 0; i < bytes; i++)
		x |= (uint64_t)(unsigned char)in->p[i] << (8 * i);
	*in = str_sub(*in, bytes, in->n);
	*v = x;
	return true;
}

/* clang-format off */
bool wire_put_u8 (struct buf *b, uint8_t v)  { return put_int(b, v, 1); }
bool wire_put_u16(struct buf *b, uint16_t v) { return put_int(b, v, 2); }
bool wire_put_u32(struct buf *b, uint32_t v) { return put_int(b, v, 4); }
bool wire_put_u64(struct buf *b, uint64_t v) { return put_int(b, v, 8); }
bool wire_put_i64(struct buf *b, int64_t v)  { return put_int(b, (uint64_t)v, 8); }
/* clang-format on */

bool
wire_put_str(struct buf *b, struct str v)
{
	return v.n <= UINT32_MAX && put_int(b, v.n, 4) && buf_add(b, v);
}

#define GET(bits, type) \
	uint64_t wide; \
	if (!get_int(in, &wide, (bits) / 8)) \
		return false; \
	*v = (type)wide; \
	return true

/* clang-format off */
bool wire_get_u8 (struct str *in, uint8_t *v)  { GET(8, uint8_t); }
bool wire_get_u16(struct str *in, uint16_t *v) { GET(16, uint16_t); }
bool wire_get_u32(struct str *in, uint32_t *v) { GET(32, uint32_t); }
bool wire_get_u64(struct str *in, uint64_t *v) { GET(64, uint64_t); }
bool wire_get_i64(struct str *in, int64_t *v)  { GET(64, int64_t); }
/* clang-format on */

bool
wire_get_str(struct str *in, struct str *v)
{
	uint32_t n;

	if (!wire_get_u32(in, &n) || in->n < n)
		return false;
	*v = str_sub(*in, 0, n);
	*in = str_sub(*in, n, in->n);
	return true;
}

/* clang-format off */
void wire_show_u8 (struct buf *b, const char *name, uint8_t v)  { buf_printf(b, " %s=%u", name, v); }
void wire_show_u16(struct buf *b, const char *name, uint16_t v) { buf_printf(b, " %s=%u", name, v); }
void wire_show_u32(struct buf *b, const char *name, uint32_t v) { buf_printf(b, " %s=%" PRIu32, name, v); }
void wire_show_u64(struct buf *b, const char *name, uint64_t v) { buf_printf(b, " %s=%" PRIu64, name, v); }
void wire_show_i64(struct buf *b, const char *name, int64_t v)  { buf_printf(b, " %s=%" PRId64, name, v); }
/* clang-format on */

void
wire_show_str(struct buf *b, const char *name, struct str v)
{
	buf_printf(b, " %s=<", name);
	buf_add_clean(b, v);
	buf_addc(b, '>');
}
