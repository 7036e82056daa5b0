/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mail/maps.h"
#include "util/mem.h"

static int
usage(const struct cmd *c, FILE *out, int status)
{
	fprintf(out,
	    "usage: %s [-c DIR] [-dnxfhHj] [-C CLASS] [-o name=value ...] [name ...]   show "
	    "settings\n"
	    "       %s [-c DIR] -e name=value ...                       change settings\n"
	    "       %s [-c DIR] -X | -# name ...                        take them out, make them "
	    "comments\n"
	    "       %s [-c DIR] -M | -F | -P [-fhHjxo] [service[/type[/name]] ...]  show "
	    "master.cf\n"
	    "       %s [-c DIR] -M | -F | -P [-e] service/type[/name]=value ...  change it (-X, -# "
	    "as well)\n"
	    "       %s -m | -l | -a | -A                                kinds of tables, locks, "
	    "SASL\n",
	    c->name, c->name, c->name, c->name, c->name, c->name);
	fputs("  -n those in main.cf   -d defaults   -x expand $names   -f fold long lines   -h "
	      "values only\n"
	      "  -H names only   -j JSON, an object a line\n"
	      "  -C builtin, service, user or all: which kinds of settings\n",
	    out);
	return status;
}

/* Would main.cf still load with these changes?  When it does not load now, nothing can be said:
 * changing it may be the cure. */
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
	enum params_change how = f->remove        ? PARAMS_REMOVE
				 : f->comment_out ? PARAMS_COMMENT_OUT
						  : PARAMS_CHANGE;
	bool assign = how == PARAMS_CHANGE;

	if (n == 0)
		return usage(c, stderr, EX_BAD_USAGE);
	for (int i = 0; i < n; i++) {
		if (assign != (strchr(args[i], '=') != NULL)) {
			cmd_warn(
			    c, assign ? "%s: must be name=value" : "%s: must be a name", args[i]);
			return EX_BAD_USAGE;
		}
	}
	if (assign && !changes_are_sound(c, args, n))
		return EX_NOT_DONE;
	for (int i = 0; i < n; i++) {
		struct str arg = str_of(args[i]);
		size_t at = str_find(arg, '=');

		if (params_change(c->dir, str_sub(arg, 0, at), str_sub(arg, at + 1, arg.n), how) !=
		    OK) {
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
		{'n',  &f->set           },
		{ 'd', &f->defaults      },
		{ 'e', &f->edit          },
		{ 'X', &f->remove        },
		{ '#', &f->comment_out   },
		{ 'x', &f->expand        },
		{ 'f', &f->fold          },
		{ 'h', &f->value_only    },
		{ 'H', &f->name_only     },
		{ 'j', &f->json          },
		{ 'M', &f->services      },
		{ 'F', &f->fields        },
		{ 'P', &f->service_params},
		{ 'v', &c->verbose       },
		{ 'p', &(bool){ false }  },
	};

	for (size_t i = 0; i < countof(flags); i++) {
		if (flags[i].letter == letter) {
			*flags[i].flag = true;
			return true;
		}
	}
	return false;
}

static bool
parse_class(struct conf_flags *f, const char *word)
{
	static const struct {
		const char *name;
		unsigned classes;
	} classes[] = {
		{"builtin",  PARAMS_BUILTIN					       },
		{ "service", PARAMS_SERVICE					       },
		{ "user",    PARAMS_USER | PARAMS_UNUSED                                  },
		{ "all",     PARAMS_BUILTIN | PARAMS_SERVICE | PARAMS_USER | PARAMS_UNUSED},
	};

	for (size_t i = 0; i < countof(classes); i++)
		if (strcmp(word, classes[i].name) == 0) {
			f->classes |= classes[i].classes;
			return true;
		}
	return false;
}

/* What this program can do, a line each. */
static int
show_kinds(int what)
{
	if (what == 'm') {
		for (size_t i = 0; maps_type(i); i++)
			puts(maps_type(i));
		puts("proxy");
	} else if (what == 'l') {
		puts("fcntl\ndotlock");
	}
	return fflush(stdout) == 0 ? EX_DONE : EX_NOT_DONE;
}

static bool
option(struct cmd *c, struct conf_flags *f, int letter, int *kinds)
{
	switch (letter) {
	case 'c':
		c->dir = optarg;
		return true;
	case 'o':
		if (f->noverrides == countof(f->overrides))
			return false;
		f->overrides[f->noverrides++] = optarg;
		return true;
	case 'C':
		return parse_class(f, optarg);
	case 'm':
	case 'l':
	case 'a':
	case 'A':
		*kinds = letter;
		return true;
	default:
		return parse_flag(c, f, letter);
	}
}

static int
act(struct cmd *c, struct conf_flags *f, int argc, char **argv)
{
	bool changes =
	    f->edit || f->remove || f->comment_out || (argc > 0 && strchr(argv[0], '=') != NULL);

	if (f->services || f->fields || f->service_params)
		return changes ? conf_change_master(c, f, argv, argc)
			       : conf_show_master(c, f, argv, argc);
	return changes ? change(c, f, argv, argc) : conf_show(c, f, argv, argc);
}

static int
conf(struct cmd *c, int argc, char **argv, bool postfix)
{
	struct conf_flags f = { .json = c->json, .postfix = postfix };
	int letter, kinds = 0;

	if (argc > 1 && strcmp(argv[1], "--help") == 0)
		return usage(c, stdout, EX_DONE);
	optind = 0;
	while ((letter = getopt(argc, argv, "c:o:C:ndeX#xfhHjMFPvpmlaA")) != -1)
		if (!option(c, &f, letter, &kinds))
			return usage(c, stderr, EX_BAD_USAGE);
	return kinds ? show_kinds(kinds) : act(c, &f, argc - optind, argv + optind);
}

int
cmd_conf(struct cmd *c, int argc, char **argv)
{
	return conf(c, argc, argv, false);
}

int
cmd_postconf(struct cmd *c, int argc, char **argv)
{
	return conf(c, argc, argv, true);
}
