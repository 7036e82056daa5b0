/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/header.h"

#include <inttypes.h>
#include <time.h>

#include "util/log.h"

enum { AT_LINE_START, IN_NAME, BEFORE_COLON, IN_VALUE };

void
header_scan_init(struct header_scan *h, size_t limit)
{
	*h = (struct header_scan){ .message_id = BUF(HEADER_VALUE_MAX), .left = limit };
}

void
header_scan_fini(struct header_scan *h)
{
	buf_free(&h->message_id);
}

/* RFC 5322 section 3.6.8: any printable ASCII but the colon. */
static bool
is_name_char(char c)
{
	return c > ' ' && c <= '~' && c != ':';
}

static void
trim_kept(struct header_scan *h)
{
	size_t n = h->message_id.n;

	while (n > 0 && (h->message_id.p[n - 1] == ' ' || h->message_id.p[n - 1] == '\t'))
		n--;
	buf_cut(&h->message_id, n);
	h->keep = false;
}

static void
name_ends(struct header_scan *h)
{
	struct str name = { h->name, h->name_n };

	h->state = IN_VALUE;
	if (h->name_n == HEADER_NAME_MAX)              /* the name may be cut off */
		return;
	if (str_ieq(name, STR("Received"))) {
		h->received++;
	} else if (!h->kept && str_ieq(name, STR("Message-ID"))) {
		h->keep = h->kept = true;
	}
}

/* The first byte of a line decides what the line is. */
static void
line_starts(struct header_scan *h, char c)
{
	if (c == ' ' || c == '\t') {
		h->state = IN_VALUE;
		if (h->keep && h->message_id.n > 0)
			(void)buf_addc(&h->message_id, ' ');   /* a value too long is cut, not refused */
		return;
	}
	if (h->keep)
		trim_kept(h);
	if (!is_name_char(c)) {
		h->done = true;
		return;
	}
	h->name[0] = c;
	h->name_n = 1;
	h->state = IN_NAME;
}

static void
name_goes_on(struct header_scan *h, char c)
{
	if (c == ':')
		name_ends(h);
	else if (c == ' ' || c == '\t')
		h->state = BEFORE_COLON;               /* RFC 5322 section 4.5: blanks before the colon */
	else if (!is_name_char(c))
		h->done = true;
	else if (h->name_n < HEADER_NAME_MAX)
		h->name[h->name_n++] = c;
}

/* Take what of `s` belongs to the value's line; how many bytes that were. */
static size_t
value_goes_on(struct header_scan *h, struct str s)
{
	size_t n = str_find(s, '\n');
	struct str piece = str_sub(s, 0, n);

	if (n < s.n) {
		h->state = AT_LINE_START;
		n++;
	}
	for (size_t i = 0; h->keep && i < piece.n; i++) {
		bool blank = piece.p[i] == ' ' || piece.p[i] == '\t';

		if (piece.p[i] == '\r' || (blank && h->message_id.n == 0))
			continue;
		if (!buf_addc(&h->message_id, piece.p[i]))
			break;
	}
	return n;
}

static size_t
step(struct header_scan *h, struct str s)
{
	switch (h->state) {
	case AT_LINE_START:
		line_starts(h, s.p[0]);
		return 1;
	case IN_NAME:
		name_goes_on(h, s.p[0]);
		return 1;
	case BEFORE_COLON:
		if (s.p[0] == ':')
			name_ends(h);
		else if (s.p[0] != ' ' && s.p[0] != '\t')
			h->done = true;
		return 1;
	default:
		return value_goes_on(h, s);
	}
}

void
header_scan_add(struct header_scan *h, struct str content)
{
	while (!h->done && content.n > 0) {
		size_t n;

		if (h->left == 0) {
			h->done = true;
			break;
		}
		n = step(h, str_sub(content, 0, h->left));
		h->left -= n;
		content = str_sub(content, n, content.n);
	}
	if (h->done && h->keep)
		trim_kept(h);
}

struct str
header_field_name(struct str line)
{
	size_t colon = str_find(line, ':'), n = 0;

	if (colon == line.n)
		return STR("");
	while (n < colon && is_name_char(line.p[n]))
		n++;
	return str_trim(str_sub(line, n, colon - n)).n == 0 ? str_sub(line, 0, n) : STR("");
}

void
header_scan_log(const struct header_scan *h, const char *id)
{
	struct buf text = BUF(0);

	ENSURE(buf_add_clean(&text, buf_str(&h->message_id)));
	log_info_as("cleanup", "%s: message-id=%s", id, text.n > 0 ? buf_cstr(&text) : "<>");
	buf_free(&text);
}

bool
message_id_put(struct wall arrived, uint64_t id, const char *host, struct buf *out)
{
	time_t t = (time_t)wall_seconds(arrived);
	char stamp[32];
	struct tm tm;

	strftime(stamp, sizeof stamp, "%Y%m%d%H%M%S", gmtime_r(&t, &tm));
	return buf_printf(out, "<%s.%016" PRIX64 "@%s>", stamp, id, host);
}

bool
received_put(struct wall arrived, uint64_t id, const char *host, const char *mail_name, struct buf *out)
{
	char date[TIME_RFC5322];

	wall_rfc5322(arrived, date);
	return buf_printf(out, "Received: by %s (%s)\r\n\tid %016" PRIX64 "; %s\r\n", host, mail_name, id, date);
}
