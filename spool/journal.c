/* SPDX-License-Identifier: Apache-2.0 */
/* What happened to a message, appended to its file by its one writer. */
#include "spool/spool.h"

#include <fcntl.h>
#include <unistd.h>

#include "mail/msgs.h"
#include "spool/files.h"
#include "util/fault.h"
#include "util/proc.h"

/* An append is one write at the end, so a crash leaves at most the last entry unfinished: a bad one with good ones
 * behind it is damage. */
bool
journal_next(struct journal *j, struct str *payload)
{
	size_t n;

	if (j->rest.n == 0)
		return false;
	if (!layout_entry_get(j->rest, j->seq, payload)) {
		j->damaged = layout_entry_follows(str_sub(j->rest, 1, j->rest.n), j->seq);
		j->torn = !j->damaged;
		return false;
	}
	n = LAYOUT_ENTRY + payload->n;
	j->rest = str_sub(j->rest, n, j->rest.n);
	j->good += n;
	j->seq++;
	return true;
}

static bool
final(enum jrn_state s)
{
	return s == JRN_SENT || s == JRN_BOUNCED || s == JRN_EXPIRED;
}

static void
apply_to(struct spool_progress *p, const struct jrn_record *r)
{
	static const enum jrn_state states[] = {
		[JRN_T_SENT] = JRN_SENT, [JRN_T_DEFERRED] = JRN_DEFERRED, [JRN_T_BOUNCED] = JRN_BOUNCED,
		[JRN_T_EXPIRED] = JRN_EXPIRED, [JRN_T_REQUEUED] = JRN_PENDING,
		[JRN_T_RELAYED] = JRN_SENT, [JRN_T_PASSED] = JRN_SENT, [JRN_T_EXPANDED] = JRN_SENT,
	};
	static const uint8_t actions[JRN_T_LAST + 1] = {
		[JRN_T_RELAYED] = ACTION_RELAYED, [JRN_T_PASSED] = ACTION_PASSED, [JRN_T_EXPANDED] = ACTION_EXPANDED,
	};

	if (final(p->state))                           /* a final outcome is final, whatever comes late */
		return;
	p->state = states[r->type];
	p->next_try = (struct wall){ r->next_try };
	if (r->type == JRN_T_REQUEUED)
		return;
	p->action = actions[r->type];
	p->attempts = r->attempts;
	p->esc = r->esc;
	p->text = r->text;
	p->mta = r->mta;
	p->diag = r->diag;
}

static bool
sensible(const struct jrn_record *r, size_t nrcpts)
{
	return r->type >= JRN_T_SENT && r->type <= JRN_T_LAST && (r->index == JRN_ALL || r->index < nrcpts);
}

/* A notice tells of what had ended by then; a later failure wants one of its own. */
static void
apply_notice(struct spool_view *v, const struct jrn_record *r)
{
	for (size_t i = 0; i < v->msg.nrcpts; i++) {
		struct spool_progress *p = &v->progress[i];

		if (r->index != JRN_ALL && r->index != i)
			continue;
		p->warned |= r->type == JRN_T_WARNED;
		p->reported |= r->type == JRN_T_REPORTED;
		p->noticed |= r->type == JRN_T_NOTICED && final(p->state);
	}
	v->noticed |= r->type == JRN_T_NOTICED;
}

static void
apply(struct spool_view *v, const struct jrn_record *r)
{
	if (r->type == JRN_T_NOTICED || r->type == JRN_T_WARNED || r->type == JRN_T_REPORTED) {
		apply_notice(v, r);
		return;
	}
	if (r->type == JRN_T_EXPIRE) {
		v->forced = true;
		return;
	}
	if (r->type == JRN_T_REQUEUED)
		v->requeued = (struct wall){ r->at };
	if (r->index != JRN_ALL) {
		apply_to(&v->progress[r->index], r);
		return;
	}
	for (size_t i = 0; i < v->msg.nrcpts; i++)
		apply_to(&v->progress[i], r);
}

enum err
journal_replay(struct str all, struct spool_view *v)
{
	struct journal j = { .rest = all };
	struct str payload;
	struct jrn_record r;

	for (size_t i = 0; i < v->msg.nrcpts; i++)
		if (v->msg.rcpts[i].notify & SPOOL_EXPANDED) {
			v->progress[i] = (struct spool_progress){ .state = JRN_SENT, .action = ACTION_EXPANDED };
			v->progress[i].esc = STR(SPOOL_EXPANDED_ESC);
			v->progress[i].text = STR(SPOOL_EXPANDED_TEXT);
		}
	while (journal_next(&j, &payload))
		while (payload.n > 0) {
			if (!jrn_record_take(&payload, &r) || !sensible(&r, v->msg.nrcpts))
				return fail(E_CORRUPT, "entry %u of the journal makes no sense", j.seq - 1);
			apply(v, &r);
		}
	return j.damaged ? fail(E_CORRUPT, "the journal is damaged at entry %u", j.seq) : OK;
}

/* Records one after another need no frames of their own; the oldest make room. */
static bool
history_add(struct buf *to, struct str payload)
{
	struct jrn_record r;
	struct str rest = buf_str(to);

	if (buf_add(to, payload))
		return true;
	while (rest.n > to->max / 2 && jrn_record_take(&rest, &r))
		;
	buf_drop(to, to->n - rest.n);
	(void)buf_add(to, payload);                    /* an entry larger than all the room is left out */
	return false;
}

