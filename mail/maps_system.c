/* SPDX-License-Identifier: Apache-2.0 */
/* unix:passwd.byname and unix:group.byname: the accounts of this host, as a line of /etc/passwd or
 * /etc/group. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include "mail/maps_table.h"
#include "util/mem.h"

enum { ENTRY_FIRST = 4096, ENTRY_MAX = 16 << 20 };

/* Ask with room as large as it takes; the line goes into out. */
struct accounts {
	struct content c;
	int (*line)(const char *name, char *room, size_t size, struct buf *out, bool *found);
};

static int
passwd_line(const char *name, char *room, size_t size, struct buf *out, bool *found)
{
	struct passwd pw, *got = NULL;
	int code = getpwnam_r(name, &pw, room, size, &got);

	*found = got != NULL;
	if (got && !buf_printf(out, "%s:%s:%lu:%lu:%s:%s:%s", pw.pw_name, pw.pw_passwd,
		       (unsigned long)pw.pw_uid, (unsigned long)pw.pw_gid, pw.pw_gecos, pw.pw_dir,
		       pw.pw_shell))
		return E2BIG;
	return got ? 0 : code;
}

static int
group_line(const char *name, char *room, size_t size, struct buf *out, bool *found)
{
	struct group gr, *got = NULL;
	int code = getgrnam_r(name, &gr, room, size, &got);
	bool fits;

	*found = got != NULL;
	if (got == NULL)
		return code;
	fits = buf_printf(out, "%s:%s:%lu:", gr.gr_name, gr.gr_passwd, (unsigned long)gr.gr_gid);
	for (char **m = gr.gr_mem; *m && fits; m++)
		fits = buf_printf(out, "%s%s", m == gr.gr_mem ? "" : ",", *m);
	return fits ? 0 : E2BIG;
}

/* What the C library says of a name that is not there depends on where it looked; see getpwnam(3).
 */
static bool
says_none(int code)
{
	return code == 0 || code == ENOENT || code == ESRCH;
}

static enum err
accounts_find(struct content *c, struct ask *a)
{
	struct accounts *u = container_of(c, struct accounts, c);
	char *name = str_dup(a->folded), *room = NULL;
	size_t size = ENTRY_FIRST;
	int code = ERANGE;

	/* No account has such a name, and the line format has no room for one. */
	if (str_find(a->folded, '\0') < a->folded.n || str_find(a->folded, ':') < a->folded.n) {
		free(name);
		return OK;
	}
	for (; code == ERANGE && size <= ENTRY_MAX; size *= 4) {
		room = mem_grow(room, size);
		code = u->line(name, room, size, a->value, &a->found);
	}
	free(room);
	free(name);
	if (a->found ? code == 0 : says_none(code))
		return OK;
	a->found = false;
	errno = code;
	return fail(E_IO, "accounts: %s", strerror(code));
}

static void
accounts_free(struct content *c)
{
	free(container_of(c, struct accounts, c));
}

enum err
unix_content(struct str text, struct content **out)
{
	/* NSS may ask a directory server. */
	static const struct content_type type = { accounts_find, accounts_free, .quick = false };
	struct accounts *u;

	if (!str_eq(text, STR("passwd.byname")) && !str_eq(text, STR("group.byname")))
		return fail(E_SYNTAX, "must be unix:passwd.byname or unix:group.byname");
	u = mem_new(sizeof *u);
	u->c = (struct content){ &type, 1 };
	u->line = str_eq(text, STR("passwd.byname")) ? passwd_line : group_line;
	*out = &u->c;
	return OK;
}
