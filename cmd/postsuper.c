/* SPDX-License-Identifier: Apache-2.0 */
/* postsuper: what the superuser does to messages.  Actions are done in the order given, on the
 * queues named at the end. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/queue.h"
#include "util/mem.h"

enum { ACTIONS_MAX = 10000, DEBRIS_AGE = 60 };

static const struct kind {
	int flag;
	enum queue_op op;
	const char *one;  /* of one message */
	const char *many; /* of all of them */
} kinds[] = {
	{'r',  QUEUE_REQUEUE,     "requeued",           "Requeued"          },
	{ 'd', QUEUE_DELETE,      "removed",            "Deleted"           },
	{ 'e', QUEUE_EXPIRE,      "expired",            "Force-expired"     },
	{ 'f', QUEUE_EXPIRE_HELD, "expired",            "Force-expired"     },
	{ 'h', QUEUE_HOLD,        "placed on hold",     "Placed on hold"    },
	{ 'H', QUEUE_RELEASE,     "released from hold", "Released from hold"},
};

struct action {
	const struct kind *kind;
	const char *what;
};

struct super {
	struct cmd *c;
	struct action actions[ACTIONS_MAX];
	size_t n;
	uint8_t states; /* of the queues named; 0: all */
	uint64_t counts[countof(kinds)];
	const struct kind *now;
	bool tidy; /* -p or -s */
};

static int
usage(const struct cmd *c, FILE *out, int status)
{
	if (out == stderr)
		cmd_warn(c, "fatal: usage: postsuper [-c config_dir] [-d queue_id (delete)] [-e "
			    "queue_id (expire)] "
			    "[-f queue_id (expire and/or un-hold)] [-h queue_id (hold)] [-H "
			    "queue_id (un-hold)] "
			    "[-p (purge temporary files)] [-r queue_id (requeue)] [-s (structure "
			    "fix)] [-S (redundant "
			    "structure fix)] [queue...]");
	else
		fputs("usage: postsuper [-c DIR] [-v] [-psS] [-d|-e|-f|-h|-H|-r ID|ALL|-] ... "
		      "[QUEUE ...]\n"
		      "  -d  delete                       -e  return to the sender\n"
		      "  -h  keep back (hold)             -H  end of hold\n"
		      "  -r  route anew                   -f  return to the sender, also what is "
		      "on hold\n"
		      "  -p, -s  tidy the spool, which qmgr does by itself while it runs\n"
		      "ALL: every message; -: ids from standard input, a line each.\n"
		      "QUEUE: incoming, active, deferred, hold; all of them unless given.\n",
		    out);
	return status;
}

static void
on_changed(void *arg, uint64_t id)
{
	struct super *s = arg;
	char text[QID_TEXT];

	s->counts[s->now - kinds]++;
	fprintf(stderr, "postsuper: %s: %s\n", qid_text(id, text), s->now->one);
}

static void
add_ids_from_stdin(struct super *s, struct selector *which)
{
	char line[256];

	while (fgets(line, sizeof line, stdin)) {
		struct str id = str_trim(str_of(line));

		if (id.n > 0 && !selector_add_id(which, id))
			cmd_warn(s->c, "warning: bad mail queue id: %.*s", STR_ARG(id));
	}
}

/* Actions from `first` on that are the same are one request; the place of the next other one. */
static size_t
gather(struct super *s, size_t first, struct selector *which)
{
	size_t i = first;

	if (strcmp(s->actions[first].what, "ALL") == 0) {
		which->all = true;
		return first + 1;
	}
	for (; i < s->n && s->actions[i].kind == s->actions[first].kind &&
	       strcmp(s->actions[i].what, "ALL") != 0;
	     i++) {
		if (strcmp(s->actions[i].what, "-") == 0)
			add_ids_from_stdin(s, which);
		else if (!selector_add_id(which, str_of(s->actions[i].what)))
			cmd_warn(s->c, "warning: bad mail queue id: %s", s->actions[i].what);
	}
	return i;
}

