/* SPDX-License-Identifier: Apache-2.0 */
#include "local/act.h"

#include <stdio.h>

#include "agent/drop.h"
#include "agent/frame.h"
#include "local/frame.h"
#include "util/log.h"

enum { REMEMBERED = 4096, FILE_SECONDS = 600, TEXT_MAX = 64 << 10 };

/* -- what was done in tries that failed -- */

/* The last ones, in a ring: message, recipient, and what was done, as a number. */
struct done {
	uint64_t id, what;
	uint32_t index;
};

static struct {
	struct done v[REMEMBERED];
	size_t next;
} memory;

static struct done
done_of(const struct delivery *d, const struct leaf *l)
{
	struct buf key = BUF(0);
	struct done done = { .id = d->j->m.id, .index = d->o->rcpt.index };

	(void)buf_printf(&key, "%d %u %s", (int)l->kind, (unsigned)l->rights->uid, l->text);
	done.what = str_hash(buf_str(&key));
	buf_free(&key);
	return done;
}

static bool
was_done(const struct delivery *d, const struct leaf *l)
{
	struct done one = done_of(d, l);

	for (size_t i = 0; i < REMEMBERED; i++)
		if (memory.v[i].id == one.id && memory.v[i].index == one.index &&
		    memory.v[i].what == one.what)
			return true;
	return false;
}

static void
remember(const struct delivery *d, const struct leaf *l)
{
	memory.v[memory.next] = done_of(d, l);
	memory.next = (memory.next + 1) % REMEMBERED;
}

/* -- one leaf -- */

static struct str
original(const struct delivery *d)
{
	return d->o->rcpt.orig.n > 0 ? d->o->rcpt.orig : d->o->rcpt.addr;
}

static struct str
sender_of(const struct delivery *d, const struct leaf *l)
{
	return l->sender ? str_of(l->sender) : d->j->m.sender;
}

static bool
make_head(const struct delivery *d, const struct leaf *l, bool maildir, struct buf *out)
{
	const char *word = l->kind == LEAF_COMMAND ? "command" : "file";
	bool delivered = list_has(str_of(local.p->prepend_delivered_header), str_of(word), false);

	return frame_head(&(struct frame){ .sender = sender_of(d, l),
			      .original = original(d),
			      .delivered = d->o->rcpt.addr,
			      .lines = FRAME_RETURN_PATH | FRAME_ORIGINAL | (delivered ? FRAME_DELIVERED : 0) |
				       (maildir ? 0 : FRAME_FROM),
			      .now = wall_now() },
	    out);
}

/* What drop_run() is given borrows from these. */
struct packing {
	struct buf head, argv, env, dir;
};

static void
packing_fini(struct packing *k)
{
	buf_free(&k->head);
	buf_free(&k->argv);
	buf_free(&k->env);
	buf_free(&k->dir);
}

static WAITS enum err
pack_command(struct delivery *d, const struct leaf *l, struct packing *k, struct drop *drop)
{
	struct account *rights = l->rights;
	struct surroundings s = { .p = local.p,
		.sender = sender_of(d, l),
		.original = original(d),
		.user = rights->name,
		.home = rights->home,
		.shell = rights->shell };
	struct str rest = str_of(local.p->local_command_shell), word;
	struct name name;
	enum err e;
	bool fits = true;

	e = job_envelope(d->j, &s.m);
	if (e != OK)
		return put_off_for(d, e, "message");
	name_set(&name, local.p, str_of(l->who));
	s.name = &name;
	while (fits && str_word(&rest, " \t", &word))
		fits = buf_add(&k->argv, word) && buf_addc(&k->argv, '\0');
	fits = fits && buf_adds(&k->argv, l->text) && buf_addc(&k->argv, '\0') &&
	       frame_environment(&s, &k->env);
	e = name_expand(str_of(local.p->command_execution_directory),
	    &(struct name_words){ .name = &name,
		.home = str_of(rights->home),
		.shell = str_of(rights->shell),
		.filter = local.p->execution_directory_expansion_filter },
	    &k->dir);
	name_fini(&name);
	if (e != OK)
		return put_off_for(d, e, "command_execution_directory");
	if (!fits)
		return put_off(d, "4.3.0", "environment of the command is too large");
	drop->kind = DROP_COMMAND;
	drop->argv = buf_str(&k->argv);
	drop->env = buf_str(&k->env);
	drop->path = buf_str(&k->dir);
	drop->seconds = local.p->command_time_limit;
	return OK;
}

static void
pack_file(const struct leaf *l, struct drop *drop)
{
	drop->path = str_of(l->text);
	drop->kind = str_ends(drop->path, STR("/")) ? DROP_MAILDIR : DROP_MBOX;
	drop->flags = drop->kind == DROP_MBOX ? DROP_QUOTE_FROM | DROP_EMPTY_END : 0;
	drop->seconds = FILE_SECONDS;
}

