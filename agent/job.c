/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/job.h"

#include <stdio.h>
#include <unistd.h>

#include "mail/dsn.h"
#include "mail/trace.h"
#include "util/log.h"
#include "util/proc.h"

enum { TEXT_MAX = 8 << 10, LIST_MAX = 16 << 20 };

enum err
job_init(struct job *j, const struct params *p, struct spool *s, struct str frame)
{
	struct str rest;
	struct msg_rcpt r;

	*j = (struct job){ .params = p, .spool = s, .relay = BUF(TEXT_MAX), .site_text = BUF(TEXT_MAX),
		.site = SITE_UNKNOWN, .begun = wall_now() };
	TRY(msg_deliver_get(frame, &j->m));
	for (rest = j->m.rcpts; rest.n > 0; j->n++)
		if (!msg_rcpt_take(&rest, &r))
			return fail(E_IPC, "malformed recipients");
	j->rcpts = mem_array(j->n + 1, sizeof *j->rcpts);
	rest = j->m.rcpts;
	for (size_t i = 0; i < j->n; i++) {
		j->rcpts[i].text = j->rcpts[i].mta = j->rcpts[i].diag = BUF(TEXT_MAX);
		ENSURE(msg_rcpt_take(&rest, &j->rcpts[i].rcpt));
	}
	return OK;
}

void
job_fini(struct job *j)
{
	for (size_t i = 0; j->rcpts && i < j->n; i++) {
		buf_free(&j->rcpts[i].text);
		buf_free(&j->rcpts[i].mta);
		buf_free(&j->rcpts[i].diag);
	}
	mem_free(&j->rcpts);
	if (j->view)
		spool_view_fini(j->view);
	mem_free(&j->view);
	buf_free(&j->relay);
	buf_free(&j->site_text);
}

static const char *
status_word(const struct job *j, const struct outcome *o)
{
	static const char *const words[] = { "sent", "deferred", "bounced" };

	if (job_is_trial(j))
		return o->status == RCPT_SENT ? "deliverable" : "undeliverable";
	return o->softened ? "SOFTBOUNCE" : words[o->status];
}

static void
log_outcome(const struct job *j, const struct outcome *o)
{
	char id[QID_TEXT];

	trace_log(&(struct trace){ .id = qid_text(j->m.id, id), .to = o->rcpt.addr, .orig = o->rcpt.orig,
	    .relay = j->relay.n > 0 ? buf_str(&j->relay) : STR("none"), .uses = j->uses,
	    .arrived = { j->m.arrived }, .queued = { j->m.queued }, .begun = j->begun, .ready = j->ready,
	    .ended = wall_now(), .dsn = o->esc, .status = status_word(j, o), .text = buf_str(&o->text) });
}

void
outcome_set(struct job *j, struct outcome *o, enum rcpt_status status, const char *esc, const char *mta,
    struct str diag, const char *fmt, ...)
{
	va_list ap;

	o->softened = status == RCPT_BOUNCED && j->params->soft_bounce;
	o->status = o->softened ? RCPT_DEFERRED : status;
	o->known = true;
	snprintf(o->esc, sizeof o->esc, "%s", esc);
	if (o->softened)
		o->esc[0] = '4';
	buf_clear(&o->text);
	buf_clear(&o->mta);
	buf_clear(&o->diag);
	va_start(ap, fmt);
	(void)buf_vprintf(&o->text, fmt, ap);
	va_end(ap);
	(void)buf_adds(&o->mta, mta);
	(void)buf_add(&o->diag, diag);
	if (o->status == RCPT_DEFERRED)
		return;
	o->final = true;
	log_outcome(j, o);
}

void
outcome_pass(struct outcome *o, struct str transport)
{
	o->status = RCPT_PASSED;
	o->known = o->final = true;
	buf_clear(&o->text);
	(void)buf_add(&o->text, transport);
}

