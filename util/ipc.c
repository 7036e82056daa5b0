/* SPDX-License-Identifier: Apache-2.0 */
/* Frames: u32 length of what follows (little-endian), u16 tag, body. */
#include "util/ipc.h"

#include <sys/socket.h>
#include <unistd.h>

#include "util/fault.h"
#include "util/log.h"
#include "util/loop.h"

enum {
	HEAD = 6,                                      /* length and tag */
	TAG = 2,
	QUEUED_DEFAULT = 16 << 20,
	OUT_KEPT = 64 << 10,                           /* memory an empty queue may keep */
	READS_IN_A_ROW = 16,                           /* then the other tasks have their turn */
};

struct ipc {
	int              fd;
	size_t           max_frame, max_queued;
	bool             dead;                         /* nothing can be sent any more */
	/* nor received; what came before is still handed out */
	bool             ended;

	struct buf       out;
	size_t           sent;                         /* of out */
	size_t           frame;                        /* where the frame being built begins */
	bool             building;
	bool             blocked;                      /* waits until the socket takes more */
	struct turn_hook hook;
	struct fd_wait   writable;
	struct wait      empty;                        /* those in ipc_flush() */

	bool             readable;
	int              reads;
	char            *in;                           /* NULL while empty */
	/* what was not handed out yet is in[at..end) */
	size_t           cap, at, end;
};

static void push(struct ipc *c);

static bool
on_writable(struct fd_wait *w, enum err e)
{
	struct ipc *c = w->arg;

	(void)e;
	c->blocked = false;
	push(c);
	return true;
}

static void on_turn_end(void *c) { push(c); }

struct ipc *
ipc_new(int fd, size_t max_frame, size_t max_queued)
{
	struct ipc *c = mem_new(sizeof *c);

	c->fd = fd;
	c->max_frame = max_frame;
	c->max_queued = max_queued ? max_queued : QUEUED_DEFAULT;
	/* A frame that was begun below the ceiling may end above it. */
	c->out = BUF(c->max_queued + HEAD + (max_frame > BUF_MAX ? max_frame : BUF_MAX));
	c->hook = (struct turn_hook){ .run = on_turn_end, .arg = c };
	c->writable = (struct fd_wait){ .ready = on_writable, .arg = c };
	wait_init(&c->empty);
	return c;
}

static void
give_input_back(struct ipc *c)
{
	if (c->in && c->cap == IN_SIZE)
		in_give(c->in);
	else
		free(c->in);
	c->in = NULL;
	c->cap = c->at = c->end = 0;
}

/* The other end is told too: it gets an end of file, and so does our own receiver, after what
 * has come already: the last words of a peer that died are still news. */
static void
die(struct ipc *c)
{
	if (c->dead)
		return;
	c->dead = true;
	fd_withdraw(c->fd, FD_WRITE, &c->writable);
	c->blocked = false;
	shutdown(c->fd, SHUT_RDWR);
	buf_free(&c->out);
	c->sent = 0;
	c->building = false;
	wait_wake_all(&c->empty);
}

static enum err
end(struct ipc *c, enum err e)
{
	die(c);
	c->ended = true;
	return e;
}

void
ipc_free(struct ipc **pc)
{
	struct ipc *c = *pc;

	if (c == NULL)
		return;
	ENSURE(list_empty(&c->empty.parked));
	fd_withdraw(c->fd, FD_WRITE, &c->writable);
	if (c->hook.queued)
		list_remove(&c->hook.link);
	fd_forget(c->fd);
	close(c->fd);
	buf_free(&c->out);
	give_input_back(c);
	mem_free(pc);
}

bool   ipc_dead(const struct ipc *c)    { return c->dead; }
size_t ipc_queued(const struct ipc *c)  { return c->out.n - c->sent; }

/* Send what the socket takes now; the rest when it takes more. */
static void
push(struct ipc *c)
{
	struct str left = str_sub(buf_str(&c->out), c->sent, c->out.n);
	size_t n = 0;

	if (c->dead || c->blocked || c->building || left.n == 0)
		return;
	if (FAULT(sendmsg) || fd_send(c->fd, left, 0, &n) != OK) {
		die(c);
		return;
	}
	c->sent += n;
	if (n == left.n) {
		c->sent = 0;
		if (c->out.cap > OUT_KEPT)
			buf_free(&c->out);
		else
			buf_clear(&c->out);
		wait_wake_all(&c->empty);
		return;
	}
	if (c->sent > c->out.n / 2) {
		buf_drop(&c->out, c->sent);
		c->sent = 0;
	}
	if (fd_ask(c->fd, FD_WRITE, &c->writable) != OK)
		die(c);
	else
		c->blocked = true;
}

static void
put_le(char *p, uint32_t v, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		p[i] = (char)(v >> (8 * i));
}

