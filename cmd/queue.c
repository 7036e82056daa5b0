/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/queue.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/mem.h"

static const struct verb {
	const char *name;
	enum queue_op op;
	const char *past;
	bool careful; /* wants a criterion, or ALL */
	const char *help;
} verbs[] = {
	/* clang-format off */
	{ "list",    QUEUE_LIST,        "listed",   false, "show messages (also without any word)"     },
	{ "flush",   QUEUE_FLUSH,       "flushed",  false, "try to deliver now"                        },
	{ "hold",    QUEUE_HOLD,        "held",     true,  "keep back until released"                  },
	{ "release", QUEUE_RELEASE,     "released", true,  "end of hold"                               },
	{ "requeue", QUEUE_REQUEUE,     "requeued", true,  "route anew, as if it had just come in"     },
	{ "delete",  QUEUE_DELETE,      "deleted",  true,  "remove; nobody is told"                    },
	{ "expire",  QUEUE_EXPIRE_HELD, "expired",  true,  "return to the sender, also what is on hold" },
	/* clang-format on */
};

static const struct {
	const char *name;
	int (*run)(struct cmd *c, int argc, char **argv);
	const char *help;
} others[] = {
	{ "cat", queue_show_many, "show a message: envelope, header, body, history" },
	{ "show", queue_show_many, "the same" },
	{ "load", queue_load, "take in message files, or another instance's spool" },
	{ "shape", queue_shape, "ages by domain, as qshape" },
};

static int
help(const struct cmd *c, FILE *out, int status)
{
	fprintf(out, "usage: %s [WORD] [OPTION ...] [WHICH ...]\n\n", c->name);
	for (size_t i = 0; i < countof(verbs); i++)
		fprintf(out, "  %-10s %s\n", verbs[i].name, verbs[i].help);
	for (size_t i = 0; i < countof(others); i++)
		fprintf(out, "  %-10s %s\n", others[i].name, others[i].help);
	fprintf(out,
	    "\nOptions\n"
	    "  --by destination|domain|sender|reason|age\n"
	    "                         list: a line for each, with count, size and oldest\n"
	    "  --dry-run              change nothing, say what would be done\n"
	    "  --verbose              name each message that was changed\n"
	    "  --json                 an object a line\n\n"
	    "%s\n"
	    "list and flush are about ALL unless said otherwise; the others want to be told.\n"
	    "Exit status: 0 done; 1 some ids are not in the queue, or nothing to do; 64 usage;\n"
	    "69 nobody there who could; 75 try again; 77 not allowed.\n"
	    "\nExamples\n"
	    "  postroad queue --by reason\n"
	    "  postroad queue hold --sender '*@example.com' --older 1h\n"
	    "  postroad queue delete --reason 'User unknown' --dry-run\n"
	    "  postroad queue flush --destination example.org\n",
	    selector_help);
	return status;
}

struct args {
	const struct verb *verb;
	struct selector which;
	enum queue_sum by;
	bool dry, verbose;
};

static bool
parse(struct cmd *c, struct args *a, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		const char *w = argv[i];

		if (strcmp(w, "--dry-run") == 0 || strcmp(w, "-n") == 0) {
			a->dry = true;
		} else if (strcmp(w, "--verbose") == 0 || strcmp(w, "-v") == 0) {
			a->verbose = true;
		} else if (strcmp(w, "--by") == 0 || strncmp(w, "--by=", 5) == 0) {
			w = w[4] == '=' ? w + 5 : i + 1 < argc ? argv[++i] : "";
			if ((a->by = queue_sum_of(w)) == SUM_NONE) {
				cmd_warn(
				    c, "--by wants destination, domain, sender, reason or age");
				return false;
			}
		} else if (!selector_take(c, &a->which, argc, argv, &i)) {
			return false;
		}
	}
	if (a->verb->careful && selector_is_empty(&a->which)) {
		cmd_warn(c, "%s: which messages?  Say ALL if you mean every one", a->verb->name);
		return false;
	}
	if (a->by != SUM_NONE && a->verb->op != QUEUE_LIST) {
		cmd_warn(c, "--by is for list");
		return false;
	}
	return true;
}

/* -- the outcome of a change -- */

struct told {
	const struct cmd *c;
	const struct args *a;
	struct progress progress;
	uint64_t n;
};

static void
on_changed(void *arg, uint64_t id)
{
	struct told *t = arg;
	char text[QID_TEXT];

	progress_at(&t->progress, ++t->n);
	if (!t->a->verbose)
		return;
	qid_text(id, text);
	if (t->c->json)
		printf("{\"queue_id\": \"%s\", \"%s\": %s}\n", text, t->a->verb->past,
		    t->a->dry ? "false" : "true");
	else
		printf("%s: %s%s\n", text, t->a->dry ? "would be " : "", t->a->verb->past);
}

static int
change(struct cmd *c, const struct args *a)
{
	struct queue_request r = {
		.op = a->verb->op, .dry = a->dry, .select = selector_select(&a->which)
	};
	struct told t = { .c = c, .a = a };
	struct queue_answers answers = { .changed = on_changed, .arg = &t };
	struct queue_result out;
	int status;

	progress_begin(&t.progress, a->verb->past, 0);
	status = queue_do(c, &r, &answers, &out);
	progress_end(&t.progress);
	queue_say_missing(c, &out);
	if (status == EX_DONE && (out.missing.n > 0 || (out.matched == 0 && a->which.ids.n > 0)))
		status = EX_NOT_DONE;
	if (c->json)
		printf("{\"%s\": %" PRIu64 ", \"missing\": %zu, \"dry_run\": %s}\n", a->verb->past,
		    out.matched, out.missing.n / sizeof(uint64_t), a->dry ? "true" : "false");
	else if (status == EX_DONE || out.matched > 0)
		printf("%s%" PRIu64 " message%s %s\n", a->dry ? "would have " : "", out.matched,
		    out.matched == 1 ? "" : "s", a->verb->past);
	queue_result_fini(&out);
	return fflush(stdout) == 0 ? status : EX_NOT_DONE;
}

static int
act(struct cmd *c, const struct args *a)
{
	struct queue_request r = { .op = QUEUE_LIST, .select = selector_select(&a->which) };

	if (a->verb->op != QUEUE_LIST)
		return change(c, a);
	return a->by != SUM_NONE ? queue_sum(c, &r, a->by) : queue_list(c, &r, c->json);
}

int
cmd_queue(struct cmd *c, int argc, char **argv)
{
	struct args a = { .verb = &verbs[0] };
	bool known = argc < 2 || argv[1][0] == '-';
	int status;

	for (size_t i = 0; i < countof(others) && !known; i++)
		if (strcmp(argv[1], others[i].name) == 0)
			return others[i].run(c, argc - 1, argv + 1);
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return help(c, stdout, EX_DONE);
	for (size_t i = 0; i < countof(verbs) && !known; i++)
		if (strcmp(argv[1], verbs[i].name) == 0) {
			a.verb = &verbs[i];
			known = true;
			argc--;
			argv++;
		}
	if (!known) {
		cmd_warn(c, "unknown word: %s; see %s --help", argv[1], c->name);
		return EX_BAD_USAGE;
	}
	status = parse(c, &a, argc - 1, argv + 1) ? act(c, &a) : EX_BAD_USAGE;
	selector_fini(&a.which);
	return status;
}
