/* SPDX-License-Identifier: Apache-2.0 */
#include "smtp/body.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "mail/mime7.h"
#include "util/log.h"
#include "util/proc.h"

enum {
	SMALL = 48 << 10,                              /* read at once, and sent in one write */
	PIECE = 24 << 10,                              /* twice that, wrapped, still fits into one write */
	QUEUED_MAX = 56 << 10,                         /* written at once */
	LIMIT_MIN = 16,
	LINE_MARKED = 998,                             /* MF_LONG */
};

/* Opening and reading may wait for the disk.  A message that just came in is in memory, and then a look that does not
 * wait costs less than a helper thread. */
struct opening {
	struct spool             *spool;
	const struct msg_deliver *m;
	struct body              *body;
};

enum { ENVELOPE_MAX = 4 << 10 };                       /* of a message that is read in one go */

static enum err
open_and_read(void *arg)
{
	struct opening *o = arg;
	struct body *b = o->body;
	char *room;

	if (b->fd < 0)
		TRY(spool_open_content(o->spool, (enum spool_dir)o->m->dir, o->m->id, &b->fd));
	TRY(spool_check_content(b->fd, o->m->id));
	if (b->size > SMALL)
		return OK;
	buf_clear(&b->text);
	room = buf_room(&b->text, (size_t)b->size);
	if (room == NULL)
		return fail(E_TOOBIG, "no room for content");
	TRY(fd_read_all(b->fd, room, (size_t)b->size, (off_t)b->at));
	buf_grew(&b->text, (size_t)b->size);
	return OK;
}

static bool
read_at_once(struct opening *o)
{
	struct body *b = o->body;
	char head[CONTENT_HEAD], envelope[ENVELOPE_MAX];
	struct iovec v[] = {
		{ head, sizeof head }, { envelope, (size_t)b->at - sizeof head }, { NULL, (size_t)b->size }
	};

	if (b->size > SMALL || b->at < sizeof head || b->at > ENVELOPE_MAX)
		return false;
	if (spool_open_content(o->spool, (enum spool_dir)o->m->dir, o->m->id, &b->fd) != OK)
		return false;
	v[2].iov_base = buf_room(&b->text, (size_t)b->size);
	if (preadv2(b->fd, v, 3, 0, RWF_NOWAIT) != (ssize_t)(b->at + b->size))
		return false;
	buf_grew(&b->text, (size_t)b->size);
	return spool_content_matches(head, o->m->id, buf_str(&b->text)) == OK;
}

enum err
body_open(struct spool *s, const struct msg_deliver *m, struct body *b)
{
	struct opening o = { .spool = s, .m = m, .body = b };
	enum err e = OK;

	*b = (struct body){ .fd = -1,
		.text = BUF(SMALL + 16),
		.at = m->content_at,
		.size = m->size,
		.flags = m->flags };
	if (!read_at_once(&o))
		e = task_offload(open_and_read, &o);
	if (b->fd >= 0 && (e != OK || b->size <= SMALL)) {
		close(b->fd);
		b->fd = -1;
	}
	if (e != OK)
		body_close(b);
	return e;
}

void
body_close(struct body *b)
{
	if (b->fd >= 0)
		close(b->fd);
	b->fd = -1;
	buf_free(&b->text);
}

bool
body_is_wrapped(const struct params *p, const struct body *b)
{
	/* The mark stands for 998; of a smaller limit nobody knows before having looked. */
	return (b->flags & MF_LONG) && p->smtp_line_length_limit > 0;
}

static void
put(struct buf *out, struct str s)
{
	ENSURE(buf_add(out, s));
}

/* A piece of a line, its end not included. */
static void
wrap_line(struct wrap *w, struct str s, size_t limit, struct buf *out)
{
	if (s.n > 0 && !w->inside && s.p[0] == '.')
		put(out, STR("."));
	w->inside = w->inside || s.n > 0;
	while (limit > 0 && w->column + s.n > limit) {
		size_t n = limit - w->column;

		put(out, str_sub(s, 0, n));
		put(out, STR("\r\n "));
		w->column = 1;
		s = str_sub(s, n, s.n);
	}
	put(out, s);
	w->column += s.n;
}

