/* SPDX-License-Identifier: Apache-2.0 */
/* postdrop - puts a message into maildrop/ for any user of the host.  Installed set-gid, it is the
 * only thing that may write there, so it trusts neither who calls it nor what it reads:
 * spool/maildrop.h has the form of that.  Exit status as in sysexits.h; 0 only when the message is
 * durable. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "mail/params.h"
#include "mail/users.h"
#include "spool/layout.h"
#include "spool/maildrop.h"
#include "util/log.h"
#include "util/proc.h"

enum { RCPTS_MAX = 1000000 };

static volatile sig_atomic_t interrupted;

static void
on_signal(int sig)
{
	interrupted = sig;
}

static int
complain(int status, const char *fmt, ...)
{
	va_list ap;

	fputs("postdrop: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return status;
}

/* Nothing of the caller's surroundings may steer a program with more rights than he has. */
static void
clean_room(void)
{
	static const int deadly[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGALRM };
	struct sigaction act = { .sa_handler = on_signal }; /* no SA_RESTART: a read is to end */
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= 2);
	proc_close_from(3);
	clearenv();
	umask(022);
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	for (size_t i = 0; i < countof(deadly); i++)
		sigaction(deadly[i], &act, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
}

/* -- standard input -- */

static bool
read_exactly(char *p, size_t n)
{
	while (n > 0) {
		ssize_t got = interrupted ? -1 : read(0, p, n);

		if (got <= 0 && !(got < 0 && errno == EINTR && !interrupted))
			return false;
		p += got > 0 ? got : 0;
		n -= got > 0 ? (size_t)got : 0;
	}
	return true;
}

/* A u32 length and so many bytes. */
static bool
read_piece(struct buf *b, size_t most)
{
	char raw[4], *room;
	struct str in = { raw, sizeof raw };
	uint32_t n;

	buf_clear(b);
	if (!read_exactly(raw, sizeof raw) || !wire_get_u32(&in, &n) || n > most)
		return false;
	if (n == 0)
		return true;
	if ((room = buf_room(b, n)) == NULL || !read_exactly(room, n))
		return false;
	buf_grew(b, n);
	return true;
}

static bool
is_clean(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 127)
			return false;
	return true;
}

static bool
take_rcpts(struct str in, struct spool_msg *m)
{
	struct envelope_rcpt r;
	struct str rest = in;

	for (m->nrcpts = 0; rest.n > 0; m->nrcpts++)
		if (m->nrcpts == RCPTS_MAX || !envelope_rcpt_take(&rest, &r) || r.addr.n == 0 ||
		    !is_clean(r.addr) || !is_clean(r.orig) || !is_clean(r.orcpt))
			return false;
	m->rcpts = mem_array(m->nrcpts + 1, sizeof *m->rcpts);
	for (size_t i = 0; i < m->nrcpts; i++) {
		ENSURE(envelope_rcpt_take(&in, &r));
		m->rcpts[i] = (struct spool_rcpt){ r.addr, r.orig, r.notify & 15, r.orcpt };
	}
	return m->nrcpts > 0;
}

static bool
take_head(struct str in, struct spool_msg *m)
{
	struct submit_head h;

	if (submit_head_get(in, &h) != OK || h.version != SUBMIT_VERSION || h.ret > RET_HDRS ||
	    !is_clean(h.sender) || !is_clean(h.envid))
		return false;
	m->sender = h.sender;
	m->ret = h.ret;
	m->envid = h.envid;
	m->flags = h.flags & (MF_BODY8 | MF_UTF8 | MF_REPORT | MF_VERIFY);
	return take_rcpts(h.rcpts, m);
}

/* -- who may do what -- */

/* With rights of its own, only the administrator's configurations count. */
static bool
config_is_allowed(const char *dir)
{
	struct params p;
	bool allowed;

	if (getuid() == 0 || (geteuid() == getuid() && getegid() == getgid()) ||
	    strcmp(dir, POSTROAD_SYSCONF) == 0)
		return true;
	if (params_load(&p, POSTROAD_SYSCONF, NULL, 0) != OK)
		return false;
	allowed = list_has(str_of(p.alternate_config_directories), str_of(dir), false);
	params_fini(&p);
	return allowed;
}

static bool
user_is_allowed(const struct params *p, const char *dir)
{
	struct user u;

	user_look_up(getuid(), &u);
	return user_is_among(&u, p->authorized_submit_users, "authorized_submit_users", dir);
}

/* -- the message -- */

static int
status_of(enum err e)
{
	return e == E_TOOBIG ? EX_DATAERR : EX_TEMPFAIL;
}

static int
copy_content(const struct params *p, struct maildrop *d)
{
	struct buf piece = BUF(SUBMIT_PIECE_MAX);
	int status = EX_OK;

	while (status == EX_OK) {
		if (!read_piece(&piece, SUBMIT_PIECE_MAX)) {
			status = interrupted
				     ? EX_TEMPFAIL
				     : complain(EX_SOFTWARE, "the end of the message is missing");
		} else if (piece.n == 0) {
			break;
		} else if (p->message_size_limit > 0 &&
			   maildrop_size(d) + piece.n > (uint64_t)p->message_size_limit) {
			status = complain(EX_DATAERR,
			    "message file too big: over message_size_limit, %lld bytes",
			    p->message_size_limit);
		} else {
			enum err e = maildrop_add(d, buf_str(&piece));

			if (e != OK)
				status = complain(status_of(e), "%s", err_why());
		}
	}
	buf_free(&piece);
	return status;
}

static int
drop(const struct params *p)
{
	struct spool_msg m = { .arrived = wall_now(),
		.client_name = STR("localhost"),
		.client_addr = STR("127.0.0.1") };
	struct buf head = BUF(SUBMIT_HEAD_MAX);
	struct maildrop *d = NULL;
	int status;
	enum err e;

	if (!read_piece(&head, SUBMIT_HEAD_MAX) || !take_head(buf_str(&head), &m))
		status = interrupted ? EX_TEMPFAIL : complain(EX_DATAERR, "malformed request");
	else if ((e = maildrop_new(p->queue_directory, &m, &d)) != OK)
		status = complain(status_of(e), "%s", err_why());
	else
		status = copy_content(p, d);
	if (status != EX_OK)
		maildrop_abort(&d);
	else if ((e = maildrop_commit(&d)) != OK)
		status = complain(status_of(e), "%s", err_why());
	free(m.rcpts);
	buf_free(&head);
	return status;
}

int
main(int argc, char **argv)
{
	const char *dir = POSTROAD_SYSCONF;
	struct params p;
	int status, opt;

	clean_room();
	log_stderr("postdrop");
	while ((opt = getopt(argc, argv, "c:rv")) != -1) {
		if (opt == 'c')
			dir = optarg;
		else if (opt != 'r' && opt != 'v')
			return complain(EX_USAGE, "usage: postdrop [-c config_dir] [-rv]");
	}
	if (!config_is_allowed(dir))
		return complain(EX_NOPERM, "%s is not one of alternate_config_directories", dir);
	if (params_load(&p, dir, NULL, 0) != OK)
		return complain(EX_CONFIG, "%s", err_why());
	if (!user_is_allowed(&p, dir))
		return complain(
		    EX_NOPERM, "User %u is not allowed to submit mail", (unsigned)getuid());
	status = drop(&p);
	params_fini(&p);
	return status;
}
