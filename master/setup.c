/* SPDX-License-Identifier: Apache-2.0 */
#include "master/master.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "mail/identity.h"
#include "master/account.h"
#include "spool/spool.h"
#include "util/fault.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/proc.h"

/* Who the directories belong to; `apply` is false without root, or when all is root's. */
struct owner {
	bool  apply;
	uid_t uid;
	gid_t gid;
};

/* The spool's: qmgr's account, and whether others share it. */
static bool
find_spool_owners(const struct params *p, gid_t readers, struct spool_owners *o)
{
	uid_t uid;
	gid_t gid;
	bool own;

	*o = (struct spool_owners){ .readers = readers };
	for (enum identity a = IDENTITY_IN; a < IDENTITY_COUNT; a++) {
		if (!identity_find(p, a, &uid, &gid, &own))
			return false;
		o->shared = o->shared || own;
		if (a == IDENTITY_QUEUE) {
			o->uid = uid;
			o->gid = gid;
		}
	}
	if (!o->shared)
		o->gid = readers;
	return true;
}

static enum err
find_owner(const struct master *m, struct owner *o)
{
	*o = (struct owner){ 0 };
	if (geteuid() != 0 || m->all_as_root)
		return OK;
	if (!account_user(m->params.mail_owner, &o->uid) || !account_group(m->params.mail_group, &o->gid))
		return fail(E_NOENT, "there is no account \"%s\" or no group \"%s\"", m->params.mail_owner,
		    m->params.mail_group);
	o->apply = true;
	return OK;
}

static enum err
make_directory(const char *path, mode_t mode, const struct owner *o)
{
	TRY(proc_mkdirs(path, mode));
	if (o && o->apply && lchown(path, o->uid, o->gid) < 0)
		return fail_errno("chown %s", path);
	if (chmod(path, mode) < 0)
		return fail_errno("chmod %s", path);
	return OK;
}

static enum err own_tree(int dir, const char *path, const struct owner *o, int depth);

