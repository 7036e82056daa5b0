/* SPDX-License-Identifier: Apache-2.0 */
/* mkman - the generated part of postroad.cf(5) on stdout: one entry a setting, in mdoc. */
#include <stdio.h>

#include "mail/params.h"

int
main(void)
{
	struct buf out = { 0 };

	params_manual(&out);
	fwrite(out.p, 1, out.n, stdout);
	buf_free(&out);
	return fflush(stdout) == 0 ? 0 : 1;
}
