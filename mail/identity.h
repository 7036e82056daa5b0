/* SPDX-License-Identifier: Apache-2.0 */
/* identity.h - who each daemon runs as, when master is root.  An account that does not exist is mail_owner's business, as
 * everything is where there is only that one. */
#ifndef MAIL_IDENTITY_H
#define MAIL_IDENTITY_H

#include <sys/types.h>

#include "mail/params.h"

enum identity { IDENTITY_OWNER, IDENTITY_IN, IDENTITY_QUEUE, IDENTITY_OUT, IDENTITY_COUNT };

/* The table: by the name of the program. */
enum identity identity_of(struct str prog);
/* "smtpd_owner", and what it is set to. */
const char  *identity_setting(enum identity a);
const char  *identity_name(const struct params *p, enum identity a);
/* uid and primary group of the account, or of mail_owner if it does not exist; false: that does not exist either.  *own: it exists,
 * and is not mail_owner.  Asks NSS: not from inside a sandbox. */
bool         identity_find(const struct params *p, enum identity a, uid_t *uid, gid_t *gid, bool *own);
/* The name that identity_find() found. */
const char  *identity_used(const struct params *p, enum identity a);

#endif
