/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/identity.h"

#include <pwd.h>

#include "util/mem.h"

static const struct {
	const char *prog;
	enum identity account;
} programs[] = {
	{"smtpd",     IDENTITY_IN   },
	{ "qmgr",     IDENTITY_QUEUE},
	{ "smtp",     IDENTITY_OUT  },
	{ "lmtp",     IDENTITY_OUT  },
	{ "resolver", IDENTITY_OUT  },
};

enum identity
identity_of(struct str prog)
{
	for (size_t i = 0; i < countof(programs); i++)
		if (str_eq(prog, str_of(programs[i].prog)))
			return programs[i].account;
	return IDENTITY_OWNER;
}

const char *
identity_setting(enum identity a)
{
	static const char *const names[IDENTITY_COUNT] = { "mail_owner", "smtpd_owner", "qmgr_owner",
		"smtp_owner" };

	return names[a];
}

const char *
identity_name(const struct params *p, enum identity a)
{
	const char *const names[IDENTITY_COUNT] = { p->mail_owner, p->smtpd_owner, p->qmgr_owner,
		p->smtp_owner };

	return names[a];
}

bool
identity_find(const struct params *p, enum identity a, uid_t *uid, gid_t *gid, bool *own)
{
	const struct passwd *pw = getpwnam(identity_name(p, a));

	*own = pw != NULL && strcmp(identity_name(p, a), p->mail_owner) != 0;
	if (pw == NULL)
		pw = getpwnam(p->mail_owner);
	if (pw) {
		*uid = pw->pw_uid;
		*gid = pw->pw_gid;
	}
	return pw != NULL;
}

const char *
identity_used(const struct params *p, enum identity a)
{
	return getpwnam(identity_name(p, a)) ? identity_name(p, a) : p->mail_owner;
}
