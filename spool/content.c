/* SPDX-License-Identifier: Apache-2.0 */
#include "spool/spool.h"

#include "util/proc.h"

enum { PIECE = 64 << 10 };

void
content_reader_init(struct content_reader *r, int fd, const struct spool_msg *m)
{
	*r = (struct content_reader){ .fd = fd, .at = m->content_at, .left = m->size, .piece = BUF(PIECE) };
}

void
content_reader_fini(struct content_reader *r)
{
	buf_free(&r->piece);
}

/* For a helper thread. */
static enum err
read_piece(void *arg)
{
	struct content_reader *r = arg;
	size_t n = r->left < PIECE ? (size_t)r->left : PIECE;
	char *room = buf_room(&r->piece, n);

	if (room == NULL)
		return fail(E_NOSPACE, "no memory");
	TRY(fd_read_all(r->fd, room, n, (off_t)r->at));
	buf_grew(&r->piece, n);
	r->at += n;
	r->left -= n;
	return OK;
}

enum err
content_reader_next(struct content_reader *r)
{
	buf_clear(&r->piece);
	return r->left > 0 ? task_offload(read_piece, r) : OK;
}