static enum err
own_member(int dir, const char *path, const char *name, const struct owner *o, bool all, int depth)
{
	struct stat st;
	enum err e;
	int fd;

	if (name[0] == '.' || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return OK;
	if (S_ISREG(st.st_mode) && all && st.st_nlink == 1 &&
	    fchownat(dir, name, o->uid, o->gid, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT)
		return fail_errno("chown %s/%s", path, name);
	if (!S_ISDIR(st.st_mode) || depth == 0)
		return OK;
	if ((fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
		return errno == ENOENT ? OK : fail_errno("open %s/%s", path, name);
	e = own_tree(fd, path, o, depth - 1);
	close(fd);
	return e;
}

/* A directory that has the right owner has members that have it too, save new directories below the top one. */
static enum err
own_tree(int dir, const char *path, const struct owner *o, int depth)
{
	const struct dirent *d;
	struct stat st;
	enum err e = OK;
	bool wrong;
	DIR *list;

	if (fstat(dir, &st) < 0)
		return fail_errno("stat %s", path);
	wrong = st.st_uid != o->uid || st.st_gid != o->gid;
	if (wrong && fchown(dir, o->uid, o->gid) < 0)
		return fail_errno("chown %s", path);
	if (!wrong && depth == 0)
		return OK;
	if ((list = fdopendir(dup(dir))) == NULL)
		return fail_errno("list %s", path);
	while (e == OK && (d = readdir(list)) != NULL)
		e = own_member(dir, path, d->d_name, o, wrong, depth);
	closedir(list);
	return e;
}

/* path is below the working directory or absolute. */
static enum err
own(const char *path, const struct owner *o)
{
	enum err e;
	int fd;

	if (!o->apply)
		return OK;
	if ((fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
		return fail_errno("open %s", path);
	e = own_tree(fd, path, o, 1);
	close(fd);
	return e;
}

/* Its files belong to those who handed them in; postdrop, by its group, is the only way in.  Without that group
 * only root and the mail system itself can hand in mail. */
static enum err
make_maildrop(const struct params *p, const struct owner *o)
{
	struct owner drop = *o;

	if (!o->apply)
		return OK;
	if (account_group(p->setgid_group, &drop.gid))
		return make_directory(spool_dir_name(SPOOL_MAILDROP), 01770, &drop);
	log_warn("there is no group \"%s\" (setgid_group): users cannot hand in mail with sendmail", p->setgid_group);
	return make_directory(spool_dir_name(SPOOL_MAILDROP), 0700, &drop);
}

static enum err
make_spool(const struct params *p, const struct owner *o)
{
	struct spool *s;

	struct spool_owners owners;
	enum err e = OK;

	TRY(spool_open(p->queue_directory, SYNC_AUTO, false, &s));
	if (o->apply && !find_spool_owners(p, o->gid, &owners))
		e = fail(E_NOENT, "there is no account \"%s\"", p->mail_owner);
	else if (o->apply)
		e = spool_share(s, &owners);
	spool_close(&s);
	TRY(e);
	return make_maildrop(p, o);
}

/* A file that a process could not make itself. */
static enum err
make_file_of(const struct params *p, enum identity account, const char *path, mode_t mode)
{
	uid_t uid;
	gid_t gid;
	bool own;
	enum err e = OK;
	int fd;

	if (!identity_find(p, account, &uid, &gid, &own))
		return fail(E_NOENT, "there is no account \"%s\"", p->mail_owner);
	if ((fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, mode)) < 0)
		return fail_errno("open %s", path);
	if (fchown(fd, uid, gid) < 0)
		e = fail_errno("chown %s", path);
	close(fd);
	return e;
}

enum err
setup_data_directory(struct master *m)
{
	struct buf path = BUF(0);
	struct owner o;
	enum err e;

	TRY(find_owner(m, &o));
	TRY(proc_mkdirs(m->params.data_directory, 0700));
	if (!o.apply)
		return OK;
	TRY(own(m->params.data_directory, &o));
	if (chmod(m->params.data_directory, 0710) < 0)
		return fail_errno("chmod %s", m->params.data_directory);
	buf_printf(&path, "%s/smtpd_clients", m->params.data_directory);
	e = make_file_of(&m->params, IDENTITY_IN, buf_cstr(&path), 0600);
	buf_free(&path);
	return e;
}

enum err
setup_directories(struct master *m)
{
	struct owner o;

	TRY(find_owner(m, &o));
	TRY(make_spool(&m->params, &o));
	/* pid/ stays root's, since a command that kills a process reads there which; but this lock in it is qmgr's. */
	if (o.apply)
		TRY(make_file_of(&m->params, IDENTITY_QUEUE, "pid/qmgr.lock", 0644));
	TRY(make_directory("private", o.apply ? 0710 : 0700, &o));
	/* Whoever may know the name of a socket in there may speak to it: its owner looks at who that is. */
	return make_directory("public", 0711, &o);
}

enum err
setup_as_owner(struct master *m, enum err (*fn)(struct master *m))
{
	struct owner o;
	enum err e;

	TRY(find_owner(m, &o));
	if (!o.apply)
		return fn(m);
	if (setegid(o.gid) < 0 || seteuid(o.uid) < 0)
		return fail_errno("become %s", m->params.mail_owner);
	e = fn(m);
	if (seteuid(0) < 0 || setegid(0) < 0)
		log_fatal("become root again: %s", strerror(errno));
	return e;
}

static enum err
open_log_file(const struct master *m, int *fd)
{
	const char *path = m->params.maillog_file;
	struct str dir = str_sub(str_of(path), 0, str_rfind(str_of(path), '/'));
	int low;

	if (strcmp(path, "/dev/stdout") == 0) {
		if (m->stdout_fd < 0)
			return fail(E_IO, "maillog_file = /dev/stdout works with start-fg only");
		low = dup(m->stdout_fd);
	} else {
		if (dir.n > 0 && path[0] == '/') {
			char *parent = str_dup(dir);
			enum err e = proc_mkdirs(parent, 0755);

			free(parent);
			TRY(e);
		}
		low = sys_open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY | O_CLOEXEC, 0640);
	}
	if (low < 0)
		return fail_errno("open maillog_file %s", path);
	if ((*fd = fd_high(low)) < 0)
		return fail_errno("open maillog_file %s", path);
	return OK;
}

enum err
setup_log(struct master *m)
{
	static char *name;
	bool to_file = m->params.maillog_file[0] != '\0', was_file = m->log_fd >= 0, first = name == NULL;
	int fd = -1;

	if (to_file)
		TRY(open_log_file(m, &fd));
	if (to_file && was_file && strcmp(name, m->params.syslog_name) == 0) {
		/* Under the writer's feet: it need not be stopped, which could take a while. */
		dup3(fd, m->log_fd, O_CLOEXEC);
		close(fd);
		return OK;
	}
	if (first && fd >= 0)
		m->log_from = lseek(fd, 0, SEEK_END);
	tzset();
	log_open(fd, m->params.syslog_name, "master", m->params.myhostname);
	if (was_file)
		close(m->log_fd);
	m->log_fd = fd;
	free(name);
	name = mem_dup(m->params.syslog_name);
	return OK;
}

/* The part of line behind "[pid]: fatal: " or "[pid]: panic: ". */
static bool
is_last_word(struct str line, pid_t pid, struct str *words)
{
	static const char *const levels[] = { "fatal", "panic" };
	char mark[48];

	for (size_t i = 0; i < countof(levels); i++) {
		const char *at;

		snprintf(mark, sizeof mark, "[%d]: %s: ", (int)pid, levels[i]);
		if ((at = memmem(line.p, line.n, mark, strlen(mark))) == NULL)
			continue;
		*words = str_sub(line, (size_t)(at - line.p) + strlen(mark), line.n);
		return true;
	}
	return false;
}

void
setup_last_words(const struct master *m, pid_t pid, char *out, size_t size)
{
	enum { TAIL = 64 << 10 };
	struct str rest, line, words;
	char *tail;
	ssize_t n;
	off_t end;
	int fd;

	out[0] = '\0';
	if (m->params.maillog_file[0] == '\0' || m->stdout_fd >= 0 ||
	    (fd = open(m->params.maillog_file, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) < 0)
		return;
	tail = mem_new(TAIL);
	end = lseek(fd, 0, SEEK_END);
	n = pread(fd, tail, TAIL, end - m->log_from > TAIL ? end - TAIL : m->log_from);
	close(fd);
	rest = (struct str){ tail, n > 0 ? (size_t)n : 0 };
	while (str_cut(&rest, '\n', &line))
		if (is_last_word(line, pid, &words))
			snprintf(out, size, "%.*s", STR_ARG(words));
	free(tail);
}
