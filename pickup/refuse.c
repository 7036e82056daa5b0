/* SPDX-License-Identifier: Apache-2.0 */
/* A message that can never be taken in goes back to its sender, who was told long ago that it was:
 * as a notice of failure for all its recipients. */
#include "intake/newlines.h"
#include "mail/dsn.h"
#include "pickup/take.h"
#include "util/log.h"
#include "util/proc.h"

enum { NOTICE_MAX = 64 << 20 };

struct reading {
	const struct dropped *d;
	struct buf text;
	size_t want;
};

static enum err
read_original(void *arg)
{
	struct reading *r = arg;
	char *room = buf_room(&r->text, r->want);

	if (room == NULL)
		return fail(E_NOSPACE, "no memory");
	TRY(fd_read_all(r->d->fd, room, r->want, r->d->view.msg.content_at));
	buf_grew(&r->text, r->want);
	return OK;
}

static void
list_failed(const struct spool_msg *m, const char *esc, const char *why, struct buf *out)
{
	for (size_t i = 0; i < m->nrcpts; i++)
		ENSURE(msg_failed_put(out, &(struct msg_failed){ .index = (uint32_t)i,
					       .addr = m->rcpts[i].addr,
					       .orig = m->rcpts[i].orig,
					       .esc = str_of(esc),
					       .text = str_of(why) }));
}

static WAITS enum err
enter(struct pickup *p, const struct spool_msg *m, struct str sender, struct str text)
{
	struct spool_msg notice = { .id = m->id, .arrived = m->arrived };
	struct spool_rcpt to = { .addr = sender };
	struct incoming *in = incoming_new(p->intake, &notice, INTAKE_INTERNAL);
	enum err e = incoming_sender(in, STR(""), RET_UNSAID, STR(""));

	if (e == OK)
		e = incoming_rcpt(in, &to);
	if (e == OK)
		e = incoming_add(in, text);
	if (e == OK)
		e = incoming_commit(&in, MF_LOCAL | newlines_flags(text));
	incoming_abort(&in);
	return e;
}

enum err
refuse(struct pickup *p, const struct dropped *d, uint64_t id, const char *esc, const char *why)
{
	const struct params *params = &p->service->params;
	const struct spool_msg *m = &d->view.msg;
	struct spool_msg notice = { .id = qid_new(), .arrived = wall_now() };
	struct reading r = { .d = d, .text = BUF(NOTICE_MAX) };
	struct buf failed = BUF(NOTICE_MAX), text = BUF(NOTICE_MAX);
	struct msg_bounce job = {
		.id = id, .arrived = m->arrived.us, .size = m->size, .sender = m->sender
	};
	struct dsn dsn = { .params = params,
		.job = &job,
		.id = notice.id,
		.now = notice.arrived,
		.headers_only = true };
	char qid[QID_TEXT], nid[QID_TEXT];
	enum err e;

	qid_text(id, qid);
	if (m->sender.n == 0) {
		log_warn("%s: refused, and there is nobody to tell: %s", qid, why);
		return OK;
	}
	r.want = m->size < (uint64_t)params->header_size_limit ? (size_t)m->size
							       : (size_t)params->header_size_limit;
	e = task_offload(read_original, &r);
	if (e == OK) {
		list_failed(m, esc, why, &failed);
		job.failed = buf_str(&failed);
		dsn.original = message_header(buf_str(&r.text));
		dsn.eight_bit = newlines_flags(dsn.original) & MF_8BIT;
		e = dsn_write(&dsn, &text);
	}
	if (e == OK)
		e = enter(p, &notice, m->sender, buf_str(&text));
	if (e == OK)
		log_info("%s: sender non-delivery notification: %s", qid, qid_text(notice.id, nid));
	buf_free(&r.text);
	buf_free(&failed);
	buf_free(&text);
	return e;
}
