/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "cmd/explain.h"

enum { COLUMNS = 79, LABEL = 14, LOG_LINES = 20, EVENTS_SHOWN = 12, WHEN_TEXT = 80 };

void
explain_wrap(struct str text, int indent, int column)
{
	struct str word;
	bool first = true;

	while (str_word(&text, " \t\r\n", &word)) {
		if (!first && column + 1 + (int)word.n > COLUMNS) {
			printf("\n%*s", indent, "");
			column = indent;
		} else if (!first) {
			putchar(' ');
			column++;
		}
		printf("%.*s", STR_ARG(word));
		column += (int)word.n;
		first = false;
	}
	putchar('\n');
}

const char *
text_of_time(int64_t at, int64_t now, char out[SHORT_TEXT])
{
	time_t t = (time_t)(at / 1000000), n = (time_t)(now / 1000000);
	struct tm tm, today;

	localtime_r(&t, &tm);
	localtime_r(&n, &today);
	strftime(out, SHORT_TEXT,
	    tm.tm_year == today.tm_year && tm.tm_yday == today.tm_yday ? "%H:%M:%S" : "%e %b %H:%M",
	    &tm);
	return out[0] == ' ' ? out + 1 : out;
}

/* "  label       text", wrapped; bytes from outside made harmless. */
static void __attribute__((format(printf, 2, 3))) item(const char *label, const char *fmt, ...)
{
	struct buf raw = BUF(0), clean = BUF(0);
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&raw, fmt, ap);
	va_end(ap);
	buf_add_clean(&clean, buf_str(&raw));
	explain_wrap(buf_str(&clean), LABEL, printf("  %-*s", LABEL - 2, label));
	buf_free(&raw);
	buf_free(&clean);
}

/* "22:51:38, in 4m12s" */
static const char *
when(const struct explain *x, int64_t at, char out[WHEN_TEXT])
{
	char time[SHORT_TEXT], span[SHORT_TEXT];
	int64_t d = (at - x->now) / 1000000;

	text_of_time(at, x->now, time);
	text_of_age(d < 0 ? -d : d, span);
	snprintf(out, WHEN_TEXT, d == 0 ? "%s, just now" : d < 0 ? "%s, %s ago" : "%s, in %s", time, span);
	return out;
}

/* -- a recipient -- */

static void
tell_events(const struct explain *x, uint32_t index)
{
	struct str rest = buf_str(&x->events);
	struct jrn_record r;
	unsigned n = 0, skip;

	while (jrn_record_take(&rest, &r))
		n += r.index == index || r.index == JRN_ALL;
	skip = n > EVENTS_SHOWN ? n - EVENTS_SHOWN : 0;
	if (skip > 0)
		item("history", "(%u earlier entries; all: postroad queue cat --history)", skip);
	rest = buf_str(&x->events);
	while (jrn_record_take(&rest, &r)) {
		char time[SHORT_TEXT];

		if ((r.index != index && r.index != JRN_ALL) || (skip > 0 && skip--))
			continue;
		text_of_time(r.at, x->now, time);
		if (r.attempts > 0)
			item(time, "attempt %" PRIu32 " %s%s%.*s%s%.*s", r.attempts,
			    queue_event_name(r.type), r.esc.n ? ", " : "", STR_ARG(r.esc),
			    r.text.n ? ": " : "", STR_ARG(r.text));
		else
			item(time, "%s%s%.*s%s%.*s", queue_event_name(r.type), r.esc.n ? ", " : "",
			    STR_ARG(r.esc), r.text.n ? ": " : "", STR_ARG(r.text));
	}
}