void
job_all(struct job *j, enum rcpt_status status, const char *esc, const char *text)
{
	for (size_t i = 0; i < j->n; i++)
		if (!j->rcpts[i].final)
			outcome_set(j, &j->rcpts[i], status, esc, "", STR(""), "%s", text);
}

bool
job_open(const struct job *j)
{
	for (size_t i = 0; i < j->n; i++)
		if (!j->rcpts[i].final)
			return true;
	return false;
}

void
job_site_down(struct job *j, const char *text)
{
	j->site = SITE_DOWN;
	buf_clear(&j->site_text);
	(void)buf_adds(&j->site_text, text);
}

void
job_settle(struct job *j)
{
	for (size_t i = 0; i < j->n; i++) {
		struct outcome *o = &j->rcpts[i];

		if (o->final)
			continue;
		if (!o->known)
			outcome_set(j, o, RCPT_DEFERRED, "4.3.2", "", STR(""), "delivery was interrupted");
		log_outcome(j, o);
	}
}

void
job_report(const struct job *j, struct buf *out)
{
	struct buf list = BUF(LIST_MAX);
	struct msg_done done = { .delivery = j->m.delivery, .site = (uint8_t)j->site,
		.site_text = buf_str(&j->site_text) };

	for (size_t i = 0; i < j->n; i++) {
		const struct outcome *o = &j->rcpts[i];

		msg_outcome_put(&list, &(struct msg_outcome){
		    .index = o->rcpt.index,
		    .status = (uint8_t)(j->damaged && !o->final ? RCPT_DAMAGED : o->status),
		    .action = (uint8_t)o->action,
		    .esc = str_of(o->esc), .text = buf_str(&o->text), .mta = buf_str(&o->mta),
		    .diag = buf_str(&o->diag) });
	}
	done.outcomes = buf_str(&list);
	msg_done_put(out, &done);
	buf_free(&list);
}

static enum err
read_envelope(void *arg)
{
	struct job *j = arg;

	return spool_read(j->spool, (enum spool_dir)j->m.dir, j->m.id, false, j->view);
}

enum err
job_envelope(struct job *j, const struct spool_msg **m)
{
	if (j->view == NULL) {
		enum err e;

		j->view = mem_new(sizeof *j->view);
		e = task_offload(read_envelope, j);
		if (e != OK) {
			mem_free(&j->view);
			return e;
		}
	}
	*m = &j->view->msg;
	return OK;
}

struct opening {
	struct job       *j;
	int              *fd;
};

static enum err
open_content(void *arg)
{
	struct opening *o = arg;

	enum err e;

	TRY(spool_open_content(o->j->spool, (enum spool_dir)o->j->m.dir, o->j->m.id, o->fd));
	e = spool_check_content(*o->fd, o->j->m.id);
	if (e == OK)
		return OK;
	o->j->damaged = e == E_CORRUPT;
	close(*o->fd);
	*o->fd = -1;
	return e;
}

enum err
job_content(struct job *j, int *fd)
{
	return task_offload(open_content, &(struct opening){ j, fd });
}

struct heading {
	const struct job *j;
	int fd;
	struct buf *text;
};

static enum err
read_heading(void *arg)
{
	struct heading *h = arg;
	size_t n = h->j->m.size < h->text->max ? (size_t)h->j->m.size : h->text->max;
	char *room = buf_room(h->text, n);

	if (room == NULL)
		return fail(E_NOSPACE, "no memory");
	TRY(fd_read_all(h->fd, room, n, h->j->m.content_at));
	buf_grew(h->text, n);
	return OK;
}

enum err
job_header(struct job *j, struct buf *header)
{
	struct heading h = { .j = j, .fd = -1, .text = header };
	enum err e;

	header->max = (size_t)j->params->header_size_limit;
	e = job_content(j, &h.fd);
	if (e == OK)
		e = task_offload(read_heading, &h);
	if (h.fd >= 0)
		close(h.fd);
	buf_cut(header, message_header(buf_str(header)).n);
	return e;
}
