/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/xtext.h"

bool
xtext_put(struct str s, bool utf8, struct buf *out)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		bool plain = c > 127 ? utf8 : c > ' ' && c < 127 && c != '+' && c != '=';

		if (!(plain ? buf_addc(out, s.p[i]) : buf_printf(out, "+%02X", c)))
			return false;
	}
	return true;
}