static uint32_t
get_le(const char *p, size_t bytes)
{
	uint32_t v = 0;

	for (size_t i = 0; i < bytes; i++)
		v |= (uint32_t)(unsigned char)p[i] << (8 * i);
	return v;
}

struct buf *
ipc_begin(struct ipc *c, uint16_t tag)
{
	char head[HEAD] = { 0 };

	ENSURE(!c->building);
	if (c->dead || ipc_queued(c) + HEAD > c->max_queued)
		return NULL;
	put_le(head + 4, tag, TAG);
	c->frame = c->out.n;
	if (!buf_add(&c->out, (struct str){ head, HEAD }))
		return NULL;
	c->building = true;
	return &c->out;
}

void
ipc_end(struct ipc *c)
{
	if (!c->building)
		return;
	c->building = false;
	put_le(c->out.p + c->frame, (uint32_t)(c->out.n - c->frame - 4), 4);
	at_turn_end(&c->hook);
}

enum err
ipc_send(struct ipc *c, uint16_t tag, struct str body)
{
	struct buf *b;

	if (c->dead)
		return fail(E_EOF, "channel is closed");
	if (body.n > c->max_queued || ipc_queued(c) + HEAD + body.n > c->max_queued ||
	    (b = ipc_begin(c, tag)) == NULL)
		return fail(E_NOSPACE, "%zu bytes are waiting for the peer", ipc_queued(c));
	if (!buf_add(b, body)) {
		buf_cut(b, c->frame);
		c->building = false;
		return fail(E_NOSPACE, "%zu bytes are waiting for the peer", ipc_queued(c));
	}
	ipc_end(c);
	return OK;
}

enum err
ipc_flush(struct ipc *c, struct time deadline)
{
	push(c);
	while (!c->dead && ipc_queued(c) > 0)
		TRY(wait_park(&c->empty, deadline));
	return c->dead ? fail(E_EOF, "channel is closed") : OK;
}

/* Bytes that the frame at the front takes; 0: not known yet. */
static size_t
frame_size(const struct ipc *c)
{
	return c->end - c->at < 4 ? 0 : 4 + (size_t)get_le(c->in + c->at, 4);
}

static bool
frame_bad(const struct ipc *c, size_t size)
{
	return size != 0 && (size < HEAD || size - HEAD > c->max_frame);
}

bool
ipc_has_frame(const struct ipc *c)
{
	size_t size = frame_size(c);

	/* What ipc_recv() will refuse, it refuses without waiting. */
	return c->ended || frame_bad(c, size) || (size != 0 && c->end - c->at >= size);
}

/* Room for more behind what there is, enough for a frame of this size. */
static void
make_room(struct ipc *c, size_t size)
{
	if (c->in == NULL) {
		c->in = in_take();
		c->cap = IN_SIZE;
	}
	if (c->at > 0 && (c->end == c->cap || c->cap - c->at < size)) {
		memmove(c->in, c->in + c->at, c->end - c->at);
		c->end -= c->at;
		c->at = 0;
	}
	if (c->cap < size || c->end == c->cap) {
		size_t cap = size > c->cap ? size : 2 * c->cap;
		char *p = mem_grow(NULL, cap);

		memcpy(p, c->in + c->at, c->end - c->at);
		size = c->end - c->at;
		give_input_back(c);
		c->in = p;
		c->cap = cap;
		c->end = size;
	}
}

static WAITS enum err
fill(struct ipc *c, size_t size, struct time deadline)
{
	size_t n, room;
	enum err e;

	if (!c->readable) {
		if (c->at == c->end)
			give_input_back(c);
		c->reads = 0;
		TRY(task_wait_fd(c->fd, FD_READ, deadline));
		c->readable = true;
	} else if (++c->reads > READS_IN_A_ROW) {
		c->reads = 0;
		task_yield();
	}
	make_room(c, size);
	room = c->cap - c->end;
	e = fd_recv(c->fd, c->in + c->end, room, &n);
	if (e != OK)
		return end(c, e);
	c->readable = n == room;
	c->end += n;
	return OK;
}

enum err
ipc_recv(struct ipc *c, uint16_t *tag, struct str *body, struct time deadline)
{
	for (;;) {
		size_t size = frame_size(c);

		if (c->ended)
			return fail(E_EOF, "channel is closed");
		if (frame_bad(c, size))
			return end(c, fail(E_IPC, "a frame of %zu bytes", size));
		if (size != 0 && c->end - c->at >= size) {
			*tag = (uint16_t)get_le(c->in + c->at + 4, TAG);
			*body = (struct str){ c->in + c->at + HEAD, size - HEAD };
			c->at += size;
			return OK;
		}
		TRY(fill(c, size, deadline));
	}
}
