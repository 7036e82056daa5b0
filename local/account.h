/* SPDX-License-Identifier: Apache-2.0 */
/* account.h - users of this host, from the system's user database. */
#ifndef LOCAL_ACCOUNT_H
#define LOCAL_ACCOUNT_H

#include <sys/types.h>

#include "util/err.h"
#include "util/str.h"
#include "util/task.h"

struct account {
	char *name, *home, *shell;
	uid_t uid;
	gid_t gid;
};

/* OK with *out NULL: there is none.  Errors: the database cannot be asked.  To be freed. */
WAITS enum err account_find(struct str name, struct account **out) MUST_USE;
WAITS enum err account_of_uid(uid_t uid, struct account **out) MUST_USE;
struct account *account_copy(const struct account *a);
void            account_free(struct account **a);

#endif
