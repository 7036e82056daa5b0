/* SPDX-License-Identifier: Apache-2.0 */
#include "master/program.h"

#include <string.h>

/* What each may do once it runs is said by its own service_spec.promises, as whom by mail/identity.c. */
static const struct program programs[] = {
	/* name      solitary end */
	{ "smtpd",    false,  END_FIRST },
	{ "smtp",     false,  END_FIRST },
	{ "bounce",   false,  END_FIRST },
	{ "qmgr",     true,   END_LAST  },
	{ "resolver", false,  END_LAST  },
	{ NULL,       false,  END_FIRST },
};

const struct program *
program_find(const char *name)
{
	const struct program *p = programs;

	while (p->name && strcmp(p->name, name) != 0)
		p++;
	return p;
}
