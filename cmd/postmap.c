/* SPDX-License-Identifier: Apache-2.0 */
/* postmap(1), postalias(1), newaliases(1): make lookup tables, ask them, change single entries. */
#include "cmd/postmap.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "mail/maps.h"
#include "util/map_cdb.h"
#include "util/map_db.h"
#include "util/mem.h"

enum { LINE_MOST = 1 << 20 };

struct call {
	struct cmd *cmd;
	struct postmap how;
	struct params params;
	char mode; /* 0: make; q s d i */
	const char *key;
};

static void
warn(void *arg, const char *text)
{
	const struct call *k = arg;

	cmd_warn(k->cmd, "warning: %s", text);
}

static int
failed(const struct call *k)
{
	cmd_warn(k->cmd, "fatal: %s", err_why());
	return 1;
}

static struct str
default_type(const struct call *k)
{
	return str_of(k->params.default_database_type);
}

/* "type:path", with the type that is missing. */
static const char *
full_name(const struct call *k, const char *name)
{
	struct buf full = BUF(0);
	struct str type, path;

	postmap_name(str_of(name), default_type(k), &type, &path);
	(void)buf_printf(&full, "%.*s:%.*s", STR_ARG(type), STR_ARG(path));
	return buf_cstr(&full); /* as long as the process */
}

/* -- asking -- */

static int
query_one(const struct call *k, struct maps *m, struct str key, bool show_key)
{
	struct buf value = BUF(LINE_MOST);
	bool found;
	int status = 1;

	if (maps_find(m, key, k->how.fold ? 0 : MAPS_ASIS, &value, &found) != OK) {
		status = failed(k) + 1;
	} else if (found) {
		if (show_key)
			printf("%.*s\t", STR_ARG(key));
		printf("%.*s\n", STR_ARG(buf_str(&value)));
		status = 0;
	}
	buf_free(&value);
	return status;
}

/* Keys from standard input; any that is found makes it a success. */
static int
query_all(const struct call *k, struct maps *m)
{
	char *line = NULL;
	size_t cap = 0;
	int status = 1;
	ssize_t n;

	while ((n = getline(&line, &cap, stdin)) > 0) {
		struct str key = str_trim((struct str){ line, (size_t)n });
		int one = key.n > 0 ? query_one(k, m, key, true) : 1;

		if (one > 1)
			return 1;
		if (one == 0)
			status = 0;
	}
	free(line);
	return status;
}

static int
query(const struct call *k, const char *name)
{
	bool aliases = k->how.form == MAPTEXT_ALIASES;
	struct str spec = str_of(full_name(k, name));
	struct maps *m = NULL;
	enum err e = aliases ? maps_open_aliases(spec, k->cmd->name, k->cmd->dir, &m)
			     : maps_open(spec, k->cmd->name, k->cmd->dir, &m);
	int status;

	if (e != OK)
		return failed(k);
	status =
	    strcmp(k->key, "-") == 0 ? query_all(k, m) : query_one(k, m, str_of(k->key), false);
	maps_close(&m);
	return status > 0;
}

/* -- all of it, or parts -- */

static enum err
print_entry(void *arg, struct str key, struct str value)
{
	(void)arg;
	printf("%.*s\t%.*s\n", STR_ARG(key), STR_ARG(value));
	return OK;
}

static enum err
open_made(
    const struct call *k, const char *name, bool change, struct map_db **db, struct map_cdb **cdb)
{
	struct str type, path;
	struct buf file = BUF(0);
	bool is_cdb;
	enum err e;

	*db = NULL;
	*cdb = NULL;
	postmap_name(str_of(name), default_type(k), &type, &path);
	is_cdb = str_eq(type, STR("cdb"));
	(void)buf_printf(&file, "%.*s%s", STR_ARG(path), is_cdb ? ".cdb" : ".db");
	if (!is_cdb && !str_eq(type, STR("hash")) && !str_eq(type, STR("btree")))
		e = fail(E_SYNTAX, "tables of type %.*s have no file of their own", STR_ARG(type));
	else if (is_cdb && change)
		e = fail(E_SYNTAX, "cdb tables cannot be changed, only made anew");
	else if (is_cdb)
		e = map_cdb_open(buf_cstr(&file), cdb);
	else
		e = change ? map_db_update(buf_cstr(&file), db) : map_db_open(buf_cstr(&file), db);
	buf_free(&file);
	return e;
}

static int
show(const struct call *k, const char *name)
{
	struct map_cdb *cdb;
	struct map_db *db;
	enum err e = open_made(k, name, false, &db, &cdb);

	if (e == OK)
		e = db ? map_db_each(db, print_entry, NULL) : map_cdb_each(cdb, print_entry, NULL);
	map_db_close(&db);
	map_cdb_close(&cdb);
	return e == OK ? 0 : failed(k);
}

