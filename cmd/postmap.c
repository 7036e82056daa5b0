/* SPDX-License-Identifier: Apache-2.0 */
/* postmap(1), postalias(1), newaliases(1): make lookup tables, ask them, change single entries. */
#include "cmd/postmap.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "mail/maps.h"
#include "util/log.h"
#include "util/map_cdb.h"
#include "util/map_db.h"
#include "util/mem.h"

enum { VALUE_MOST = 1 << 24, INPUT_MOST = 1 << 30, PIECE = 64 << 10 };

/* Exit statuses; more than NOT_FOUND ends it all. */
enum { FOUND = 0, NOT_FOUND = 1, FAILED = 2 };

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
	return FAILED;
}

/* Do it for the key of the command line, or for each line of standard input: any that is found
 * makes it a success. */
static int
each_key(const struct call *k,
    int (*one)(const struct call *k, void *arg, struct str key, bool of_many), void *arg)
{
	char *line = NULL;
	size_t cap = 0;
	int now = NOT_FOUND, status = NOT_FOUND;
	ssize_t n;

	if (strcmp(k->key, "-") != 0)
		return one(k, arg, str_of(k->key), false);
	while (now <= NOT_FOUND && (n = getline(&line, &cap, stdin)) > 0) {
		struct str key = { line, (size_t)n };

		key.n -= str_ends(key, STR("\n"));
		now = key.n > 0 ? one(k, arg, key, true) : NOT_FOUND;
		if (now == FOUND)
			status = FOUND;
	}
	free(line);
	return now > NOT_FOUND ? now : status;
}

static int
query_one(const struct call *k, void *arg, struct str key, bool of_many)
{
	struct buf value = BUF(VALUE_MOST);
	struct maps *m = arg;
	int status = NOT_FOUND;
	bool found;

	if (maps_find(m, key, k->how.fold ? 0 : MAPS_ASIS, &value, &found) != OK) {
		status = failed(k);
	} else if (found) {
		if (of_many)
			printf("%.*s\t", STR_ARG(key));
		printf("%.*s\n", STR_ARG(buf_str(&value)));
		status = FOUND;
	}
	buf_free(&value);
	return status;
}

static int
query(const struct call *k, struct str name)
{
	struct maps *m = NULL;
	/* Relative to where the caller is. */
	enum err e = k->how.form == MAPTEXT_ALIASES ? maps_open_aliases(name, "", "", &m)
						    : maps_open(name, "", "", &m);
	int status;

	if (e != OK)
		return failed(k);
	status = each_key(k, query_one, m);
	maps_close(&m);
	return status;
}

static enum err
print_entry(void *arg, struct str key, struct str value)
{
	(void)arg;
	printf("%.*s\t%.*s\n", STR_ARG(key), STR_ARG(value));
	return OK;
}

static int
show(const struct call *k, struct str name)
{
	struct map_cdb *cdb = NULL;
	struct map_db *db = NULL;
	struct buf file = { 0 };
	struct str type, path;
	enum err e;

	postmap_name(name, STR(""), &type, &path);
	buf_printf(&file, "%.*s%s", STR_ARG(path), str_eq(type, STR("cdb")) ? ".cdb" : ".db");
	if (str_eq(type, STR("cdb")))
		e = map_cdb_open(buf_cstr(&file), &cdb);
	else if (str_eq(type, STR("hash")) || str_eq(type, STR("btree")))
		e = map_db_open(buf_cstr(&file), &db);
	else
		e = fail(E_SYNTAX, "tables of type %.*s cannot be listed", STR_ARG(type));
	buf_free(&file);
	if (e == OK)
		e = db ? map_db_each(db, print_entry, NULL) : map_cdb_each(cdb, print_entry, NULL);
	map_db_close(&db);
	map_cdb_close(&cdb);
	return e == OK ? FOUND : failed(k);
}

static int
delete_one(const struct call *k, void *arg, struct str key, bool of_many)
{
	const struct str *name = arg;
	bool was;

	(void)of_many;
	if (postmap_delete(&k->how, *name, key, &was) != OK)
		return failed(k);
	return was ? FOUND : NOT_FOUND;
}

