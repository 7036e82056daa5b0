/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of the sessions, so that all of them together stay below smtpd_memory_limit, whoever they are. */
#include "intake/intake.h"
#include "smtpd/session.h"
#include "util/log.h"

enum { WARNING_PAUSE = 10 };

static size_t
memory_of_transaction(const struct transaction *t)
{
	size_t envelope = t->sender.cap + t->text.cap + t->envid.cap + t->cap * sizeof *t->rcpts;

	/* DATA makes one copy for rewriting and one for the file: who may name recipients may send to them, too. */
	if (t->incoming == NULL)
		return 3 * envelope;
	return envelope + t->nrcpts * sizeof(struct spool_rcpt) + incoming_memory(t->incoming);
}

void
session_account(struct session *s)
{
	size_t now = memory_of_transaction(&s->transaction) + s->transcript.text.cap;

	s->smtpd->memory += now - s->memory;
	s->memory = now;
}

bool
memory_runs_short(const struct smtpd *d)
{
	uint64_t limit = (uint64_t)d->params->smtpd_memory_limit;

	return limit > 0 && d->memory >= limit / 2;
}

bool
memory_is_short(const struct smtpd *d)
{
	uint64_t limit = (uint64_t)d->params->smtpd_memory_limit;
	static struct time next;
	struct time now;

	if (limit == 0 || d->memory < limit)
		return false;
	now = time_now();
	if (!time_before(now, next)) {
		next = time_after(now, WARNING_PAUSE);
		log_warn("messages under way take %llu bytes, smtpd_memory_limit is %llu: new ones are put off",
		    (unsigned long long)d->memory, (unsigned long long)limit);
	}
	return true;
}
