/* SPDX-License-Identifier: Apache-2.0 */
#include "smtp/body.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "util/log.h"
#include "util/proc.h"

enum {
	SMALL = 48 << 10,                              /* read at once, and sent in one write */
	PIECE = 24 << 10,                              /* twice that, wrapped, still fits into one write */
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

static enum err
open_and_read(void *arg)
{
	struct opening *o = arg;
	struct body *b = o->body;
	char *room;

	if (b->fd < 0)
		TRY(spool_open_content(o->spool, (enum spool_dir)o->m->dir, o->m->id, &b->fd));
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
	struct iovec v;

	if (b->size > SMALL || spool_open_content(o->spool, (enum spool_dir)o->m->dir, o->m->id, &b->fd) != OK)
		return false;
	v.iov_base = buf_room(&b->text, (size_t)b->size);
	v.iov_len = (size_t)b->size;
	if (preadv2(b->fd, &v, 1, (off_t)b->at, RWF_NOWAIT) != (ssize_t)b->size)
		return false;
	buf_grew(&b->text, (size_t)b->size);
	return true;
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

static WAITS enum err
send_wrapped(const struct params *p, const struct body *b, struct io *io)
{
	struct piece piece = { .fd = b->fd, .b = BUF(PIECE) };
	struct buf out = BUF(2 * PIECE + 64);
	struct wrap w = { 0 };
	enum err e = OK;

	for (uint64_t done = 0; done < b->size && e == OK; done += piece.n) {
		struct str in;

		if ((e = next_piece(b, done, &piece, &in)) != OK)
			break;
		buf_clear(&out);
		body_wrap(&w, in, (size_t)p->smtp_line_length_limit, &out);
		io_put(io, buf_str(&out));
		if (done + piece.n < b->size || out.n > SMALL)
			e = io_flush(io, deadline(p));
	}
	if (e == OK) {
		io_put(io, w.inside || w.cr ? STR("\r\n.\r\n") : STR(".\r\n"));
		e = io_flush(io, deadline(p));
	}
	buf_free(&piece.b);
	buf_free(&out);
	return e;
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
body_send(const struct params *p, const struct body *b, struct io *io)
{
	size_t limit = (size_t)p->smtp_line_length_limit;

	if ((b->flags & MF_DOTS) || body_is_wrapped(p, b) || (limit > 0 && limit < LINE_MARKED))
		return send_wrapped(p, b, io);
	return send_plain(p, b, io);
}
