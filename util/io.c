/* SPDX-License-Identifier: Apache-2.0 */
/* A session that waits holds no buffer at all: input memory is taken when there is something to
 * read and given back when all of it was used; output memory goes with the write that sends it. */
#include "util/io.h"

#include <errno.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/log.h"
#include "util/loop.h"

enum {
	OUT_MAX = 64 << 10,
	DROP_MAX = 1 << 20,                            /* of one line that is too long */
	/* up to here a copy is cheaper than a second call */
	SMALL_FILE = 32 << 10,
	FILE_STEP = 1 << 20,
	READS_IN_A_ROW = 16,                           /* then the other tasks have their turn */
};

struct io {
	int        fd;
	bool       readable;                           /* a read may bring something */
	/* in the middle of a line that is too long */
	bool       dropping;
	int        reads;                              /* since it last gave way */
	size_t     line_max, cap;
	char      *in;                                 /* NULL while empty */
	size_t     at, end;                            /* unread bytes are in[at..end) */
	size_t     looked;                             /* no LF in in[at..looked) */
	size_t     dropped;
	struct buf out;
	uint64_t   received, sent;
};

struct io *
io_new(int fd, size_t line_max)
{
	struct io *io = mem_new(sizeof *io);

	io->fd = fd;
	io->line_max = line_max;
	io->cap = line_max > IN_SIZE ? line_max : IN_SIZE;
	io->out = BUF(OUT_MAX);
	return io;
}

static void
give_input_back(struct io *io)
{
	if (io->in == NULL)
		return;
	if (io->cap == IN_SIZE)
		in_give(io->in);
	else
		free(io->in);
	io->in = NULL;
	io->at = io->end = io->looked = 0;
}

void
io_close(struct io **pio)
{
	struct io *io = *pio;

	if (io == NULL)
		return;
	fd_forget(io->fd);
	close(io->fd);
	give_input_back(io);
	buf_free(&io->out);
	mem_free(pio);
}

int      io_fd(const struct io *io)             { return io->fd; }
uint64_t io_received(const struct io *io)       { return io->received; }
uint64_t io_sent(const struct io *io)           { return io->sent; }
bool     io_has_input(const struct io *io)      { return io->at < io->end; }

static WAITS enum err
wait_readable(struct io *io, struct time deadline)
{
	if (io->out.n > 0)
		TRY(io_flush(io, deadline));
	if (io->at == io->end)
		give_input_back(io);
	io->reads = 0;
	TRY(task_wait_fd(io->fd, FD_READ, deadline));
	io->readable = true;
	return OK;
}

/* Read more behind what there is; at least one byte came when OK. */
static WAITS enum err
fill(struct io *io, struct time deadline)
{
	size_t n, room;

	for (;;) {
		if (!io->readable)
			TRY(wait_readable(io, deadline));
		else if (++io->reads > READS_IN_A_ROW) {
			io->reads = 0;
			task_yield();
		}
		if (io->in == NULL)
			io->in = io->cap == IN_SIZE ? in_take() : mem_grow(NULL, io->cap);
		if (io->at > 0) {
			memmove(io->in, io->in + io->at, io->end - io->at);
			io->end -= io->at;
			io->looked -= io->looked < io->at ? io->looked : io->at;
			io->at = 0;
		}
		room = io->cap - io->end;
		ENSURE(room > 0);
		TRY(fd_recv(io->fd, io->in + io->end, room, &n));
		/* A short read took all there was; what comes later, a close included, is a new
		 * event. */
		io->readable = n == room;
		io->end += n;
		io->received += n;
		if (n > 0)
			return OK;
	}
}

/* Index just past the next LF, or 0. */
static size_t
line_end(const struct io *io)
{
	const char *lf = NULL;

	if (io->looked < io->end)
		lf = memchr(io->in + io->looked, '\n', io->end - io->looked);
	return lf ? (size_t)(lf - io->in) + 1 : 0;
}

bool
io_has_line(const struct io *io)
{
	return line_end(io) != 0;
}

static enum err
drop(struct io *io, size_t upto)
{
	io->dropped += upto - io->at;
	io->at = io->looked = upto;
	if (io->dropped <= DROP_MAX)
		return OK;
	return fail(E_EOF, "a line of more than %d bytes", DROP_MAX);
}

