/* SPDX-License-Identifier: Apache-2.0 */
/* Mail that goes on to other addresses, as a new message. */
#include <unistd.h>

#include "local/act.h"
#include "mail/header.h"
#include "util/log.h"

struct resending {
	struct delivery *d;
	const struct spool_msg *old;
	const char *sender; /* NULL: the old one's */
	struct spool_msg m;
	char id[QID_TEXT];
	struct incoming *in;
	struct header_scan header;
	struct content_reader content;
	int fd;
};

static bool
goes_along(const struct resending *r, const struct leaf *l)
{
	if (l->kind != LEAF_USER && l->kind != LEAF_ADDRESS)
		return false;
	return r->sender == NULL || l->sender == NULL ? r->sender == l->sender
						      : strcmp(r->sender, l->sender) == 0;
}

/* RFC 3461 section 5.2.7: what the sender asked for goes along, but success was what happened here
 * ("expanded").  What goes to a list with an owner is a new message in its own right. */
static WAITS enum err
give_envelope(struct resending *r)
{
	const struct outcome *o = r->d->o;
	const struct spool_rcpt *old =
	    o->rcpt.index < r->old->nrcpts ? &r->old->rcpts[o->rcpt.index] : NULL;
	struct spool_rcpt to = { .orig = o->rcpt.orig.n > 0 ? o->rcpt.orig : o->rcpt.addr };

	if (r->sender == NULL) {
		TRY(incoming_sender(r->in, r->d->j->m.sender, r->old->ret, r->old->envid));
		to.notify = notify_less_success(o->rcpt.notify);
		to.orcpt = old ? old->orcpt : STR("");
	} else {
		TRY(incoming_sender(r->in, str_of(r->sender), RET_UNSAID, STR("")));
	}
	for (size_t i = 0; i < r->d->n; i++) {
		if (!goes_along(r, &r->d->leaves[i]))
			continue;
		to.addr = str_of(r->d->leaves[i].text);
		TRY(incoming_rcpt(r->in, &to));
	}
	return OK;
}

static WAITS enum err
give_fields(struct resending *r)
{
	const struct params *p = local.p;
	struct buf text = BUF(0);
	enum err e = OK;

	if (!received_put(r->m.arrived, r->m.id, p->myhostname, p->mail_name, &text))
		e = fail(E_NOSPACE, "no memory");
	if (e == OK && list_has(str_of(p->prepend_delivered_header), STR("forward"), false) &&
	    !buf_printf(&text, "Delivered-To: %.*s\r\n", STR_ARG(r->d->o->rcpt.addr)))
		e = fail(E_NOSPACE, "no memory");
	if (e == OK)
		e = incoming_add(r->in, buf_str(&text));
	buf_free(&text);
	return e;
}

static WAITS enum err
give_content(struct resending *r)
{
	for (;;) {
		TRY(content_reader_next(&r->content));
		if (r->content.piece.n == 0)
			return OK;
		header_scan_add(&r->header, buf_str(&r->content.piece));
		TRY(incoming_add(r->in, buf_str(&r->content.piece)));
	}
}

static WAITS enum err
enter(struct resending *r)
{
	const uint32_t kept = MF_8BIT | MF_DOTS | MF_LONG | MF_BODY8 | MF_NUL | MF_UTF8;

	TRY(give_envelope(r));
	TRY(give_fields(r));
	TRY(give_content(r));
	incoming_log_id(r->in, &r->header);
	return incoming_commit(&r->in, r->d->j->m.flags & kept);
}

enum err
resend(struct delivery *d, const char *sender, struct buf *text)
{
	struct resending r = { .d = d, .sender = sender, .fd = -1 };
	enum err e = job_envelope(d->j, &r.old);

	if (e == OK)
		e = job_content(d->j, &r.fd);
	if (e != OK)
		return put_off_for(d, e, "message");
	r.m = *r.old; /* where it came from */
	r.m.id = qid_new();
	r.m.arrived = wall_now();
	qid_text(r.m.id, r.id);
	content_reader_init(&r.content, r.fd, r.old);
	header_scan_init(&r.header, (size_t)local.p->header_size_limit);
	r.in = incoming_new(local.intake, &r.m, INTAKE_INTERNAL);
	e = enter(&r);
	incoming_abort(&r.in);
	header_scan_fini(&r.header);
	content_reader_fini(&r.content);
	close(r.fd);
	if (e != OK)
		return put_off_for(d, e, "forwarding");
	(void)buf_printf(text, "%sforwarded as %s", text->n > 0 ? ", " : "", r.id);
	for (size_t i = 0; i < d->n; i++) {
		struct leaf *l = &d->leaves[i];

		if (goes_along(&r, l))
			l->kind = LEAF_NONE;
	}
	return OK;
}
