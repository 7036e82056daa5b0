/* SPDX-License-Identifier: Apache-2.0 */
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "util/log.h"
#include "util/mem.h"

typedef int command_fn(struct cmd *c, int argc, char **argv);

struct named {
	const char *name;
	command_fn *run;
	const char *help;
};

#define C(name, fn, help) { name, fn, help },
static const struct named subcommands[] = { COMMANDS(C) }, links[] = { COMMAND_LINKS(C) };
#undef C

static const struct named *
find(const struct named *v, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(v[i].name, name) == 0)
			return &v[i];
	return NULL;
}

static int
usage(FILE *out, int status)
{
	fprintf(out, "usage: postroad [-c DIR] [-v] [--json] COMMAND ...\n\n");
	for (size_t i = 0; i < countof(subcommands); i++)
		fprintf(out, "  %-10s %s\n", subcommands[i].name, subcommands[i].help);
	fprintf(out,
	    "\nDIR holds main.cf and master.cf; %s unless given.  Also callable by these names:\n",
	    POSTROAD_SYSCONF);
	for (size_t i = 0; i < countof(links); i++)
		fprintf(out, "  %-10s %s\n", links[i].name, links[i].help);
	return status;
}

void
cmd_warn(const struct cmd *c, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "%s: ", c->name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

bool
cmd_params(const struct cmd *c, struct params *p)
{
	struct str why, line;

	if (params_load(p, c->dir, NULL, 0) == OK)
		return true;
	for (why = str_of(err_why()); str_cut(&why, '\n', &line);)
		cmd_warn(c, "%.*s", STR_ARG(line));
	return false;
}

/* Take the flags that stand before the subcommand; the index of the first word that is none, or -1.
 */
static int
flags(struct cmd *c, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc && argv[i][0] == '-'; i++)
		if (strcmp(argv[i], "-c") == 0 && i + 1 < argc)
			c->dir = argv[++i];
		else if (strcmp(argv[i], "-v") == 0)
			c->verbose = true;
		else if (strcmp(argv[i], "--json") == 0)
			c->json = true;
		else
			return -1;
	return i;
}

int
main(int argc, char **argv)
{
	const char *dir = getenv("MAIL_CONFIG");
	struct cmd c = { .dir = dir ? dir : POSTROAD_SYSCONF };
	const struct named *what = find(links, countof(links), basename(mem_dup(argv[0])));
	char *name = NULL;
	int at;

	if (what) {
		c.name = what->name;
		log_stderr(c.name);
		/* -c DIR may stand first; what else there is belongs to the command. */
		if (argc > 2 && strcmp(argv[1], "-c") == 0) {
			c.dir = argv[2];
			argv[2] = argv[0];
			argc -= 2;
			argv += 2;
		}
		return what->run(&c, argc, argv);
	}
	at = flags(&c, argc, argv);
	if (at == argc || at < 0)
		return usage(argc == 2 && strcmp(argv[1], "--help") == 0 ? stdout : stderr,
		    at < 0 && argc == 2 ? 0 : 64);
	if (strcmp(argv[at], "help") == 0)
		return usage(stdout, 0);
	what = find(subcommands, countof(subcommands), argv[at]);
	if (what == NULL) {
		fprintf(stderr, "postroad: unknown command: %s\n", argv[at]);
		return usage(stderr, 64);
	}
	ENSURE(asprintf(&name, "postroad %s", what->name) > 0);
	c.name = name;
	log_stderr(name);
	/* --json is at home anywhere. */
	for (int i = at + 1, out = at + 1, n = argc; i < n; i++) {
		if (strcmp(argv[i], "--json") == 0) {
			c.json = true;
			argc--;
		} else {
			argv[out++] = argv[i];
		}
	}
	return what->run(&c, argc - at, argv + at);
}
