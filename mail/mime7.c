/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mime7.h"

#include "mail/encode7.h"
#include "mail/header.h"
#include "mail/mime_type.h"
#include "util/log.h"
#include "util/mem.h"

/* What the first pass finds out about a part.  UNKNOWN ones stay as they are. */
enum {
	PART_COMPOSITE = 1, /* a multipart, or message/rfc822 */
	PART_LEAF = 2,      /* its content may be encoded */
	PART_TEXT = 4,      /* lines, better readable as quoted-printable */
	PART_LABELLED = 8,  /* as 8bit or binary */
	PART_8BIT = 16,     /* LEAF: has bytes over 127; COMPOSITE: will still have some */
};

enum verdict { KEEP, LABEL_7BIT, TURN_QP, TURN_BASE64 };

/* What a line belongs to. */
enum place { IN_HEADER, IN_CONTENT, ASIDE }; /* ASIDE: between and after the parts of a multipart */

/* A multipart, or a message/rfc822, that we are in. */
struct level {
	size_t part;
	size_t boundary; /* where in boundaries it begins */
	size_t n;        /* its length; 0: message/rfc822 */
	bool digest;     /* its parts are messages unless they say otherwise */
};

struct mime7 {
	bool turning; /* the second pass */
	struct buf *out;
	struct buf line;   /* the beginning of one that is not complete */
	bool line_goes_on; /* its first part was dealt with */
	bool newline;      /* the end of the line before is not written yet */
	/* where we are */
	enum place place;
	struct level levels[MIME7_DEPTH_MAX];
	size_t depth;
	struct buf boundaries;
	size_t part, parts;
	bool message; /* the part is a message: its header needs MIME-Version */
	/* its header */
	struct mime_fields fields;
	bool any_field, dropped;
	struct encode7 code;
	uint8_t found[MIME7_PARTS_MAX + 1]; /* by number, in the order of their beginnings; the last
					       stands for the rest */
};

static void
begin_part(struct mime7 *m, bool message)
{
	m->part = m->parts < MIME7_PARTS_MAX ? m->parts++ : MIME7_PARTS_MAX;
	m->place = IN_HEADER;
	m->message = message;
	m->any_field = m->dropped = false;
	mime_fields_clear(&m->fields);
}

static void
begin_pass(struct mime7 *m)
{
	m->depth = m->parts = 0;
	m->newline = m->line_goes_on = false;
	buf_clear(&m->line);
	buf_clear(&m->boundaries);
	m->code = (struct encode7){ .kind = ENCODE_NOTHING };
	begin_part(m, true);
}

struct mime7 *
mime7_new(void)
{
	struct mime7 *m = mem_new(sizeof *m);

	m->line = BUF(MIME7_LINE_MAX + 2);
	m->boundaries = BUF(MIME7_DEPTH_MAX * MIME7_BOUNDARY_MAX);
	mime_fields_init(&m->fields);
	begin_pass(m);
	return m;
}

void
mime7_free(struct mime7 **pm)
{
	struct mime7 *m = *pm;

	*pm = NULL;
	if (m == NULL)
		return;
	buf_free(&m->line);
	buf_free(&m->boundaries);
	mime_fields_fini(&m->fields);
	free(m);
}

static enum verdict
verdict(const struct mime7 *m)
{
	unsigned found = m->found[m->part];

	if (found & PART_8BIT)
		return !(found & PART_LEAF) ? KEEP : found & PART_TEXT ? TURN_QP : TURN_BASE64;
	return found & PART_LABELLED ? LABEL_7BIT : KEEP;
}

/* -- output; nothing in the first pass -- */

static void
put(struct mime7 *m, struct str s)
{
	if (m->turning)
		ENSURE(buf_add(m->out, s));
}

/* The end of the line before, now that it is known not to belong to a boundary, or known to. */
static void
put_newline(struct mime7 *m, bool is_content)
{
	if (m->newline && m->turning && is_content && m->code.kind != ENCODE_NOTHING)
		encode7_line_end(&m->code, m->out);
	else if (m->newline)
		put(m, STR("\r\n"));
	m->newline = false;
}

static void
put_line(struct mime7 *m, struct str text, bool last)
{
	put_newline(m, false);
	put(m, text);
	m->newline = last;
}

/* -- what a header says -- */

static bool
is_opaque_multipart(struct str subtype)
{
	return str_ieq(subtype, STR("signed")) || str_ieq(subtype, STR("encrypted"));
}

static bool
is_8bit_label(struct str word)
{
	return str_ieq(word, STR("8bit")) || str_ieq(word, STR("binary"));
}