/* Entries from standard input are added to what is there.  All are read before anything is touched.
 */
static int
insert(const struct call *k, struct str name)
{
	struct buf whole = BUF(INPUT_MOST);
	char *piece = mem_new(PIECE);
	enum err e = OK;
	size_t n;

	while (e == OK && (n = fread(piece, 1, PIECE, stdin)) > 0)
		if (!buf_add(&whole, (struct str){ piece, n }))
			e = fail(E_IO, "more than %d bytes of input", INPUT_MOST);
	if (e == OK)
		e = postmap_add(&k->how, name, buf_str(&whole));
	free(piece);
	buf_free(&whole);
	return e == OK ? FOUND : failed(k);
}

static int
one_table(const struct call *k, struct str name)
{
	switch (k->mode) {
	case 'q':
		return query(k, name);
	case 's':
		return show(k, name);
	case 'd':
		return each_key(k, delete_one, &name);
	case 'i':
		return insert(k, name);
	default:
		return postmap_make(&k->how, name) == OK ? FOUND : failed(k);
	}
}

/* A question to several tables is answered by the first that can; a key is taken out of all of
 * them. */
static int
all_tables(const struct call *k, char **names, int n)
{
	int status = NOT_FOUND, now = NOT_FOUND;

	for (int i = 0; i < n && now <= NOT_FOUND && !(k->mode == 'q' && now == FOUND); i++) {
		struct buf full = { 0 };
		struct str type, path;

		postmap_name(
		    str_of(names[i]), str_of(k->params.default_database_type), &type, &path);
		buf_printf(&full, "%.*s:%.*s", STR_ARG(type), STR_ARG(path));
		now = one_table(k, buf_str(&full));
		buf_free(&full);
		if (now == FOUND)
			status = FOUND;
	}
	return now > NOT_FOUND || status != FOUND;
}

/* False: usage. */
static bool
flags(struct call *k, int argc, char **argv)
{
	const struct {
		char letter;
		bool *flag;
	} bools[] = {
		{'o',  &k->how.keep_root},
		{ 'p', &k->how.own_mode },
		{ 'r', &k->how.replace  },
		{ 'w', &k->how.quiet    },
		{ 'v', &k->cmd->verbose },
		{ 'u', &(bool){ false } },
	};

	int o;

	optind = 1;
	while ((o = getopt(argc, argv, "c:d:finNopq:rsuvw")) != -1) {
		for (size_t i = 0; i < countof(bools); i++)
			if (bools[i].letter == o)
				*bools[i].flag = true;
		if (o == '?' || (strchr("dqis", o) && k->mode != 0))
			return false;
		if (strchr("dqis", o))
			k->mode = (char)o;
		if (o == 'd' || o == 'q')
			k->key = optarg;
		else if (o == 'c')
			k->cmd->dir = optarg;
		else if (o == 'f')
			k->how.fold = false;
		else if (o == 'N' || o == 'n')
			k->how.nul = o == 'N' ? NUL_ALWAYS : NUL_NEVER;
	}
	return optind < argc;
}

static int
run(struct cmd *c, int argc, char **argv, enum maptext_form form)
{
	struct call k = {
		.cmd = c, .how = {.form = form, .fold = true, .warn = warn}
	};
	int status;

	k.how.arg = &k;
	if (!flags(&k, argc, argv)) {
		cmd_warn(c, "usage: %s [-c dir] [-finNoprsuvw] [-d key] [-q key] [type:]file...",
		    c->name);
		return 1;
	}
	if (!cmd_params(c, &k.params))
		return 1;
	log_verbose(c->verbose);
	status = all_tables(&k, argv + optind, argc - optind);
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
		.cmd = c, .how = {.form = MAPTEXT_ALIASES, .fold = true, .warn = warn}
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
			status = failed(&k) != FOUND;
	params_fini(&k.params);
	return status;
}