static WAITS enum err
run_drop(struct delivery *d, const struct leaf *l)
{
	struct packing k = { .head = BUF(TEXT_MAX),
		.argv = BUF(TEXT_MAX),
		.env = BUF(TEXT_MAX),
		.dir = BUF(TEXT_MAX) };
	struct drop drop = { .user = l->rights->name,
		.uid = l->rights->uid,
		.gid = l->rights->gid,
		.size_limit = (uint64_t)local.p->mailbox_size_limit,
		.output = BUF(TEXT_MAX) };
	enum err e = OK;

	if (l->kind == LEAF_COMMAND)
		e = pack_command(d, l, &k, &drop);
	else
		pack_file(l, &drop);
	if (e == OK && !make_head(d, l, drop.kind == DROP_MAILDIR, &k.head))
		e = put_off(d, "4.3.0", "header is too large");
	if (e == OK) {
		drop.head = buf_str(&k.head);
		e = drop_run(d->j, &drop);
		snprintf(d->esc, sizeof d->esc, "%s", drop.esc);
	}
	drop_fini(&drop);
	packing_fini(&k);
	return e;
}

static void
say(const struct delivery *d, struct buf *text, const struct leaf *l)
{
	bool maildir = l->kind == LEAF_FILE && str_ends(str_of(l->text), STR("/"));

	if (text->n > 0)
		(void)buf_adds(text, ", ");
	(void)buf_adds(text, job_is_trial(d->j) ? "delivers to " : "delivered to ");
	if (l->kind == LEAF_COMMAND || !l->mailbox)
		(void)buf_printf(text, "%s: %s",
		    l->kind == LEAF_COMMAND ? "command"
		    : maildir               ? "maildir"
					    : "file",
		    l->text);
	else
		(void)buf_adds(text, maildir ? "maildir" : "mailbox");
}

static bool
is_drop(const struct leaf *l)
{
	return l->kind == LEAF_COMMAND || l->kind == LEAF_FILE;
}

/* /dev/null is how an alias table says "nowhere". */
static WAITS enum err
act_on(struct delivery *d, const struct leaf *l)
{
	if (job_is_trial(d->j) || (l->kind == LEAF_FILE && strcmp(l->text, "/dev/null") == 0))
		return OK;
	return was_done(d, l) ? OK : run_drop(d, l);
}

/* -- all of them -- */

/* The failure that is told of several: one that passes is tried again, and then the others show up
 * again. */
struct failure {
	enum err e;
	char esc[ESC_MAX];
	char why[ERR_WHY_MAX];
};

static void
note_failure(struct failure *f, const struct delivery *d, enum err e)
{
	if (f->e != OK && (f->e != E_REFUSED || e == E_REFUSED))
		return;
	f->e = e;
	snprintf(f->esc, sizeof f->esc, "%s", d->esc);
	snprintf(f->why, sizeof f->why, "%s", err_why());
}

static WAITS enum err
forward_all(struct delivery *d, struct buf *text, bool *any)
{
	for (size_t i = 0; i < d->n; i++) {
		struct leaf *l = &d->leaves[i];

		if (l->kind != LEAF_USER && l->kind != LEAF_ADDRESS)
			continue;
		/* What went to a list with an owner is delivered as far as the sender is concerned (RFC 3461 section
		 * 5.2.7.3). */
		*any |= l->sender == NULL;
		if (job_is_trial(d->j))
			(void)buf_printf(text, "%sforwards to %s", text->n > 0 ? ", " : "", l->text);
		else
			TRY(resend(d, l->sender, text));
	}
	return OK;
}

/* The transport that takes the place of the recipient's mailbox. */
static enum err
choose_transport(struct delivery *d)
{
	for (size_t i = 0; i < d->n; i++) {
		const struct leaf *l = &d->leaves[i];
		struct str name = str_sub(str_of(l->text), 0, str_find(str_of(l->text), ':'));

		if (l->kind != LEAF_TRANSPORT)
			continue;
		if (d->j->n > 1)
			return put_off(d, "4.3.5",
			    "local_destination_recipient_limit must be 1 for transport %s",
			    l->text);
		if (name.n == 0 || str_eq(name, str_of(service_self()->name)))
			return put_off(d, "4.3.5",
			    "mailboxes have transport \"%s\", which is no other", l->text);
		d->pass = l->text;
	}
	return OK;
}

enum err
act(struct delivery *d, struct buf *text, bool *forwarded)
{
	struct failure f = { .e = OK };
	bool any = false;
	enum err e;

	TRY(choose_transport(d));
	for (size_t i = 0; i < d->n; i++) {
		struct leaf *l = &d->leaves[i];

		if (!is_drop(l))
			continue;
		e = act_on(d, l);
		if (e != OK) {
			note_failure(&f, d, e);
		} else {
			say(d, text, l);
			if (d->n > 1 && !job_is_trial(d->j))
				remember(d, l);
		}
	}
	*forwarded = false;
	if (f.e == OK || f.e == E_REFUSED) {
		size_t before = text->n;

		e = forward_all(d, text, &any);
		if (e != OK)
			note_failure(&f, d, e);
		*forwarded = any && before == 0;
	}
	if (f.e == OK)
		return OK;
	snprintf(d->esc, sizeof d->esc, "%s", f.esc);
	return fail(f.e, "%s", f.why);
}
