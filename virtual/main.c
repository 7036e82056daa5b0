/* SPDX-License-Identifier: Apache-2.0 */
/* virtual - mailboxes of people who have no account here: virtual_mailbox_maps says where,
 * virtual_uid_maps and virtual_gid_maps whose.  No commands, no aliases, no .forward. */
#include <stdio.h>

#include "agent/agent.h"
#include "agent/drop.h"
#include "agent/frame.h"
#include "mail/maps.h"
#include "util/log.h"

enum { FILE_SECONDS = 300, PATH_MOST = 4000 };

static struct {
	const struct params *p;
	struct maps *mailboxes, *uids, *gids;
} virtual;

static void
open_table(const char *spec, const char *name, const char *dir, struct maps **m)
{
	if (maps_open(str_of(spec), name, dir, m) != OK)
		log_fatal("%s", err_why());
}

static void
start(struct service *s, struct spool *spool, struct tasks *own)
{
	(void)spool, (void)own;
	virtual.p = &s->params;
	open_table(s->params.virtual_mailbox_maps, "virtual_mailbox_maps", s->config_dir,
	    &virtual.mailboxes);
	open_table(s->params.virtual_uid_maps, "virtual_uid_maps", s->config_dir, &virtual.uids);
	open_table(s->params.virtual_gid_maps, "virtual_gid_maps", s->config_dir, &virtual.gids);
}

static void
finish(void)
{
	maps_close(&virtual.mailboxes);
	maps_close(&virtual.uids);
	maps_close(&virtual.gids);
}

static uint32_t
capacity(const struct params *p)
{
	(void)p;
	return 50;
}

static WAITS enum err
look_up(struct maps *m, struct str addr, struct buf *value, bool *found)
{
	struct buf ext = BUF(PATH_MOST);
	enum err e;

	*found = false;
	e = m ? maps_find_address(
		    m, addr, virtual.p->recipient_delimiter, false, value, &ext, found)
	      : OK;
	buf_free(&ext);
	return e;
}

/* A number from a table; E_NOENT: there is none for this recipient. */
static WAITS enum err
look_up_id(struct maps *m, const char *what, struct str addr, long long least, uint32_t *id)
{
	struct buf value = BUF(64);
	bool found;
	uint64_t v = 0;
	enum err e = look_up(m, addr, &value, &found);

	if (e == OK && !found)
		e = fail(E_NOENT, "recipient <%.*s>: not found in %s", STR_ARG(addr), what);
	else if (e == OK && (!str_u64(str_trim(buf_str(&value)), &v) || v >= UINT32_MAX ||
				(long long)v < least))
		e = fail(E_PERM, "recipient <%.*s>: bad value \"%s\" in %s", STR_ARG(addr),
		    buf_cstr(&value), what);
	*id = (uint32_t)v;
	buf_free(&value);
	return e;
}

static bool
make_head(const struct job *j, const struct outcome *o, bool mbox, struct buf *out)
{
	return frame_head(&(struct frame){ .sender = j->m.sender,
			      .original = o->rcpt.orig.n > 0 ? o->rcpt.orig : o->rcpt.addr,
			      .delivered = o->rcpt.addr,
			      .lines = mbox ? FRAME_ALL : FRAME_ALL & ~FRAME_FROM,
			      .now = wall_now() },
	    out);
}

/* The path below virtual_mailbox_base; one with ".." could lead anywhere. */
static enum err
make_path(struct str addr, struct str box, struct buf *path)
{
	struct str rest = box, part;

	while (str_cut(&rest, '/', &part))
		if (str_eq(part, STR("..")))
			return fail(E_PERM,
			    "recipient <%.*s>: bad path in virtual_mailbox_maps: %.*s",
			    STR_ARG(addr), STR_ARG(box));
	return buf_printf(path, "%s/%.*s", virtual.p->virtual_mailbox_base, STR_ARG(box)) &&
		       path->n < PATH_MOST
		   ? OK
		   : fail(E_PERM, "recipient <%.*s>: path too long", STR_ARG(addr));
}

static WAITS enum err
drop(struct job *j, struct outcome *o, struct str box, char esc[ESC_MAX], bool *maildir)
{
	struct buf path = BUF(8 << 10), head = BUF(64 << 10);
	struct drop d = { .seconds = FILE_SECONDS,
		.size_limit = (uint64_t) virtual.p->virtual_mailbox_limit };
	struct str addr = o->rcpt.addr;
	enum err e = make_path(addr, box, &path);

	*maildir = str_ends(box, STR("/"));
	d.kind = *maildir ? DROP_MAILDIR : DROP_MBOX;
	d.flags = *maildir ? 0 : DROP_QUOTE_FROM | DROP_EMPTY_END;
	if (e == OK)
		e = look_up_id(
		    virtual.uids, "virtual_uid_maps", addr, virtual.p->virtual_minimum_uid, &d.uid);
	if (e == OK)
		e = look_up_id(virtual.gids, "virtual_gid_maps", addr, 1, &d.gid);
	if (e == OK && !make_head(j, o, !*maildir, &head))
		e = fail(E_NOSPACE, "no memory");
	snprintf(esc, ESC_MAX, "4.3.5");
	if (e == OK && !job_is_trial(j)) {
		d.path = buf_str(&path);
		d.head = buf_str(&head);
		e = drop_run(j, &d);
		snprintf(esc, ESC_MAX, "%s", d.esc);
	}
	drop_fini(&d);
	buf_free(&path);
	buf_free(&head);
	return e;
}

static WAITS void
deliver_one(struct job *j, struct outcome *o)
{
	struct buf box = BUF(PATH_MOST);
	char esc[ESC_MAX] = "4.3.0";
	bool found, maildir = false;
	enum err e = look_up(virtual.mailboxes, o->rcpt.addr, &box, &found);

	if (e == OK && !found) {
		outcome_set(j, o, RCPT_BOUNCED, "5.1.1", "", STR(""), "unknown user: \"%.*s\"",
		    STR_ARG(o->rcpt.addr));
	} else {
		if (e == OK)
			e = drop(j, o, str_trim(buf_str(&box)), esc, &maildir);
		if (e == OK)
			outcome_set(j, o, RCPT_SENT, "2.0.0", "", STR(""), "%s to %s",
			    job_is_trial(j) ? "delivers" : "delivered", maildir ? "maildir" : "mailbox");
		else
			outcome_set(j, o, e == E_REFUSED ? RCPT_BOUNCED : RCPT_DEFERRED, esc, "",
			    STR(""), "%s", err_why());
	}
	buf_free(&box);
}

static void
deliver(struct job *j)
{
	(void)!buf_adds(&j->relay, "virtual");
	j->ready = wall_now();
	for (size_t i = 0; i < j->n && !task_stopping(); i++)
		deliver_one(j, &j->rcpts[i]);
}

int
main(int argc, char **argv)
{
	static const struct agent_spec spec = {
		.prog = "virtual",
		.helpers = 8,
		.promises = "start-deliver spool-read tables accounts",
		.start = start,
		.capacity = capacity,
		.trials = true,
		.deliver = deliver,
		.finish = finish,
	};

	return agent_main(argc, argv, &spec);
}
