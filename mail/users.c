/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/users.h"

#include <pwd.h>
#include <stdio.h>

#include "mail/maps.h"
#include "mail/params.h"

enum { ENTRY_MAX = 16 << 10 };

static enum err
look_up(void *arg)
{
	struct user *u = arg;
	char text[ENTRY_MAX];
	struct passwd pw, *found = NULL;

	if (getpwuid_r(u->uid, &pw, text, sizeof text, &found) == 0 && found)
		snprintf(u->name, sizeof u->name, "%s", pw.pw_name);
	return OK;
}

/* The accounts may be on another host. */
void
user_look_up(unsigned uid, struct user *u)
{
	*u = (struct user){ .uid = uid, .name = "unknown" };
	if (task_self() == NULL)
		(void)!look_up(u);
	else
		(void)!task_offload(look_up, u);
}

bool
user_is_among(const struct user *u, const char *list, const char *setting, const char *dir)
{
	struct str who = str_of(list), name = str_of(u->name);
	struct buf value = BUF(4096);
	struct maps *m = NULL;
	bool found = false;

	if (u->uid == 0 || str_eq(who, STR("static:anyone")) || list_has(who, name, false))
		return true;
	if (str_find(who, ':') < who.n && maps_open(who, setting, dir, &m) == OK &&
	    maps_find(m, name, 0, &value, &found) != OK)
		found = false;
	maps_close(&m);
	buf_free(&value);
	return found;
}
