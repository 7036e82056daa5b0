/* SPDX-License-Identifier: Apache-2.0 */
/* mailq, postqueue, postsuper and postcat: the flags and outputs that programs and fingers know. */
#include <stdlib.h>
#include <unistd.h>

#include "cmd/queue.h"
#include "util/mem.h"

int
cmd_mailq(struct cmd *c, int argc, char **argv)
{
	struct queue_request all = { .op = QUEUE_LIST, .by = BY_ALL };

	(void)argc;
	(void)argv;
	return queue_list(c, &all, c->json);
}

int
cmd_postqueue(struct cmd *c, int argc, char **argv)
{
	struct queue_request r = { .op = QUEUE_LIST, .by = BY_ALL };
	uint32_t counted;
	int o, mode = 0;

	optind = 1;
	while ((o = getopt(argc, argv, "c:vpjfi:s:")) != -1)
		switch (o) {
		case 'c':
			c->dir = optarg;
			break;
		case 'v':
			break;
		case 'p':
		case 'j':
		case 'f':
			mode = o;
			break;
		case 'i':
		case 's':
			mode = o;
			r.by = o == 'i' ? BY_ID : BY_DESTINATION;
			r.what = str_of(optarg);
			break;
		default:
			mode = 0;
			optind = argc + 1;
		}
	if (mode == 0 || optind != argc) {
		cmd_warn(c, "usage: postqueue -f | -i queueid | -j | -p | -s site");
		return 69;
	}
	if (mode == 'p' || mode == 'j')
		return queue_list(c, &r, mode == 'j');
	r.op = QUEUE_FLUSH;
	return queue_do(c, &r, 1, NULL, NULL, &counted);
}

static const struct {
	int flag;
	enum queue_op op;
	const char *done;
} super[] = {
	{'d',  QUEUE_DELETE,  "Deleted"           },
	{ 'h', QUEUE_HOLD,    "Placed on hold"    },
	{ 'H', QUEUE_RELEASE, "Released from hold"},
	{ 'r', QUEUE_REQUEUE, "Requeued"          },
	{ 'e', QUEUE_EXPIRE,  "Force-expired"     },
	{ 'f', QUEUE_EXPIRE,  "Force-expired"     },
};

/* One action on one id, on ALL, or on the ids that standard input has a line each of. */
static int
super_one(struct cmd *c, size_t action, const char *what)
{
	char line[256];
	uint32_t total = 0, counted = 0;
	int status = 0;

	if (strcmp(what, "-") != 0) {
		struct queue_request r = { .op = super[action].op,
			.by = strcmp(what, "ALL") == 0 ? BY_ALL : BY_ID,
			.what = str_of(what) };

		status = queue_do(c, &r, 1, NULL, NULL, &total);
	} else {
		while (status == 0 && fgets(line, sizeof line, stdin)) {
			struct str id = str_trim(str_of(line));
			struct queue_request r = {
				.op = super[action].op, .by = BY_ID, .what = id
			};

			if (id.n > 0) {
				status = queue_do(c, &r, 1, NULL, NULL, &counted);
				total += counted;
			}
		}
	}
	if (total > 0)
		fprintf(stderr, "postsuper: %s: %u message%s\n", super[action].done, total,
		    total == 1 ? "" : "s");
	return status;
}

int
cmd_postsuper(struct cmd *c, int argc, char **argv)
{
	int o, status = 0, actions = 0;

	optind = 1;
	while (status == 0 && (o = getopt(argc, argv, "c:vpsSd:h:H:r:e:f:")) != -1) {
		if (o == 'c')
			c->dir = optarg;
		else if (o == '?')
			status = 69;
		for (size_t i = 0; i < countof(super) && status == 0; i++)
			if (o == super[i].flag) {
				status = super_one(c, i, optarg);
				actions++;
			}
	}
	if (status == 69 || optind != argc) {
		cmd_warn(c, "usage: postsuper [-d|-h|-H|-r|-e|-f queueid|ALL|-] ...");
		return 69;
	}
	/* -p and -s tidy the spool: qmgr and `postroad check` do that here. */
	return actions == 0 ? cmd_check(c, 1, argv) : status;
}

int
cmd_postcat(struct cmd *c, int argc, char **argv)
{
	unsigned what = 0;
	const char *id = NULL;
	int o, status = 0;

	optind = 1;
	while ((o = getopt(argc, argv, "c:vbdefhoqrs")) != -1)
		switch (o) {
		case 'c':
			c->dir = optarg;
			break;
		case 'b':
			what |= SHOW_BODY;
			break;
		case 'h':
			what |= SHOW_HEADER;
			break;
		case 'e':
			what |= SHOW_ENVELOPE;
			break;
		case '?':
			cmd_warn(c, "usage: postcat [-beh] -q queueid ...");
			return 69;
		default:
			break;
		}
	if (what == 0)
		what = SHOW_ENVELOPE | SHOW_HEADER | SHOW_BODY | SHOW_MARKS;
	for (; optind < argc && status == 0; optind++) {
		id = strrchr(argv[optind], '/');
		status = queue_show(c, str_of(id ? id + 1 : argv[optind]), what);
	}
	if (id == NULL && optind == 1)
		cmd_warn(c, "usage: postcat [-beh] -q queueid ...");
	return status;
}
