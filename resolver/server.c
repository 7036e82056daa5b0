/* SPDX-License-Identifier: Apache-2.0 */
#include "resolver/server.h"

#include <unbound.h>
#include <unistd.h>

#include "mail/dns.h"
#include "mail/msgs.h"
#include "mail/rdata.h"
#include "resolver/context.h"
#include "resolver/probe.h"
#include "util/ipc.h"
#include "util/log.h"

enum {
	FRAME_MAX = 2048,                              /* a name is 255 bytes at most */
	QUEUED_MAX = 4 << 20,                          /* answers that a peer does not read */
	PENDING_MAX = 4096,                            /* questions of one peer; then it is not read from */
	OUTSTANDING_MAX = 32768,                       /* questions libunbound has, given up ones included */
	DRAIN_SECONDS = 5,
	RCODE_SERVFAIL = 2,
};

struct peer {
	struct ipc *ipc;
	struct list queries;
	unsigned    pending;
	struct wait room;
};

struct query {
	struct list  of_peer;
	struct list  by_age;
	struct peer *peer;                             /* NULL: answered already, or nobody waits any more */
	uint64_t     id;
	uint16_t     type;
	struct time  asked, deadline;
};

static struct {
	struct service *service;
	struct ub_ctx  *ctx;
	struct tasks    peers;
	struct list     by_age;                        /* all wait equally long, so the first is the oldest */
	unsigned        outstanding;
	struct wait     asked;                         /* woken when by_age is no longer empty */
} server;

static void
send_answer(struct query *q, const struct msg_answer *a)
{
	struct peer *p = q->peer;
	struct buf *b;

	q->peer = NULL;
	list_remove(&q->of_peer);
	list_remove(&q->by_age);
	/* An answer that finds no room is not given: the peer does not read, and will time out. */
	b = ipc_begin(p->ipc, MSG_ANSWER_TAG);
	if (b) {
		ENSURE(msg_answer_put(b, a));
		ipc_end(p->ipc);
	}
	if (p->pending-- == PENDING_MAX)
		wait_wake(&p->room);
}

static void
answer_error(struct query *q, enum err e, const char *why)
{
	struct msg_answer a = { .query = q->id, .err = e, .why = str_of(why), .rcode = RCODE_SERVFAIL };

	send_answer(q, &a);
}

static int
by_preference(const void *a, const void *b)
{
	/* The preference comes first in the data of an MX record. */
	return memcmp(((const struct str *)a)->p, ((const struct str *)b)->p, 2);
}

/* The data of all records; of more MX records than are kept, the most preferred ones are to be. */
static struct str *
list_records(const struct ub_result *r, uint16_t type, size_t *n)
{
	struct str *v = NULL;

	*n = 0;
	for (int i = 0; r->havedata && r->data[i]; i++) {
		v = mem_grow(v, (*n + 1) * sizeof *v);
		v[(*n)++] = (struct str){ r->data[i], r->len[i] > 0 ? (size_t)r->len[i] : 0 };
		if (type == DNS_MX && v[*n - 1].n < 2)
			v[*n - 1] = (struct str){ "\377\377", 2 }; /* malformed without a name, too */
	}
	if (type == DNS_MX && *n > RDATA_RECORDS_MAX)
		qsort(v, *n, sizeof *v, by_preference);
	return v;
}

/* False: there are records, but none that can be understood. */
static bool
put_records(const struct ub_result *r, uint16_t type, struct buf *records)
{
	unsigned kept = 0, bad = 0;
	size_t n;
	struct str *v = list_records(r, type, &n);

	for (size_t i = 0; i < n && kept < RDATA_RECORDS_MAX; i++) {
		if (rdata_put(records, type, v[i]))
			kept++;
		else
			bad++;
	}
	free(v);
	if (bad > 0) {
		struct buf name = BUF(512);

		buf_add_clean(&name, str_sub(str_of(r->qname), 0, 300));
		log_warn("%u malformed records of type %u for %s ignored", bad, type, buf_cstr(&name));
		buf_free(&name);
	}
	return kept > 0 || bad == 0;
}

static struct str
canonical(const struct ub_result *r)
{
	struct str name = r->canonname ? str_of(r->canonname) : STR("");

	if (name.n > 0 && name.p[name.n - 1] == '.')
		name.n--;
	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] <= ' ' || name.p[i] == '\\' || name.p[i] > '~')
			return STR("");
	}
	return name;
}

