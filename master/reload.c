/* SPDX-License-Identifier: Apache-2.0 */
#include "master/master.h"

#include <stdio.h>
#include <string.h>

#include "mail/identity.h"
#include "master/board.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/notify.h"

/* What a reload is about to do, before it is certain that it can. */
struct plan {
	struct params params;
	struct table  table;
	struct place {
		struct listener *listeners[SERVICE_LISTEN_MAX];
		size_t           n;
	} *places;                                     /* one for each entry of table */
};

static void
log_lines(enum log_level level, const struct buf *b)
{
	struct str rest = buf_str(b), line;

	while (str_cut(&rest, '\n', &line))
		log_line(level, "%.*s", STR_ARG(line));
}

static enum err
same(const char *name, const char *now, const char *next)
{
	if (strcmp(now, next) == 0)
		return OK;
	return fail(E_BUSY, "%s changed from %s to %s: stop and start the mail system for that", name, now, next);
}

/* These say where and who the running processes are. */
static enum err
check_fixed(const struct params *now, const struct params *next)
{
	TRY(same("queue_directory", now->queue_directory, next->queue_directory));
	TRY(same("data_directory", now->data_directory, next->data_directory));
	for (enum identity a = 0; a < IDENTITY_COUNT; a++)
		TRY(same(identity_setting(a), identity_name(now, a), identity_name(next, a)));
	return same("mail_group", now->mail_group, next->mail_group);
}

static enum err
plan_listeners(struct master *m, struct plan *plan)
{
	plan->places = mem_array(plan->table.n, sizeof *plan->places);
	listeners_begin(&m->listeners);
	for (size_t i = 0; i < plan->table.n; i++) {
		struct place *p = &plan->places[i];

		TRY(listeners_want(&m->listeners, &plan->table.entries[i], &plan->params, 0, p->listeners, &p->n));
	}
	return OK;
}

/* On error nothing has changed and it has been logged. */
static enum err
plan_make(struct master *m, struct plan *plan)
{
	struct buf errors = BUF(0), warnings = BUF(0);
	enum err e = setup_load(m->config_dir, &plan->params, &plan->table, &errors, &warnings);

	log_lines(LOG_L_WARN, &warnings);
	log_lines(LOG_L_ERROR, &errors);
	buf_free(&errors);
	buf_free(&warnings);
	if (e != OK)
		return e;
	plan->places = NULL;
	if ((e = check_fixed(&m->params, &plan->params)) == OK)
		e = plan_listeners(m, plan);
	if (e == OK)
		return OK;
	log_error("%s", err_why());
	if (plan->places)
		listeners_rollback(&m->listeners);
	free(plan->places);
	table_fini(&plan->table);
	params_fini(&plan->params);
	return e;
}

/* Would a process started now get the same command line and descriptors? */
static bool
same_command(const struct crew *c, const struct table_entry *e, const struct place *p)
{
	const struct table_entry *o = c->entry;

	if (strcmp(o->prog, e->prog) != 0 || strcmp(o->name, e->name) != 0 || o->unpriv != e->unpriv ||
	    o->chroot != e->chroot || o->verbose != e->verbose || o->noverrides != e->noverrides ||
	    o->nargs != e->nargs || c->nlisteners != p->n)
		return false;
	for (size_t i = 0; i < e->noverrides; i++)
		if (strcmp(o->overrides[i].text, e->overrides[i].text) != 0)
			return false;
	for (size_t i = 0; i < e->nargs; i++)
		if (strcmp(o->args[i], e->args[i]) != 0)
			return false;
	return memcmp(c->listeners, p->listeners, p->n * sizeof *p->listeners) == 0;
}

static void
dismiss(struct master *m, struct crew *c)
{
	LIST_EACH(&c->workers, w, struct worker, link) {
		worker_retire(w);
		w->crew = NULL;
		list_remove(&w->link);
		list_push(&m->leaving, &w->link);
	}
	crew_free(&c);
}

static void
renew(struct master *m, struct crew *c, const struct table_entry *e, const struct place *p)
{
	bool by_itself = same_command(c, e, p);

	c->entry = e;
	c->program = program_find(e->prog);
	c->throttle = (struct throttle){ 0 };
	memcpy(c->listeners, p->listeners, sizeof c->listeners);
	c->nlisteners = p->n;
	crew_set_limits(c, &m->params);
	LIST_EACH(&c->workers, w, struct worker, link) {
		w->outdated = true;
		w->can_reload = w->can_reload && by_itself;
		if (w->can_reload && !w->leaving)
			child_send_reload(m, w);
	}
}

static void
carry_out(struct master *m, struct plan *plan)
{
	struct table former = m->table;

	LIST_EACH(&m->crews, c, struct crew, link)
		board_works(m->board, c->entry->name, c->entry->prog);
	params_fini(&m->params);
	m->params = plan->params;
	m->table = plan->table;
	/* First, since children that stay are handed the new file with the word. */
	if (setup_log(m) != OK)
		log_warn("%s; going on with the log as it was", err_why());
	LIST_EACH(&m->crews, c, struct crew, link) {
		size_t i = 0;

		while (i < m->table.n && strcmp(m->table.entries[i].identity, c->entry->identity) != 0)
			i++;
		if (i == m->table.n)
			dismiss(m, c);
	}
	for (size_t i = 0; i < m->table.n; i++) {
		const struct table_entry *e = &m->table.entries[i];
		struct crew *c = crew_find(m, e->identity);

		if (c == NULL) {
			c = crew_new(e);
			list_push(&m->crews, &c->link);
		}
		renew(m, c, e, &plan->places[i]);
	}
	free(plan->places);
	table_fini(&former);
	listeners_commit(&m->listeners);
}

void
reload(struct master *m)
{
	struct plan plan;

	if (m->state != RUNNING)
		return;
	notify_reloading();
	if (plan_make(m, &plan) != OK) {
		log_error("reload refused: all goes on as it was");
		notify_status(true, "a reload was refused, see the log; all goes on as it was, generation %u",
		    m->generation);
		m->board->slot[0].sessions++;
		return;
	}
	m->generation++;
	m->board->slot[0].generation = m->generation;
	m->reloading = true;
	carry_out(m, &plan);
	log_info("reload -- version %s, configuration %s", m->params.mail_version, m->config_dir);
}
