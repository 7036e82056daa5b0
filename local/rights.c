/* SPDX-License-Identifier: Apache-2.0 */
/* With whose rights commands are run, and files are read and written. */
#include "local/expand.h"

#include <sys/stat.h>

enum err
rights_of(struct delivery *d, const struct account *account, struct account **out)
{
	enum err e = OK;

	*out = NULL;
	if (account && account->uid != 0) {
		*out = account_copy(account);
		return OK;
	}
	e = account_find(str_of(local.p->default_privs), out);
	if (e != OK)
		return put_off_for(d, e, "default_privs");
	if (*out == NULL || (*out)->uid == 0) {
		account_free(out);
		return put_off(d, "4.3.5", "default_privs: there is no unprivileged user \"%s\"",
		    local.p->default_privs);
	}
	return OK;
}

enum err
rights_along(struct delivery *d, const struct way *w, struct account **out)
{
	struct account *owner = NULL;
	uid_t uid;
	enum err e;

	*out = NULL;
	if (w->table == NULL)
		return rights_of(d, w->rights, out);
	e = alias_owner(w->table, &uid);
	if (e == OK && uid != 0)
		e = account_of_uid(uid, &owner);
	if (e != OK)
		return put_off_for(d, e, "owner of the alias table");
	if (uid != 0 && owner == NULL)
		return put_off(d, "4.3.5", "the alias table belongs to user id %u, who has no name",
		    (unsigned)uid);
	e = rights_of(d, owner, out);
	account_free(&owner);
	return e;
}

struct asking {
	char *path;
	uid_t owner;
};

/* For a helper thread.  When it cannot be seen reading it will say why. */
static enum err
stat_file(void *arg)
{
	struct asking *a = arg;
	struct stat st;

	if (stat(a->path, &st) == 0 && S_ISREG(st.st_mode))
		a->owner = st.st_uid;
	return OK;
}

enum err
rights_of_include(
    struct delivery *d, const struct way *w, struct str path, struct account **out)
{
	struct asking a = { .owner = 0 };
	struct account *owner = NULL;
	uid_t uid = 0;
	enum err e;

	/* A user must not come to another's rights by including that one's file. */
	if (w->table == NULL)
		return rights_along(d, w, out);
	e = alias_owner(w->table, &uid);
	if (e == OK && uid == 0) {
		a.path = str_dup(path);
		e = task_offload(stat_file, &a);
		free(a.path);
	}
	if (e == OK && a.owner != 0)
		e = account_of_uid(a.owner, &owner);
	if (e != OK)
		return put_off_for(d, e, ":include:");
	if (a.owner == 0)
		return rights_along(d, w, out);
	if (owner == NULL)
		return put_off(d, "4.3.5", "%.*s belongs to user id %u, who has no name", STR_ARG(path),
		    (unsigned)a.owner);
	*out = owner;
	return OK;
}