static void
answer(struct query *q, const struct ub_result *r)
{
	struct buf records = BUF(RDATA_RECORDS_MAX * 1024);
	struct msg_answer a = {
		.query = q->id,
		.rcode = (uint8_t)r->rcode,
		.secure = r->bogus ? 2 : r->secure != 0,
		.ttl = r->ttl > 0 ? (uint32_t)r->ttl : 0,
		.canonical = canonical(r),
	};

	if (r->bogus) {
		a.err = E_DNS_TEMP;
		a.why = str_of(r->why_bogus ? r->why_bogus : "the answer does not validate");
		log_warn("DNSSEC: %.*s", STR_ARG(a.why));
	} else if (r->nxdomain) {
		a.err = E_DNS_NONE;
	} else if (r->rcode != 0) {
		/* SERVFAIL, REFUSED and all others say nothing about the name (RFC 5321 section 5.1). */
		a.err = E_DNS_TEMP;
		a.why = r->rcode == RCODE_SERVFAIL ? STR("server failure") : STR("server refused");
	} else if (!put_records(r, q->type, &records)) {
		/* Not the same as none: nothing is known, and mail must not go to where it would without them. */
		a.err = E_DNS_TEMP;
		a.why = STR("malformed records");
	} else {
		a.records = buf_str(&records);
	}
	send_answer(q, &a);
	buf_free(&records);
}

/* Called by ub_process(), on the logic thread. */
static void
on_result(void *arg, int err, struct ub_result *r)
{
	struct query *q = arg;

	probe_heard();
	if (q->peer && err != 0)
		answer_error(q, E_DNS_TEMP, ub_strerror(err));
	else if (q->peer)
		answer(q, r);
	ub_resolve_free(r);
	free(q);
	server.outstanding--;
}

static void
ask(struct peer *p, const struct msg_query *m)
{
	struct query *q = mem_new(sizeof *q);
	char *name;
	int rc = 0;

	*q = (struct query){ .peer = p, .id = m->query, .type = m->type };
	q->asked = time_now();
	q->deadline = time_after(q->asked, server.service->params.dns_timeout);
	list_push(&p->queries, &q->of_peer);
	if (list_empty(&server.by_age))
		wait_wake(&server.asked);
	list_push(&server.by_age, &q->by_age);
	p->pending++;
	if (server.outstanding >= OUTSTANDING_MAX) {
		answer_error(q, E_DNS_TEMP, "too many questions");
		free(q);
		return;
	}
	name = str_dup(m->name);
	server.outstanding++;
	if (m->name.n == 0 || strlen(name) != m->name.n)
		rc = UB_SYNTAX;
	else
		rc = probe_ask(server.ctx, name, m->type, q, on_result);
	free(name);
	if (rc == 0)
		return;
	/* What cannot be written as a name cannot exist; all else is our own trouble. */
	answer_error(q, rc == UB_SYNTAX ? E_DNS_NONE : E_DNS_TEMP, ub_strerror(rc));
	server.outstanding--;
	free(q);
}

static WAITS enum err
serve(struct peer *p)
{
	struct msg_hello mine = { .role = STR("resolver"), .pid = (uint32_t)getpid() }, theirs;

	mine.name = str_of(server.service->name);
	TRY(msg_hello_exchange(p->ipc, &mine, &theirs));
	for (;;) {
		uint16_t tag;
		struct str body;
		struct msg_query m;

		while (p->pending >= PENDING_MAX)
			TRY(wait_park(&p->room, time_after(time_now(), 60)));
		TRY(ipc_recv(p->ipc, &tag, &body, TIME_NEVER));
		if (tag != MSG_QUERY_TAG)
			return fail(E_IPC, "%s instead of QUERY", msg_name(tag));
		TRY(msg_query_get(body, &m));
		ask(p, &m);
	}
}

static void
peer_task(void *arg)
{
	struct peer *p = arg;
	enum err e = serve(p);

	if (e != E_EOF && e != E_STOPPED)
		log_warn("peer dropped: %s", err_why());
	while (!list_empty(&p->queries)) {
		struct query *q = container_of(list_pop(&p->queries), struct query, of_peer);

		q->peer = NULL;
		list_remove(&q->by_age);
	}
	ipc_free(&p->ipc);
	free(p);
}

