/* SPDX-License-Identifier: Apache-2.0 */
/* deliver - finishes one local delivery as the user it is for.  Started by a daemon that may be
 * root: before it touches anything that a user has a say in, it is that user. */
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "deliver/deliver.h"
#include "util/mem.h"
#include "util/proc.h"

enum { FRAME_HEAD = 6, GROUPS_MOST = 1024 };

/* A frame of util/ipc.h: u32 length of what follows, u16 tag, body. */
static enum err
read_request(struct buf *frame, struct drop_request *r)
{
	char head[FRAME_HEAD], *room;
	struct str in = { head, sizeof head };
	uint32_t n;
	uint16_t tag;

	TRY(fd_read_all(DROP_FD, head, sizeof head, -1));
	if (!wire_get_u32(&in, &n) || !wire_get_u16(&in, &tag) || tag != DROP_TAG_REQUEST ||
	    n < 2 || n > DROP_FRAME_MAX)
		return fail(E_IPC, "not a request");
	if ((room = buf_room(frame, n - 2)) == NULL)
		return fail(E_NOSPACE, "no memory");
	TRY(fd_read_all(DROP_FD, room, n - 2, -1));
	buf_grew(frame, n - 2);
	return drop_request_get(buf_str(frame), r);
}

static void
answer(const struct delivering *d, enum err e)
{
	struct buf body = BUF(0), out = BUF(0);
	char why[ERR_WHY_MAX];

	snprintf(why, sizeof why, "%s", e == OK ? "" : err_why());
	(void)!drop_answer_put(&body, &(struct drop_answer){ .err = (uint32_t)e,
					  .status = (uint32_t)d->status,
					  .esc = str_of(d->esc),
					  .why = str_of(why),
					  .output = buf_str(&d->output) });
	(void)!wire_put_u32(&out, (uint32_t)body.n + 2);
	(void)!wire_put_u16(&out, DROP_TAG_ANSWER);
	(void)!buf_add(&out, buf_str(&body));
	(void)!fd_write_all(DROP_FD, buf_str(&out), -1);
	buf_free(&body);
	buf_free(&out);
}

/* A mailbox may lie in a directory of root's that a group may write in, /var/mail: that group comes
 * along, or new users could have no mailbox there, nor locks. */
static void
add_mail_group(const struct drop_request *r, gid_t *groups, int *n)
{
	struct str dir = str_sub(r->path, 0, str_rfind(r->path, '/'));
	char *name = str_dup(dir);
	struct stat st;

	if (r->kind == DROP_MBOX && dir.n > 0 && lstat(name, &st) == 0 && S_ISDIR(st.st_mode) &&
	    st.st_uid == 0 && st.st_gid != 0 && (st.st_mode & S_IWGRP) && *n < GROUPS_MOST)
		groups[(*n)++] = st.st_gid;
	free(name);
}

static enum err
change_root(struct str dir)
{
	char *root = str_dup(dir);
	enum err e = chroot(root) == 0 && chdir("/") == 0 ? OK : fail_errno("chroot %s", root);

	free(root);
	return e;
}

static enum err
become(const struct drop_request *r)
{
	static gid_t groups[GROUPS_MOST + 1];
	int n = GROUPS_MOST;
	char *user;

	if (geteuid() != 0)
		return r->uid == geteuid() ? OK
					   : fail(E_PERM,
						 "mail for uid %u cannot be delivered: the mail system runs "
						 "as uid %u",
						 r->uid, geteuid());
	if (r->uid == 0)
		return fail(E_PERM, "mail is never delivered with the rights of root");
	groups[0] = r->gid;
	user = str_dup(r->user);
	if (!r->has_user || getgrouplist(user, r->gid, groups, &n) < 0)
		n = 1;
	free(user);
	add_mail_group(r, groups, &n);
	if (r->chroot.n > 0)
		TRY(change_root(r->chroot));
	if (setgroups((size_t)n, groups) != 0 || setresgid(r->gid, r->gid, r->gid) != 0 ||
	    setresuid(r->uid, r->uid, r->uid) != 0)
		return fail_errno("become uid %u", r->uid);
	return setuid(0) == 0 ? fail(E_PERM, "still root") : OK;
}

static enum err
run(struct delivering *d)
{
	TRY(become(&d->r));
	switch (d->r.kind) {
	case DROP_MBOX:
		return deliver_mbox(d);
	case DROP_MAILDIR:
		return deliver_maildir(d);
	case DROP_COMMAND:
		return deliver_command(d);
	case DROP_READ:
		return deliver_read(d);
	default:
		return fail(E_IPC, "nothing known to do");
	}
}

/* Codes that go with an error when nothing better was said. */
static const char *
usual_code(enum err e)
{
	return e == OK          ? "2.0.0"
	       : e == E_REFUSED ? "5.2.0"
	       : e == E_NOSPACE ? "4.2.2"
	       : e == E_PERM    ? "4.2.0"
				: "4.3.0";
}

int
main(void)
{
	struct delivering d = { .output = BUF(DROP_OUTPUT_MAX) };
	struct buf frame = BUF(DROP_FRAME_MAX);
	enum err e;

	umask(077);
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	e = read_request(&frame, &d.r);
	if (e == OK)
		e = run(&d);
	if (d.esc[0] == '\0' || e == OK)
		snprintf(d.esc, sizeof d.esc, "%s", usual_code(e));
	answer(&d, e);
	buf_free(&d.output);
	buf_free(&frame);
	return 0;
}
