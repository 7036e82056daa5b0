/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/attempt.h"

#include "util/log.h"

enum { DONE_MAX = 16 << 20 };

static struct {
	struct list open, kept;                        /* kept: oldest first */
	size_t      nkept, bytes;                      /* of these */
	uint64_t    names;
} attempts;

void
attempts_start(void)
{
	list_init(&attempts.open);
	list_init(&attempts.kept);
}

static size_t
size_of(const struct attempt *a)
{
	return a->frame.n + a->done.n;
}

static void
forget(struct attempt *a)
{
	list_remove(&a->link);
	attempts.nkept--;
	attempts.bytes -= size_of(a);
	buf_free(&a->frame);
	buf_free(&a->done);
	free(a);
}

static struct attempt *
oldest(void)
{
	struct list *l = list_first(&attempts.kept);

	return l ? container_of(l, struct attempt, link) : NULL;
}

/* What nobody needs any more. */
static void
forget_old(struct time now)
{
	struct attempt *a;

	LIST_EACH (&attempts.kept, k, struct attempt, link) {
		if (time_before(now, k->until))
			break;
		forget(k);
	}
	while ((attempts.nkept > ATTEMPTS_MAX || attempts.bytes > ATTEMPT_BYTES_MAX) && (a = oldest()) != NULL)
		forget(a);
}

void
attempt_begin(struct attempt *a, const struct channel_job *from)
{
	*a = (struct attempt){ .name = ++attempts.names, .channel = from->channel, .asked = buf_str(&from->frame) };
	list_push(&attempts.open, &a->link);
}

/* To the qmgr that gave it.  False: that one is gone. */
static bool
report(const struct attempt *a, const struct channel_job *from)
{
	struct buf *out = channel_begin(from, MSG_DONE_TAG);

	if (out == NULL)
		return false;
	(void)buf_add(out, buf_str(&a->done));
	channel_end();
	return true;
}

/* To the qmgr that there is now.  False: it did not go. */
static bool
tell(struct attempt *a)
{
	struct buf *out = channel_begin_now(MSG_LATE_TAG);

	if (out == NULL)
		return false;
	(void)msg_late_put(out, &(struct msg_late){ .attempt = a->name, .asked = a->asked, .done = buf_str(&a->done) });
	channel_end();
	a->channel = channel_current();
	a->late = true;
	return true;
}

static bool
has_final(const struct job *j)
{
	for (size_t i = 0; i < j->n; i++)
		if (j->rcpts[i].status == RCPT_SENT || j->rcpts[i].status == RCPT_BOUNCED)
			return true;
	return false;
}

/* On the heap from now on, with the frame. */
static void
keep(const struct attempt *a, struct channel_job *from, struct time until)
{
	struct attempt *k = mem_new(sizeof *k);

	*k = *a;
	k->frame = from->frame;
	from->frame = BUF(0);
	k->until = until;
	list_push(&attempts.kept, &k->link);
	attempts.nkept++;
	attempts.bytes += size_of(k);
}

void
attempt_end(struct attempt *a, const struct job *j, struct channel_job *from)
{
	struct time now = time_now(), until = TIME_NEVER;
	char id[QID_TEXT];

	list_remove(&a->link);
	a->final = has_final(j);
	a->done = BUF(DONE_MAX);
	job_report(j, &a->done);
	a->told = a->late ? a->channel == channel_current() && tell(a) : report(a, from);
	if (a->told)
		until = time_after(now, a->late ? ATTEMPT_LATE_SECONDS : ATTEMPT_SECONDS);
	else
		log_info("%s: qmgr is gone; the next one will be told of this delivery", qid_text(j->m.id, id));
	/* What was put off may as well be forgotten once it has been said: it is tried again in any case. */
	if (!a->told || a->final)
		keep(a, from, until);
	else
		buf_free(&a->done);
	forget_old(now);
}

static void
move_all(struct list *from, struct list *to)
{
	for (struct list *l; (l = list_pop(from)) != NULL;)
		list_push(to, l);
}

static enum err
tell_one(struct attempt *a, bool ended)
{
	if (a->channel == channel_current())           /* it ended meanwhile, and was told then */
		return OK;
	if (!tell(a))
		return fail(E_EOF, "qmgr is gone");
	a->told = ended;
	if (ended && !a->final)
		forget(a);
	else if (ended)
		a->until = time_after(time_now(), ATTEMPT_LATE_SECONDS);
	return OK;
}

/* While room is made the list changes. */
static WAITS enum err
tell_all(struct list *rest, bool ended)
{
	struct list told, *l;
	enum err e = OK;

	list_init(&told);
	while (e == OK && (l = list_first(rest)) != NULL) {
		list_remove(l);
		list_push(&told, l);
		e = tell_one(container_of(l, struct attempt, link), ended);
		if (e == OK)
			e = channel_drain();
	}
	move_all(rest, &told);                         /* oldest first, as before */
	move_all(&told, rest);
	return e;
}

void
attempts_greet(void)
{
	struct buf *out;

	forget_old(time_now());
	if (tell_all(&attempts.open, false) != OK || tell_all(&attempts.kept, true) != OK ||
	    (out = channel_begin_now(MSG_LATE_TAG)) == NULL)
		return;
	(void)msg_late_put(out, &(struct msg_late){ 0 });
	channel_end();
}

/* What was told just now may not have arrived. */
void
attempts_parted(void)
{
	forget_old(time_now());
	LIST_EACH (&attempts.kept, a, struct attempt, link)
		if (time_before(time_now(), a->until))
			a->until = TIME_NEVER;
}

bool
attempts_owed(void)
{
	LIST_EACH (&attempts.kept, a, struct attempt, link)
		if (!a->told)
			return true;
	return false;
}
