/* SPDX-License-Identifier: Apache-2.0 */
/* users.h - which users of this host a setting means: authorized_submit_users and the like. */
#ifndef MAIL_USERS_H
#define MAIL_USERS_H

#include <stdbool.h>

#include "util/task.h"

enum { USER_NAME_MAX = 64 };
struct user { unsigned uid; char name[USER_NAME_MAX]; };       /* "unknown": it has no account */

WAITS void user_look_up(unsigned uid, struct user *u);
/* list: user names, or "static:anyone", or lookup tables that have the name; setting and dir: as for maps_open().  Root is always among
 * them.  A table that cannot answer means no. */
WAITS bool user_is_among(const struct user *u, const char *list, const char *setting, const char *dir);

#endif
