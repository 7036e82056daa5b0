/* SPDX-License-Identifier: Apache-2.0 */
#include "smtp/body.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "util/log.h"
#include "util/proc.h"

enum { SMALL = 48 << 10, PIECE = 16 << 10 };

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

	*b = (struct body){ .fd = -1, .text = BUF(SMALL + 16), .at = m->content_at, .size = m->size, .flags = m->flags };
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

void
body_wrap(struct wrap *w, struct str in, size_t line_limit, struct buf *out)
{
	for (size_t i = 0; i < in.n; i++) {
		char c = in.p[i];

		if (c == '\n') {
			w->inside = false;
			w->column = 0;
		} else if (c != '\r') {
			if (line_limit > 0 && w->column >= line_limit) {
				ENSURE(buf_adds(out, "\r\n "));
				w->column = 1;
			}
			if (!w->inside && c == '.')
				ENSURE(buf_addc(out, '.'));
			w->inside = true;
			w->column++;
		}
		ENSURE(buf_addc(out, c));
		w->last[0] = w->last[1];
		w->last[1] = c;
	}
}

static const char *
ending(uint64_t size, const char last[2])
{
	return size == 0 || (last[0] == '\r' && last[1] == '\n') ? ".\r\n" : "\r\n.\r\n";
}

static struct time
deadline(const struct params *p)
{
	return time_after(time_now(), p->smtp_data_xfer_timeout);
}

struct piece { int fd; uint64_t at; size_t n; struct buf b; };

static enum err
read_piece(void *arg)
{
	struct piece *p = arg;
	char *room;

	buf_clear(&p->b);
	room = buf_room(&p->b, p->n);
	TRY(fd_read_all(p->fd, room, p->n, (off_t)p->at));
	buf_grew(&p->b, p->n);
	return OK;
}

static WAITS enum err
send_wrapped(const struct params *p, const struct body *b, struct io *io)
{
	struct piece piece = { .fd = b->fd, .b = BUF(PIECE) };
	struct buf out = BUF(4 * PIECE);
	struct wrap w = { 0 };
	enum err e = OK;

	for (uint64_t done = 0; done < b->size && e == OK; done += piece.n) {
		struct str in;

		piece.at = b->at + done;
		piece.n = b->size - done < PIECE ? (size_t)(b->size - done) : PIECE;
		if (b->fd >= 0 && (e = task_offload(read_piece, &piece)) != OK)
			break;
		in = b->fd >= 0 ? buf_str(&piece.b) : str_sub(buf_str(&b->text), (size_t)done, piece.n);
		buf_clear(&out);
		body_wrap(&w, in, (size_t)p->smtp_line_length_limit, &out);
		io_put(io, buf_str(&out));
		if (done + piece.n < b->size)
			e = io_flush(io, deadline(p));
	}
	if (e == OK) {
		io_put(io, str_of(ending(b->size, w.last)));
		e = io_flush(io, deadline(p));
	}
	buf_free(&piece.b);
	buf_free(&out);
	return e;
}

enum err
body_send(const struct params *p, const struct body *b, struct io *io)
{
	char last[2] = { 0, 0 };

	if ((b->flags & MF_DOTS) || ((b->flags & MF_LONG) && p->smtp_line_length_limit > 0))
		return send_wrapped(p, b, io);
	if (b->fd < 0) {
		if (b->text.n >= 2)
			memcpy(last, b->text.p + b->text.n - 2, 2);
		io_put(io, buf_str(&b->text));
	} else {
		ssize_t n = pread(b->fd, last, 2, (off_t)(b->at + b->size - 2));

		if (n != 2)
			return fail(E_IO, "cannot read the end of the message");
		TRY(io_send_file(io, b->fd, (off_t)b->at, (size_t)b->size,
		    time_after(deadline(p), (int64_t)(b->size >> 14))));
	}
	io_put(io, str_of(ending(b->size, last)));
	return io_flush(io, deadline(p));
}