static void
start_peer(int fd)
{
	struct peer *p;

	if (task_fd_add(fd) != OK) {
		log_warn("new peer: %s", err_why());
		close(fd);
		return;
	}
	p = mem_new(sizeof *p);
	p->ipc = ipc_new(fd, FRAME_MAX, QUEUED_MAX);
	list_init(&p->queries);
	wait_init(&p->room);
	if (task_start(&server.peers, "peer", peer_task, p) == NULL) {
		log_warn("new peer: no memory for a task");
		ipc_free(&p->ipc);
		free(p);
	}
}

static void
accept_task(void *arg)
{
	int listen_fd = *(int *)arg;

	for (;;) {
		int fd;
		enum err e = net_accept(listen_fd, &fd, NULL, TIME_NEVER);

		if (e == OK) {
			start_peer(fd);
		} else if (e == E_STOPPED || e == E_EOF) {
			return;
		} else {
			log_warn("accept: %s", err_why());
			if (task_sleep(time_after(time_now(), 1)) != OK)
				return;
		}
	}
}

/* Edge-triggered: ub_process() takes all there is, so the next wait sees the next edge. */
static void
results_task(void *arg)
{
	int fd = ub_fd(server.ctx);

	(void)arg;
	do {
		int rc = ub_process(server.ctx);

		if (rc != 0)
			log_fatal("libunbound: %s", ub_strerror(rc));
	} while (task_listen_fd(fd) == OK);
}

static void
give_up_old(struct time now)
{
	while (!list_empty(&server.by_age)) {
		struct query *q = container_of(list_first(&server.by_age), struct query, by_age);

		if (time_before(now, q->deadline))
			return;
		answer_error(q, E_TIMEOUT, "no answer in time");
	}
}

static struct time
oldest_asked(void)
{
	return list_empty(&server.by_age) ? TIME_NEVER :
	    container_of(list_first(&server.by_age), struct query, by_age)->asked;
}

/* The library may take a minute over a question; those who ask may not.  It goes on, for its cache. */
static void
deadline_task(void *arg)
{
	enum err e = OK;

	(void)arg;
	while (e == OK) {
		if (list_empty(&server.by_age) && !probe_is_out())
			e = wait_park(&server.asked, TIME_NEVER);
		else
			e = task_sleep(time_after_ms(time_now(), 250));
		probe_look(server.ctx, oldest_asked());
		give_up_old(time_now());
	}
}

/* Retiring, a successor serves new questions; hurrying, there is none, and deliveries still want answers. */
static WAITS void
drain(void)
{
	struct time limit = time_after(time_now(), DRAIN_SECONDS);

	while (!tasks_empty(&server.peers)) {
		if (service_phase() == PHASE_HURRY)
			limit = time_min(service_deadline(), time_after(time_now(), 3600));
		else if (server.outstanding == 0)
			break;
		if (!time_before(time_now(), limit) ||
		    task_sleep(time_min(limit, time_after_ms(time_now(), 50))) != OK)
			break;
	}
}

/* On a helper thread: the library wants more stack than a task has when it reads zones. */
static enum err
make_context(void *service)
{
	return context_new(&((struct service *)service)->params, &server.ctx);
}

void
server_run(struct service *s)
{
	struct tasks own, listeners;

	server.service = s;
	list_init(&server.by_age);
	wait_init(&server.asked);
	tasks_init(&own);
	tasks_init(&listeners);
	tasks_init(&server.peers);
	if (task_offload(make_context, s) != OK || task_fd_add(ub_fd(server.ctx)) != OK)
		log_fatal("%s", err_why());
	if (task_start(&own, "results", results_task, NULL) == NULL ||
	    task_start(&own, "deadlines", deadline_task, NULL) == NULL)
		log_starved("no memory for tasks");
	for (size_t i = 0; i < s->nlisten; i++) {
		if (task_start(&listeners, "listener", accept_task, &s->listen[i]) == NULL)
			log_starved("no memory for tasks");
	}
	service_ready();
	service_wait(PHASE_RUN);
	tasks_stop(&listeners);
	drain();
	tasks_stop(&server.peers);
	tasks_stop(&own);
	task_fd_del(ub_fd(server.ctx));
	/* The library's thread is not waited for: it may be amid a question that nobody wants answered any more. */
}
