/* SPDX-License-Identifier: Apache-2.0 */
#include "master/program.h"

#include <string.h>

/* What each may do once it runs is said by its own service_spec.promises. */
static const struct program programs[] = {
	/* name      solitary end        account */
	{ "smtpd",    false,  END_FIRST, "mail_owner" },
	{ "smtp",     false,  END_FIRST, "mail_owner" },
	{ "bounce",   false,  END_FIRST, "mail_owner" },
	{ "qmgr",     true,   END_LAST,  "mail_owner" },
	{ "resolver", false,  END_LAST,  "mail_owner" },
	{ NULL,       false,  END_FIRST, "mail_owner" },
};

const struct program *
program_find(const char *name)
{
	const struct program *p = programs;

	while (p->name && strcmp(p->name, name) != 0)
		p++;
	return p;
}
