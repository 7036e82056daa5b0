/* SPDX-License-Identifier: Apache-2.0 */
/* discard - says of all mail that it was sent, and drops it.  The next hop is the reason that the log gives. */
#include "agent/agent.h"

static void
deliver(struct job *j)
{
	struct buf text = BUF(8 << 10);

	(void)!buf_add(&text, j->m.nexthop);
	job_all(j, RCPT_SENT, "2.0.0", buf_cstr(&text));
	buf_free(&text);
}

int
main(int argc, char **argv)
{
	static const struct agent_spec spec = {
		.prog = "discard",
		.helpers = 1,
		.promises = "spool-read",
		.trials = true,
		.deliver = deliver,
	};

	return agent_main(argc, argv, &spec);
}
