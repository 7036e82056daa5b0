/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "util/mem.h"

enum { EX_DONE = 0, EX_NOT_DONE = 1, EX_BAD_USAGE = 64 };
enum { FOLD_COLUMNS = 80, FOLD_INDENT = 4, OUTPUT_MAX = 64 << 20 };

static int
usage(const struct cmd *c)
{
	fprintf(stderr,
	    "usage: %s [-c DIR] [-dnxfhHj] [-o name=value ...] [name ...]   show settings\n"
	    "       %s [-c DIR] -e name=value ...                           change settings\n"
	    "       %s [-c DIR] -X | -# name ...                            take them out, make them comments\n"
	    "       %s [-c DIR] -M | -F | -P [-fj] [service[/type] ...]     show master.cf\n"
	    "  -n those in main.cf   -d defaults   -x expand $names   -f fold long lines   -h values only\n"
	    "  -H names only   -j JSON, an object a line\n",
	    c->name, c->name, c->name, c->name);
	return EX_BAD_USAGE;
}

void
conf_show_folded(const struct conf_flags *f, struct str text, size_t column)
{
	struct str word;
	bool first = true;

	while (str_word(&text, " \t", &word)) {
		if (!first && f->fold && column + word.n >= FOLD_COLUMNS) {
			printf("\n%*s", FOLD_INDENT, "");
			column = FOLD_INDENT;
		} else if (!first) {
			putchar(' ');
			column++;
		}
		printf("%.*s", STR_ARG(word));
		column += word.n;
		first = false;
	}
}

void
conf_show_line(const struct conf_flags *f, struct str name, struct str value)
{
	struct buf line = BUF(OUTPUT_MAX);

	if (f->json) {
		buf_adds(&line, "{\"name\": ");
		buf_add_json(&line, name);
		buf_adds(&line, ", \"value\": ");
		buf_add_json(&line, value);
		printf("%s}\n", buf_cstr(&line));
		buf_free(&line);
		return;
	}
	if (!f->value_only)
		printf("%.*s", STR_ARG(name));
	if (!f->value_only && !f->name_only)
		printf(" =%s", value.n > 0 ? " " : "");
	if (!f->name_only)
		conf_show_folded(f, value, f->value_only ? 0 : name.n + 3);
	putchar('\n');
}

/* Lines "name = value" as params_print() gives them; no value holds a line end. */
static void
show_lines(const struct conf_flags *f, struct str text)
{
	struct str line;

	while (str_cut(&text, '\n', &line)) {
		size_t at = str_find(line, '=');

		conf_show_line(f, str_trim(str_sub(line, 0, at)), str_trim(str_sub(line, at + 1, line.n)));
	}
}

static int
show(struct cmd *c, const struct conf_flags *f, char **names, int n)
{
	enum params_show which = f->defaults ? PARAMS_DEFAULTS : f->set ? PARAMS_SET : PARAMS_ALL;
	struct buf out = BUF(OUTPUT_MAX);
	int status = EX_DONE;
	struct params p;

	if (f->noverrides == 0 && !cmd_params(c, &p))
		return EX_NOT_DONE;
	if (f->noverrides > 0 && params_load(&p, c->dir, f->overrides, f->noverrides) != OK) {
		cmd_warn(c, "%s", err_why());
		return EX_NOT_DONE;
	}
	if (n == 0)
		params_print(&p, which, STR(""), f->expand, false, &out);
	for (int i = 0; i < n; i++) {
		if (names[i][0] == '\0' || !params_print(&p, which, str_of(names[i]), f->expand, false, &out)) {
			cmd_warn(c, "%s: unknown setting", names[i]);
			status = EX_NOT_DONE;
		}
	}
	show_lines(f, buf_str(&out));
	buf_free(&out);
	params_fini(&p);
	return status;
}

/* Would main.cf still load with these changes?  When it does not load now, nothing can be said: changing it may be the
 * cure. */
