/* SPDX-License-Identifier: Apache-2.0 */
/* Words of a command line to a selection. */
#include <stdlib.h>
#include <string.h>

#include "cmd/queue.h"
#include "util/mem.h"

enum { LIST_MAX = 8 << 20 };

const char selector_help[] =
    "Which messages: all that is said must hold; several words of one kind are alternatives.\n"
    "  ID ...                 these; `-` reads ids from standard input, a line each\n"
    "  ALL                    every message\n"
    "  --sender PATTERN       address, @domain, or <> for notices; `*` stands for anything\n"
    "  --recipient PATTERN    address (as it is now, or as first given) or @domain\n"
    "  --destination PATTERN  next hop, transport:nexthop, or domain of the recipient\n"
    "  --reason TEXT          found in what the last attempt said\n"
    "  --older AGE, --newer AGE\n"
    "                         in the queue for longer (less) than 90s, 5m, 2h, 3d, 1w\n"
    "  --state STATE          incoming, active, deferred or hold\n";

void
selector_fini(struct selector *s)
{
	struct buf *lists[] = { &s->ids, &s->senders, &s->rcpts, &s->destinations, &s->reasons };

	for (size_t i = 0; i < countof(lists); i++)
		buf_free(lists[i]);
	*s = (struct selector){ 0 };
}

void
selector_add(struct buf *list, struct str pattern)
{
	list->max = LIST_MAX;
	(void)wire_put_str(list, pattern);
}

bool
selector_add_id(struct selector *s, struct str id)
{
	uint64_t number;

	s->ids.max = LIST_MAX;
	return qid_parse(id, &number) && wire_put_u64(&s->ids, number);
}

bool
selector_is_empty(const struct selector *s)
{
	struct msg_select m = selector_select(s);

	return select_is_all(&m) && !s->all;
}

struct msg_select
selector_select(const struct selector *s)
{
	return (struct msg_select){ .ids = buf_str(&s->ids),
		.senders = buf_str(&s->senders),
		.rcpts = buf_str(&s->rcpts),
		.destinations = buf_str(&s->destinations),
		.reasons = buf_str(&s->reasons),
		.before = s->before,
		.after = s->after,
		.states = s->states };
}

/* -- one function a criterion; false: the word makes no sense -- */

static bool
take_sender(struct selector *s, struct str word)
{
	selector_add(&s->senders, word.n > 0 ? word : STR("<>"));
	return true;
}

static bool
take_rcpt(struct selector *s, struct str word)
{
	selector_add(&s->rcpts, word);
	return word.n > 0;
}

static bool
take_destination(struct selector *s, struct str word)
{
	selector_add(&s->destinations, word);
	return word.n > 0;
}

static bool
take_reason(struct selector *s, struct str word)
{
	struct buf anywhere = BUF(0);

	buf_printf(&anywhere, "*%.*s*", STR_ARG(word));
	selector_add(&s->reasons, buf_str(&anywhere));
	buf_free(&anywhere);
	return word.n > 0;
}

static bool
take_older(struct selector *s, struct str word)
{
	int64_t age = 0;
	bool good = select_age(word, &age);

	s->before = wall_now().us - age * 1000000;
	return good;
}

static bool
take_newer(struct selector *s, struct str word)
{
	int64_t age = 0;
	bool good = select_age(word, &age);

	s->after = wall_now().us - age * 1000000;
	return good;
}

static bool
take_state(struct selector *s, struct str word)
{
	unsigned state = select_state(word);

	s->states = (uint8_t)(s->states | state);
	return state != 0;
}

static const struct {
	const char *flag;
	bool (*take)(struct selector *s, struct str word);
	const char *wants;
} criteria[] = {
	{"--sender",       take_sender,      "an address, @domain or <>"            },
	{ "--recipient",   take_rcpt,        "an address or @domain"                },
	{ "--destination", take_destination, "a next hop or domain"                 },
	{ "--reason",      take_reason,      "some text"                            },
	{ "--older",       take_older,       "an age, such as 90s, 5m, 2h, 3d or 1w"},
	{ "--newer",       take_newer,       "an age, such as 90s, 5m, 2h, 3d or 1w"},
	{ "--state",       take_state,       "incoming, active, deferred or hold"   },
};

static bool
take_ids_from_stdin(struct cmd *c, struct selector *s)
{
	char line[256];
	bool good = true;

	while (good && fgets(line, sizeof line, stdin)) {
		struct str id = str_trim(str_of(line));

		good = id.n == 0 || selector_add_id(s, id);
		if (!good)
			cmd_warn(c, "%.*s: not a queue id", STR_ARG(id));
	}
	/* No line at all must not mean everything. */
	if (good && s->ids.n == 0) {
		cmd_warn(c, "no queue id on standard input");
		good = false;
	}
	return good;
}

bool
selector_take(struct cmd *c, struct selector *s, int argc, char **argv, int *at)
{
	const char *word = argv[*at];

	for (size_t i = 0; i < countof(criteria); i++) {
		size_t n = strlen(criteria[i].flag);
		const char *value =
		    word[0] == '-' && strncmp(word, criteria[i].flag, n) == 0 && word[n] == '='
			? word + n + 1
			: NULL;

		if (value == NULL && strcmp(word, criteria[i].flag) != 0)
			continue;
		if (value == NULL && *at + 1 < argc)
			value = argv[++*at];
		if (value && criteria[i].take(s, str_of(value)))
			return true;
		cmd_warn(c, "%s wants %s", criteria[i].flag, criteria[i].wants);
		return false;
	}
	if (strcmp(word, "-") == 0)
		return take_ids_from_stdin(c, s);
	if (strcasecmp(word, "ALL") == 0)
		return s->all = true;
	if (word[0] != '-' && selector_add_id(s, str_of(word)))
		return true;
	cmd_warn(c, word[0] == '-' ? "unknown option: %s" : "%s: not a queue id", word);
	return false;
}
