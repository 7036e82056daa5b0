/* SPDX-License-Identifier: Apache-2.0 */
/* error - delivers nothing: as the service `error` it returns mail, as `retry` (any other name) it
 * defers it.  The next hop is the reason, with or without a code of its own: "error:5.1.6 user has
 * moved". */
#include <stdio.h>

#include "agent/agent.h"

static void
deliver(struct job *j)
{
	bool is_error = strcmp(service_self()->name, "error") == 0;
	struct str text = j->m.nexthop;
	size_t code = text.n > 0 ? esc_length(text, text.p[0] - '0') : 0;
	struct str rest = code > 0 ? str_sub(text, 1, code - 1) : STR(".0.0");
	struct buf words = BUF(8 << 10);
	char esc[ESC_MAX];

	/* The first digit of the code is ours to say. */
	snprintf(esc, sizeof esc, "%c%.*s", is_error ? '5' : '4', STR_ARG(rest));
	text = str_trim(str_sub(text, code, text.n));
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
		.promises = "spool-read",
		.trials = true,
		.deliver = deliver,
	};

	return agent_main(argc, argv, &spec);
}
