/* SPDX-License-Identifier: Apache-2.0 */
/* A message that can never be taken in goes back to its sender, who was told long ago that it was:
 * as a notice of failure for all its recipients. */
#include "intake/notice.h"
#include "pickup/take.h"
#include "util/log.h"

enum { LIST_MAX = 64 << 20 };

static bool
list_failed(const struct spool_msg *m, const char *esc, const char *why, struct buf *out)
{
	for (size_t i = 0; i < m->nrcpts; i++) {
		struct msg_failed f = { .index = (uint32_t)i,
			.action = ACTION_FAILED,
			.addr = m->rcpts[i].addr,
			.orig = m->rcpts[i].orig,
			.esc = str_of(esc),
			.text = str_of(why) };
		uint8_t notify = m->rcpts[i].notify;

		if ((notify == 0 || (notify & NOTIFY_FAILURE)) && !msg_failed_put(out, &f))
			return false;
	}
	return true;
}

enum err
refuse(struct pickup *p, const struct dropped *d, uint64_t id, const char *esc, const char *why)
{
	const struct spool_msg *m = &d->view.msg;
	struct buf failed = BUF(LIST_MAX);
	struct msg_bounce what = { .id = id,
		.kind = NOTICE_FAILURE,
		.arrived = m->arrived.us,
		.size = m->size,
		.content_at = m->content_at,
		.flags = m->flags,
		.sender = m->sender };
	struct notice_job job = { .what = &what, .envelope = m, .fd = d->fd };
	uint64_t notice = 0;
	char qid[QID_TEXT];
	enum err e =
	    list_failed(m, esc, why, &failed) ? OK : fail(E_NOSPACE, "too many recipients");

	what.failed = buf_str(&failed);
	if (e == OK && failed.n > 0)
		e = notice_send(p->notices, &job, &notice);
	if (e == OK && notice == 0)
		log_warn("%s: refused, and there is nobody to tell: %s", qid_text(id, qid), why);
	buf_free(&failed);
	return e;
}
