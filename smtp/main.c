/* SPDX-License-Identifier: Apache-2.0 */
/* smtp - the client: delivers to other mail servers.  Called by its other name, lmtp, it speaks LMTP (RFC 2033). */
#include "agent/agent.h"
#include "mail/dns.h"
#include "smtp/delivery.h"
#include "smtp/own.h"

static bool lmtp;

static void
start(struct service *s, struct spool *spool, struct tasks *own)
{
	(void)spool;
	if (lmtp) {
		params_speak_lmtp(&s->params);
		delivery_speaks_lmtp();
	}
	dns_setup(&s->params);
	own_setup(&s->params, s->config_dir);
	conn_cache_init(&s->params, own);
}

static uint32_t
capacity(const struct params *p)
{
	return (uint32_t)p->smtp_client_limit;
}

int
main(int argc, char **argv)
{
	const bool by_that_name = argc > 0 && str_ends(str_of(argv[0]), STR("lmtp"));
	const struct agent_spec spec = {
		.prog = by_that_name ? "lmtp" : "smtp",
		.helpers = 4,
		.promises = "spool-read inet-client",
		.start = start,
		.capacity = capacity,
		.trials = true,
		.deliver = delivery_run,
		.finish = conn_cache_flush,
	};

	lmtp = by_that_name;
	return agent_main(argc, argv, &spec);
}