/* May the part be walked into?  Then it is one level deeper from here on. */
static bool
enter_composite(struct mime7 *m, const struct mime_type *t)
{
	struct level *l = &m->levels[m->depth];
	bool multipart = str_ieq(t->type, STR("multipart")) && !is_opaque_multipart(t->subtype);
	bool message = str_ieq(t->type, STR("message")) && str_ieq(t->subtype, STR("rfc822"));

	if (m->depth == MIME7_DEPTH_MAX || m->part == MIME7_PARTS_MAX ||
	    !(message || (multipart && t->boundary.n > 0)))
		return false;
	*l = (struct level){ .part = m->part,
		.boundary = m->boundaries.n,
		.n = message ? 0 : t->boundary.n,
		.digest = multipart && str_ieq(t->subtype, STR("digest")) };
	if (multipart)
		ENSURE(buf_add(&m->boundaries, buf_str(&t->boundary)));
	m->depth++;
	return true;
}

static unsigned
leaf_kind(const struct mime_type *t)
{
	bool message = str_ieq(t->type, STR("message"));

	if (str_ieq(t->type, STR("multipart")) ||
	    (message && !str_istarts(t->subtype, STR("global"))))
		return 0;
	return message || t->type.n == 0 || str_ieq(t->type, STR("text")) ? PART_LEAF | PART_TEXT
									  : PART_LEAF;
}

/* What the part is, once its header is there in full. */
static void
judge_part(struct mime7 *m)
{
	bool digest = m->depth > 0 && m->levels[m->depth - 1].digest && !m->message;
	struct str value = m->fields.has[MIME_TYPE] ? buf_str(&m->fields.type)
			   : digest                 ? STR("message/rfc822")
						    : STR("text/plain");
	struct str encoding = mime_fields_encoding(&m->fields);
	bool labelled = is_8bit_label(encoding);
	bool encoded = m->fields.conflict || (m->fields.has[MIME_ENCODING] && !labelled &&
						 !str_ieq(encoding, STR("7bit")));
	struct mime_type t;
	unsigned kind;

	(void)mime_type_parse(value, MIME7_BOUNDARY_MAX, &t);
	if (!encoded && enter_composite(m, &t))
		kind = PART_COMPOSITE;
	else
		kind = encoded ? 0 : leaf_kind(&t);
	if (kind != 0 && labelled)
		kind |= PART_LABELLED;
	if (!m->turning && m->part < MIME7_PARTS_MAX)
		m->found[m->part] = (uint8_t)kind;
	m->place = kind & PART_COMPOSITE ? ASIDE : IN_CONTENT;
	mime_type_fini(&t);
}

/* Fields that go along with what becomes of the content; the header's last line was put. */
static void
put_fields(struct mime7 *m)
{
	static const struct str labels[] = {
		[LABEL_7BIT] = STR("Content-Transfer-Encoding: 7bit"),
		[TURN_QP] = STR("Content-Transfer-Encoding: quoted-printable"),
		[TURN_BASE64] = STR("Content-Transfer-Encoding: base64"),
	};
	enum verdict v = verdict(m);

	if (v == KEEP)
		return;
	if (m->message && !m->fields.has[MIME_VERSION])
		put_line(m, STR("MIME-Version: 1.0"), true);
	if (!m->fields.has[MIME_TYPE] && v != LABEL_7BIT)
		put_line(m, STR("Content-Type: text/plain; charset=unknown-8bit"), true);
	put_line(m, labels[v], true);
}

/* empty_line: that ends the header as it should; without one it may have to be made. */
static void
end_header(struct mime7 *m, bool empty_line)
{
	static const enum encoding7 codes[] = {
		[TURN_QP] = ENCODE_QP, [TURN_BASE64] = ENCODE_BASE64
	};
	enum verdict v;

	if (m->turning)
		put_fields(m);
	v = m->turning ? verdict(m) : KEEP;
	judge_part(m);
	if (empty_line || v == TURN_QP || v == TURN_BASE64) {
		put_line(m, STR(""), true);
		put_newline(m, false);
	}
	if (v == TURN_QP || v == TURN_BASE64)
		m->code = (struct encode7){ .kind = codes[v] };
	if (m->place == ASIDE && m->levels[m->depth - 1].n == 0)
		begin_part(m, true);
}

/* -- lines -- */

/* Bytes over 127 that stay: all that they are in is 8-bit then. */
static void
stays_8bit(struct mime7 *m)
{
	for (size_t i = 0; i < m->depth; i++)
		m->found[m->levels[i].part] |= PART_8BIT;
}

static void
look_at(struct mime7 *m, struct str text)
{
	if (str_ascii(text))
		return;
	if (m->place == IN_CONTENT && (m->found[m->part] & PART_LEAF))
		m->found[m->part] |= PART_8BIT;
	else
		stays_8bit(m);
}

/* RFC 2046 section 5.1.1: what follows the boundary on its line does not matter, but of two that
 * fit the one without a rest is meant.  The level, 0 being none. */
static size_t
boundary_level(const struct mime7 *m, struct str text, bool *closes)
{
	if (!str_starts(text, STR("--")))
		return 0;
	text = str_sub(text, 2, text.n);
	for (int exact = 1; exact >= 0; exact--)
		for (size_t i = m->depth; i > 0; i--) {
			const struct level *l = &m->levels[i - 1];
			struct str boundary = str_sub(buf_str(&m->boundaries), l->boundary, l->n);
			struct str rest = str_sub(text, l->n, text.n);

			if (l->n == 0 || !str_starts(text, boundary))
				continue;
			*closes = str_starts(rest, STR("--"));
			if (*closes)
				rest = str_sub(rest, 2, rest.n);
			if (!exact || str_trim(rest).n == 0)
				return i;
		}
	return 0;
}

