/* SPDX-License-Identifier: Apache-2.0 */
#include "intake/notice.h"

#include <stdio.h>

#include "intake/newlines.h"
#include "mail/dsn.h"
#include "mail/header.h"
#include "util/log.h"
#include "util/proc.h"

enum { NOTICE_MAX = 64 << 20, SENDER_MAX = 1024 };

struct notices {
	struct intake *in;
	const struct params *p;
	struct templates templates;
};

struct notices *
notices_start(struct intake *in)
{
	struct notices *n = mem_new(sizeof *n);

	n->in = in;
	n->p = intake_params(in);
	if (templates_load(&n->templates, n->p) != OK ||
	    templates_expand(&n->templates, n->p) != OK) {
		log_warn("%s: the built-in texts are used instead", err_why());
		templates_fini(&n->templates);
		templates_init(&n->templates);
		ENSURE(templates_expand(&n->templates, n->p) == OK);
	}
	return n;
}

void
notices_free(struct notices **pn)
{
	if (*pn == NULL)
		return;
	templates_fini(&(*pn)->templates);
	mem_free(pn);
}

/* -- the original: read by a helper thread, as that blocks on the disk -- */

struct original {
	const struct notice_job *job;
	size_t want;
	struct buf text;
};

static enum err
read_original(void *arg)
{
	struct original *o = arg;
	char *room = buf_room(&o->text, o->want);

	if (room == NULL)
		return fail(E_TOOBIG, "message too large");
	TRY(fd_read_all(o->job->fd, room, o->want, o->job->what->content_at));
	buf_grew(&o->text, o->want);
	return OK;
}

/* -- one notice -- */

/* Who is told, and how it is called in the log. */
struct addressee {
	const char *to; /* NULL: the sender */
	bool headers_only;
	const char *words;
};

static bool
returns_all(const struct notices *n, const struct notice_job *job, const struct addressee *who)
{
	return job->what->kind == NOTICE_FAILURE && !who->headers_only &&
	       job->what->size <= (uint64_t)n->p->bounce_size_limit &&
	       !(job->envelope && job->envelope->ret == RET_HDRS);
}

static WAITS enum err
write_notice(struct notices *n, const struct notice_job *job, const struct addressee *who,
    struct dsn *d, struct buf *out)
{
	struct original o = { .job = job, .text = BUF(NOTICE_MAX) };
	uint64_t limit = (uint64_t)n->p->header_size_limit;
	enum err e;

	d->headers_only = !returns_all(n, job, who);
	o.want = (size_t)(d->headers_only && job->what->size > limit ? limit : job->what->size);
	e = task_offload(read_original, &o);
	if (e == OK) {
		d->original = d->headers_only ? message_header(buf_str(&o.text)) : buf_str(&o.text);
		d->eight_bit = (newlines_flags(d->original) & MF_8BIT) != 0;
		e = dsn_write(d, out);
	}
	buf_free(&o.text);
	return e;
}

/* The texts of the envelope that a notice wants. */
static struct str *
orcpts_of(const struct spool_msg *m)
{
	struct str *v = mem_array(m ? m->nrcpts + 1 : 1, sizeof *v);

	for (size_t i = 0; m && i < m->nrcpts; i++)
		v[i] = m->rcpts[i].orcpt;
	return v;
}

static WAITS enum err
send_one(struct notices *n, const struct notice_job *job, const struct addressee *who, uint64_t *id)
{
	const struct msg_bounce *what = job->what;
	struct spool_msg m = { .id = qid_new(), .arrived = wall_now() };
	struct str *orcpts = orcpts_of(job->envelope);
	long long lifetime =
	    what->sender.n ? n->p->maximal_queue_lifetime : n->p->bounce_queue_lifetime;
	struct dsn d = { .params = n->p,
		.template =
		    &n->templates.v[what->kind < NOTICE_KINDS ? what->kind : NOTICE_FAILURE],
		.job = what,
		.id = m.id,
		.now = m.arrived,
		.to = who->to ? str_of(who->to) : what->sender,
		.postmaster = who->to != NULL,
		.envid = job->envelope ? job->envelope->envid : STR(""),
		.orcpts = orcpts,
		.norcpts = job->envelope ? job->envelope->nrcpts : 0,
		.until = { what->arrived + lifetime * 1000000 },
		.utf8 = (what->flags & MF_UTF8) != 0 };
	struct buf text = BUF(NOTICE_MAX);
	char old[QID_TEXT], new[QID_TEXT];
	enum err e = write_notice(n, job, who, &d, &text);

	/* What goes to a postmaster comes from an address that no notice is sent to. */
	if (e == OK)
		e = intake_post(n->in, &m, who->to ? str_of(n->p->double_bounce_sender) : STR(""), d.to,
		    buf_str(&text), what->flags & MF_UTF8);
	if (e == OK)
		log_info("%s: %s: %s", qid_text(what->id, old), who->words, qid_text(m.id, new));
	*id = m.id;
	buf_free(&text);
	free(orcpts);
	return e;
}

