/* SPDX-License-Identifier: Apache-2.0 */
#include "master/master.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mail/identity.h"
#include "master/account.h"
#include "util/mem.h"
#include "util/proc.h"

bool
setup_all_as_root(const struct params *p)
{
	uid_t uid;

	if (geteuid() != 0)
		return false;
	/* Nobody made the account, and nobody asked for another: an instance of its own, started by root
	 * out of curiosity or for a test, must still start. */
	return strcmp(p->mail_owner, "root") == 0 ||
	    (conf_get(&p->conf, STR("mail_owner")) == NULL && !account_user(p->mail_owner, &uid));
}

void
setup_missing_accounts(const struct params *p, struct buf *warnings)
{
	const char *between = "there is no account ";
	size_t before = warnings->n;
	uid_t uid;

	for (enum identity a = IDENTITY_IN; a < IDENTITY_COUNT; a++)
		if (!account_user(identity_name(p, a), &uid)) {
			buf_printf(warnings, "%s\"%s\" (%s)", between, identity_name(p, a), identity_setting(a));
			between = ", ";
		}
	if (warnings->n > before)
		buf_printf(warnings, ": their processes run as \"%s\" and could harm each other's files\n",
		    p->mail_owner);
}

static void
check_accounts(const struct params *p, struct buf *errors, struct buf *warnings)
{
	uid_t uid;
	gid_t gid;

	if (geteuid() != 0)
		return;
	if (setup_all_as_root(p)) {
		buf_printf(warnings, strcmp(p->mail_owner, "root") == 0 ?
			"mail_owner = %s: all processes run as root, none is kept from harm by another\n" :
			"there is no account \"%s\": all processes run as root, none is kept from harm by another\n",
		    p->mail_owner);
		return;
	}
	if (!account_user(p->mail_owner, &uid))
		buf_printf(errors, "there is no account \"%s\": create it or set mail_owner\n", p->mail_owner);
	if (!account_group(p->mail_group, &gid))
		buf_printf(errors, "there is no group \"%s\": create it or set mail_group\n", p->mail_group);
	setup_missing_accounts(p, warnings);
}

static void
check_program(const struct params *p, const struct table *t, const struct table_entry *e, struct buf *errors)
{
	struct buf path = BUF(0);

	buf_printf(&path, "%s/%s", p->daemon_directory, e->prog);
	if (access(buf_cstr(&path), X_OK) < 0)
		table_complain(t, e->prog_at, errors, "expected a program in daemon_directory: %s: %s", buf_cstr(&path),
		    strerror(errno));
	buf_free(&path);
}

/* "FILE:LINE:COLUMN: …" of a setting that came with -o has a place of its own in master.cf. */
static void
complain_about(const struct table *t, const struct override *o, struct buf *errors)
{
	struct str why = str_of(err_why()), line;

	while (str_cut(&why, '\n', &line))
		table_complain(t, o->at, errors, "-o %s: %.*s", o->text, STR_ARG(line));
}

static bool
loads(const char *config_dir, const char *const *overrides, size_t n)
{
	struct params p;

	if (params_load(&p, config_dir, overrides, n) != OK)
		return false;
	params_fini(&p);
	return true;
}

static void
check_overrides(const char *config_dir, const struct table *t, const struct table_entry *e, struct buf *errors)
{
	const char **texts = mem_array(e->noverrides + 1, sizeof *texts);
	size_t before = errors->n;

	for (size_t i = 0; i < e->noverrides; i++)
		texts[i] = e->overrides[i].text;
	if (e->noverrides > 0 && !loads(config_dir, texts, e->noverrides)) {
		for (size_t i = 0; i < e->noverrides; i++)
			if (!loads(config_dir, &texts[i], 1))
				complain_about(t, &e->overrides[i], errors);
		/* Each is good, but not all of them together: the last words were about that. */
		if (errors->n == before && !loads(config_dir, texts, e->noverrides))
			complain_about(t, &e->overrides[0], errors);
	}
	free(texts);
}

static void
check_services(const char *config_dir, const struct params *p, const struct table *t, struct buf *errors)
{
	for (size_t i = 0; i < t->n; i++) {
		check_program(p, t, &t->entries[i], errors);
		check_overrides(config_dir, t, &t->entries[i], errors);
	}
}

static enum err
load_table(const char *config_dir, struct table *t, struct buf *errors, struct buf *warnings)
{
	struct buf path = BUF(0), text = BUF(0);
	enum err e;

	buf_printf(&path, "%s/master.cf", config_dir);
	if ((e = proc_read_file(buf_cstr(&path), &text)) == OK) {
		e = table_parse(t, buf_cstr(&path), buf_str(&text), errors, warnings);
	} else {
		*t = (struct table){ 0 };
		buf_printf(errors, "%s\n", err_why());
	}
	buf_free(&path);
	buf_free(&text);
	return e;
}

enum err
setup_load(const char *config_dir, struct params *p, struct table *t, struct buf *errors, struct buf *warnings)
{
	enum err e = params_load(p, config_dir, NULL, 0), e2;
	bool loaded = e == OK;

	if (!loaded)
		buf_printf(errors, "%s\n", err_why());
	if ((e2 = load_table(config_dir, t, errors, warnings)) != OK)
		e = e2;
	if (loaded) {
		size_t before = errors->n;

		check_accounts(p, errors, warnings);
		check_services(config_dir, p, t, errors);
		if (errors->n > before)
			e = E_SYNTAX;
	}
	if (e == OK)
		return OK;
	if (loaded)
		params_fini(p);
	table_fini(t);
	return fail(e, "%s: the settings or the service table cannot be used", config_dir);
}
