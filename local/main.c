/* SPDX-License-Identifier: Apache-2.0 */
#include "local/deliver.h"

int
main(int argc, char **argv)
{
	static const struct agent_spec spec = {
		.prog = "local",
		.helpers = 16,
		.promises = "start-programs spool-read spool-create tables accounts",
		.start = local_start,
		.capacity = local_capacity,
		.trials = true,
		.deliver = local_deliver,
		.finish = local_finish,
		.writes = true,
	};

	return agent_main(argc, argv, &spec);
}
