/* SPDX-License-Identifier: Apache-2.0 */
/* account.h - the system's accounts and groups by name; false: there is none. */
#ifndef MASTER_ACCOUNT_H
#define MASTER_ACCOUNT_H

#include <stdbool.h>
#include <sys/types.h>

bool account_user(const char *name, uid_t *uid);
bool account_group(const char *name, gid_t *gid);

#endif
