/* SPDX-License-Identifier: Apache-2.0 */
#include "smtpd/session.h"
#include "util/log.h"

const char *
session_queue_id(const struct session *s, char out[QID_TEXT])
{
	return s->transaction.id ? qid_text(s->transaction.id, out) : "NOQUEUE";
}

/* " ehlo=1", or " rcpt=1/3" when not all were good. */
static void
add_count(struct buf *line, const char *name, uint32_t good, uint32_t total)
{
	ENSURE(buf_addc(line, ' '));
	for (; *name; name++)
		ENSURE(buf_addc(line, (char)(*name | 0x20)));
	ENSURE(buf_printf(line, "=%u", good));
	if (total != good)
		ENSURE(buf_printf(line, "/%u", total));
}

void
logline_disconnect(const struct session *s)
{
	struct buf line = BUF(0);
	uint32_t good = 0, total = 0;

	for (size_t i = 0; i <= CMD_COUNT; i++) {
		good += s->counts[i].good;
		total += s->counts[i].total;
		if (s->counts[i].total > 0)
			add_count(&line, i < CMD_COUNT ? smtp_commands[i].verb : "unknown", s->counts[i].good,
			    s->counts[i].total);
	}
	add_count(&line, "commands", good, total);
	log_info("disconnect from %s%s", s->from, buf_cstr(&line));
	buf_free(&line);
}

void
logline_broken(const struct session *s)
{
	if (s->reason == NULL)
		return;
	if (strcmp(s->where, "DATA content") == 0)
		log_info("%s after DATA (%llu bytes) from %s", s->reason, (unsigned long long)s->content, s->from);
	else
		log_info("%s after %s from %s", s->reason, s->where, s->from);
}
