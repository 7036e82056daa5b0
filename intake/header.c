/* SPDX-License-Identifier: Apache-2.0 */
/* The header of mail from this host, field by field: addresses are rewritten, some fields taken
 * out, missing ones added at its end. A field is held until it is whole; one of more than
 * header_size_limit passes as it is. */
#include "intake/rewrite.h"
#include "mail/addrlist.h"
#include "mail/header.h"
#include "util/log.h"

enum seen { SEEN_DATE = 1, SEEN_ID = 2, SEEN_FROM = 4, SEEN_TO = 8, SEEN_RESENT = 16 };

enum what { KEEP, DROP, SENDERS, RECIPIENTS };

static const struct {
	struct str name;
	enum what what;
	unsigned seen;
} fields[] = {
	{STR("Date"),			 KEEP,       SEEN_DATE  },
	{ STR("Message-ID"),                  KEEP,       SEEN_ID    },
	{ STR("From"),			SENDERS,    SEEN_FROM  },
	{ STR("Sender"),                      SENDERS,    0          },
	{ STR("Reply-To"),                    SENDERS,    0          },
	{ STR("Errors-To"),                   SENDERS,    0          },
	{ STR("Return-Receipt-To"),           SENDERS,    0          },
	{ STR("Disposition-Notification-To"), SENDERS,    0          },
	{ STR("Mail-Followup-To"),            SENDERS,    0          },
	{ STR("Mail-Reply-To"),               SENDERS,    0          },
	{ STR("To"),			  RECIPIENTS, SEEN_TO    },
	{ STR("Cc"),			  RECIPIENTS, SEEN_TO    },
	{ STR("Apparently-To"),               RECIPIENTS, 0          },
	{ STR("Resent-From"),                 SENDERS,    SEEN_RESENT},
	{ STR("Resent-Sender"),               SENDERS,    SEEN_RESENT},
	{ STR("Resent-Reply-To"),             SENDERS,    0          },
	{ STR("Resent-To"),                   RECIPIENTS, SEEN_RESENT},
	{ STR("Resent-Cc"),                   RECIPIENTS, SEEN_RESENT},
	{ STR("Bcc"),			 DROP,       SEEN_TO    },
	{ STR("Resent-Bcc"),                  DROP,       SEEN_RESENT},
	{ STR("Return-Path"),                 DROP,       0          },
	{ STR("Content-Length"),              DROP,       0          },
};

struct header_filter {
	struct intake *in;
	uint64_t id;
	struct wall arrived;
	char *sender;
	bool local, done;
	bool whole; /* nothing was left out for its size */
	unsigned seen;
	struct buf field; /* lines of a field that may go on */
	size_t line;      /* where in it the present line begins */
};

struct header_filter *
header_filter_new(struct intake *in, const struct spool_msg *m, bool local)
{
	struct header_filter *h = mem_new(sizeof *h);
	size_t limit = (size_t)in->service->params.header_size_limit;

	*h = (struct header_filter){ .in = in,
		.id = m->id,
		.arrived = m->arrived,
		.sender = str_dup(m->sender),
		.local = local,
		.whole = true,
		.field = BUF(limit) };
	return h;
}

void
header_filter_free(struct header_filter **ph)
{
	if (*ph == NULL)
		return;
	free((*ph)->sender);
	buf_free(&(*ph)->field);
	mem_free(ph);
}

size_t
header_filter_memory(const struct header_filter *h)
{
	return sizeof *h + h->field.cap;
}

bool
header_filter_done(const struct header_filter *h)
{
	return h->done;
}

bool
header_filter_completes(const struct header_filter *h)
{
	return h->whole;
}

/* -- one field -- */

/* The list of addresses with each one rewritten; everything between them as it was. */
static WAITS enum err
rewrite_list(struct header_filter *h, struct str list, enum address_class class, struct buf *out)
{
	struct addrlist l = { .text = list };
	struct buf addr = BUF(ADDRESS_ROOM), was = BUF(ADDRESS_ROOM);
	size_t from, to, done = 0;
	enum err e = OK;

	while (e == OK && addrlist_next(&l, &addr, &from, &to)) {
		buf_clear(&was);
		/* What is no address stays: it is not ours to mend. */
		if (addr.n == 0 || addr.n > ADDRESS_ROOM / 2 ||
		    str_find(buf_str(&addr), ' ') < addr.n || !buf_add(&was, buf_str(&addr)))
			continue;
		e = rewrite_address(h->in, class, &addr);
		if (e == OK && !str_eq(buf_str(&addr), buf_str(&was))) {
			if (!buf_add(out, str_sub(list, done, from - done)) ||
			    !buf_add(out, buf_str(&addr)))
				e = fail(E_NOSPACE, "no memory");
			done = to;
		}
	}
	if (e == OK && !buf_add(out, str_sub(list, done, list.n)))
		e = fail(E_NOSPACE, "no memory");
	buf_free(&addr);
	buf_free(&was);
	return e;
}

