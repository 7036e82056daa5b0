/* SPDX-License-Identifier: Apache-2.0 */
#include "intake/transcript.h"

#include <inttypes.h>
#include <stdio.h>

#include "mail/header.h"
#include "util/log.h"
#include "util/proc.h"
#include "util/rate.h"
#include "util/time.h"

enum { LINE_KEPT = 600, LINE_MOST = LINE_KEPT + 8, PER_MINUTE = 10, MESSAGE_MAX = 4 * TRANSCRIPT_KEPT };

static const struct {
	enum trouble class;
	const char *name;
} classes[] = {
	{ TROUBLE_POLICY, "policy" },
	{ TROUBLE_PROTOCOL, "protocol" },
	{ TROUBLE_RESOURCE, "resource" },
	{ TROUBLE_SOFTWARE, "software" },
};

unsigned
transcript_classes(const struct params *p)
{
	unsigned found = 0;

	for (size_t i = 0; i < countof(classes); i++)
		if (list_has(str_of(p->notify_classes), str_of(classes[i].name), false))
			found |= classes[i].class;
	return found;
}

void
transcript_init(struct transcript *t, unsigned wanted)
{
	*t = (struct transcript){ .wanted = wanted, .text = BUF(TRANSCRIPT_KEPT + LINE_MOST) };
}

void
transcript_fini(struct transcript *t)
{
	buf_free(&t->text);
}

void
transcript_trouble(struct transcript *t, unsigned class)
{
	t->seen |= class;
}

/* So that the newest lines are TRANSCRIPT_KEPT bytes at most. */
static void
drop_oldest(struct transcript *t)
{
	size_t from = 0;

	while (t->text.n - from > TRANSCRIPT_KEPT) {
		from += str_find(str_sub(buf_str(&t->text), from, t->text.n), '\n') + 1;
		t->left_out++;
	}
	buf_drop(&t->text, from);
}

static void
keep(struct transcript *t, const char *side, struct str line)
{
	if (t->wanted == 0)
		return;
	ENSURE(buf_adds(&t->text, side) && buf_add_clean(&t->text, str_sub(line, 0, LINE_KEPT)) &&
	       buf_adds(&t->text, "\r\n"));
	drop_oldest(t);
}

/* Of AUTH the mechanism is enough. */
void
transcript_in(struct transcript *t, struct str line)
{
	struct str rest = line, verb, mechanism;

	if (t->wanted != 0 && str_word(&rest, " \t", &verb) && str_ieq(verb, STR("AUTH"))) {
		bool named = str_word(&rest, " \t", &mechanism);

		line = named ? str_sub(line, 0, (size_t)(mechanism.p + mechanism.n - line.p)) : verb;
	}
	keep(t, "In:  ", line);
}

void
transcript_out(struct transcript *t, struct str reply)
{
	struct str line;

	while (str_cut(&reply, '\n', &line)) {
		if (line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		keep(t, "Out: ", line);
	}
}

static void
write_header(const struct params *p, const struct spool_msg *m, const char *peer, struct buf *out)
{
	char date[TIME_RFC5322];

	wall_rfc5322(m->arrived, date);
	ENSURE(received_put(m->arrived, m->id, p->myhostname, p->mail_name, out) &&
	       buf_printf(out, "Date: %s\r\n", date));
	ENSURE(buf_printf(out, "From: Mail Delivery System <MAILER-DAEMON@%s>\r\nTo: Postmaster <%s>\r\n",
	    p->myhostname, p->error_notice_recipient));
	ENSURE(buf_printf(out, "Subject: %s SMTP server: errors from %s\r\n", p->mail_name, peer));
	ENSURE(buf_adds(out, "Auto-Submitted: auto-generated\r\nMessage-Id: ") &&
	       message_id_put(m->arrived, m->id, p->myhostname, out) && buf_adds(out, "\r\n\r\n"));
}

static void
write_message(const struct transcript *t, const struct params *p, const struct spool_msg *m,
    const char *peer, const char *more, size_t missed, struct buf *out)
{
	write_header(p, m, peer, out);
	ENSURE(buf_printf(out, "This was said in a session of %s with %s;\r\nnotify_classes asks for it because of:",
	    peer, p->myhostname));
	for (size_t i = 0; i < countof(classes); i++)
		if (t->seen & t->wanted & classes[i].class)
			ENSURE(buf_printf(out, " %s", classes[i].name));
	ENSURE(buf_adds(out, ".\r\n\r\n"));
	if (t->left_out > 0)
		ENSURE(buf_printf(out, "     (%zu earlier lines are left out)\r\n", t->left_out));
	ENSURE(buf_add(out, buf_str(&t->text)));
	if (more)
		ENSURE(buf_printf(out, "\r\nSession aborted, reason: %s\r\n", more));
	if (missed > 0)
		ENSURE(buf_printf(out, "\r\n%zu sessions before it were too many to be told of.\r\n", missed));
	ENSURE(buf_adds(out, "\r\nThe mail log has the details.\r\n"));
}

void
transcript_send(const struct transcript *t, struct intake *in, const char *peer, const char *more)
{
	static struct rate rate;
	static size_t missed;
	size_t untold;
	const struct params *p = intake_params(in);
	struct spool_msg m = { 0 };
	struct str to = str_of(p->error_notice_recipient);
	struct buf text = BUF(MESSAGE_MAX);
	char id[QID_TEXT];

	if (!(t->seen & t->wanted))
		return;
	if (rate.per_second <= 0)
		rate_init(&rate, PER_MINUTE, 60, PER_MINUTE, time_now());
	if (!rate_take(&rate, 1, time_now())) {
		if (missed++ == 0)
			log_warn("too many sessions with errors: %.*s gets no transcripts for now", STR_ARG(to));
		return;
	}
	/* Taken before the wait: other sessions count on meanwhile. */
	untold = missed;
	missed = 0;
	m.id = qid_new();
	m.arrived = wall_now();
	write_message(t, p, &m, peer, more, untold, &text);
	if (intake_post(in, &m, str_of(p->double_bounce_sender), to, buf_str(&text), 0) == OK) {
		log_info("transcript of the session with %s sent to %.*s: %s", peer, STR_ARG(to),
		    qid_text(m.id, id));
	} else {
		missed += untold;
		log_warn("no transcript of the session with %s to %.*s: %s", peer, STR_ARG(to), err_why());
	}
	buf_free(&text);
}
