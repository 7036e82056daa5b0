/* SPDX-License-Identifier: Apache-2.0 */
/* mailq and postqueue: the flags and outputs that programs and fingers know.  Exit status 69 for
 * everything that goes wrong. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/queue.h"

int
cmd_mailq(struct cmd *c, int argc, char **argv)
{
	struct queue_request all = { .op = QUEUE_LIST };

	for (int i = 1; i < argc; i++)
		c->json |= strcmp(argv[i], "--json") == 0;
	return queue_list(c, &all, c->json) == EX_DONE ? EX_DONE : EX_NO_SERVICE;
}

static int
usage(const struct cmd *c, FILE *out, int status)
{
	if (out == stderr)
		cmd_warn(c, "fatal: usage: postqueue -f | postqueue -i queueid | postqueue -j | "
			    "postqueue -p | postqueue -s site");
	else
		fputs("usage: postqueue [-c DIR] [-v] -f | -i ID | -j | -p | -s SITE\n"
		      "  -p  list the queue as mailq does     -j  the same as JSON, an object a "
		      "line\n"
		      "  -f  try to deliver all of it now     -i  this message\n"
		      "  -s  what is for this domain or next hop\n",
		    out);
	return status;
}

/* An id that is not there is no error: it may just have been delivered. */
static int
flush_some(struct cmd *c, const struct selector *which)
{
	struct queue_request r = { .op = QUEUE_FLUSH, .select = selector_select(which) };
	struct queue_result out;
	int status = queue_do(c, &r, NULL, &out);

	queue_result_fini(&out);
	return status;
}

static int
act(struct cmd *c, int mode, const char *what)
{
	struct queue_request all = { .op = QUEUE_LIST };
	struct selector which = { 0 };
	int status;

	if (mode == 'p' || mode == 'j')
		return queue_list(c, &all, mode == 'j');
	if (mode == 'i' && !selector_add_id(&which, str_of(what))) {
		cmd_warn(c, "fatal: malformed queue ID: %s", what);
		return EX_NO_SERVICE;
	}
	if (mode == 's')
		selector_add(&which.destinations, str_of(what));
	status = flush_some(c, &which);
	selector_fini(&which);
	return status;
}

int
cmd_postqueue(struct cmd *c, int argc, char **argv)
{
	const char *what = NULL;
	int o, mode = 0;

	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return usage(c, stdout, EX_DONE);
	optind = 0;
	while ((o = getopt(argc, argv, "c:vpjfi:s:")) != -1) {
		if (o == 'c') {
			c->dir = optarg;
		} else if (o != 'v') {
			mode = mode == 0 && o != '?' ? o : -1;
			what = optarg;
		}
	}
	if (mode <= 0 || optind != argc)
		return usage(c, stderr, EX_NO_SERVICE);
	return act(c, mode, what) == EX_DONE ? EX_DONE : EX_NO_SERVICE;
}