/* -- who is told -- */

static bool
has_class(const struct notices *n, const char *class)
{
	return list_has(str_of(n->p->notify_classes), str_of(class), false);
}

static WAITS void
send_copy(struct notices *n, const struct notice_job *job)
{
	struct addressee copy = { .headers_only = true };
	char id[QID_TEXT];
	uint64_t copy_id;

	if (job->what->kind == NOTICE_FAILURE && has_class(n, "bounce")) {
		copy.to = n->p->bounce_notice_recipient;
		copy.words = "postmaster non-delivery notification";
	} else if (job->what->kind == NOTICE_DELAY && has_class(n, "delay")) {
		copy.to = n->p->delay_notice_recipient;
		copy.words = "postmaster delay notification";
	}
	if (copy.to && send_one(n, job, &copy, &copy_id) != OK)
		log_warn("%s: no copy of the notice to %s: %s", qid_text(job->what->id, id),
		    copy.to, err_why());
}

/* Is he told in the sender's place? */
static bool
postmaster_wants(const struct notices *n, const struct notice_job *job)
{
	return job->what->kind <= NOTICE_DELAY && has_class(n, "2bounce");
}

/* Whom else could be told when even that cannot be made? */
static WAITS enum err
send_to_postmaster(struct notices *n, const struct notice_job *job, const struct addressee *postmaster, uint64_t *id)
{
	enum err e = send_one(n, job, postmaster, id);
	char text[QID_TEXT];

	if (e != E_TOOBIG)
		return e;
	log_error("%s: no notice to %s can be made: it is given up: %s", qid_text(job->what->id, text),
	    postmaster->to, err_why());
	*id = 0;
	return OK;
}

/* The sender can never be told: his address stands for more than virtual_alias_expansion_limit
 * allows, the notice would be beyond all bounds, or it has been tried for too long.  Asking again would not help. */
static WAITS enum err
send_instead(struct notices *n, const struct notice_job *job, struct addressee *postmaster, uint64_t *id)
{
	char text[QID_TEXT];
	bool told = job->what->sender.n > 0 && postmaster_wants(n, job);

	*id = 0;
	log_error("%s: no notice to <%.*s> can be made, %s: %s", qid_text(job->what->id, text),
	    STR_ARG(job->what->sender), told ? "the postmaster gets it instead" : "it is given up",
	    err_why());
	postmaster->headers_only = true;
	return told ? send_to_postmaster(n, job, postmaster, id) : OK;
}

enum err
notice_send(struct notices *n, const struct notice_job *job, uint64_t *id)
{
	static const char *const words[NOTICE_KINDS] = { [NOTICE_FAILURE] =
							     "sender non-delivery notification",
		[NOTICE_DELAY] = "sender delay notification",
		[NOTICE_SUCCESS] = "sender delivery status notification",
		[NOTICE_REPORT] = "sender delivery status notification" };
	struct addressee sender = {
		.words = words[job->what->kind < NOTICE_KINDS ? job->what->kind : NOTICE_FAILURE]
	};
	struct addressee postmaster = { .to = n->p->_2bounce_notice_recipient,
		.words = "postmaster non-delivery notification" };

	*id = 0;
	if (job->what->kind == NOTICE_DELAY) {
		postmaster.to = n->p->delay_notice_recipient;
		postmaster.words = "postmaster delay notification";
		postmaster.headers_only = true;
	}
	if (job->what->given_up.n > 0) {
		(void)fail(E_TOOBIG, "for too long: %.*s", STR_ARG(job->what->given_up));
		return send_instead(n, job, &postmaster, id);
	}
	if (job->what->sender.n > 0) {
		enum err e = send_one(n, job, &sender, id);

		if (e == OK)
			send_copy(n, job);
		return e == E_TOOBIG ? send_instead(n, job, &postmaster, id) : e;
	}
	return postmaster_wants(n, job) ? send_to_postmaster(n, job, &postmaster, id) : OK;
}
