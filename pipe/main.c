/* SPDX-License-Identifier: Apache-2.0 */
/* pipe - hands mail to a command: the service's line in master.cf says which, as whom and how. */
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/drop.h"
#include "agent/environment.h"
#include "agent/frame.h"
#include "agent/trail.h"
#include "pipe/pipe.h"
#include "util/log.h"

enum { AT_ONCE = 50, WORDS_MAX = 1 << 20, HEAD_MAX = 64 << 10 };

static struct {
	struct pipe_service service;
	const char *name; /* of the service */
	const char *mail_owner;
	char *user, *group;
	bool known;                                    /* whose numbers these are */
	uid_t uid;
	gid_t gid;
	long long seconds;
} self;

/* -- as whom -- */

static enum err
refuse_powerful(uid_t uid, gid_t gid)
{
	const struct passwd *owner = self.mail_owner[0] ? getpwnam(self.mail_owner) : NULL;

	if (uid == 0)
		return fail(E_PERM, "user= command-line attribute specifies root privileges");
	if (gid == 0)
		return fail(E_PERM, "user= command-line attribute specifies root group privileges");
	if (owner && owner->pw_uid == uid)
		return fail(E_PERM, "user= command-line attribute specifies mail system owner %s",
		    self.mail_owner);
	if (owner && owner->pw_uid != 0 && owner->pw_gid == gid)
		return fail(E_PERM, "user= command-line attribute specifies mail system group");
	return OK;
}

/* May wait for a directory service.  E_NOENT: there is no such user, or not now. */
static enum err
find_account(void *arg)
{
	const struct passwd *pw = getpwnam(self.user);
	const struct group *gr;
	gid_t gid;

	(void)arg;
	if (pw == NULL)
		return fail(E_NOENT, "user= command-line attribute: unknown user: %s", self.user);
	self.uid = pw->pw_uid;
	gid = pw->pw_gid;
	if (self.group[0]) {
		gr = getgrnam(self.group);
		if (gr == NULL)
			return fail(E_NOENT, "user= command-line attribute: unknown group: %s", self.group);
		gid = gr->gr_gid;
	}
	self.gid = gid;
	if (geteuid() == 0)
		TRY(refuse_powerful(self.uid, gid));
	self.known = true;
	return OK;
}

static void
start(struct service *s, struct spool *spool, struct tasks *own)
{
	enum err e;

	(void)spool, (void)own;
	if (pipe_service_parse(&self.service, s->args) != OK)
		log_fatal("service %s in master.cf: %s", s->name, err_why());
	self.name = s->name;
	self.mail_owner = s->params.mail_owner;
	self.seconds = params_transport(&s->params, str_of(s->name), "_time_limit");
	self.user = str_dup(self.service.user);
	self.group = str_dup(self.service.group);
	e = find_account(NULL);
	if (e == E_PERM)
		log_fatal("service %s in master.cf: %s", s->name, err_why());
	if (e != OK)
		log_warn("service %s in master.cf: %s", s->name, err_why());
}

static uint32_t
capacity(const struct params *p)
{
	(void)p;
	return AT_ONCE;
}

/* -- one command: the recipients from..to -- */

struct errand {
	struct job *job;
	size_t from, to;
	struct buf head, argv, env;
	char esc[ESC_MAX];
};

static enum err
failed(struct errand *r, enum err e, const char *esc)
{
	snprintf(r->esc, sizeof r->esc, "%s", esc);
	return e;
}

static bool
make_head(const struct errand *r, struct buf *out)
{
	static const struct {
		unsigned flag, line;
	} lines[] = {
		{PIPE_FROM,         FRAME_FROM       },
		{ PIPE_RETURN_PATH, FRAME_RETURN_PATH},
		{ PIPE_ORIGINAL,    FRAME_ORIGINAL   },
		{ PIPE_DELIVERED,   FRAME_DELIVERED  },
	};
	const struct msg_rcpt *to = &r->job->rcpts[r->from].rcpt;
	struct frame f = { .sender =
			       r->job->m.sender.n > 0 ? r->job->m.sender : self.service.null_sender,
		.original = to->orig.n > 0 ? to->orig : to->addr,
		.delivered = to->addr,
		.now = wall_now() };

	for (size_t i = 0; i < countof(lines); i++)
		f.lines |= self.service.flags & lines[i].flag ? lines[i].line : 0;
	return frame_head(&f, out);
}

static WAITS enum err
check_loop(struct errand *r)
{
	struct buf header = BUF(0);
	struct str to = r->job->rcpts[r->from].rcpt.addr;
	enum err e = job_header(r->job, &header);

	if (e != OK)
		failed(r, e, "4.3.0");
	else if (trail_delivered(buf_str(&header), to))
		e = failed(
		    r, fail(E_REFUSED, "mail forwarding loop for %.*s", STR_ARG(to)), "5.4.6");
	buf_free(&header);
	return e;
}

