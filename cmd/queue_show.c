/* SPDX-License-Identifier: Apache-2.0 */
/* A message file for human eyes, in the words of Postfix's postcat; -d and -o name the letters and
 * places that a record of it would have there. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/queue.h"
#include "util/mem.h"
#include "util/proc.h"

enum { PIECE = 64 << 10, HISTORY_MAX = 64 << 20 };

struct show {
	unsigned what;
	const char *path; /* as the headings name it */
	int fd;
	const struct spool_view *v;
	uint64_t at;   /* where the next line is from */
	uint64_t skip; /* what is before this offset */
	enum err e;
};

/* What stands before each line. */
static void
begin(struct show *s, char type)
{
	if (s->what & SHOW_OFFSETS)
		printf("%9" PRIu64 " ", s->at);
	if (s->what & SHOW_RAW)
		printf("%3d ", type);
}

static void
heading(struct show *s, char type, const char *title)
{
	if (!(s->what & SHOW_MARKS))
		return;
	if (type)
		begin(s, type);
	printf("*** %s %s ***\n", title, s->path);
}

static void
line(struct show *s, char type, const char *name, struct str value)
{
	begin(s, type);
	printf("%s: %.*s\n", name, STR_ARG(value));
}

static void
attribute(struct show *s, const char *name, struct str value)
{
	if (value.n == 0)
		return;
	begin(s, 'A');
	printf("named_attribute: %s=%.*s\n", name, STR_ARG(value));
}

static void
show_rcpt(struct show *s, size_t i)
{
	static const char *const states[] = { "pending", "deferred", "sent", "bounced", "expired" };
	const struct spool_rcpt *r = &s->v->msg.rcpts[i];
	const struct spool_progress *p = &s->v->progress[i];
	bool open = p->state <= JRN_DEFERRED;

	if (r->notify) {
		begin(s, 'A');
		printf("named_attribute: notify_flags=%d\n", r->notify);
	}
	attribute(s, "dsn_orig_rcpt", r->orcpt);
	line(s, 'O', "original_recipient", r->orig.n > 0 ? r->orig : r->addr);
	line(s, open ? 'R' : 'D', open ? "recipient" : "done_recipient", r->addr);
	if (p->state != JRN_PENDING) {
		begin(s, 'A');
		printf("named_attribute: status=%s %.*s (%.*s), attempts %" PRIu32 "\n",
		    states[p->state], STR_ARG(p->esc), STR_ARG(p->text), p->attempts);
	}
}

static void
show_envelope(struct show *s)
{
	const struct spool_msg *m = &s->v->msg;
	static const char *const rets[] = { "", "FULL", "HDRS" };
	time_t at = (time_t)wall_seconds(m->arrived);
	char date[32];
	struct tm tm;

	strftime(date, sizeof date, "%a %b %e %H:%M:%S %Y", localtime_r(&at, &tm));
	begin(s, 'C');
	printf("message_size: %15" PRIu64 " %15" PRIu32 " %15zu %15d %15" PRIu64 " %15d\n", m->size,
	    m->content_at, m->nrcpts, 0, m->size, m->flags & MF_UTF8 ? 2 : 0);
	line(s, 'T', "message_arrival_time", str_of(date));
	attribute(s, "dsn_envid", m->envid);
	attribute(s, "dsn_ret", str_of(rets[m->ret % countof(rets)]));
	line(s, 'S', "sender", m->sender);
	attribute(s, "log_client_name", m->client_name);
	attribute(s, "log_client_address", m->client_addr);
	attribute(s, "log_helo_name", m->client_helo);
	attribute(s, "log_protocol_name", m->protocol);
	attribute(s, "sasl_username", m->login);
	for (size_t i = 0; i < m->nrcpts; i++)
		show_rcpt(s, i);
}

/* -- content: lines without their line ends -- */

struct reader {
	struct show *s;
	struct buf line;
	bool in_header, seen_end;
};

/* A field, or what continues one. */
static bool
is_header_line(struct str l, bool first)
{
	size_t colon = str_find(l, ':');

	if (l.n > 0 && (l.p[0] == ' ' || l.p[0] == '\t'))
		return !first;
	if (colon == l.n || colon == 0)
		return false;
	for (size_t i = 0; i < colon; i++)
		if (l.p[i] <= ' ' || l.p[i] == 127)
			return false;
	return true;
}

