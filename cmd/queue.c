/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "cmd/queue.h"
#include "util/mem.h"

static const struct verb {
	const char *name;
	enum queue_op op;
	const char *past;
} verbs[] = {
	{"list",     QUEUE_LIST,    "listed"  },
	{ "flush",   QUEUE_FLUSH,   "flushed" },
	{ "hold",    QUEUE_HOLD,    "held"    },
	{ "release", QUEUE_RELEASE, "released"},
	{ "delete",  QUEUE_DELETE,  "deleted" },
	{ "requeue", QUEUE_REQUEUE, "requeued"},
	{ "expire",  QUEUE_EXPIRE,  "expired" },
};

static const struct {
	const char *flag;
	enum queue_by by;
} criteria[] = {
	{"--sender",       BY_SENDER     },
	{ "--recipient",   BY_RECIPIENT  },
	{ "--destination", BY_DESTINATION},
};

static int
usage(const struct cmd *c)
{
	cmd_warn(c, "usage: postroad queue [list | flush | hold | release | delete | requeue | "
		    "expire] [--dry-run]\n"
		    "           [all | ID ... | --sender ADDRESS | --recipient ADDRESS | "
		    "--destination DOMAIN]\n"
		    "       postroad queue show ID");
	return 64;
}

/* Fill r[] from the words after the verb; how many, or -1 when they make no sense. */
static int
parse(int argc, char **argv, const struct verb *verb, bool *dry, struct queue_request *r)
{
	int n = 0;

	for (int i = 0; i < argc; i++) {
		bool taken = false;

		if (strcmp(argv[i], "--dry-run") == 0) {
			*dry = true;
			continue;
		}
		for (size_t k = 0; k < countof(criteria) && !taken; k++)
			if (strcmp(argv[i], criteria[k].flag) == 0) {
				if (++i == argc)
					return -1;
				r[n++] = (struct queue_request){ .by = criteria[k].by,
					.what = str_of(argv[i]) };
				taken = true;
			}
		if (taken)
			continue;
		if (argv[i][0] == '-')
			return -1;
		r[n++] =
		    (struct queue_request){ .by = strcasecmp(argv[i], "all") == 0 ? BY_ALL : BY_ID,
			    .what = str_of(argv[i]) };
	}
	if (n == 0 && (verb->op == QUEUE_LIST || verb->op == QUEUE_FLUSH))
		r[n++] = (struct queue_request){ .by = BY_ALL };
	return n == 0 ? -1 : n;
}

static int
change(struct cmd *c, const struct verb *verb, bool dry, struct queue_request *r, int n)
{
	uint32_t *counted = mem_array((size_t)n, sizeof *counted);
	uint32_t total = 0;
	int status;

	for (int i = 0; i < n; i++) {
		r[i].op = verb->op;
		r[i].dry = dry;
	}
	status = queue_do(c, r, (size_t)n, NULL, NULL, counted);
	for (int i = 0; i < n; i++) {
		total += counted[i];
		if (status == 0 && counted[i] == 0 && r[i].by == BY_ID) {
			cmd_warn(c, "%.*s: no such message", STR_ARG(r[i].what));
			status = 1;
		}
	}
	free(counted);
	if (c->json)
		printf(
		    "{\"%s\": %u, \"dry_run\": %s}\n", verb->past, total, dry ? "true" : "false");
	else if (status == 0 || total > 0)
		printf("%s%u message%s %s\n", dry ? "would have " : "", total,
		    total == 1 ? "" : "s", verb->past);
	return status;
}

int
cmd_queue(struct cmd *c, int argc, char **argv)
{
	const struct verb *verb = &verbs[0];
	struct queue_request *r;
	bool dry = false, known = argc < 2 || argv[1][0] == '-';
	int status, n;

	if (argc == 3 && (strcmp(argv[1], "show") == 0 || strcmp(argv[1], "cat") == 0))
		return queue_show(
		    c, str_of(argv[2]), SHOW_ENVELOPE | SHOW_HEADER | SHOW_BODY | SHOW_MARKS);
	for (size_t i = 0; i < countof(verbs) && !known; i++)
		if (strcmp(argv[1], verbs[i].name) == 0) {
			verb = &verbs[i];
			known = true;
			argc--;
			argv++;
		}
	if (!known) {
		cmd_warn(c, "unknown word: %s", argv[1]);
		return usage(c);
	}
	r = mem_array((size_t)argc + 1, sizeof *r);
	n = parse(argc - 1, argv + 1, verb, &dry, r);
	if (n < 0)
		status = usage(c);
	else if (verb->op == QUEUE_LIST && n == 1)
		status = queue_list(c, r, c->json);
	else if (verb->op == QUEUE_LIST)
		status = usage(c);
	else
		status = change(c, verb, dry, r, n);
	free(r);
	return status;
}
