/* SPDX-License-Identifier: Apache-2.0 */
#include "resolver/server.h"

int
main(int argc, char **argv)
{
	static const struct service_spec spec = {
		.prog = "resolver",
		.helpers = 1,
		.run = server_run,
		.promises = "dns",
	};

	return service_main(argc, argv, &spec);
}
