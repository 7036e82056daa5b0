/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/submit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "spool/layout.h"
#include "spool/maildrop.h"
#include "util/proc.h"

enum { ADDRESS_MAX = 1000, EXEC_FAILED = 127 };

void
submit_init(struct submission *s)
{
	*s = (struct submission){ .to = -1 };
}

static int
reap(struct submission *s)
{
	int status;

	while (waitpid(s->pid, &status, 0) < 0)
		if (errno != EINTR)
			return EX_OSERR;
	s->pid = 0;
	if (!WIFEXITED(status))
		return EX_TEMPFAIL;
	return WEXITSTATUS(status) == EXEC_FAILED ? EX_UNAVAILABLE : WEXITSTATUS(status);
}

void
submit_fini(struct submission *s)
{
	if (s->to >= 0)
		close(s->to);
	if (s->pid > 0)
		(void)reap(s);
	buf_free(&s->sender);
	buf_free(&s->envid);
	buf_free(&s->rcpts);
	submit_init(s);
}

bool
submit_is_address(struct str addr)
{
	bool quoted = false;

	if (addr.n == 0 || addr.n > ADDRESS_MAX)
		return false;
	for (size_t i = 0; i < addr.n; i++) {
		unsigned char c = (unsigned char)addr.p[i];

		if (c < ' ' || c == 127 || (!quoted && (c == ' ' || c == '<' || c == '>' || c == ',')))
			return false;
		if (c == '"')
			quoted = !quoted;
		else if (c == '\\' && ++i == addr.n)
			return false;
	}
	return !quoted;
}

bool
submit_rcpt(struct submission *s, struct str addr)
{
	if (!str_ascii(addr))
		s->flags |= MF_UTF8;
	s->nrcpts++;
	return envelope_rcpt_put(&s->rcpts, &(struct envelope_rcpt){ .addr = addr, .notify = s->notify }) &&
	    s->rcpts.n < SUBMIT_HEAD_MAX / 2;
}

static void
run_postdrop(const struct cmd *c, const struct params *p)
{
	const char *in = p->command_directory[0] ? p->command_directory : proc_self_dir();
	char path[4200];

	snprintf(path, sizeof path, "%s/postdrop", in);
	execl(path, "postdrop", "-c", c->dir, NULL);
	fprintf(stderr, "%s: cannot run %s: %s\n", c->name, path, strerror(errno));
	_exit(EXEC_FAILED);
}

/* What cannot be written shows in postdrop's exit status. */
static void
write_all(struct submission *s, struct str data)
{
	if (s->to >= 0 && fd_write_all(s->to, data, -1) != OK) {
		close(s->to);
		s->to = -1;
	}
}

static void
write_piece(struct submission *s, struct str piece)
{
	uint32_t n = (uint32_t)piece.n;
	/* Nothing here may fail for want of memory: a piece without its length would be read as one. */
	char length[4] = { (char)n, (char)(n >> 8), (char)(n >> 16), (char)(n >> 24) };

	write_all(s, (struct str){ length, sizeof length });
	write_all(s, piece);
}

void
submit_begin(struct submission *s, const struct cmd *c, const struct params *p)
{
	struct submit_head head = { .version = SUBMIT_VERSION, .sender = buf_str(&s->sender), .ret = s->ret,
		.envid = buf_str(&s->envid), .flags = s->flags, .rcpts = buf_str(&s->rcpts) };
	struct buf b = BUF(SUBMIT_HEAD_MAX);
	int fd[2];

	signal(SIGPIPE, SIG_IGN);
	if (pipe2(fd, O_CLOEXEC) != 0 || (s->pid = fork()) < 0) {
		cmd_warn(c, "cannot start postdrop: %s", strerror(errno));
		s->pid = 0;
		return;
	}
	if (s->pid == 0) {
		if (dup2(fd[0], 0) < 0)
			_exit(EX_TEMPFAIL);
		signal(SIGPIPE, SIG_DFL);
		run_postdrop(c, p);
	}
	close(fd[0]);
	s->to = fd[1];
	if (submit_head_put(&b, &head))
		write_piece(s, buf_str(&b));
	buf_free(&b);
}

void
submit_add(struct submission *s, struct str content)
{
	while (content.n > 0) {
		struct str piece = str_sub(content, 0, SUBMIT_PIECE_MAX);

		write_piece(s, piece);
		content = str_sub(content, piece.n, content.n);
	}
}

int
submit_end(struct submission *s)
{
	if (s->pid == 0)
		return EX_TEMPFAIL;
	write_piece(s, STR(""));
	if (s->to >= 0)
		close(s->to);
	s->to = -1;
	return reap(s);
}