static int
act(struct super *s, struct selector *which)
{
	struct queue_request r = { .op = s->now->op };
	struct queue_answers a = { .changed = on_changed, .arg = s };
	struct queue_result out;
	int status;

	which->states = s->states;
	r.select = selector_select(which);
	if (which->ids.n == 0 && !which->all)
		return EX_DONE;
	status = queue_do(s->c, &r, &a, &out);
	queue_result_fini(&out);
	return status;
}

static int
act_all(struct super *s)
{
	int status = EX_DONE;

	for (size_t i = 0; i < s->n && status == EX_DONE;) {
		struct selector which = { 0 };

		s->now = s->actions[i].kind;
		i = gather(s, i, &which);
		status = act(s, &which);
		selector_fini(&which);
	}
	for (size_t k = 0; k < countof(kinds); k++) {
		uint64_t n = s->counts[k];

		if (kinds[k].flag == 'f')
			continue;
		n += kinds[k].flag == 'e' ? s->counts[k + 1] : 0;
		if (n > 0)
			fprintf(stderr, "postsuper: %s: %" PRIu64 " message%s\n", kinds[k].many, n,
			    n == 1 ? "" : "s");
	}
	return status;
}

static bool
pass(void *arg, struct spool_view *v)
{
	(void)arg;
	(void)v;
	return true;
}

/* Debris removed, damage set aside: while qmgr runs it does so itself. */
static int
tidy(struct cmd *c)
{
	static const enum spool_dir dirs[] = { SPOOL_INCOMING, SPOOL_DEFERRED, SPOOL_HOLD };
	struct spool_scan how = { .fn = pass, .threads = 2, .debris_age = DEBRIS_AGE };
	struct spool *sp = NULL;
	struct params p;
	enum err e;

	if (!cmd_params(c, &p))
		return EX_NOT_DONE;
	e = spool_open(p.queue_directory, spool_sync_of(p.spool_sync), false, &sp);
	if (e == OK && (e = spool_lock(sp)) == E_BUSY)
		e = OK;
	else
		for (size_t i = 0; i < countof(dirs) && e == OK; i++)
			e = spool_scan(sp, dirs[i], &how, NULL);
	if (e != OK)
		cmd_warn(c, "fatal: %s", err_why());
	spool_close(&sp);
	params_fini(&p);
	return e == OK ? EX_DONE : EX_NOT_DONE;
}

static bool
option(struct super *s, int o)
{
	if (o == 'c')
		s->c->dir = optarg;
	s->tidy |= o == 'p' || o == 's' || o == 'S';
	for (size_t k = 0; k < countof(kinds); k++)
		if (o == kinds[k].flag && s->n < ACTIONS_MAX)
			s->actions[s->n++] = (struct action){ &kinds[k], optarg };
	return o != '?';
}

int
cmd_postsuper(struct cmd *c, int argc, char **argv)
{
	static struct super s;
	int o, status = EX_DONE;

	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return usage(c, stdout, EX_DONE);
	s.c = c;
	optind = 0;
	while ((o = getopt(argc, argv, "c:vpsSd:h:H:r:e:f:")) != -1)
		if (!option(&s, o))
			return usage(c, stderr, EX_NOT_DONE);
	for (; optind < argc; optind++) {
		unsigned state = select_state(str_of(argv[optind]));

		if (state == 0)
			cmd_warn(c, "warning: %s: no queue of that name has messages to change",
			    argv[optind]);
		s.states = (uint8_t)(s.states | state);
		/* A queue that is not there must not turn into all of them. */
		if (s.states == 0 && optind + 1 == argc)
			return EX_NOT_DONE;
	}
	if (s.tidy || s.n == 0)
		status = tidy(c);
	return status == EX_DONE && act_all(&s) == EX_DONE ? EX_DONE : EX_NOT_DONE;
}
