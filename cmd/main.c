/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "util/fault.h"
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

/* The name that a link is called by. */
static const char *
last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int
run_link(struct cmd *c, const struct named *what, int argc, char **argv)
{
	c->name = what->name;
	log_stderr(c->name);
	/* -c DIR may stand first; what else there is belongs to the command. */
	if (argc > 2 && strcmp(argv[1], "-c") == 0) {
		c->dir = argv[2];
		argv[2] = argv[0];
		argc -= 2;
		argv += 2;
	}
	return what->run(c, argc, argv);
}

static int
run_subcommand(struct cmd *c, const struct named *what, int argc, char **argv)
{
	char name[64];
	int kept = 1;

	snprintf(name, sizeof name, "postroad %s", what->name);
	c->name = name;
	log_stderr(name);
	/* --json is at home anywhere. */
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			c->json = true;
		else
			argv[kept++] = argv[i];
	}
	argv[kept] = NULL;
	return what->run(c, kept, argv);
}

int
main(int argc, char **argv)
{
	const char *dir = getenv("MAIL_CONFIG");
	struct cmd c = { .dir = dir ? dir : POSTROAD_SYSCONF };
	const struct named *what = find(links, countof(links), last_part(argv[0]));
	int at;

	fault_init("postroad");
	if (what)
		return run_link(&c, what, argc, argv);
	if (argc == 2 && (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0))
		return usage(stdout, 0);
	at = flags(&c, argc, argv);
	if (at < 0 || at == argc)
		return usage(stderr, 64);
	if ((what = find(subcommands, countof(subcommands), argv[at])) == NULL) {
		fprintf(stderr, "postroad: unknown command: %s\n", argv[at]);
		return usage(stderr, 64);
	}
	return run_subcommand(&c, what, argc - at, argv + at);
}
