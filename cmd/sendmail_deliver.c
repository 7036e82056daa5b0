/* SPDX-License-Identifier: Apache-2.0 */
/* sendmail(1): a message from standard input.  Its header is looked at before anything is handed
 * on: recipients may stand in it (-t), and a From field may be missing; Date and Message-ID are
 * added by pickup. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "cmd/sendmail.h"
#include "mail/header.h"
#include "util/log.h"

/* The input, line by line; each line comes with its end, if it has one. */
struct input {
	FILE *in;
	bool dots;
	bool over;
	int failed; /* errno: it is not over, but cannot be read: the disk, or no memory for the line */
	char *line;
	size_t cap;
};

static bool
next_line(struct input *in, struct str *line)
{
	ssize_t n = in->over ? -1 : getline(&in->line, &in->cap, in->in);

	if (n < 0) {
		if (!in->over && !feof(in->in))
			in->failed = errno;
		in->over = true;
		return false;
	}
	*line = (struct str){ in->line, (size_t)n };
	if (!in->dots && str_eq(str_trim(*line), STR(".")) && line->p[0] == '.') {
		in->over = true;
		return false;
	}
	return true;
}

/* "From user Tue …", as in a mailbox file, stands before the header when programs hand on what they
 * read from one. */
static bool
is_from_line(struct str line)
{
	return str_starts(line, STR("From ")) || str_starts(line, STR(">From "));
}

struct header {
	struct buf text; /* all of it, without the empty line */
	struct buf rest; /* the line that ended it */
	bool has_from, has_resent;
};

static bool
is_one_of(struct str name, const char *const *names)
{
	for (; *names; names++)
		if (str_ieq(name, str_of(*names)))
			return true;
	return false;
}

static const char *const plain[] = { "To", "Cc", "Bcc", NULL };
static const char *const resent[] = { "Resent-To", "Resent-Cc", "Resent-Bcc", NULL };

/* Up to the first line that is not part of a header. */
static bool
read_header(struct sendmail *m, struct input *in, struct header *h)
{
	bool first = true;
	struct str line;

	while (next_line(in, &line)) {
		bool blank = line.n > 0 && (line.p[0] == ' ' || line.p[0] == '\t');
		struct str name = header_field_name(line);

		if (first && h->text.n == 0 && is_from_line(line))
			continue;
		if (name.n == 0 && !(blank && !first && str_trim(line).n > 0))
			return buf_add(&h->rest, line);
		first = false;
		h->has_from |= !blank && str_ieq(name, STR("From"));
		h->has_resent |= !blank && is_one_of(name, resent);
		if (!buf_add(&h->text, line)) {
			cmd_warn(m->c, "fatal: the header is too large");
			return false;
		}
	}
	return true;
}

/* The recipients in the header's fields: those of a message sent again, if it is one. */
static bool
take_rcpts(struct sendmail *m, const struct header *h)
{
	struct str rest = buf_str(&h->text), line;
	struct buf value = BUF(0);
	bool wanted = false, good = true;

	while (good && rest.n > 0) {
		size_t end = str_find(rest, '\n');

		line = str_sub(rest, 0, end + 1);
		rest = str_sub(rest, end + 1, rest.n);
		if (line.p[0] != ' ' && line.p[0] != '\t') {
			good = !wanted || sendmail_rcpts(m, buf_str(&value));
			buf_clear(&value);
			wanted = is_one_of(header_field_name(line), h->has_resent ? resent : plain);
			line = str_sub(line, str_find(line, ':') + 1, line.n);
		}
		if (wanted)
			good = good && buf_add(&value, line);
	}
	if (good && wanted)
		good = sendmail_rcpts(m, buf_str(&value));
	buf_free(&value);
	return good;
}

/* A display name: as it is, quoted, or encoded (RFC 2047) when it is not ASCII. */
static void
add_name(struct buf *out, struct str name)
{
	static const char digits[] = "0123456789ABCDEF";
	bool eight = false, special = false;

	for (size_t i = 0; i < name.n; i++) {
		eight |= (unsigned char)name.p[i] > 126 || (unsigned char)name.p[i] < ' ';
		special |= strchr("()<>[]:;@\\,.\"", name.p[i]) != NULL;
	}
	ENSURE(buf_adds(out, eight ? "=?utf-8?Q?" : special ? "\"" : ""));
	for (size_t i = 0; i < name.n; i++) {
		unsigned char c = (unsigned char)name.p[i];
		bool alnum = (c | 32) >= 'a' && (c | 32) <= 'z';

		alnum |= c >= '0' && c <= '9';
		if (eight && !alnum)
			ENSURE(buf_printf(out, "=%c%c", digits[c >> 4], digits[c & 15]));
		else if (special && (c == '"' || c == '\\'))
			ENSURE(buf_printf(out, "\\%c", c));
		else
			ENSURE(buf_addc(out, (char)c));
	}
	ENSURE(buf_adds(out, eight ? "?=" : special ? "\"" : ""));
}

static void
add_from(const struct sendmail *m, struct buf *out)
{
	struct str sender = m->s.sender.n > 0 ? buf_str(&m->s.sender) : STR("MAILER-DAEMON");

	ENSURE(buf_adds(out, "From: "));
	if (m->full_name && m->full_name[0]) {
		add_name(out, str_of(m->full_name));
		ENSURE(buf_printf(out, " <%.*s>\n", STR_ARG(sender)));
	} else {
		ENSURE(buf_printf(out, "%.*s\n", STR_ARG(sender)));
	}
}

static void
hand_in(struct sendmail *m, struct input *in, const struct header *h)
{
	struct buf from = BUF(0);
	struct str line;

	submit_begin(&m->s, m->c, &m->params);
	if (!h->has_from)
		add_from(m, &from);
	submit_add(&m->s, buf_str(&from));
	submit_add(&m->s, buf_str(&h->text));
	/* A body that does not begin with an empty line gets one. */
	if (h->rest.n == 0 || str_trim(buf_str(&h->rest)).n > 0)
		submit_add(&m->s, STR("\n"));
	submit_add(&m->s, buf_str(&h->rest));
	while (next_line(in, &line))
		submit_add(&m->s, line);
	buf_free(&from);
}

int
sendmail_deliver(struct sendmail *m, FILE *from)
{
	struct input in = { .in = from, .dots = m->dots };
	struct header h = { .text = BUF((size_t)m->params.header_size_limit + (64 << 10)) };
	int status = EX_DATAERR;

	if (read_header(m, &in, &h) && in.failed == 0 && (!m->extract || take_rcpts(m, &h))) {
		if (m->s.nrcpts == 0) {
			cmd_warn(m->c, "fatal: No recipient addresses found in message header");
		} else {
			hand_in(m, &in, &h);
			if (in.failed == 0)
				status = submit_end(&m->s);
		}
	}
	/* A message that could not be read to its end is not one. */
	if (in.failed != 0) {
		cmd_warn(m->c, "fatal: cannot read the message: %s", strerror(in.failed));
		status = EX_IOERR;
	}
	free(in.line);
	buf_free(&h.text);
	buf_free(&h.rest);
	return status;
}

int
sendmail_try(struct sendmail *m)
{
	struct buf text = BUF(0);

	submit_begin(&m->s, m->c, &m->params);
	add_from(m, &text);
	ENSURE(buf_adds(&text, "Subject: probe\nTo: undisclosed-recipients:;\n\n"));
	submit_add(&m->s, buf_str(&text));
	buf_free(&text);
	return submit_end(&m->s);
}
