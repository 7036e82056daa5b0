/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/queue.h"
#include "util/mem.h"
#include "util/proc.h"

enum { PIECE = 64 << 10 };

static void
mark(unsigned what, const char *title, const char *path)
{
	if (what & SHOW_MARKS)
		printf("*** %s %s ***\n", title, path);
}

static void
show_envelope(const struct spool_view *v)
{
	static const char *const states[] = { "pending", "deferred", "sent", "bounced", "expired" };
	char date[TIME_RFC5322];

	wall_rfc5322(v->msg.arrived, date);
	printf("message_size: %" PRIu64 "\nmessage_arrival_time: %s\n", v->msg.size, date);
	if (v->msg.client_addr.n > 0)
		printf("named_attribute: client_name=%.*s\nnamed_attribute: client_address=%.*s\n"
		       "named_attribute: helo_name=%.*s\nnamed_attribute: protocol_name=%.*s\n",
		    STR_ARG(v->msg.client_name), STR_ARG(v->msg.client_addr),
		    STR_ARG(v->msg.client_helo), STR_ARG(v->msg.protocol));
	printf("sender: %.*s\n", STR_ARG(v->msg.sender));
	for (size_t i = 0; i < v->msg.nrcpts; i++) {
		const struct spool_progress *p = &v->progress[i];

		if (v->msg.rcpts[i].orig.n > 0)
			printf("original_recipient: %.*s\n", STR_ARG(v->msg.rcpts[i].orig));
		printf("%s: %.*s\n", p->state <= JRN_DEFERRED ? "recipient" : "done_recipient",
		    STR_ARG(v->msg.rcpts[i].addr));
		if (p->state != JRN_PENDING)
			printf("status: %s %.*s (%.*s), attempts %" PRIu32 "\n", states[p->state],
			    STR_ARG(p->esc), STR_ARG(p->text), p->attempts);
	}
}

/* Print the content, of which header and body are wanted or not; line ends as on this system. */
static enum err
show_content(int fd, const struct spool_view *v, unsigned what)
{
	struct buf piece = BUF(PIECE);
	uint64_t left = v->msg.size, at = v->msg.content_at;
	bool in_header = true;
	int newlines = 1;
	enum err e = OK;

	while (left > 0 && e == OK) {
		size_t n = left < PIECE ? (size_t)left : PIECE;

		buf_clear(&piece);
		e = fd_read_all(fd, buf_room(&piece, n), n, (off_t)at);
		if (e == OK)
			buf_grew(&piece, n);
		for (size_t i = 0; i < piece.n; i++) {
			char c = piece.p[i];

			if (c == '\r')
				continue;
			if (in_header && c == '\n' && newlines == 1) {
				in_header = false;
				if (what & SHOW_HEADER && what & SHOW_BODY)
					putchar(c);
				continue;
			}
			newlines = c == '\n';
			if (what & (in_header ? SHOW_HEADER : SHOW_BODY))
				putchar(c);
		}
		left -= n;
		at += n;
	}
	buf_free(&piece);
	return e;
}

static enum err
show(struct spool *s, uint64_t id, unsigned what)
{
	struct spool_view v;
	enum spool_dir d;
	char text[QID_TEXT], path[64];
	enum err e;
	int fd;

	TRY(spool_find(s, id, &d));
	TRY(spool_read(s, d, id, false, &v));
	e = spool_open_content(s, d, id, &fd);
	if (e == OK) {
		snprintf(path, sizeof path, "%s/%s", spool_dir_name(d), qid_text(id, text));
		if (what & SHOW_ENVELOPE) {
			mark(what, "ENVELOPE RECORDS", path);
			show_envelope(&v);
		}
		if (what & (SHOW_HEADER | SHOW_BODY)) {
			mark(what, "MESSAGE CONTENTS", path);
			e = show_content(fd, &v, what);
		}
		mark(what, "HEADER EXTRACTED", path);
		mark(what, "MESSAGE FILE END", path);
		close(fd);
	}
	spool_view_fini(&v);
	return e;
}

int
queue_show(struct cmd *c, struct str id, unsigned what)
{
	struct params p;
	struct spool *s = NULL;
	uint64_t number;
	enum err e;

	if (!qid_parse(id, &number)) {
		cmd_warn(c, "%.*s: not a queue id", STR_ARG(id));
		return 64;
	}
	if (!cmd_params(c, &p))
		return 1;
	e = spool_open(p.queue_directory, SYNC_AUTO, true, &s);
	if (e == OK)
		e = show(s, number, what);
	if (e != OK)
		cmd_warn(c, "%.*s: %s", STR_ARG(id), e == E_NOENT ? "no such message" : err_why());
	spool_close(&s);
	params_fini(&p);
	return e == OK && fflush(stdout) == 0 ? 0 : 1;
}
