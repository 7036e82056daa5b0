/* SPDX-License-Identifier: Apache-2.0 */
/* status: what the board says, and whether qmgr answers. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/instance.h"
#include "cmd/queue.h"
#include "cmd/reach.h"
#include "mail/msgs.h"

enum { SERVICES_MAX = 512, PONG_SECONDS = 1 };

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

/* As it stands on the board: a process that went mad may have written over it. */
static const char *
service_name(const char *field, char out[sizeof sums->service])
{
	struct buf clean = BUF(sizeof sums->service);

	(void)buf_add_clean(&clean, (struct str){ field, strnlen(field, sizeof sums->service - 1) });
	snprintf(out, sizeof sums->service, "%s", buf_cstr(&clean));
	buf_free(&clean);
	return out;
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
	char service[sizeof sums->service];
	size_t n = 0;

	for (size_t i = 1; i < BOARD_SLOTS; i++) {
		const struct board_slot *s = &b->slot[i];
		struct sum *sum;

		if (s->pid <= 0)
			continue;
		if ((sum = sum_of(service_name(s->service, service), &n)) == NULL)
			continue;
		sum->processes++;
		sum->sessions += s->sessions;
		sum->served += s->served;
	}
	/* Those that should have some. */
	for (size_t i = 0; i < BOARD_TROUBLES; i++)
		if (b->trouble[i].deaths > 0)
			(void)sum_of(service_name(b->trouble[i].service, service), &n);
	qsort(sums, n, sizeof *sums, by_name);
	return n;
}

/* -- qmgr -- */

struct asking {
	struct reach reach;
	bool answers;
	bool may_count, counted;
	struct msg_pong pong;
};

static WAITS bool
count_queue(struct ipc *c, struct msg_pong *pong)
{
	struct buf *out = ipc_begin(c, MSG_PING_TAG);
	struct str body;
	uint16_t tag;

	if (out == NULL || !msg_ping_put(out, &(struct msg_ping){ 0 }))
		return false;
	ipc_end(c);
	return ipc_recv(c, &tag, &body, time_after(time_now(), PONG_SECONDS)) == OK && tag == MSG_PONG_TAG &&
	    msg_pong_get(body, pong) == OK;
}

/* Only those who may read the board may know how much mail there is. */
static void
ask(void *arg)
{
	struct asking *a = arg;

	a->answers = reach_open(&a->reach, a->reach.cmd, a->reach.params);
	a->counted = a->answers && a->may_count && count_queue(a->reach.ipc, &a->pong);
	reach_close(&a->reach);
	task_exit();
}

/* -- telling -- */

static void
print_queue_text(const struct asking *a)
{
	const struct msg_pong *p = &a->pong;

	if (!a->answers)
		printf("%s\n", a->reach.why);
	else if (a->counted)
		printf("queue: %" PRIu64 " message%s, %" PRIu64 " recipient%s, %" PRIu64 " deliver%s under way%s\n",
		    p->messages, p->messages == 1 ? "" : "s", p->recipients, p->recipients == 1 ? "" : "s",
		    p->deliveries, p->deliveries == 1 ? "y" : "ies",
		    p->scanning ? "; there may be more: it is being read" : "");
}

/* What master has to say of the others. */
static void
each_trouble(const struct board *b, void (*each)(const char *service, const char *words, void *arg), void *arg)
{
	for (size_t i = 0; i < BOARD_TROUBLES && b; i++) {
		const struct board_trouble *t = &b->trouble[i];
		char service[sizeof sums->service];
		struct buf words = BUF(256);

		if (t->deaths == 0)
			continue;
		trouble_text(t, &words);
		each(service_name(t->service, service), buf_cstr(&words), arg);
		buf_free(&words);
	}
}

static void
print_trouble(const char *service, const char *words, void *arg)
{
	const struct asking *a = arg;

	/* Of qmgr it is told already. */
	if (a->answers || strcmp(service, "qmgr") != 0)
		printf("%s %s\n", service, words);
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
add_json_trouble(const char *service, const char *words, void *arg)
{
	struct buf *b = arg;

	buf_adds(b, b->p[b->n - 1] == '[' ? "{\"service\": " : ", {\"service\": ");
	buf_add_json(b, str_of(service));
	buf_adds(b, ", \"why\": ");
	buf_add_json(b, str_of(words));
	buf_addc(b, '}');
}

static void
add_json_queue(struct buf *b, const struct asking *a)
{
	const struct msg_pong *p = &a->pong;

	buf_printf(b, ", \"qmgr\": {\"answers\": %s", a->answers ? "true" : "false");
	if (!a->answers) {
		buf_adds(b, ", \"why\": ");
		buf_add_json(b, str_of(a->reach.why));
	} else if (a->counted) {
		buf_printf(b, ", \"messages\": %" PRIu64 ", \"recipients\": %" PRIu64 ", \"deliveries\": %" PRIu64
		    ", \"reading\": %s", p->messages, p->recipients, p->deliveries, p->scanning ? "true" : "false");
	}
	buf_addc(b, '}');
}

static void
print_json(const struct instance *in, const struct asking *a, size_t n)
{
	const struct board_slot *master = in->board ? &in->board->slot[0] : NULL;
	struct buf b = BUF(0);

	buf_printf(&b, "{\"running\": true, \"pid\": %d, \"uptime\": %" PRId64, (int)instance_pid(in),
	    instance_uptime(in));
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
	buf_adds(&b, "], \"troubles\": [");
	each_trouble(in->board, add_json_trouble, &b);
	buf_addc(&b, ']');
	add_json_queue(&b, a);
	printf("%s}\n", buf_cstr(&b));
	buf_free(&b);
}

static int
tell(const struct cmd *c, const struct params *p, const struct instance *i, pid_t pid)
{
	size_t n = i->board ? add_up(i->board) : 0;
	struct asking a = { .reach = { .cmd = c, .params = p }, .may_count = i->board != NULL };

	task_run(ask, &a, 1);
	if (c->json) {
		print_json(i, &a, n);
	} else {
		print_text(pid, instance_uptime(i), n);
		each_trouble(i->board, print_trouble, &a);
		print_queue_text(&a);
	}
	return a.answers ? EX_DONE : EX_NO_SERVICE;
}

int
cmd_status(struct cmd *c, int argc, char **argv)
{
	struct instance i;
	struct params p;
	int status = EX_NOT_DONE;
	pid_t pid;

	(void)argc;
	(void)argv;
	if (!cmd_params(c, &p))
		return EX_NOT_DONE;
	instance_open(&i, &p);
	if ((pid = instance_pid(&i)) != 0)
		status = tell(c, &p, &i, pid);
	else
		printf(c->json ? "{\"running\": false}\n" : "The Postroad mail system is not running.\n");
	instance_close(&i);
	params_fini(&p);
	return status;
}