static void
end_line(struct reader *r, bool first)
{
	struct show *s = r->s;
	size_t n = r->line.n;

	if (n > 0 && r->line.p[n - 1] == '\r')
		buf_cut(&r->line, n - 1);
	if (r->in_header && !is_header_line(buf_str(&r->line), first))
		r->in_header = false;
	if (s->what & (r->in_header ? SHOW_HEADER : SHOW_BODY)) {
		begin(s, 'N');
		fwrite(buf_cstr(&r->line), 1, r->line.n, stdout);
		putchar('\n');
	}
	s->at += n + 1;
	buf_clear(&r->line);
}

static void
show_content(struct show *s)
{
	struct reader r = { .s = s, .line = BUF(1 << 30), .in_header = true };
	uint64_t at = s->v->msg.content_at, end = at + s->v->msg.size, left;
	char *piece = mem_new(PIECE);
	bool first = true;

	r.in_header = s->skip <= at;
	at = s->skip <= at ? at : s->skip < end ? s->skip : end;
	left = end - at;
	s->at = at;
	while (left > 0 && s->e == OK && (r.in_header || s->what & SHOW_BODY)) {
		size_t n = left < PIECE ? (size_t)left : PIECE;
		struct str rest = { piece, n }, part;

		s->e = fd_read_all(s->fd, piece, n, (off_t)at);
		while (s->e == OK && rest.n > 0) {
			size_t eol = str_find(rest, '\n');

			part = str_sub(rest, 0, eol);
			(void)buf_add(&r.line, part);
			if (eol < rest.n) {
				end_line(&r, first);
				first = false;
			}
			rest = str_sub(rest, eol + 1, rest.n);
		}
		left -= n;
		at += n;
	}
	if (r.line.n > 0)
		end_line(&r, first);
	buf_free(&r.line);
	free(piece);
}

/* -- history -- */

const char *
queue_event_name(uint8_t type)
{
	static const char *const names[JRN_T_LAST + 1] = {
		[JRN_T_SENT] = "sent",
		[JRN_T_DEFERRED] = "deferred",
		[JRN_T_BOUNCED] = "bounced",
		[JRN_T_EXPIRED] = "expired",
		[JRN_T_NOTICED] = "notice sent",
		[JRN_T_REQUEUED] = "requeued",
		[JRN_T_RELAYED] = "relayed",
		[JRN_T_PASSED] = "passed on",
		[JRN_T_EXPANDED] = "expanded",
		[JRN_T_WARNED] = "delay notice sent",
		[JRN_T_REPORTED] = "success notice sent",
		[JRN_T_EXPIRE] = "told to expire",
	};

	return type < countof(names) && names[type] != NULL ? names[type] : "?";
}

static void
show_events(struct show *s, struct str records)
{
	struct jrn_record r;
	char when[TIME_ISO];

	while (jrn_record_take(&records, &r)) {
		wall_iso((struct wall){ r.at }, when);
		begin(s, 'A');
		printf("history: %.19s %s", when, queue_event_name(r.type));
		if (r.index < s->v->msg.nrcpts)
			printf(" %.*s", STR_ARG(s->v->msg.rcpts[r.index].addr));
		if (r.esc.n > 0 || r.text.n > 0)
			printf(" %.*s (%.*s)", STR_ARG(r.esc), STR_ARG(r.text));
		putchar('\n');
	}
}

/* -- */

static enum err
show(struct show *s, const struct buf *history)
{
	bool all = s->what & SHOW_ENVELOPE;

	if (all && s->skip == 0) {
		heading(s, 0, "ENVELOPE RECORDS");
		show_envelope(s);
		s->at = s->v->msg.content_at;
		heading(s, 'M', "MESSAGE CONTENTS");
	}
	if (s->what & (SHOW_HEADER | SHOW_BODY))
		show_content(s);
	s->at = s->v->msg.content_at + s->v->msg.size;
	if (all)
		heading(s, 'X', "HEADER EXTRACTED");
	if (s->what & SHOW_HISTORY)
		show_events(s, buf_str(history));
	if (all)
		heading(s, 'E', "MESSAGE FILE END");
	return s->e;
}

