/* SPDX-License-Identifier: Apache-2.0 */
#include "smtp/commands.h"

#include <inttypes.h>

#include "smtp/conn.h"

bool
commands_mail(const struct commands *c, struct buf *out)
{
	static const char *const ret[] = { "", " RET=FULL", " RET=HDRS" };
	const struct msg_deliver *m = &c->job->m;
	const struct spool_msg *e = c->can & CAN_DSN ? c->envelope : NULL;
	bool ok = buf_printf(out, "MAIL FROM:<%.*s>", STR_ARG(m->sender));

	if (c->can & CAN_SIZE)
		ok = ok && buf_printf(out, " SIZE=%" PRIu64, m->size);
	if ((c->can & CAN_8BIT) && (m->flags & (MF_8BIT | MF_BODY8)))
		ok = ok && buf_adds(out, " BODY=8BITMIME");
	if (c->utf8)
		ok = ok && buf_adds(out, " SMTPUTF8");
	if (e && e->ret < countof(ret))
		ok = ok && buf_adds(out, ret[e->ret]);
	if (e && e->envid.n > 0)
		ok = ok && buf_adds(out, " ENVID=") && xtext_encode(e->envid, out);
	return ok && buf_adds(out, "\r\n");
}

static bool
put_notify(uint8_t notify, struct buf *out)
{
	static const struct {
		uint8_t bit;
		const char *word;
	} words[] = {
		{NOTIFY_NEVER,    "NEVER"  },
                { NOTIFY_SUCCESS, "SUCCESS"},
		{ NOTIFY_FAILURE, "FAILURE"},
                { NOTIFY_DELAY,   "DELAY"  }
	};

	const char *before = " NOTIFY=";
	bool ok = true;

	for (size_t i = 0; i < countof(words); i++)
		if (notify & words[i].bit) {
			ok = ok && buf_adds(out, before) && buf_adds(out, words[i].word);
			before = ",";
		}
	return ok;
}

/* Where none was given, ours says which address we were given (RFC 3461 section 5.2.1). */
static bool
put_orcpt(const struct commands *c, const struct msg_rcpt *r, struct str orcpt, struct buf *out)
{
	struct str original = r->orig.n > 0 ? r->orig : r->addr;
	struct buf own = BUF(0);
	bool ok = buf_adds(out, " ORCPT=");

	if (orcpt.n == 0) {
		ok = ok && buf_adds(&own, str_ascii(original) ? "rfc822;" : "utf-8;") &&
		     buf_add(&own, original);
		orcpt = buf_str(&own);
	}
	ok = ok && orcpt_encode(orcpt, c->utf8, out);
	buf_free(&own);
	return ok;
}

bool
commands_rcpt(const struct commands *c, const struct msg_rcpt *r, struct buf *out)
{
	bool known = c->envelope && r->index < c->envelope->nrcpts;
	bool ok = buf_printf(out, "RCPT TO:<%.*s>", STR_ARG(r->addr));

	if (c->can & CAN_DSN)
		ok = ok && put_notify(r->notify, out) &&
		     put_orcpt(c, r, known ? c->envelope->rcpts[r->index].orcpt : STR(""), out);
	return ok && buf_adds(out, "\r\n");
}