static void
strip_end(struct str *line, enum io_ending *ending)
{
	size_t n = line->n - 1, crs = 0;

	while (crs < 2 && n > crs && line->p[n - crs - 1] == '\r')
		crs++;
	*ending = crs == 0 ? END_LF : crs == 1 ? END_CRLF : END_CRCRLF;
	line->n = n - crs;
}

enum err
io_line(struct io *io, struct str *line, enum io_ending *ending, struct time deadline)
{
	size_t end;

	while ((end = line_end(io)) == 0) {
		io->looked = io->end;
		if (io->dropping || io->end - io->at >= io->line_max) {
			io->dropping = true;
			TRY(drop(io, io->end));
		}
		TRY(fill(io, deadline));
	}
	*line = (struct str){ io->in + io->at, end - io->at };
	if (io->dropping || line->n > io->line_max) {
		enum err e = drop(io, end);

		io->dropping = false;
		io->dropped = 0;
		return e != OK ? e : fail(E_TOOLONG, "line longer than %zu bytes", io->line_max);
	}
	io->at = io->looked = end;
	strip_end(line, ending);
	return OK;
}

enum err
io_some(struct io *io, struct str *bytes, struct time deadline)
{
	if (io->at == io->end)
		TRY(fill(io, deadline));
	*bytes = (struct str){ io->in + io->at, io->end - io->at };
	return OK;
}

void
io_ate(struct io *io, size_t n)
{
	ENSURE(n <= io->end - io->at);
	io->at += n;
	if (io->looked < io->at)
		io->looked = io->at;
}

void
io_put(struct io *io, struct str s)
{
	ENSURE(buf_add(&io->out, s));
}

void
io_print(struct io *io, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	ENSURE(buf_vprintf(&io->out, fmt, ap));
	va_end(ap);
}

/* On any error the rest is given up: the stream is broken, or the peer was told half a reply. */
static WAITS enum err
flush(struct io *io, int flags, struct time deadline)
{
	struct str left = buf_str(&io->out);
	enum err e = OK;
	size_t n;

	while (left.n > 0 && e == OK) {
		e = fd_send(io->fd, left, flags, &n);
		io->sent += n;
		left = str_sub(left, n, left.n);
		if (e == OK && left.n > 0)
			e = task_wait_fd(io->fd, FD_WRITE, deadline);
	}
	buf_free(&io->out);
	return e;
}

enum err
io_flush(struct io *io, struct time deadline)
{
	return io->out.n > 0 ? flush(io, 0, deadline) : OK;
}

enum err
io_flush_last(struct io *io, struct time deadline)
{
	return io->out.n > 0 ? flush(io, MSG_MORE, deadline) : OK;
}

static enum err
add_file(struct io *io, int file, off_t from, size_t n)
{
	char *p = buf_room(&io->out, n);

	ENSURE(p);
	for (size_t got = 0; got < n;) {
		ssize_t r = pread(file, p + got, n - got, from + (off_t)got);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return fail_errno("read");
		if (r == 0)
			return fail(E_IO, "file is shorter than it should be");
		got += (size_t)r;
	}
	buf_grew(&io->out, n);
	return OK;
}

enum err
io_send_file(struct io *io, int file, off_t from, size_t n, struct time deadline)
{
	if (n <= SMALL_FILE && io->out.n <= OUT_MAX - SMALL_FILE) {
		TRY(add_file(io, file, from, n));
		return io_flush(io, deadline);
	}
	if (io->out.n > 0)
		TRY(flush(io, MSG_MORE, deadline));
	while (n > 0) {
		ssize_t r = sendfile(io->fd, file, &from, n < FILE_STEP ? n : FILE_STEP);

		if (r > 0) {
			n -= (size_t)r;
			io->sent += (uint64_t)r;
		} else if (r == 0) {
			return fail(E_IO, "file is shorter than it should be");
		} else if (errno == EAGAIN) {
			TRY(task_wait_fd(io->fd, FD_WRITE, deadline));
		} else if (errno != EINTR) {
			return fd_trouble("sendfile");
		}
	}
	return OK;
}

bool
io_is_dead(struct io *io)
{
	char c;
	ssize_t n = recv(io->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);

	return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}