static WAITS enum err
put_field(struct header_filter *h, struct buf *out)
{
	struct str field = buf_str(&h->field), name = str_sub(field, 0, str_find(field, ':')),
		   value;
	enum what what = KEEP;
	enum err e = OK;

	name = str_trim(name);
	for (size_t i = 0; i < countof(fields); i++)
		if (str_ieq(name, fields[i].name)) {
			h->seen |= fields[i].seen;
			what = h->local ? fields[i].what : KEEP;
		}
	if (what == KEEP) {
		e = buf_add(out, field) ? OK : fail(E_NOSPACE, "no memory");
	} else if (what != DROP) {
		size_t colon = str_find(field, ':') + 1;

		value = str_sub(field, colon, field.n);
		if (!buf_add(out, str_sub(field, 0, colon)))
			return fail(E_NOSPACE, "no memory");
		e = rewrite_list(h, value, what == SENDERS ? HEADER_SENDER : HEADER_RECIPIENT, out);
	}
	buf_clear(&h->field);
	h->line = 0;
	return e;
}

/* -- what is missing -- */

static WAITS enum err
add_missing(struct header_filter *h, struct buf *out)
{
	char date[TIME_RFC5322];
	bool ok = true;

	wall_rfc5322(h->arrived, date);
	if (!(h->seen & SEEN_ID))
		ok = buf_adds(out, "Message-Id: ") &&
		     message_id_put(h->arrived, h->id, h->in->service->params.myhostname, out) &&
		     buf_adds(out, "\r\n");
	if (!(h->seen & SEEN_DATE))
		ok = ok && buf_printf(out, "Date: %s\r\n", date);
	if (!(h->seen & SEEN_FROM)) {
		struct buf from = BUF(ADDRESS_ROOM);
		enum err e;

		ok = ok && buf_adds(&from, h->sender[0] ? h->sender : "MAILER-DAEMON");
		e = rewrite_address(h->in, HEADER_SENDER, &from);
		ok = ok && buf_printf(out, "From: %s\r\n", buf_cstr(&from));
		buf_free(&from);
		TRY(e);
	}
	if (!(h->seen & SEEN_TO))
		ok = ok && buf_printf(out, "To: undisclosed-recipients:;\r\n");
	return ok ? OK : fail(E_NOSPACE, "no memory");
}

/* -- lines -- */

/* The header is over, and rest belongs to the body. */
static WAITS enum err
end_header(struct header_filter *h, struct str rest, struct buf *out)
{
	bool empty = str_starts(rest, STR("\r\n"));

	h->done = true;
	TRY(add_missing(h, out));
	/* A body that does not begin with an empty line would become part of the header. */
	if (!empty && !buf_adds(out, "\r\n"))
		return fail(E_NOSPACE, "no memory");
	return buf_add(out, rest) ? OK : fail(E_NOSPACE, "no memory");
}

/* A whole line stands at the end of h->field. */
static WAITS enum err
whole_line(struct header_filter *h, struct buf *out)
{
	struct str line = str_sub(buf_str(&h->field), h->line, h->field.n);
	bool goes_on = (line.p[0] == ' ' || line.p[0] == '\t') && h->line > 0;
	struct buf rest = BUF(0);
	enum err e = OK;

	if (goes_on) {
		h->line = h->field.n;
		return OK;
	}
	/* It begins something new: what was before it is whole. */
	if (!buf_add(&rest, line))
		return fail(E_NOSPACE, "no memory");
	buf_cut(&h->field, h->line);
	if (h->field.n > 0)
		e = put_field(h, out);
	if (e == OK && header_field_name(buf_str(&rest)).n == 0) {
		e = end_header(h, buf_str(&rest), out);
	} else if (e == OK) {
		ENSURE(buf_add(&h->field, buf_str(&rest)));
		h->line = h->field.n;
	}
	buf_free(&rest);
	return e;
}

enum err
header_filter_add(struct header_filter *h, struct str content, struct buf *out)
{
	while (content.n > 0 && !h->done) {
		struct str piece = str_sub(content, 0, str_find(content, '\n') + 1);

		content = str_sub(content, piece.n, content.n);
		if (!buf_add(&h->field, piece)) {
			/* Longer than a field may be: from here on it is none of our business. */
			h->done = true;
			h->whole = false;
			if (!buf_add(out, buf_str(&h->field)) || !buf_add(out, piece))
				return fail(E_NOSPACE, "no memory");
		} else if (piece.p[piece.n - 1] == '\n') {
			TRY(whole_line(h, out));
		}
	}
	return buf_add(out, content) ? OK : fail(E_NOSPACE, "no memory");
}

enum err
header_filter_end(struct header_filter *h, struct buf *out)
{
	if (h->done)
		return OK;
	if (h->field.n > 0)
		TRY(put_field(h, out));
	h->done = true;
	TRY(add_missing(h, out));
	return OK;
}
