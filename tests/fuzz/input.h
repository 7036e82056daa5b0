/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of an input, from its beginning; short or empty ones when there is no more. */
#ifndef TESTS_FUZZ_INPUT_H
#define TESTS_FUZZ_INPUT_H

#include "util/str.h"

static inline struct str
take_piece(struct str *in, size_t n)
{
	struct str s = str_sub(*in, 0, n);

	*in = str_sub(*in, s.n, in->n);
	return s;
}

static inline size_t
take_byte(struct str *in)
{
	struct str s = take_piece(in, 1);

	return s.n ? (unsigned char)s.p[0] : 0;
}

#endif
