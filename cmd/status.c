/* SPDX-License-Identifier: Apache-2.0 */
/* status: what the board says. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd/instance.h"

enum { SERVICES_MAX = 512 };

struct sum {
	char     service[sizeof((struct board_slot *)0)->service + 1];
	unsigned processes;
	uint64_t sessions, served;
};

static struct sum sums[SERVICES_MAX];

static struct sum *
sum_of(const char *service, size_t *n)
{
	size_t i = 0;

	while (i < *n && strcmp(sums[i].service, service) != 0)
		i++;
	if (i == SERVICES_MAX)
		return NULL;
	if (i == *n)
		snprintf(sums[(*n)++].service, sizeof sums->service, "%s", service);
	return &sums[i];
}

/* Services in order of their name, whatever slots their processes have. */
static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct sum *)a)->service, ((const struct sum *)b)->service);
}

static size_t
add_up(const struct board *b)
{
	size_t n = 0;

	for (size_t i = 1; i < BOARD_SLOTS; i++) {
		const struct board_slot *s = &b->slot[i];
		char service[sizeof sums->service];
		struct sum *sum;

		if (s->pid <= 0)
			continue;
		/* A process that went mad may have written over it. */
		snprintf(service, sizeof service, "%.*s", (int)sizeof s->service, s->service);
		if ((sum = sum_of(service, &n)) == NULL)
			continue;
		sum->processes++;
		sum->sessions += s->sessions;
		sum->served += s->served;
	}
	qsort(sums, n, sizeof *sums, by_name);
	return n;
}

static void
print_text(pid_t pid, int64_t up, size_t n)
{
	printf("The Postroad mail system is running, pid %d, for %" PRId64 "d %02d:%02d:%02d.\n", (int)pid,
	    up / 86400, (int)(up / 3600 % 24), (int)(up / 60 % 60), (int)(up % 60));
	printf("%-28s %9s %9s %9s\n", "service", "processes", "sessions", "served");
	for (size_t i = 0; i < n; i++)
		printf("%-28s %9u %9" PRIu64 " %9" PRIu64 "\n", sums[i].service, sums[i].processes,
		    sums[i].sessions, sums[i].served);
}

static void
print_json(pid_t pid, int64_t up, const struct board_slot *master, size_t n)
{
	struct buf b = BUF(0);

	buf_printf(&b, "{\"running\": true, \"pid\": %d, \"uptime\": %" PRId64, (int)pid, up);
	if (master)
		buf_printf(&b, ", \"generation\": %" PRIu32 ", \"reloads\": %" PRIu64 ", \"reloads_refused\": %" PRIu32,
		    master->generation, master->served, master->sessions);
	buf_adds(&b, ", \"services\": [");
	for (size_t i = 0; i < n; i++) {
		buf_printf(&b, "%s{\"service\": ", i > 0 ? ", " : "");
		buf_add_json(&b, str_of(sums[i].service));
		buf_printf(&b, ", \"processes\": %u, \"sessions\": %" PRIu64 ", \"served\": %" PRIu64 "}",
		    sums[i].processes, sums[i].sessions, sums[i].served);
	}
	printf("%s]}\n", buf_cstr(&b));
	buf_free(&b);
}

int
cmd_status(struct cmd *c, int argc, char **argv)
{
	struct instance i;
	struct params p;
	size_t n = 0;
	pid_t pid;

	(void)argc;
	(void)argv;
	if (!cmd_params(c, &p))
		return 1;
	instance_open(&i, &p);
	pid = instance_pid(&i);
	if (pid != 0 && i.board)
		n = add_up(i.board);
	if (pid == 0)
		printf(c->json ? "{\"running\": false}\n" : "The Postroad mail system is not running.\n");
	else if (c->json)
		print_json(pid, instance_uptime(&i), i.board ? &i.board->slot[0] : NULL, n);
	else
		print_text(pid, instance_uptime(&i), n);
	instance_close(&i);
	params_fini(&p);
	return pid ? 0 : 1;
}
