/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/reply.h"

#include <stdio.h>

void
reply_clear(struct reply *r)
{
	r->code = 0;
	r->lines = 0;
	r->esc[0] = '\0';
	r->text.max = REPLY_TEXT_MAX;
	buf_clear(&r->text);
}

void
reply_fini(struct reply *r)
{
	buf_free(&r->text);
	*r = (struct reply){ 0 };
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static size_t
digits(struct str s)
{
	size_t n = 0;

	while (n < s.n && is_digit(s.p[n]))
		n++;
	return n;
}

size_t
esc_length(struct str s, int class)
{
	size_t at = 2, n;

	if (s.n < 5 || s.p[0] != '0' + class || s.p[1] != '.')
		return 0;
	n = digits(str_sub(s, at, s.n));
	at += n;
	if (n < 1 || n > 3 || at >= s.n || s.p[at] != '.')
		return 0;
	at++;
	n = digits(str_sub(s, at, s.n));
	at += n;
	if (n < 1 || n > 3 || (at < s.n && s.p[at] != ' ' && s.p[at] != '\t'))
		return 0;
	return at;
}

/* Keep what fits: a long reply is cut, not lost. */
static void
keep(struct reply *r, struct str line)
{
	size_t room;

	if (r->lines > REPLY_LINES_KEPT)
		return;
	r->text.max = REPLY_TEXT_MAX;
	if (r->text.n > 0 && !buf_addc(&r->text, ' '))
		return;
	room = REPLY_TEXT_MAX - r->text.n;
	buf_add_clean(&r->text, str_sub(str_trim(line), 0, room));
}

/* RFC 5321 section 4.2 grammar: 2xx to 5xx, then a blank, a hyphen or nothing.  Codes that differ
 * between the lines of a reply are a fault of the server's; the last one counts, as it does for
 * Postfix. */
static int
line_code(struct str line)
{
	if (digits(line) != 3 || line.p[0] < '2' || line.p[0] > '5')
		return 0;
	if (line.n > 3 && line.p[3] != ' ' && line.p[3] != '-')
		return 0;
	return (line.p[0] - '0') * 100 + (line.p[1] - '0') * 10 + (line.p[2] - '0');
}

enum reply_step
reply_add(struct reply *r, struct str line)
{
	int code;
	size_t n;

	line = str_sub(line, 0, REPLY_LINE_MAX);
	r->lines++;
	keep(r, line);
	code = line_code(line);
	if (code == 0 || r->lines > REPLY_LINES_MAX)
		return REPLY_BAD;
	if (line.n > 3 && line.p[3] == '-')
		return REPLY_MORE;
	r->code = code;
	line = str_sub(line, 4, line.n);
	n = esc_length(line, code / 100);
	if (n > 0)
		snprintf(r->esc, sizeof r->esc, "%.*s", (int)n, line.p);
	return REPLY_DONE;
}

enum err
reply_read(struct io *io, struct reply *r, void (*each)(void *arg, struct str text), void *arg,
    struct time deadline)
{
	enum reply_step step = REPLY_MORE;

	reply_clear(r);
	while (step == REPLY_MORE) {
		enum io_ending ending;
		struct str line;
		enum err e = io_line(io, &line, &ending, deadline);

		if (e == E_TOOLONG)
			return fail(E_SYNTAX, "a reply line of more than %d bytes", REPLY_IO_LINE);
		if (e != OK)
			return e;
		/* Enough input kept ready never waits, so it would never see the deadline. */
		if (!time_before(time_now(), deadline))
			return fail(E_TIMEOUT, "reply not complete in time");
		step = reply_add(r, line);
		if (each && step != REPLY_BAD && r->lines <= REPLY_LINES_KEPT)
			each(arg, str_sub(str_sub(line, 0, REPLY_LINE_MAX), 4, line.n));
	}
	if (step == REPLY_BAD)
		return fail(E_SYNTAX, "malformed reply: %s", buf_cstr(&r->text));
	return OK;
}

const char *
reply_esc(const struct reply *r, char out[ESC_MAX])
{
	if (r->esc[0])
		snprintf(out, ESC_MAX, "%s", r->esc);
	else
		snprintf(out, ESC_MAX, "%u.0.0", (unsigned)(reply_class(r)) % 10);
	return out;
}
