/* SPDX-License-Identifier: Apache-2.0 */
#include "local/deliver.h"

#include <stdio.h>

#include "agent/trail.h"
#include "local/act.h"
#include "local/expand.h"
#include "util/log.h"
#include "util/proc.h"

enum { AT_ONCE = 100 }; /* each may be a process of its own */

struct local local;

/* -- failures -- */

static enum err
failed(struct delivery *d, enum err e, const char *esc, const char *fmt, va_list ap)
{
	char why[ERR_WHY_MAX];

	vsnprintf(why, sizeof why, fmt, ap);
	snprintf(d->esc, sizeof d->esc, "%s", esc);
	return fail(e, "%s", why);
}

enum err
refuse(struct delivery *d, const char *esc, const char *fmt, ...)
{
	va_list ap;
	enum err e;

	va_start(ap, fmt);
	e = failed(d, E_REFUSED, esc, fmt, ap);
	va_end(ap);
	return e;
}

enum err
put_off(struct delivery *d, const char *esc, const char *fmt, ...)
{
	va_list ap;
	enum err e;

	va_start(ap, fmt);
	e = failed(d, E_DEFERRED, esc, fmt, ap);
	va_end(ap);
	return e;
}

enum err
put_off_for(struct delivery *d, enum err e, const char *what)
{
	const char *esc = err_esc(e);

	return put_off(d, esc[0] == '4' ? esc : "4.3.0", "%s: %s", what, err_why());
}

/* -- one recipient -- */

/* A message that was here before, or has been everywhere. */
static WAITS enum err
check_loops(struct delivery *d)
{
	struct buf header = BUF(0);
	enum err e = job_header(d->j, &header);

	if (e != OK)
		e = put_off_for(d, e, "message");
	else if (trail_delivered(buf_str(&header), d->o->rcpt.addr))
		e = refuse(d, "5.4.6", "mail forwarding loop for %.*s", STR_ARG(d->o->rcpt.addr));
	else if (trail_received(buf_str(&header)) > local.p->hopcount_limit)
		e = refuse(d, "5.4.6", "too many hops");
	buf_free(&header);
	return e;
}

static WAITS void
deliver_one(struct job *j, struct outcome *o)
{
	struct delivery d = { .j = j, .o = o };
	struct buf text = BUF(0);
	bool forwarded = false;
	enum err e;

	name_set(&d.name, local.p, o->rcpt.addr);
	e = check_loops(&d);
	if (e == OK)
		e = expand(&d);
	if (e == OK)
		e = act(&d, &text, &forwarded);
	if (d.pass && (e == OK || e == E_REFUSED)) {
		if (e != OK)                   /* the mailbox gets its copy all the same */
			log_warn("%.*s: %s", STR_ARG(o->rcpt.addr), err_why());
		outcome_pass(o, str_of(d.pass));
	} else if (e == OK) {
		o->action = forwarded ? ACTION_EXPANDED : ACTION_DELIVERED;
		outcome_set(j, o, RCPT_SENT, "2.0.0", "", STR(""), "%s", buf_cstr(&text));
	} else if (e == E_REFUSED) {
		outcome_set(j, o, RCPT_BOUNCED, d.esc[0] == '5' ? d.esc : "5.3.0", "", STR(""),
		    "%s", err_why());
	} else {
		outcome_set(j, o, RCPT_DEFERRED, d.esc[0] == '4' ? d.esc : "4.3.0", "", STR(""),
		    "%s", err_why());
	}
	expand_fini(&d);
	name_fini(&d.name);
	buf_free(&text);
}

/* -- the daemon -- */

void
local_start(struct service *s, struct spool *spool, struct tasks *own)
{
	const struct params *p = &s->params;

	const struct {
		const char *spec, *what;
		struct maps **out;
	} tables[] = {
		{p->mailbox_command_maps,     "mailbox_command_maps",    &local.mailbox_commands  },
		{ p->mailbox_transport_maps,  "mailbox_transport_maps",  &local.mailbox_transports},
		{ p->fallback_transport_maps, "fallback_transport_maps",
                 &local.fallback_transports						       },
	};

	local.p = p;
	for (size_t i = 0; i < countof(tables); i++)
		if (maps_open(
			str_of(tables[i].spec), tables[i].what, s->config_dir, tables[i].out) != OK)
			log_fatal("%s", err_why());
	if (aliases_open(str_of(p->alias_maps), s->config_dir, &local.aliases) != OK ||
	    intake_start(s, "local", spool, own, &local.intake) != OK)
		log_fatal("%s", err_why());
	local.router = intake_router(local.intake);
}

uint32_t
local_capacity(const struct params *p)
{
	(void)p;
	return AT_ONCE;
}

void
local_deliver(struct job *j)
{
	buf_clear(&j->relay);
	(void)buf_adds(&j->relay, "local");
	j->ready = j->begun;
	j->site = SITE_OK;
	for (size_t i = 0; i < j->n; i++)
		deliver_one(j, &j->rcpts[i]);
}

void
local_finish(void)
{
	intake_free(&local.intake);
	aliases_close(&local.aliases);
	maps_close(&local.mailbox_commands);
	maps_close(&local.mailbox_transports);
	maps_close(&local.fallback_transports);
}
