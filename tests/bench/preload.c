/* SPDX-License-Identifier: Apache-2.0 */
/* preload DIR MESSAGES [BYTES [DOMAINS]] - put messages into the queue at DIR (queue_directory) as an MTA would that accepted them and
 * stopped: committed files in incoming, here made durable together at the end.  For benches of large queues; the MTA must be down. */
#include <stdio.h>
#include <unistd.h>

#include "spool/spool.h"
#include "util/log.h"
#include "util/mem.h"

enum { TASKS = 256, HELPERS = 2, SLOT = 1000 };

static struct {
	const char   *dir;
	struct spool *spool;
	size_t        left, bytes, domains;
	char         *text;
} p = { .bytes = 200, .domains = 1 };

static void
need(enum err e)
{
	if (e != OK)
		log_fatal("%s: %s", err_name(e), err_why());
}

static void
enter(void *arg)
{
	(void)arg;
	while (p.left > 0) {
		char address[64];
		size_t n = p.left--;
		struct spool_rcpt to = { .addr = { address, (size_t)snprintf(address, sizeof address,
						 "r%zu@d%zu.rcpt.test", n, n % p.domains) } };
		struct spool_msg m = {
			.id = qid_new(), .arrived = wall_now(), .sender = STR("sender@from.test"), .rcpts = &to, .nrcpts = 1,
			.client_name = STR("localhost"), .client_addr = STR("127.0.0.1"), .client_helo = STR("client"),
			.protocol = STR("ESMTP"),
		};
		struct entry *e = entry_new(p.spool, &m);

		need(entry_add(e, (struct str){ p.text, p.bytes }));
		need(entry_commit(&e, 0, &m));
	}
}

static void
fill(void *arg)
{
	struct tasks g;

	(void)arg;
	need(spool_open(p.dir, SYNC_NONE, false, &p.spool));
	tasks_init(&g);
	for (int i = 0; i < TASKS; i++)
		if (task_start(&g, "enter", enter, NULL) == NULL)
			log_fatal("no memory for a task");
	tasks_wait(&g);
	spool_close(&p.spool);
	sync();                                        /* what is still to be written must not be part of what is measured */
}

int
main(int argc, char **argv)
{
	log_stderr("preload");
	if (argc < 3)
		log_fatal("usage: preload DIR MESSAGES [BYTES [DOMAINS]]");
	p.dir = argv[1];
	p.left = strtoul(argv[2], NULL, 10);
	if (argc > 3)
		p.bytes = strtoul(argv[3], NULL, 10);
	if (argc > 4)
		p.domains = strtoul(argv[4], NULL, 10);
	p.text = mem_new(p.bytes + 3);
	memset(p.text, 'x', p.bytes);
	for (size_t i = 70; i + 2 < p.bytes; i += 72)
		memcpy(p.text + i, "\r\n", 2);
	memcpy(p.text + (p.bytes > 2 ? p.bytes - 2 : 0), "\r\n", 2);
	qid_setup(0, SLOT);
	task_run(fill, NULL, HELPERS);
	return 0;
}