/* What can be said without knowing the destination. */
/* clang-format off */
static const struct {
	const char *because, *then;
} words[WHY_COUNT] = {
	[WHY_DONE] = { "nothing is left to do", "its file goes away" },
	[WHY_NOTICE] = { "it has failed for good",
	                 "the notice to the sender is made, then it leaves the queue" },
	[WHY_FLIGHT] = { "it does not: it is being delivered just now", "see the log in a moment" },
	[WHY_TURN] = { "it is about to be delivered, and others were there first",
	               "it is delivered at its turn" },
	[WHY_WINDOW] = { "the destination gets as many deliveries at once as it may",
	                 "as soon as one of them ends" },
	[WHY_CAPACITY] = { "all processes of its transport are busy", "as soon as one of them has room" },
	[WHY_RATE] = { "there is a pause between deliveries to the destination (_destination_rate_delay)",
	               "when the pause is over" },
	[WHY_DEFERRED] = { "the last attempt was put off, and it is not yet time for the next",
	                   "an attempt, any moment" },
	[WHY_SITE] = { "the destination did not answer lately, so that its mail waits for a probe of it",
	               "when a probe is answered all its mail goes" },
	[WHY_TRANSPORT] = { "there is no process of its transport: is it in master.cf, and does it start?",
	                    "as soon as one is there" },
	[WHY_DEFER] = { "its transport is in defer_transports", "when it is flushed: postroad queue flush" },
	[WHY_HELD] = { "an operator put it on hold", "when it is released: postroad queue release" },
	[WHY_ROUTE] = { "the tables are asked where it goes", "in a moment" },
	[WHY_MOVING] = { "its file is being renamed", "in a moment" },
	[WHY_AWAY] = { "the queue manager, which would say when, does not answer", "see: postroad status" },
	[WHY_UNKNOWN] = { "the mail system is down", "after: postroad start" },
};
/* clang-format on */

/* A notice that could not be made yet. */
static void
tell_notice(const struct explain *x, const struct msg_item *m)
{
	char next[WHEN_TEXT], until[WHEN_TEXT];

	item("notice", "could not be made, %" PRIu32 " time%s: %.*s", m->notice_failures,
	    m->notice_failures == 1 ? "" : "s", STR_ARG(m->notice_why));
	item("", "tried again at %s, until %s; then the postmaster is told instead",
	    when(x, m->notice_next, next), when(x, m->notice_until, until));
}

static void
tell_why(const struct explain *x, const struct msg_item *m, const struct msg_item_rcpt *r)
{
	char at[WHEN_TEXT], id[QID_TEXT];
	uint8_t why = r->why < WHY_COUNT ? r->why : WHY_UNKNOWN;
	const char *then = words[why].then;

	qid_text(m->id, id);
	item("it waits", "%s%s", why == WHY_FLIGHT ? "" : "because ", words[why].because);
	if (why == WHY_UNKNOWN || why == WHY_AWAY)
		item("next", "%s%s%s", then,
		    r->next_try > x->now ? "; the next attempt is due at " : "",
		    r->next_try > x->now ? when(x, r->next_try, at) : "");
	else if (r->next_try > x->now)
		item("next", "%s at %s",
		    why == WHY_SITE ? "a probe of the destination" : "an attempt",
		    when(x, r->next_try, at));
	else if (why == WHY_HELD)
		item("next", "%s %s", then, id);
	else if (why == WHY_DEFER)
		item("next", "%s %s", then, id);
	else
		item("next", "%s", then);
}

static void
tell_site(const struct explain *x, const struct msg_site *s)
{
	char at[WHEN_TEXT], probe[WHEN_TEXT];

	if (s->dead_since > 0)
		item("destination", "found dead at %s; next probe %s", when(x, s->dead_since, at),
		    s->next_probe > x->now ? when(x, s->next_probe, probe) : "now");
	else
		item("destination", "%" PRIu32 " of %" PRIu32 " deliveries at once under way%s",
		    s->busy, s->window, s->busy >= s->window ? ": full" : "");
	if (s->reason.n > 0)
		item("", "last trouble: %.*s", STR_ARG(s->reason));
	if (s->pause_until > 0)
		item("", "pause until %s", when(x, s->pause_until, at));
	if (s->agents == 0)
		item("", "no process of transport %.*s since %s", STR_ARG(s->transport),
		    when(x, s->missing_since, at));
	if (s->deferred)
		item("", "transport %.*s is in defer_transports", STR_ARG(s->transport));
}

static void
tell_rcpt(const struct explain *x, const struct msg_item *m, const struct msg_item_rcpt *r)
{
	struct msg_site site;

	putchar('\n');
	item("to", "%.*s", STR_ARG(r->addr));
	if (r->orig.n > 0 && !str_eq(r->orig, r->addr))
		item("given as", "%.*s", STR_ARG(r->orig));
	if (r->transport.n > 0)
		item("goes by", "%.*s to %.*s", STR_ARG(r->transport),
		    STR_ARG(r->nexthop.n > 0 ? r->nexthop : STR("(no next hop)")));
	tell_events(x, r->index);
	if (r->attempts == 0 && r->reason.n > 0)
		item("not tried", "%.*s", STR_ARG(r->reason));
	else if (r->attempts == 0)
		item("not tried", "yet");
	tell_why(x, m, r);
	if (explain_site(x, r->transport, r->nexthop, &site))
		tell_site(x, &site);
}

