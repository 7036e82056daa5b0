/* SPDX-License-Identifier: Apache-2.0 */
/* Owners, modes and room. */
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cmd/check.h"
#include "mail/identity.h"
#include "spool/spool.h"
#include "util/mem.h"

/* Who may write the configuration decides what root's master starts. */
static void
check_configuration_file(struct check *k, const char *name)
{
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof path, "%s%s%s", k->p->config_directory, name[0] ? "/" : "", name);
	if (stat(path, &st) != 0 || geteuid() != 0)
		return;
	if (st.st_mode & (S_IWGRP | S_IWOTH) && !(S_ISDIR(st.st_mode) && st.st_mode & S_ISVTX))
		check_error(k, "%s: others than its owner may write it: chmod go-w %s", path, path);
	else if (st.st_uid != 0)
		check_warn(k, "%s: belongs to uid %u, not to root: chown root %s", path,
		    (unsigned)st.st_uid, path);
}

static void
check_postdrop(struct check *k)
{
	const struct group *gr = getgrnam(k->p->setgid_group);
	char path[PATH_MAX];
	struct stat st;

	if (geteuid() != 0 || strcmp(k->p->mail_owner, "root") == 0)
		return;
	snprintf(path, sizeof path, "%s/postdrop", k->p->command_directory);
	if (gr == NULL)
		check_warn(k,
		    "%s: there is no group \"%s\": users cannot hand in mail with sendmail; "
		    "groupadd --system %s",
		    check_place(k, "setgid_group"), k->p->setgid_group, k->p->setgid_group);
	else if (stat(path, &st) != 0)
		check_error(k, "%s: %s", path, strerror(errno));
	else if (st.st_gid != gr->gr_gid || !(st.st_mode & S_ISGID))
		check_warn(k,
		    "%s: is not set-gid %s, so users cannot hand in mail: chgrp %s %s && chmod "
		    "2755 %s",
		    path, k->p->setgid_group, k->p->setgid_group, path, path);
}

/* master sets this at each start; while it runs, something else has changed it. */
static void
check_spool_owner(struct check *k)
{
	char path[PATH_MAX];
	struct stat st;
	uid_t uid;
	gid_t gid;
	bool own;

	if (geteuid() != 0 || strcmp(k->p->mail_owner, "root") == 0 ||
	    !identity_find(k->p, IDENTITY_QUEUE, &uid, &gid, &own))
		return;
	for (enum spool_dir d = SPOOL_INCOMING; d < SPOOL_DIR_COUNT; d++) {
		snprintf(path, sizeof path, "%s/%s", k->p->queue_directory, spool_dir_name(d));
		if (stat(path, &st) == 0 && st.st_uid != uid)
			check_warn(k,
			    "%s: belongs to uid %u, not to %s: the next start of the mail system "
			    "sets that right",
			    path, (unsigned)st.st_uid, identity_used(k->p, IDENTITY_QUEUE));
		if (stat(path, &st) == 0 && (st.st_mode & S_IWOTH))
			check_error(k, "%s: everybody may write it: chmod o-w %s", path, path);
	}
}

static void
check_room(struct check *k)
{
	struct statvfs v;
	unsigned long long free_bytes, wanted;

	if (statvfs(k->p->queue_directory, &v) != 0)
		return;
	free_bytes = (unsigned long long)v.f_bavail * v.f_frsize;
	wanted = (unsigned long long)k->p->queue_minfree;
	if (wanted < (unsigned long long)k->p->message_size_limit * 3 / 2)
		wanted = (unsigned long long)k->p->message_size_limit * 3 / 2;
	if (free_bytes < wanted)
		check_error(k,
		    "%s: %llu bytes are free and %llu are asked for: no mail is taken until there "
		    "is more room",
		    k->p->queue_directory, free_bytes, wanted);
	if (v.f_files > 0 && v.f_favail < (unsigned long long)k->p->queue_minfree_inodes)
		check_error(k,
		    "%s: %llu inodes are free and %lld are asked for: no mail is taken until there "
		    "are more",
		    k->p->queue_directory, (unsigned long long)v.f_favail,
		    k->p->queue_minfree_inodes);
}

void
check_files(struct check *k)
{
	check_configuration_file(k, "");
	check_configuration_file(k, "main.cf");
	check_configuration_file(k, "master.cf");
	check_postdrop(k);
	check_spool_owner(k);
	check_room(k);
}