void
body_wrap(struct wrap *w, struct str in, size_t limit, struct buf *out)
{
	/* Each break must leave room for more than its blank, and the output a bound. */
	if (limit > 0 && limit < LIMIT_MIN)
		limit = LIMIT_MIN;
	while (in.n > 0) {
		size_t n = str_find(in, '\n');
		struct str line = str_sub(in, 0, n);

		/* The CR that ended the piece before was none of a line end. */
		if (w->cr && line.n > 0)
			wrap_line(w, STR("\r"), limit, out);
		w->cr = line.n > 0 && line.p[line.n - 1] == '\r';
		line.n -= w->cr;
		wrap_line(w, line, limit, out);
		if (n < in.n) {
			put(out, STR("\r\n"));
			*w = (struct wrap){ 0 };
			n++;
		}
		in = str_sub(in, n, in.n);
	}
}

static struct time
deadline(const struct params *p)
{
	return time_after(time_now(), p->smtp_data_xfer_timeout);
}

struct piece {
	int fd;
	uint64_t at;
	size_t n;
	struct buf b;
};

static enum err
read_piece(void *arg)
{
	struct piece *p = arg;
	char *room;

	buf_clear(&p->b);
	room = buf_room(&p->b, p->n);
	ENSURE(room);
	TRY(fd_read_all(p->fd, room, p->n, (off_t)p->at));
	buf_grew(&p->b, p->n);
	return OK;
}

/* The next bytes of the content, after those done.  E_CORRUPT: they cannot be read, which is no
 * fault of the server's. */
static WAITS enum err
next_piece(const struct body *b, uint64_t done, struct piece *p, struct str *in)
{
	struct iovec v;
	enum err e;

	p->at = b->at + done;
	p->n = b->size - done < PIECE ? (size_t)(b->size - done) : PIECE;
	if (b->fd < 0) {
		*in = str_sub(buf_str(&b->text), (size_t)done, p->n);
		return OK;
	}
	buf_clear(&p->b);
	v = (struct iovec){ buf_room(&p->b, p->n), p->n };
	if (preadv2(p->fd, &v, 1, (off_t)p->at, RWF_NOWAIT) == (ssize_t)p->n)
		buf_grew(&p->b, p->n);
	else if ((e = task_offload(read_piece, p)) != OK)
		return e == E_STOPPED ? e : fail(E_CORRUPT, "cannot read the message");
	*in = buf_str(&p->b);
	return OK;
}

/* Output on its way: lines wrapped, dots stuffed. */
struct outlet {
	const struct params *p;
	struct io *io;
	struct wrap wrap;
	struct buf out;
	size_t queued;                                 /* not flushed yet */
};

static WAITS enum err
put_wrapped(struct outlet *o, struct str in)
{
	for (; in.n > 0; in = str_sub(in, PIECE, in.n)) {
		buf_clear(&o->out);
		body_wrap(&o->wrap, str_sub(in, 0, PIECE), (size_t)o->p->smtp_line_length_limit, &o->out);
		if (o->queued + o->out.n > QUEUED_MAX) {
			TRY(io_flush(o->io, deadline(o->p)));
			o->queued = 0;
		}
		io_put(o->io, buf_str(&o->out));
		o->queued += o->out.n;
	}
	return OK;
}

/* Give all of the content to fn, piece by piece. */
static WAITS enum err
each_piece(const struct body *b, WAITS enum err (*fn)(void *arg, struct str piece), void *arg)
{
	struct piece piece = { .fd = b->fd, .b = BUF(PIECE) };
	enum err e = OK;

	for (uint64_t done = 0; done < b->size && e == OK; done += piece.n) {
		struct str in;

		e = next_piece(b, done, &piece, &in);
		if (e == OK)
			e = fn(arg, in);
	}
	buf_free(&piece.b);
	return e;
}

static WAITS enum err
put_piece(void *arg, struct str piece)
{
	return put_wrapped(arg, piece);
}

struct turning {
	struct mime7 *m;
	struct outlet *outlet;
	struct buf turned;
};

