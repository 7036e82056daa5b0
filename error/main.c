/* SPDX-License-Identifier: Apache-2.0 */
/* error - delivers nothing: as the service `error` it returns mail, as `retry` (any other name) it
 * defers it.  The next hop is the reason, with or without a code of its own: "error:5.1.6 user has
 * moved". */
#include <stdio.h>

#include "agent/agent.h"

static bool is_error;

static void
start(struct service *s, struct spool *spool, struct tasks *own)
{
	(void)spool, (void)own;
	is_error = strcmp(s->name, "error") == 0;
}

static uint32_t
capacity(const struct params *p)
{
	(void)p;
	return 100;
}

/* "5.1.6" at the front, whose first digit is ours to say. */
static bool
take_code(struct str *text, char esc[ESC_MAX])
{
	struct str word = str_sub(*text, 0, str_find(*text, ' ')), rest = word, part;
	uint64_t v;
	int n = 0;

	if (word.n < 5 || word.n >= ESC_MAX || word.p[1] != '.')
		return false;
	while (str_cut(&rest, '.', &part))
		if (++n > 3 || part.n > 3 || !str_u64(part, &v))
			return false;
	if (n != 3)
		return false;
	snprintf(esc, ESC_MAX, "%c%.*s", is_error ? '5' : '4', STR_ARG(str_sub(word, 1, word.n)));
	*text = str_trim(str_sub(*text, word.n, text->n));
	return true;
}

static void
deliver(struct job *j)
{
	char esc[ESC_MAX];
	struct str text = j->m.nexthop;
	struct buf words = BUF(8 << 10);

	if (!take_code(&text, esc))
		snprintf(esc, sizeof esc, "%s", is_error ? "5.0.0" : "4.0.0");
	(void)!buf_add(&words, text.n > 0 ? text
			       : is_error ? STR("mail is not deliverable")
					  : STR("mail is deferred"));
	job_all(j, is_error ? RCPT_BOUNCED : RCPT_DEFERRED, esc, buf_cstr(&words));
	buf_free(&words);
}

int
main(int argc, char **argv)
{
	static const struct agent_spec spec = {
		.prog = "error",
		.helpers = 1,
		.promises = "talks to qmgr",
		.start = start,
		.capacity = capacity,
		.deliver = deliver,
	};

	return agent_main(argc, argv, &spec);
}