/* The content before it has ended, without the line end that belongs to the boundary. */
static void
at_boundary(struct mime7 *m, struct str text, bool last, size_t level, bool closes)
{
	if (m->place == IN_HEADER)
		end_header(m, false);
	if (m->turning)
		encode7_end(&m->code, m->out);
	put_line(m, text, last);
	m->depth = closes ? level - 1 : level;
	buf_cut(
	    &m->boundaries, m->levels[level - 1].boundary + (closes ? 0 : m->levels[level - 1].n));
	if (closes)
		m->place = ASIDE;
	else
		begin_part(m, false);
}

static void
content_line(struct mime7 *m, struct str text, bool first, bool last)
{
	if (!m->turning)
		look_at(m, text);
	if (first)
		put_newline(m, true);
	if (m->turning)
		encode7_text(&m->code, text, m->out);
	m->newline = last;
}

static void
begin_field(struct mime7 *m, struct str text)
{
	m->any_field = true;
	m->dropped =
	    mime_fields_add(&m->fields, text) == MIME_ENCODING && m->turning && verdict(m) != KEEP;
}

/* False: the header has ended before this line, which is content. */
static bool
header_line(struct mime7 *m, struct str text, bool first, bool last)
{
	bool folded = m->any_field && text.n > 0 && (text.p[0] == ' ' || text.p[0] == '\t');
	bool envelope =
	    !m->any_field && (str_starts(text, STR("From ")) || str_starts(text, STR(">From ")));

	if (first && text.n == 0 && last) {
		end_header(m, true);
		return true;
	}
	if (!first || folded) {
		mime_fields_continue(&m->fields, text);
	} else if (header_field_name(text).n > 0) {
		begin_field(m, text);
	} else if (!envelope) {
		end_header(m, false);
		return m->place == IN_HEADER ? header_line(m, text, first, last) : false;
	}
	if (!m->turning && !str_ascii(text))
		stays_8bit(m);
	if (!m->dropped && first)
		put_line(m, text, last);
	else if (!m->dropped) {
		put(m, text);
		m->newline = last;
	}
	return true;
}

/* A line, or a part of one that is very long; without its end. */
static void
line(struct mime7 *m, struct str text, bool first, bool last)
{
	bool closes = false;
	size_t level = first ? boundary_level(m, text, &closes) : 0;

	if (level > 0)
		at_boundary(m, text, last, level, closes);
	else if (m->place != IN_HEADER || !header_line(m, text, first, last))
		content_line(m, text, first, last);
}

/* -- pieces -- */

/* What is gathered of a line is dealt with; last: its end has come. */
static void
give_line(struct mime7 *m, bool last)
{
	struct str text = buf_str(&m->line);
	bool cr = text.n > 0 && text.p[text.n - 1] == '\r';

	text.n -= cr;
	line(m, text, !m->line_goes_on, last);
	m->line_goes_on = !last;
	buf_clear(&m->line);
	/* It may be the first half of the line's end. */
	if (cr && !last)
		ENSURE(buf_addc(&m->line, '\r'));
}

static void
add(struct mime7 *m, struct str piece)
{
	while (piece.n > 0) {
		size_t room = MIME7_LINE_MAX - m->line.n, n = str_find(piece, '\n');
		size_t take = n < room ? n : room;

		if (take > piece.n)
			take = piece.n;
		ENSURE(buf_add(&m->line, str_sub(piece, 0, take)));
		if (take == n && n < piece.n) {
			give_line(m, true);
			take++;
		} else if (m->line.n >= MIME7_LINE_MAX) {
			give_line(m, false);
		}
		piece = str_sub(piece, take, piece.n);
	}
}

/* A last line without its end.  In a header it gets one: something may have to follow. */
static void
finish(struct mime7 *m)
{
	struct str rest = buf_str(&m->line);

	if (rest.n > 0)
		line(m, rest, !m->line_goes_on, m->place == IN_HEADER);
	if (m->place == IN_HEADER)
		end_header(m, false);
	buf_clear(&m->line);
}

void
mime7_look(struct mime7 *m, struct str piece)
{
	add(m, piece);
}

void
mime7_turn(struct mime7 *m, struct str piece, struct buf *out)
{
	if (!m->turning) {
		finish(m);
		begin_pass(m);
		m->turning = true;
	}
	m->out = out;
	add(m, piece);
}

void
mime7_end(struct mime7 *m, struct buf *out)
{
	bool base64;

	mime7_turn(m, STR(""), out);
	finish(m);
	put_newline(m, true);
	base64 = m->code.kind == ENCODE_BASE64;
	encode7_end(&m->code, out);
	if (base64)
		put(m, STR("\r\n"));
	m->out = NULL;
}