static int delete (const struct call *k, const char *name)
{
	struct map_cdb *cdb;
	struct map_db *db;
	bool was = false;
	enum err e = open_made(k, name, true, &db, &cdb);

	if (e == OK)
		e = map_db_del(db, str_of(k->key), &was);
	if (e == OK)
		e = map_db_sync(db);
	map_db_close(&db);
	return e != OK ? failed(k) : was ? 0 : 1;
}

/* Entries from standard input are added to what is there. */
static int
insert(const struct call *k, const char *name)
{
	struct buf whole = BUF(1 << 30);
	struct str key, value;
	struct maptext *t;
	struct map_cdb *cdb;
	struct map_db *db;
	bool more = true, was;
	char piece[64 << 10];
	size_t n;
	enum err e = open_made(k, name, true, &db, &cdb);

	while (e == OK && (n = fread(piece, 1, sizeof piece, stdin)) > 0)
		if (!buf_add(&whole, (struct str){ piece, n }))
			e = fail(E_TOOBIG, "too much input");
	t = maptext_open("stdin", buf_str(&whole));
	while (e == OK && (e = maptext_entry(t, k->how.form, &key, &value, &more)) == OK && more) {
		struct buf folded = BUF(LINE_MOST);

		if (k->how.fold && maptext_fold(key, &folded))
			key = buf_str(&folded);
		e = map_db_put(db, key, value, k->how.key_nul, k->how.replace, &was);
		if (e == OK && was && !k->how.replace && !k->how.quiet)
			cmd_warn(k->cmd, "warning: duplicate entry: \"%.*s\"", STR_ARG(key));
		buf_free(&folded);
	}
	if (e == OK)
		e = map_db_sync(db);
	maptext_close(&t);
	map_db_close(&db);
	buf_free(&whole);
	return e == OK ? 0 : failed(k);
}

static int
one(const struct call *k, const char *name)
{
	switch (k->mode) {
	case 'q':
		return query(k, name);
	case 's':
		return show(k, name);
	case 'd':
		return delete (k, name);
	case 'i':
		return insert(k, name);
	default:
		return postmap_make(&k->how, str_of(full_name(k, name))) == OK ? 0 : failed(k);
	}
}

/* False: usage. */
static bool
flags(struct call *k, int argc, char **argv)
{
	int o;

	optind = 1;
	while ((o = getopt(argc, argv, "c:d:finNopq:rsuvw")) != -1)
		switch (o) {
		case 'c':
			k->cmd->dir = optarg;
			break;
		case 'f':
			k->how.fold = false;
			break;
		case 'N':
			k->how.key_nul = k->how.value_nul = true;
			break;
		case 'n':
			k->how.key_nul = k->how.value_nul = false;
			break;
		case 'r':
			k->how.replace = true;
			break;
		case 'w':
			k->how.quiet = true;
			break;
		case 'd':
		case 'q':
			k->key = optarg; /* fall through */
		case 'i':
		case 's':
			k->mode = (char)o;
			break;
		case '?':
			return false;
		default:
			break; /* o p u v: nothing to be done */
		}
	return optind < argc;
}

static int
run(struct cmd *c, int argc, char **argv, enum maptext_form form)
{
	struct call k = {
		.cmd = c,
		.how = {.form = form,
			.fold = true,
			.key_nul = true,
			.value_nul = true,
			.warn = warn}
	};
	int status = 0;

	k.how.arg = &k;
	if (!flags(&k, argc, argv)) {
		cmd_warn(
		    c, "usage: %s [-c dir] [-finNrsw] [-d key] [-q key] [type:]file...", c->name);
		return 64;
	}
	if (!cmd_params(c, &k.params))
		return 1;
	/* A question to several tables is answered by the first that can. */
	for (int i = optind; i < argc; i++) {
		status = one(&k, argv[i]) || (status && k.mode != 'q' && k.mode != 'd');
		if (status == 0 && (k.mode == 'q' || k.mode == 'd'))
			break;
	}
	params_fini(&k.params);
	return status;
}

int
cmd_postmap(struct cmd *c, int argc, char **argv)
{
	return run(c, argc, argv, MAPTEXT_TABLE);
}

int
cmd_postalias(struct cmd *c, int argc, char **argv)
{
	return run(c, argc, argv, MAPTEXT_ALIASES);
}

/* All that alias_database names and that is made from text. */
int
cmd_newaliases(struct cmd *c, int argc, char **argv)
{
	struct call k = {
		.cmd = c,
		.how = {.form = MAPTEXT_ALIASES,
			.fold = true,
			.key_nul = true,
			.value_nul = true,
			.warn = warn}
	};
	struct str rest, name;
	int status = 0;

	(void)argc;
	(void)argv;
	k.how.arg = &k;
	if (!cmd_params(c, &k.params))
		return 1;
	rest = str_of(k.params.alias_database);
	while (str_word(&rest, ", \t", &name))
		if (postmap_make(&k.how, name) != OK)
			status = failed(&k);
	params_fini(&k.params);
	return status;
}
