/* SPDX-License-Identifier: Apache-2.0 */
#include "master/account.h"

#include <grp.h>
#include <pwd.h>
#include <stddef.h>

bool
account_user(const char *name, uid_t *uid)
{
	const struct passwd *p = getpwnam(name);

	if (p)
		*uid = p->pw_uid;
	return p != NULL;
}

bool
account_group(const char *name, gid_t *gid)
{
	const struct group *g = getgrnam(name);

	if (g)
		*gid = g->gr_gid;
	return g != NULL;
}
