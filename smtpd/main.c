/* SPDX-License-Identifier: Apache-2.0 */
/* smtpd - the SMTP server.  One process serves many sessions; each is a task. */
#include "mail/dns.h"
#include "smtpd/clients.h"
#include "intake/intake.h"
#include "smtpd/session.h"
#include "util/log.h"

enum { HELPERS = 4, FLUSH_SECONDS = 1 };

static enum spool_sync
sync_mode(const struct params *p)
{
	static const char *const names[] = {
		[SYNC_AUTO] = "auto",
		[SYNC_FSYNC] = "fsync",
		[SYNC_SYNCFS] = "syncfs",
		[SYNC_NONE] = "none",
	};

	for (size_t i = 0; i < countof(names); i++)
		if (strcmp(p->spool_sync, names[i]) == 0)
			return (enum spool_sync)i;
	return SYNC_AUTO;
}

/* Those who wait for a command are told to go; who is in the middle of a message may finish it. */
static void
dismiss(struct smtpd *d, bool idle_only)
{
	LIST_EACH(&d->sessions, s, struct session, link)
		if (s->task && (s->idle || !idle_only))
			task_stop(s->task);
}

/* Until no session is left, the deadline has come, or the phase is no longer this one. */
static WAITS void
drain(struct smtpd *d, enum service_phase phase, struct time deadline)
{
	while (d->nsessions > 0 && service_phase() == phase)
		if (wait_park(&d->drained, deadline) != OK)
			break;
}

static void
watch_phase(void *arg)
{
	struct smtpd *d = arg;

	for (enum service_phase p = PHASE_RUN; p != PHASE_HURRY && !task_stopping(); p = service_phase()) {
		service_wait(p);
		wait_wake_all(&d->drained);
		wait_wake_all(&d->room);
	}
}

static WAITS void
end_sessions(struct smtpd *d)
{
	const struct params *p = d->params;

	if (service_phase() == PHASE_RETIRE)
		drain(d, PHASE_RETIRE, time_after(time_now(), p->reload_drain_time));
	dismiss(d, true);
	if (service_phase() == PHASE_RETIRE)           /* reload_drain_time is over */
		drain(d, PHASE_RETIRE, time_after(time_now(), p->stop_drain_time));
	if (service_phase() == PHASE_HURRY) {
		dismiss(d, true);
		drain(d, PHASE_HURRY, service_deadline());
	}
	dismiss(d, false);
	tasks_wait(&d->group);
}

static void
run(struct service *s)
{
	struct smtpd d = { .service = s, .params = &s->params };
	struct tasks accepting, own;

	qid_setup((unsigned)s->params.queue_id_node, s->slot);
	if (spool_open(s->params.queue_directory, sync_mode(&s->params), false, &d.spool) != OK)
		log_fatal("%s: %s", s->params.queue_directory, err_why());
	dns_setup(&s->params);
	list_init(&d.sessions);
	wait_init(&d.room);
	wait_init(&d.drained);
	wait_init(&d.occupied);
	tasks_init(&d.group);
	tasks_init(&accepting);
	tasks_init(&own);
	d.clients = clients_open(s);
	if (intake_start(s, "smtpd", d.spool, &own, &d.intake) != OK)
		log_fatal("%s", err_why());
	d.notified = transcript_classes(d.params);
	accept_start(&d, &accepting);
	task_start(&own, "phase", watch_phase, &d);
	if (d.params->stressed)
		task_start(&own, "overload", overload_watch, &d);
	service_ready();
	service_wait(PHASE_RUN);
	tasks_stop(&accepting);
	end_sessions(&d);
	notify_flush(intake_notify(d.intake), time_after(time_now(), FLUSH_SECONDS));
	tasks_stop(&own);
	intake_free(&d.intake);
	clients_close(&d.clients);
	spool_close(&d.spool);
}

int
main(int argc, char **argv)
{
	static const struct service_spec spec = {
		.prog = "smtpd",
		.helpers = HELPERS,
		.run = run,
		.promises = "spool-create counters tables accounts",
	};

	return service_main(argc, argv, &spec);
}
