/* SPDX-License-Identifier: Apache-2.0 */
/* What postdrop reads on its standard input.  First byte: bit 0: the rest is that as it stands; else a head is made of it, so that what is
 * behind its lengths is reached: u8 length and the sender, u8 ret, u8 length and the envelope id, u32 flags, u16 length and the
 * recipients, then the content.  What postdrop takes, pickup can read, and finds what was said. */
int postdrop_main(int argc, char **argv);
#define main postdrop_main
#include "postdrop/main.c"
#undef main

#include <sys/mman.h>

#include "tests/fuzz/input.h"
#include "tests/unit/scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { RAW = 1, ROOM = 1 << 20 };

static struct params settings;
static struct spool *spool;
static char dir[64];

static void
clean_up(void)
{
	scratch_remove(dir);
}

static void
set_up(void)
{
	int in = memfd_create("input", 0);

	snprintf(dir, sizeof dir, "%s/submit_fuzz.XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	ENSURE(in >= 0 && mkdtemp(dir) != NULL && dup2(in, 0) == 0);
	atexit(clean_up);
	close(in);
	settings.queue_directory = dir;
	settings.message_size_limit = 2000;
	ENSURE(spool_open(dir, SYNC_NONE, false, &spool) == OK);
}

static void
seal(struct str in, struct buf *out)
{
	struct submit_head h = { .version = SUBMIT_VERSION };
	struct buf head = BUF(ROOM);

	h.sender = take_piece(&in, take_byte(&in));
	h.ret = (uint8_t)take_byte(&in);
	h.envid = take_piece(&in, take_byte(&in));
	h.flags = (uint32_t)take_byte(&in) << 8 | (uint32_t)take_byte(&in);
	h.rcpts = take_piece(&in, take_byte(&in) << 8 | take_byte(&in));
	ENSURE(submit_head_put(&head, &h) && wire_put_str(out, buf_str(&head)));
	ENSURE((in.n == 0 || wire_put_str(out, in)) && wire_put_u32(out, 0));
	buf_free(&head);
}

/* -- what has come of it -- */

static void
one_more(void *arg, uint64_t id)
{
	(void)id;
	++*(int *)arg;
}

static void
check_msg(const struct spool_msg *m)
{
	ENSURE(m->nrcpts > 0 && m->ret <= RET_HDRS && m->size <= (uint64_t)settings.message_size_limit);
	ENSURE((m->flags & ~(uint32_t)(MF_BODY8 | MF_UTF8 | MF_REPORT | MF_VERIFY)) == 0);
	ENSURE(is_clean(m->sender) && is_clean(m->envid));
	for (size_t i = 0; i < m->nrcpts; i++)
		ENSURE(m->rcpts[i].addr.n > 0 && is_clean(m->rcpts[i].addr) && is_clean(m->rcpts[i].orig) &&
		       is_clean(m->rcpts[i].orcpt) && m->rcpts[i].notify < 16);
}

static void
check_drop(void *arg, uint64_t id)
{
	struct dropped d;

	(void)arg;
	ENSURE(maildrop_open(spool, id, &d) == OK);
	ENSURE(d.uid == getuid());
	check_msg(&d.view.msg);
	dropped_close(&d);
	ENSURE(maildrop_remove(spool, id) == OK);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str in = { (const char *)data, n };
	struct buf all = BUF(ROOM);
	int count = 0, status;

	if (n == 0)
		return 0;
	if (spool == NULL)
		set_up();
	in = str_sub(in, 1, n);
	if (data[0] & RAW)
		ENSURE(buf_add(&all, in));
	else
		seal(in, &all);
	ENSURE(ftruncate(0, 0) == 0 && pwrite(0, all.p, all.n, 0) == (ssize_t)all.n && lseek(0, 0, SEEK_SET) == 0);
	status = drop(&settings);
	ENSURE(maildrop_list(spool, one_more, &count) == OK && count == (status == EX_OK));
	ENSURE(maildrop_list(spool, check_drop, NULL) == OK);
	buf_free(&all);
	return 0;
}