void
explain_message_text(const struct explain *x, const struct msg_item *m)
{
	char id[QID_TEXT], at[WHEN_TEXT], size[SHORT_TEXT];
	struct str rest = m->rcpts;
	struct msg_item_rcpt r;
	unsigned n = 0;

	printf("%s is in the queue: %s%s\n", qid_text(m->id, id), queue_state_name(m),
	    m->forced_expire ? ", to be returned to its sender" : "");
	item("from", "%.*s", STR_ARG(m->sender.n > 0 ? m->sender : STR("<> (a notice)")));
	item("arrived", "%s", when(x, m->arrived, at));
	item("size", "%s", text_of_size(m->size, size));
	while (msg_item_rcpt_take(&rest, &r))
		n++;
	item("left", "%u recipient%s", n, n == 1 ? "" : "s");
	if (m->dir == SPOOL_HOLD)
		item("returned", "never while it is on hold");
	else
		item("returned", "if not delivered by %s", when(x, explain_expires(x, m), at));
	if (m->notice_failures > 0)
		tell_notice(x, m);
	rest = m->rcpts;
	while (msg_item_rcpt_take(&rest, &r))
		tell_rcpt(x, m, &r);
}

void
explain_site_text(const struct explain *x, const struct msg_site *s)
{
	char limit[SHORT_TEXT] = "any number";

	printf("%.*s by transport %.*s: %s\n", STR_ARG(s->nexthop), STR_ARG(s->transport),
	    s->agents == 0       ? "nobody there to deliver"
	    : s->dead_since > 0  ? "does not answer"
	    : s->deferred        ? "waits for a flush"
	    : s->pause_until > 0 ? "in a pause"
				 : "mail goes there");
	tell_site(x, s);
	if (s->limit > 0)
		snprintf(limit, sizeof limit, "%" PRIu32, s->limit);
	item("limit", "%s at once; now %" PRIu32 "; %" PRIu32 " deliveries wait or are under way",
	    limit, s->window, s->waiting);
	if (s->dead_since > 0)
		item(
		    "to try now", "postroad queue flush --destination '%.*s'", STR_ARG(s->nexthop));
}

/* -- what is no longer there -- */

unsigned
explain_log(const struct explain *x, const char *id, unsigned most)
{
	FILE *f = x->params.maillog_file[0] == '/' ? fopen(x->params.maillog_file, "re") : NULL;
	char *line = NULL;
	size_t cap = 0;
	unsigned n = 0;

	while (f && getline(&line, &cap, f) > 0)
		if (strstr(line, id) && n++ < most)
			printf("  %s", line);
	free(line);
	if (f)
		fclose(f);
	return n;
}

void
explain_gone_text(const struct explain *x, const char *id)
{
	unsigned n;

	if (id[0] == '\0') {
		printf("%.*s: no mail to it or from it is in the queue.\n", STR_ARG(x->what));
		explain_wrap(STR("What became of earlier mail stands in the log: to=<ADDRESS> ... "
				 "status=sent | bounced | "
				 "expired, and from=<ADDRESS> at its arrival."),
		    0, 0);
		return;
	}
	printf("%s is not in the queue: delivered, returned, deleted, or never here.\n", id);
	explain_wrap(STR("The log tells: \"status=sent\" or \"status=bounced\" for each recipient, "
			 "\"sender non-delivery "
			 "notification\" when its sender was told, \"removed\" at its end."),
	    0, 0);
	n = explain_log(x, id, LOG_LINES);
	if (n == 0)
		printf("%s %s %s\n",
		    x->params.maillog_file[0] ? "Nothing about it in"
					      : "To find them: journalctl -t postroad -g",
		    x->params.maillog_file[0] ? x->params.maillog_file : id,
		    x->params.maillog_file[0] ? "" : "");
	else if (n > LOG_LINES)
		printf("and %u more lines in %s\n", n - LOG_LINES, x->params.maillog_file);
}