static bool
changes_are_sound(const struct cmd *c, char **changes, int n)
{
	struct buf why = { 0 };
	struct params p;
	bool sound = params_load(&p, c->dir, (const char *const *)changes, (size_t)n) == OK;

	if (sound) {
		params_fini(&p);
		return true;
	}
	buf_adds(&why, err_why());
	if (params_load(&p, c->dir, NULL, 0) == OK) {
		params_fini(&p);
		cmd_warn(c, "nothing was changed: %s", buf_cstr(&why));
	} else {
		sound = true;
	}
	buf_free(&why);
	return sound;
}

static int
change(struct cmd *c, const struct conf_flags *f, char **args, int n)
{
	enum params_change how = f->remove ? PARAMS_REMOVE : f->comment_out ? PARAMS_COMMENT_OUT : PARAMS_CHANGE;
	bool assign = how == PARAMS_CHANGE;

	if (n == 0)
		return usage(c);
	for (int i = 0; i < n; i++) {
		if (assign != (strchr(args[i], '=') != NULL)) {
			cmd_warn(c, assign ? "%s: must be name=value" : "%s: must be a name", args[i]);
			return EX_BAD_USAGE;
		}
	}
	if (assign && !changes_are_sound(c, args, n))
		return EX_NOT_DONE;
	for (int i = 0; i < n; i++) {
		struct str arg = str_of(args[i]);
		size_t at = str_find(arg, '=');

		if (params_change(c->dir, str_sub(arg, 0, at), str_sub(arg, at + 1, arg.n), how) != OK) {
			cmd_warn(c, "%s", err_why());
			return EX_NOT_DONE;
		}
	}
	return EX_DONE;
}

static bool
parse_flag(struct cmd *c, struct conf_flags *f, int letter)
{
	const struct {
		char letter;
		bool *flag;
	} flags[] = {
		{ 'n', &f->set         }, { 'd', &f->defaults   }, { 'e', &f->edit      }, { 'X', &f->remove         },
		{ '#', &f->comment_out }, { 'x', &f->expand     }, { 'f', &f->fold      }, { 'h', &f->value_only     },
		{ 'H', &f->name_only   }, { 'j', &f->json       }, { 'M', &f->services  }, { 'F', &f->fields         },
		{ 'P', &f->service_params }, { 'v', &c->verbose }, { 'p', &(bool){ false } },
	};

	for (size_t i = 0; i < countof(flags); i++) {
		if (flags[i].letter == letter) {
			*flags[i].flag = true;
			return true;
		}
	}
	return false;
}

int
cmd_conf(struct cmd *c, int argc, char **argv)
{
	struct conf_flags f = { .json = c->json };
	bool master, assigns;
	int letter;

	optind = 0;
	while ((letter = getopt(argc, argv, "c:o:ndeX#xfhHjMFPvp")) != -1) {
		if (letter == 'c') {
			c->dir = optarg;
		} else if (letter == 'o' && f.noverrides < countof(f.overrides)) {
			f.overrides[f.noverrides++] = optarg;
		} else if (!parse_flag(c, &f, letter)) {
			return usage(c);
		}
	}
	argc -= optind;
	argv += optind;
	master = f.services || f.fields || f.service_params;
	assigns = argc > 0 && !master && strchr(argv[0], '=') != NULL;
	if (master && (f.edit || f.remove || f.comment_out)) {
		cmd_warn(c, "master.cf is changed with an editor; only main.cf can be changed here");
		return EX_BAD_USAGE;
	}
	if (master)
		return conf_show_master(c, &f, argv, argc);
	if (f.edit || f.remove || f.comment_out || assigns)
		return change(c, &f, argv, argc);
	return show(c, &f, argv, argc);
}

int
cmd_postconf(struct cmd *c, int argc, char **argv)
{
	return cmd_conf(c, argc, argv);
}
