/* SPDX-License-Identifier: Apache-2.0 */
#include "bounce/notice.h"

#include <unistd.h>

#include "intake/newlines.h"
#include "mail/dsn.h"
#include "util/proc.h"

enum { NOTICE_MAX = 64 << 20 };

/* Reading the original blocks on the disk, so it is done by a helper thread. */
struct original {
	struct spool *spool;
	const struct msg_bounce *job;
	size_t want;
	struct buf text;
};

static enum err
read_original(void *arg)
{
	struct original *o = arg;
	enum err e;
	char *room;
	int fd;

	TRY(spool_open_content(o->spool, (enum spool_dir)o->job->dir, o->job->id, &fd));
	room = buf_room(&o->text, o->want);
	e = spool_check_content(fd, o->job->id);
	if (e == OK)
		e = room ? fd_read_all(fd, room, o->want, o->job->content_at)
		 : fail(E_TOOBIG, "message too large");
	if (e == OK)
		buf_grew(&o->text, o->want);
	close(fd);
	return e;
}

static enum err
write_notice(const struct params *p, struct original *o, uint64_t id, struct buf *out)
{
	bool headers_only = o->job->size > (uint64_t)p->bounce_size_limit;
	struct dsn d = { .params = p,
		.job = o->job,
		.id = id,
		.now = wall_now(),
		.headers_only = headers_only };

	o->want = headers_only && o->job->size > (uint64_t)p->header_size_limit
		      ? (size_t)p->header_size_limit
		      : (size_t)o->job->size;
	TRY(task_offload(read_original, o));
	d.original = headers_only ? message_header(buf_str(&o->text)) : buf_str(&o->text);
	d.eight_bit = (newlines_flags(d.original) & MF_8BIT) != 0;
	return dsn_write(&d, out);
}

enum err
notice_enter(const struct params *p, struct spool *s, const struct msg_bounce *job,
    struct msg_entered *entered, struct buf *rcpts)
{
	struct spool_rcpt to = { .addr = job->sender };
	struct spool_msg m = { .id = qid_new(), .arrived = wall_now(), .rcpts = &to, .nrcpts = 1 };
	struct original o = { .spool = s, .job = job, .text = BUF(NOTICE_MAX) };
	struct msg_rcpt r = { .index = 0, .addr = job->sender };
	struct buf text = BUF(NOTICE_MAX);
	struct entry *entry;
	enum err e;

	e = write_notice(p, &o, m.id, &text);
	if (e == OK) {
		entry = entry_new(s, &m);
		e = entry_add(entry, buf_str(&text));
		if (e == OK)
			e = entry_commit(&entry, MF_LOCAL | newlines_flags(buf_str(&text)), &m);
		else
			entry_abort(&entry);
	}
	buf_free(&o.text);
	buf_free(&text);
	if (e != OK)
		return e;
	msg_rcpt_put(rcpts, &r);
	*entered = (struct msg_entered){ .id = m.id,
		.arrived = m.arrived.us,
		.size = m.size,
		.flags = m.flags,
		.content_at = m.content_at,
		.rcpts = buf_str(rcpts) };
	return OK;
}
