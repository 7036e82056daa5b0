/* SPDX-License-Identifier: Apache-2.0 */
/* fixture.h - a spool in a directory of its own, and messages for it. */
#ifndef TESTS_SPOOL_FIXTURE_H
#define TESTS_SPOOL_FIXTURE_H

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spool/files.h"
#include "tests/unit/check.h"
#include "tests/unit/scratch.h"
#include "util/fault.h"
#include "util/log.h"
#include "util/proc.h"

#define HELPER static __attribute__((unused))

static char scratch[64];

HELPER void
need(enum err e)
{
	if (e != OK)
		log_fatal("fixture: %s: %s", err_name(e), err_why());
}

HELPER struct spool *
open_again(enum spool_sync sync)
{
	struct spool *s;

	need(spool_open(scratch, sync, false, &s));
	return s;
}

HELPER struct spool *
spool_up(enum spool_sync sync)
{
	snprintf(scratch, sizeof scratch, "/tmp/spooltest.XXXXXX");
	if (mkdtemp(scratch) == NULL)
		log_fatal("mkdtemp");
	return open_again(sync);
}

HELPER void
spool_down(struct spool **s)
{
	spool_close(s);
	scratch_remove(scratch);
}

/* Faults from here on; NULL: none. */
HELPER void
faults(const char *text)
{
	if (text)
		setenv("POSTROAD_FAULT", text, 1);
	else
		unsetenv("POSTROAD_FAULT");
	fault_init("unit");
}

HELPER struct spool_msg
a_message(void)
{
	static struct spool_rcpt to[] = {
		{ .addr = STR("a@example.org"), .notify = NOTIFY_SUCCESS | NOTIFY_FAILURE, .orcpt = STR("rfc822;A@example.org") },
		{ .addr = STR("b@example.org"), .orig = STR("B@example.org"), .notify = NOTIFY_NEVER },
		{ .addr = STR("c@example.org") },
	};

	return (struct spool_msg){
		.id = qid_new(), .arrived = { 1234567890123456 }, .sender = STR("from@example.com"),
		.ret = RET_HDRS, .envid = STR("envelope=1"), .rcpts = to, .nrcpts = 3,
		.client_name = STR("client.example.com"), .client_addr = STR("192.0.2.1"), .client_helo = STR("helo"),
		.protocol = STR("ESMTP"), .login = STR("me"),
	};
}

/* Recognisable bytes: no two offsets of a page look alike. */
HELPER char *
bytes(size_t n)
{
	char *p = mem_new(n + 1);

	for (size_t i = 0; i < n; i++)
		p[i] = (char)(i * 131 + (i >> 8) * 7 + (i >> 16));
	return p;
}

HELPER WAITS enum err
put(struct spool *s, size_t size, struct spool_msg *m)
{
	char *content = bytes(size);
	struct entry *e;
	enum err r;

	*m = a_message();
	e = entry_new(s, m);
	r = entry_add(e, (struct str){ content, size / 3 });
	if (r == OK)
		r = entry_add(e, (struct str){ content + size / 3, size - size / 3 });
	if (r == OK)
		r = entry_commit(&e, MF_DOTS, m);
	else
		entry_abort(&e);
	free(content);
	return r;
}

/* The message is in d, whole, with the content that put() gave it. */
HELPER bool
is_whole(struct spool *s, enum spool_dir d, uint64_t id, size_t size)
{
	struct spool_view v;
	char *want, *have;
	bool same;
	int fd;

	if (spool_read(s, d, id, true, &v) != OK)
		return false;
	want = bytes(size);
	have = mem_new(size + 1);
	need(spool_open_content(s, d, id, &fd));
	same = v.msg.size == size && fd_read_all(fd, have, size, v.msg.content_at) == OK && memcmp(want, have, size) == 0 &&
	       v.msg.nrcpts == 3 && str_eq(v.msg.rcpts[1].orig, STR("B@example.org"));
	close(fd);
	free(want);
	free(have);
	spool_view_fini(&v);
	return same;
}

HELPER void
count_id(void *arg, uint64_t id)
{
	(void)id;
	++*(size_t *)arg;
}

HELPER size_t
files_in(struct spool *s, enum spool_dir d)
{
	size_t n = 0;

	need(spool_ids(s, d, count_id, &n));
	return n;
}

/* An abort is in the background; it holds on to the spool until it is done. */
HELPER WAITS void
until_removed(struct spool *s)
{
	for (int i = 0; i < 5000 && s->refs > 1; i++)
		need(task_sleep(time_after_ms(time_now(), 1)));
	CHECK(s->refs == 1);
}

HELPER bool
accept_all(void *arg, struct spool_view *v)
{
	(void)arg, (void)v;
	return true;
}

HELPER struct spool_scan_stats
scan_all(struct spool *s, enum spool_dir d, int debris_age)
{
	struct spool_scan how = { .fn = accept_all, .threads = 2, .debris_age = debris_age };
	struct spool_scan_stats stats;

	need(spool_scan(s, d, &how, &stats));
	return stats;
}

HELPER const char *
file_of(enum spool_dir d, uint64_t id)
{
	static char path[128];
	char below[SPOOL_PATH];

	snprintf(path, sizeof path, "%s/%s", scratch, spool_path(d, id, below));
	return path;
}

HELPER struct buf
slurp(const char *path)
{
	struct buf b = BUF(64 << 20);

	need(proc_read_file(path, &b));
	return b;
}

/* Puts content in the place of a file, without the care of proc_write_file(). */
HELPER void
spew(const char *path, struct str content)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	need(fd_write_all(fd, content, 0));
	close(fd);
}

HELPER enum err
note(struct spool *s, uint64_t id, enum jrn_type type, uint32_t index, const char *text)
{
	struct jrn_record r = { .type = (uint8_t)type, .at = 17, .index = index, .attempts = 2, .next_try = 99,
				.esc = STR("4.0.0"), .text = str_of(text), .mta = STR("mx.example.org"), .diag = STR("450 no") };
	struct buf b = BUF(0);
	enum err e;

	jrn_record_put(&b, &r);
	e = spool_append(s, SPOOL_INCOMING, id, buf_str(&b), true);
	buf_free(&b);
	return e;
}

#endif