enum err
journal_records(const struct peek *k, struct buf *records, bool *cut)
{
	size_t n = (size_t)(k->size - layout_end(&k->h));
	struct journal j = { .seq = 0 };
	struct str payload;
	char *all;
	enum err e;

	if (k->size - layout_end(&k->h) > LAYOUT_JOURNAL_MAX)
		return fail(E_CORRUPT, "the journal is too long");
	all = mem_grow(NULL, n);
	if ((e = peek_bytes(k, layout_end(&k->h), n, all)) == OK) {
		j.rest = (struct str){ all, n };
		while (journal_next(&j, &payload))
			*cut |= records && !history_add(records, payload);
	}
	free(all);
	return e;
}

enum err
spool_history(struct spool *s, uint64_t id, struct buf *records, bool *cut)
{
	struct peek *k = mem_grow(NULL, sizeof *k);
	char path[SPOOL_PATH];
	enum spool_dir d;
	enum err e = spool_find(s, id, &d);

	*cut = false;
	if (e == OK && (e = peek_open(k, s->root, spool_path(d, id, path), O_RDONLY, id)) == OK) {
		if ((e = peek_check(k, d)) == OK)
			e = journal_records(k, records, cut);
		peek_close(k);
	}
	free(k);
	return e;
}

static enum err
check_records(struct str records, size_t nrcpts)
{
	struct jrn_record r;

	if (records.n == 0 || records.n > LAYOUT_ENTRY_MAX)
		return fail(E_IPC, "a journal entry of %zu bytes", records.n);
	while (records.n > 0)
		if (!jrn_record_take(&records, &r) || !sensible(&r, nrcpts))
			return fail(E_IPC, "malformed journal record");
	return OK;
}

/* Where the next entry goes and its number. */
static enum err
find_end(const struct peek *k, uint64_t *at, uint32_t *seq)
{
	uint64_t start = layout_end(&k->h), n = k->size - start;
	struct journal j = { .seq = 0 };
	struct str payload;
	char *all;
	enum err e;

	if (n > LAYOUT_JOURNAL_MAX)
		return fail(E_CORRUPT, "the journal is too long");
	all = mem_grow(NULL, (size_t)n);
	if ((e = peek_bytes(k, start, (size_t)n, all)) == OK) {
		j.rest = (struct str){ all, (size_t)n };
		while (journal_next(&j, &payload))
			;
		if (j.damaged)
			e = fail(E_CORRUPT, "the journal is damaged at entry %u", j.seq);
	}
	free(all);
	*at = start + j.good;
	*seq = j.seq;
	return e;
}

static enum err
write_entry(struct spool *s, const struct peek *k, uint64_t at, struct str entry, bool durable)
{
	enum err e = OK;

	if (at < k->size && ftruncate(k->fd, (off_t)at) != 0)
		return fail_errno("truncate");
	e = fd_write_all(k->fd, entry, (off_t)at);
	if (e == OK && durable && s->sync != SYNC_NONE && sys_fdatasync(k->fd) != 0)
		e = fail_errno("fdatasync");
	/* R3.4: an entry that is not known durable must not look as if it were. */
	if (e != OK && ftruncate(k->fd, (off_t)at) != 0)
		return fail(e, "%s (nor could it be taken back)", err_why());
	return e;
}

static enum err
append(struct spool *s, struct peek *k, enum spool_dir d, struct str records, bool durable)
{
	struct buf entry = BUF(LAYOUT_ENTRY + LAYOUT_ENTRY_MAX);
	char head[LAYOUT_ENTRY];
	uint64_t at = 0;
	uint32_t seq = 0;
	enum err e;

	TRY(peek_check(k, d));
	TRY(check_records(records, k->h.nrcpts));
	TRY(find_end(k, &at, &seq));
	if (at + LAYOUT_ENTRY + records.n - layout_end(&k->h) > LAYOUT_JOURNAL_MAX)
		return fail(E_TOOBIG, "the journal is full");
	layout_entry_put(seq, records, head);
	e = buf_add(&entry, (struct str){ head, sizeof head }) && buf_add(&entry, records)
		? write_entry(s, k, at, buf_str(&entry), durable)
		: fail(E_TOOBIG, "a journal entry of %zu bytes", records.n);
	buf_free(&entry);
	return e;
}

enum err
spool_append(struct spool *s, enum spool_dir d, uint64_t id, struct str records, bool durable)
{
	char path[SPOOL_PATH], hash[SPOOL_PATH];
	struct peek *k;
	enum err e;

	TRY(spool_may_write(s));
	k = mem_grow(NULL, sizeof *k);
	e = peek_open(k, s->root, spool_path(d, id, path), O_RDWR, id);
	if (e == OK) {
		e = append(s, k, d, records, durable);
		/* R10.5: its name may not be durable yet, and what a redo log puts back has no journal. */
		if (e == OK && durable && spool_is_young(id))
			e = spool_sync_dir(s, spool_hash_path(d, spool_hash(id), hash));
		if (sys_close(k->fd) != 0 && e == OK)
			e = fail_errno("close");
		if (e != OK)
			e = fail(e, "%s: %s", path, err_why());
	}
	free(k);
	return e;
}
