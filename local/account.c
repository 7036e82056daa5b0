/* SPDX-License-Identifier: Apache-2.0 */
#include "local/account.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>

#include "util/mem.h"

/* Asking may mean a question to a directory server, so a helper thread does it. */
struct asking {
	const char *name; /* NULL: by uid */
	uid_t uid;
	struct account **out;
};

enum { ROOM_FIRST = 4096, ROOM_MAX = 1 << 20 };

struct account *
account_copy(const struct account *a)
{
	struct account *c = mem_new(sizeof *c);

	*c = (struct account){ .name = mem_dup(a->name),
		.home = mem_dup(a->home ? a->home : ""),
		.shell = mem_dup(a->shell ? a->shell : ""),
		.uid = a->uid,
		.gid = a->gid };
	return c;
}

static enum err
ask(void *arg)
{
	struct asking *q = arg;
	struct passwd pw, *found = NULL;
	size_t room = ROOM_FIRST;
	char *text = NULL;
	int error;

	do {
		text = mem_grow(text, room);
		error = q->name ? getpwnam_r(q->name, &pw, text, room, &found)
				: getpwuid_r(q->uid, &pw, text, room, &found);
		room *= 4;
	} while (error == EINTR || (error == ERANGE && room <= ROOM_MAX));
	*q->out = NULL;
	if (found)
		*q->out = account_copy(&(struct account){ .name = pw.pw_name,
		    .home = pw.pw_dir,
		    .shell = pw.pw_shell,
		    .uid = pw.pw_uid,
		    .gid = pw.pw_gid });
	free(text);
	/* Some systems say so instead of nothing: there is no such user. */
	if (found || error == 0 || error == ENOENT || error == ESRCH)
		return OK;
	errno = error;
	return fail_errno("user database");
}

enum err
account_find(struct str name, struct account **out)
{
	char *z = str_dup(name);
	enum err e = task_offload(ask, &(struct asking){ .name = z, .out = out });

	free(z);
	return e;
}

enum err
account_of_uid(uid_t uid, struct account **out)
{
	return task_offload(ask, &(struct asking){ .uid = uid, .out = out });
}

void
account_free(struct account **a)
{
	if (*a) {
		free((*a)->name);
		free((*a)->home);
		free((*a)->shell);
	}
	mem_free(a);
}
