/* SPDX-License-Identifier: Apache-2.0 */
#include "pickup/take.h"

#include <stdio.h>

#include "intake/newlines.h"
#include "mail/header.h"
#include "util/log.h"

enum {
	TEXT_MAX = 256 << 10,                          /* of a piece with its line ends made whole */
	SPACE_WARNING_PAUSE = 10,                      /* seconds */
};

/* A message on its way. */
struct taking {
	struct pickup *p;
	uint64_t drop, id; /* in maildrop, and in the queue */
	char qid[QID_TEXT];
	struct dropped d;
	struct incoming *in;
	struct header_scan header;
	struct newlines lines;
	struct content_reader content;
	struct buf text;
	const char *esc; /* of a refusal; NULL: the usual one */
};

/* -- for helper threads -- */

static enum err
open_drop(void *arg)
{
	struct taking *t = arg;

	return maildrop_open(t->p->spool, t->drop, &t->d);
}

static enum err
remove_drop(void *arg)
{
	struct taking *t = arg;

	return maildrop_remove(t->p->spool, t->drop);
}

static enum err
set_drop_aside(void *arg)
{
	struct taking *t = arg;

	return maildrop_set_aside(t->p->spool, t->drop);
}

/* -- */

static WAITS enum err
give_envelope(struct taking *t)
{
	const struct spool_msg *m = &t->d.view.msg;

	TRY(incoming_sender(t->in, m->sender, m->ret, m->envid));
	for (size_t i = 0; i < m->nrcpts; i++)
		TRY(incoming_rcpt(t->in, &m->rcpts[i]));
	return OK;
}

static WAITS enum err
give_received(struct taking *t)
{
	const struct params *p = &t->p->service->params;
	char date[TIME_RFC5322];

	wall_rfc5322(t->d.view.msg.arrived, date);
	buf_clear(&t->text);
	ENSURE(buf_printf(&t->text, "Received: by %s (%s, from userid %u)\r\n\tid %s; %s\r\n",
	    p->myhostname, p->mail_name, (unsigned)t->d.uid, t->qid, date));
	return incoming_add(t->in, buf_str(&t->text));
}

static WAITS enum err
give_content(struct taking *t)
{
	for (;;) {
		TRY(content_reader_next(&t->content));
		if (t->content.piece.n == 0)
			break;
		buf_clear(&t->text);
		if (!newlines_add(&t->lines, buf_str(&t->content.piece), &t->text))
			return fail(E_NOSPACE, "no memory");
		header_scan_add(&t->header, buf_str(&t->text));
		TRY(incoming_add(t->in, buf_str(&t->text)));
	}
	buf_clear(&t->text);
	if (!newlines_end(&t->lines, &t->text))
		return fail(E_NOSPACE, "no memory");
	return incoming_add(t->in, buf_str(&t->text));
}

static void
log_message(const struct taking *t)
{
	struct buf text = BUF(0);

	if (buf_add_clean(&text, t->d.view.msg.sender))
		log_info("%s: uid=%u from=<%s>", t->qid, (unsigned)t->d.uid, buf_cstr(&text));
	buf_free(&text);
	incoming_log_id(t->in, &t->header);
}

/* E_TOOBIG: never. */
static WAITS enum err
enter(struct taking *t)
{
	const struct params *p = &t->p->service->params;
	struct spool_msg m = t->d.view.msg;

	m.id = t->id;
	t->in = incoming_new(t->p->intake, &m, INTAKE_LOCAL);
	TRY(give_envelope(t));
	TRY(give_received(t));
	TRY(give_content(t));
	log_message(t);
	/* The field we added counts as well. */
	if (t->header.received + 1LL > p->hopcount_limit) {
		t->esc = "5.4.6";
		return fail(E_TOOBIG, "too many hops");
	}
	return incoming_commit(
	    &t->in, t->lines.flags | MF_LOCAL | (m.flags & (MF_BODY8 | MF_UTF8 | MF_REPORT | MF_VERIFY)));
}

static WAITS void
give_back(struct taking *t)
{
	char why[ERR_WHY_MAX];

	snprintf(why, sizeof why, "%s", err_why());
	if (refuse(t->p, &t->d, t->id, t->esc ? t->esc : "5.3.0", why) != OK)
		log_warn("%s: cannot be taken in (%s), and its sender cannot be told yet: %s",
		    t->qid, why, err_why());
	else if (task_offload(remove_drop, t) != OK)
		log_warn("%s: %s", t->qid, err_why());
}

/* A full disk is the same for all that wait. */
static void
warn_waits(const struct taking *t, enum err e)
{
	static struct time next;
	struct time now = time_now();

	if (e == E_NOSPACE && time_before(now, next))
		return;
	if (e == E_NOSPACE)
		next = time_after(now, SPACE_WARNING_PAUSE);
	log_warn("%s: mail of user %u waits in maildrop: %s", t->qid, (unsigned)t->d.uid, err_why());
}

static WAITS bool
take_open(struct taking *t)
{
	enum err e;

	t->id = qid_new();
	qid_text(t->id, t->qid);
	header_scan_init(&t->header, (size_t)t->p->service->params.header_size_limit);
	content_reader_init(&t->content, t->d.fd, &t->d.view.msg);
	e = enter(t);
	incoming_abort(&t->in);
	if (e == E_TOOBIG)
		give_back(t);
	else if (e != OK)
		warn_waits(t, e);
	else if (task_offload(remove_drop, t) != OK)
		log_warn("%s: taken in, and will be once more: %s", t->qid, err_why());
	header_scan_fini(&t->header);
	content_reader_fini(&t->content);
	dropped_close(&t->d);
	return e == OK || e == E_TOOBIG;
}

bool
take(struct pickup *p, uint64_t id)
{
	struct taking t = { .p = p, .drop = id, .text = BUF(TEXT_MAX) };
	char name[QID_TEXT];
	enum err e = task_offload(open_drop, &t);
	bool done = true;

	qid_text(id, name);
	if (e == OK) {
		done = take_open(&t);
	} else if (e == E_EOF) {
		log_info("maildrop/%s: removed: %s", name, err_why());
		(void)!task_offload(remove_drop, &t);
	} else if (e == E_CORRUPT) {
		log_error("maildrop/%s: damaged, set aside in %s: %s", name,
		    spool_dir_name(SPOOL_CORRUPT), err_why());
		(void)!task_offload(set_drop_aside, &t);
	} else if (e != E_BUSY && e != E_NOENT) {
		log_warn("maildrop/%s: %s", name, err_why());
		done = false;
	}
	buf_free(&t.text);
	return done;
}