static WAITS enum err
make_command(struct errand *r)
{
	struct pipe_words w = {
		.service = &self.service, .job = r->job, .from = r->from, .to = r->to
	};
	enum err e;

	if (!self.known && (e = task_offload(find_account, NULL)) != OK)
		return failed(r, e, "4.3.5");
	if (self.service.size > 0 && r->job->m.size > self.service.size)
		return failed(r, fail(E_REFUSED, "message too large"), "5.2.3");
	if (self.service.flags & PIPE_DELIVERED)
		TRY(check_loop(r));
	if (self.service.envelope && (e = job_envelope(r->job, &w.envelope)) != OK)
		return failed(r, e, "4.3.0");
	e = pipe_words(&w, &r->argv);
	if (e != OK)
		return failed(r, e, e == E_REFUSED ? "5.1.3" : "4.3.0");
	if (!environment_add(r->job->params, &r->env) || !make_head(r, &r->head))
		return failed(r, fail(E_NOSPACE, "no memory"), "4.3.0");
	return OK;
}

static unsigned
drop_flags(void)
{
	static const struct {
		unsigned flag, drop;
	} flags[] = {
		{PIPE_BLANK_END,   DROP_EMPTY_END },
		{ PIPE_DOTS,       DROP_QUOTE_DOT },
		{ PIPE_QUOTE_FROM, DROP_QUOTE_FROM},
	};

	unsigned drop = DROP_NO_SHELL | (self.service.crlf ? DROP_CRLF : 0);

	for (size_t i = 0; i < countof(flags); i++)
		drop |= self.service.flags & flags[i].flag ? flags[i].drop : 0;
	return drop;
}

static void
settle(struct errand *r, enum err e, const struct drop *d)
{
	struct str said = str_sub(buf_str(&d->output), 0, 200);
	enum rcpt_status status = e == OK          ? RCPT_SENT
				  : e == E_REFUSED ? RCPT_BOUNCED
						   : RCPT_DEFERRED;

	for (size_t i = r->from; i < r->to; i++) {
		struct outcome *o = &r->job->rcpts[i];

		o->action = self.service.flags & PIPE_FINAL ? ACTION_DELIVERED : ACTION_RELAYED;
		if (e == OK)
			outcome_set(r->job, o, status, "2.0.0", "", STR(""),
			    "delivered via %s service%s%.*s%s", self.name, said.n > 0 ? " (" : "",
			    STR_ARG(said), said.n > 0 ? ")" : "");
		else
			outcome_set(r->job, o, status, r->esc, "", STR(""), "%s", err_why());
	}
}

static WAITS void
run_errand(struct job *j, size_t from, size_t to)
{
	struct errand r = { .job = j,
		.from = from,
		.to = to,
		.head = BUF(HEAD_MAX),
		.argv = BUF(WORDS_MAX),
		.env = BUF(HEAD_MAX) };
	struct drop d = { .kind = DROP_COMMAND,
		.user = self.user,
		.path = self.service.directory,
		.chroot = self.service.chroot,
		.flags = drop_flags(),
		.seconds = self.seconds };
	enum err e = make_command(&r);
	bool split = e == E_TOOBIG && to - from > 1;

	if (e == OK) {
		d.uid = self.uid;
		d.gid = self.gid;
		d.argv = buf_str(&r.argv);
		d.env = buf_str(&r.env);
		d.head = buf_str(&r.head);
		e = failed(&r, drop_run(j, &d), d.esc);
	}
	if (!split)
		settle(&r, e, &d);
	drop_fini(&d);
	buf_free(&r.head);
	buf_free(&r.argv);
	buf_free(&r.env);
	/* More words than one command line has room for. */
	if (split) {
		run_errand(j, from, from + (to - from) / 2);
		run_errand(j, from + (to - from) / 2, to);
	}
}

/* Lines that name the recipient are for one each. */
static void
deliver(struct job *j)
{
	size_t at_once = self.service.flags & (PIPE_DELIVERED | PIPE_ORIGINAL) ? 1 : j->n;

	(void)!buf_adds(&j->relay, self.name);
	j->ready = wall_now();
	for (size_t i = 0; i < j->n && !task_stopping(); i += at_once)
		run_errand(j, i, i + at_once);
}

int
main(int argc, char **argv)
{
	static const struct agent_spec spec = {
		.prog = "pipe",
		.helpers = 8,
		.promises = "start-programs spool-read accounts",
		.start = start,
		.capacity = capacity,
		.deliver = deliver,
	};

	return agent_main(argc, argv, &spec);
}
