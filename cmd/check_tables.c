/* SPDX-License-Identifier: Apache-2.0 */
/* Tables that settings name: there, readable for those who read them, well-formed, not older than
 * their source. */
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/check.h"
#include "mail/identity.h"
#include "mail/maps.h"
#include "util/mem.h"

/* By the bits of the file alone; directories on the way are root's as a rule. */
static bool
may_read(const struct stat *st, uid_t uid, gid_t gid)
{
	return uid == 0 || (st->st_uid == uid      ? st->st_mode & S_IRUSR
			       : st->st_gid == gid ? st->st_mode & S_IRGRP
						   : st->st_mode & S_IROTH);
}

static void
check_readers(struct check *k, const char *setting, const char *path, const struct stat *st)
{
	const struct group *gr = getgrnam(k->p->mail_group);
	uid_t uid;
	gid_t gid;
	bool own;

	if (geteuid() != 0)
		return;
	for (enum identity a = 0; a < IDENTITY_COUNT; a++) {
		if (!identity_find(k->p, a, &uid, &gid, &own) ||
		    may_read(st, uid, gr ? gr->gr_gid : gid))
			continue;
		check_error(k,
		    "%s: %s cannot be read by account %s: chmod go+r %s, or give it to group %s",
		    check_place(k, setting), path, identity_used(k->p, a), path, k->p->mail_group);
		return;
	}
}

static void
check_index(struct check *k, const char *setting, struct str type, const char *path,
    const struct stat *source)
{
	bool cdb = str_eq(type, STR("cdb"));
	char name[PATH_MAX];
	struct stat st;

	if (!cdb && !str_eq(type, STR("hash")) && !str_eq(type, STR("btree")))
		return;
	snprintf(name, sizeof name, "%s.%s", path, cdb ? "cdb" : "db");
	if (source && stat(name, &st) == 0 && st.st_mtim.tv_sec < source->st_mtim.tv_sec)
		check_warn(k, "%s: %s is newer than %s: run postmap (or newaliases for aliases)",
		    check_place(k, setting), path, name);
}

/* Whatever a daemon would say at the first look-up. */
static void
check_contents(struct check *k, const char *setting, struct str word)
{
	bool aliases = strncmp(setting, "alias_", 6) == 0, found;
	struct buf value = BUF(64 << 10);
	struct maps *m = NULL;
	enum err e = aliases ? maps_open_aliases(word, setting, k->c->dir, &m)
			     : maps_open(word, setting, k->c->dir, &m);

	if (e == OK && m)
		e = maps_find(m, STR("postroad-check@postroad-check.invalid"), 0, &value, &found);
	if (e != OK)
		check_error(k, "%s: %s", check_place(k, setting), err_why());
	maps_close(&m);
	buf_free(&value);
}

static bool
is_file_type(struct str type)
{
	static const char *const types[] = { "hash", "btree", "cdb", "texthash", "regexp", "pcre",
		"cidr", "" };

	for (size_t i = 0; i < countof(types); i++)
		if (str_eq(type, str_of(types[i])))
			return true;
	return false;
}

/* A default, /etc/aliases, is missed by those only who use it. */
static void
note_missing(struct check *k, const char *setting, const char *path)
{
	bool set = conf_get(&k->p->conf, str_of(setting)) != NULL;

	if (set || k->p->mydestination[0])
		check_note(k, set ? SEVERITY_ERROR : SEVERITY_WARNING,
		    "%s: %s does not exist: create it, or take it out of %s",
		    check_place(k, setting), path, setting);
}

static void
check_table(void *arg, const char *setting, struct str word)
{
	struct check *k = arg;
	struct str type = str_sub(word, 0, str_find(word, '/'));
	char *path = str_dup(str_sub(word, type.n, word.n));
	char made[PATH_MAX];
	struct stat st;
	bool there = stat(path, &st) == 0;

	if (str_starts(type, STR("proxy:")))
		type = str_sub(type, 6, type.n);
	if (type.n > 0)
		type = str_sub(type, 0, type.n - 1);
	snprintf(made, sizeof made, "%s.%s", path, str_eq(type, STR("cdb")) ? "cdb" : "db");
	if (is_file_type(type) && type.n > 0) {
		if (!there && access(made, F_OK) != 0) {
			note_missing(k, setting, path);
		} else {
			if (there)
				check_readers(k, setting, path, &st);
			check_index(k, setting, type, path, there ? &st : NULL);
			check_contents(k, setting, word);
		}
	}
	free(path);
}

void
check_tables(struct check *k)
{
	params_files(k->p, check_table, k);
}
