/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent.h"

#include "agent/attempt.h"
#include "util/log.h"

static struct {
	struct service          *service;
	const struct agent_spec *spec;
	struct spool            *spool;
	struct channel_spec      channel;
} agent;

/* What there is to say of a trial without asking the one who would do it. */
static void
pass_trial(struct job *j)
{
	struct buf text = BUF(0);

	(void)buf_printf(&text, "would be given to %s", agent.service->name);
	(void)buf_adds(&j->relay, agent.service->name);
	job_all(j, RCPT_SENT, "2.0.0", buf_cstr(&text));
	buf_free(&text);
}

static void
run_job(struct channel_job *from)
{
	struct attempt attempt;
	struct job j;

	if (job_init(&j, &agent.service->params, agent.spool, buf_str(&from->frame)) == OK) {
		attempt_begin(&attempt, from);
		if (job_is_trial(&j) && !agent.spec->trials)
			pass_trial(&j);
		else
			agent.spec->deliver(&j);
		job_settle(&j);
		attempt_end(&attempt, &j, from);
	} else {
		/* qmgr never hears of it, and asks again when the channel is new. */
		log_warn("malformed job from qmgr: %s", err_why());
	}
	job_fini(&j);
}

static void
run(struct service *s)
{
	const struct agent_spec *spec = agent.spec;
	struct tasks own;

	agent.service = s;
	tasks_init(&own);
	if (spec->writes)
		qid_setup((unsigned)s->params.queue_id_node, s->slot);
	if (spool_open(s->params.queue_directory, spool_sync_of(s->params.spool_sync), !spec->writes,
		&agent.spool) != OK)
		log_fatal("%s", err_why());
	if (spec->start)
		spec->start(s, agent.spool, &own);
	agent.channel = (struct channel_spec){ .role = spec->prog, .tag = MSG_DELIVER_TAG,
		.capacity = spec->capacity ? spec->capacity(&s->params) : AGENT_CAPACITY, .run = run_job,
		.greet = attempts_greet, .parted = attempts_parted, .owes = attempts_owed };
	attempts_start();
	channel_start(s, &agent.channel);
	service_ready();
	service_wait(PHASE_RUN);
	channel_wind_up();
	tasks_stop(&own);
	if (spec->finish)
		spec->finish();
	spool_close(&agent.spool);
}

int
agent_main(int argc, char **argv, const struct agent_spec *spec)
{
	struct service_spec service = { .prog = spec->prog, .helpers = spec->helpers, .run = run,
		.promises = spec->promises };

	agent.spec = spec;
	return service_main(argc, argv, &service);
}