static enum err
look(void *arg, struct str piece)
{
	struct turning *t = arg;

	mime7_look(t->m, piece);
	return OK;
}

static WAITS enum err
turn(void *arg, struct str piece)
{
	struct turning *t = arg;

	for (; piece.n > 0; piece = str_sub(piece, MIME7_LINE_MAX, piece.n)) {
		buf_clear(&t->turned);
		mime7_turn(t->m, str_sub(piece, 0, MIME7_LINE_MAX), &t->turned);
		TRY(put_wrapped(t->outlet, buf_str(&t->turned)));
	}
	return OK;
}

/* In 7 bits: it is read twice. */
static WAITS enum err
put_turned(struct outlet *o, const struct body *b)
{
	struct turning t = { .m = mime7_new(), .outlet = o, .turned = BUF(3 * MIME7_GROWTH * MIME7_LINE_MAX) };
	enum err e = each_piece(b, look, &t);

	if (e == OK)
		e = each_piece(b, turn, &t);
	if (e == OK) {
		buf_clear(&t.turned);
		mime7_end(t.m, &t.turned);
		e = put_wrapped(o, buf_str(&t.turned));
	}
	mime7_free(&t.m);
	buf_free(&t.turned);
	return e;
}

static WAITS enum err
send_changed(const struct params *p, const struct body *b, struct io *io, bool seven)
{
	struct outlet o = { .p = p, .io = io, .out = BUF(2 * PIECE + 64) };
	enum err e = seven ? put_turned(&o, b) : each_piece(b, put_piece, &o);

	if (e == OK) {
		io_put(io, o.wrap.inside || o.wrap.cr ? STR("\r\n.\r\n") : STR(".\r\n"));
		e = io_flush(io, deadline(p));
	}
	buf_free(&o.out);
	return e;
}

struct search {
	bool empty;                                    /* this line, so far */
	bool ended, found;
};

/* The header ends at the first empty line. */
static enum err
look_in_header(void *arg, struct str piece)
{
	struct search *s = arg;

	for (size_t i = 0; i < piece.n && !s->ended; i++) {
		char c = piece.p[i];

		s->found |= (unsigned char)c > 127;
		s->ended = c == '\n' && s->empty;
		s->empty = c == '\n' || (c == '\r' && s->empty);
	}
	return s->ended || s->found ? E_EXISTS : OK;
}

enum err
body_header_8bit(const struct body *b, bool *has)
{
	struct search s = { .empty = true };
	enum err e = b->flags & MF_8BIT ? each_piece(b, look_in_header, &s) : OK;

	*has = s.found;
	return e == E_EXISTS ? OK : e;
}

/* As it is.  In pieces with a deadline each: so a slow line is no reason to fail, and the disk is
 * never waited for here, as sendfile() would. */
static WAITS enum err
send_plain(const struct params *p, const struct body *b, struct io *io)
{
	struct piece piece = { .fd = b->fd, .b = BUF(PIECE) };
	enum err e = OK;
	bool cr = false, crlf = true;

	for (uint64_t done = 0; done < b->size && e == OK; done += piece.n) {
		struct str in;

		if ((e = next_piece(b, done, &piece, &in)) != OK)
			break;
		io_put(io, in);
		crlf = in.p[in.n - 1] == '\n' && (in.n > 1 ? in.p[in.n - 2] == '\r' : cr);
		cr = in.p[in.n - 1] == '\r';
		if (done + piece.n < b->size && b->fd >= 0)
			e = io_flush(io, deadline(p));
	}
	if (e == OK) {
		io_put(io, crlf ? STR(".\r\n") : STR("\r\n.\r\n"));
		e = io_flush(io, deadline(p));
	}
	buf_free(&piece.b);
	return e;
}

enum err
body_send(const struct params *p, const struct body *b, struct io *io, bool seven)
{
	size_t limit = (size_t)p->smtp_line_length_limit;

	if (seven || (b->flags & MF_DOTS) || body_is_wrapped(p, b) || (limit > 0 && limit < LINE_MARKED))
		return send_changed(p, b, io, seven);
	return send_plain(p, b, io);
}