static enum err
show_queued(struct spool *sp, uint64_t id, unsigned what, uint64_t skip)
{
	struct buf history = BUF(HISTORY_MAX);
	char text[QID_TEXT], path[64];
	struct spool_view v;
	struct show s = { .what = what, .path = path, .v = &v, .skip = skip };
	enum spool_dir d;
	bool cut;

	TRY(spool_find(sp, id, &d));
	TRY(spool_read(sp, d, id, false, &v));
	snprintf(path, sizeof path, "%s/%s", spool_dir_name(d), qid_text(id, text));
	s.e = spool_open_content(sp, d, id, &s.fd);
	if (s.e == OK) {
		if (what & SHOW_HISTORY)
			s.e = spool_history(sp, id, &history, &cut);
		if (s.e == OK)
			show(&s, &history);
		close(s.fd);
	}
	buf_free(&history);
	spool_view_fini(&v);
	return s.e;
}

static enum err
show_file(const char *file, unsigned what, uint64_t skip)
{
	struct buf history = BUF(HISTORY_MAX);
	struct spool_view v;
	struct show s = { .what = what, .path = file, .v = &v, .skip = skip };

	TRY(spool_read_file(file, &v, &history, &s.fd));
	show(&s, &history);
	close(s.fd);
	buf_free(&history);
	spool_view_fini(&v);
	return s.e;
}

int
queue_show(struct cmd *c, struct str id, const char *file, unsigned what, uint64_t skip)
{
	struct params p;
	struct spool *s = NULL;
	uint64_t number = 0;
	enum err e;

	if (!file && !qid_parse(id, &number)) {
		cmd_warn(c, "fatal: %.*s: not a queue id", STR_ARG(id));
		return EX_BAD_USAGE;
	}
	if (file) {
		e = show_file(file, what, skip);
	} else {
		if (!cmd_params(c, &p))
			return EX_NOT_DONE;
		e = spool_open(p.queue_directory, SYNC_AUTO, true, &s);
		if (e == OK)
			e = show_queued(s, number, what, skip);
		spool_close(&s);
		params_fini(&p);
	}
	if (e != OK && file)
		cmd_warn(c, "fatal: %s", err_why());
	else if (e != OK)
		cmd_warn(c, "fatal: %.*s: %s", STR_ARG(id),
		    e == E_NOENT ? "no such message" : err_why());
	return e == OK && fflush(stdout) == 0 ? EX_DONE : EX_NOT_DONE;
}

int
queue_show_many(struct cmd *c, int argc, char **argv)
{
	static const struct {
		const char *flag;
		unsigned what;
	} flags[] = {
		{"--envelope", SHOW_ENVELOPE},
		{ "--header",  SHOW_HEADER  },
		{ "--headers", SHOW_HEADER  },
		{ "--body",    SHOW_BODY    },
		{ "--history", SHOW_HISTORY },
	};

	unsigned what = 0;
	int status = EX_DONE, shown = 0;

	for (int i = 1; i < argc; i++) {
		size_t k = 0;

		while (k < countof(flags) && strcmp(argv[i], flags[k].flag) != 0)
			k++;
		if (k < countof(flags))
			what |= flags[k].what;
		else if (argv[i][0] == '-')
			argc = 0;
	}
	if (what == 0)
		what = SHOW_ENVELOPE | SHOW_HEADER | SHOW_BODY | SHOW_HISTORY;
	if (what & SHOW_ENVELOPE)
		what |= SHOW_MARKS;
	for (int i = 1; i < argc; i++) {
		int one = EX_DONE;

		if (strncmp(argv[i], "--", 2) == 0)
			continue;
		one =
		    queue_show(c, str_of(argv[i]), strchr(argv[i], '/') ? argv[i] : NULL, what, 0);
		status = one == EX_DONE ? status : one;
		shown++;
	}
	if (shown == 0) {
		bool asked = argc == 0 && strcmp(argv[1], "--help") == 0;

		fprintf(asked ? stdout : stderr,
		    "usage: %s cat [--envelope] [--header] [--body] [--history] ID|FILE ...\n"
		    "All four unless said.  A name with a / in it is a message file anywhere.\n",
		    c->name);
		return asked ? EX_DONE : EX_BAD_USAGE;
	}
	return status;
}
