/* SPDX-License-Identifier: Apache-2.0 */
/* Tables that follow their files.  Whoever asks when the last look is a second old has a helper
 * thread look; the others go on with what there is.  A helper gets copies of what it needs and
 * gives back a new content or a complaint; everything in struct file_table belongs to the logic
 * thread.
 *
 * FILE.db is used unless FILE is newer: then somebody forgot postmap, and the text counts.  A text
 * changed within the last second may be half written and is left alone while there is something
 * else to use. */
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "mail/maps_table.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/proc.h"

enum { TEXT_MAX = 1 << 30, LOOK_WAIT_S = 60 };

int64_t file_table_look_ms = 1000, file_table_settled_s = 1;

struct stamp {
	bool there;
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec modified, changed;
};

struct stamps {
	struct stamp text, made;
};

struct file_table {
	const struct table_type *type;
	char *name;        /* "alias_maps: hash:/etc/aliases", for messages */
	char *text, *made; /* paths; made is NULL when there is no such thing */
	bool aliases;
	struct content *now; /* NULL: nothing to use */
	unsigned version;    /* changes with it */
	struct stamps seen;  /* what that was made from, or what was found no good */
	struct time next_look;
	bool looking;
	struct wait looked;
	char *complaint; /* the last one; NULL: all is well */
};

/* One look at the files, for a helper thread. */
struct look {
	const struct file_table *t; /* only what never changes is read: type, paths, aliases */
	struct stamps seen;
	bool have;                   /* there is a content */
	struct content *fresh;       /* NULL: nothing new */
	char complaint[ERR_WHY_MAX]; /* empty: none */
};

static struct stamp
stamp_of(const char *path)
{
	struct stat st;

	if (path == NULL || stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return (struct stamp){ .there = false };
	return (struct stamp){ true, st.st_dev, st.st_ino, st.st_size, st.st_mtim, st.st_ctim };
}

static bool
same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool
same_stamp(const struct stamp *a, const struct stamp *b)
{
	if (!a->there || !b->there)
		return a->there == b->there;
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       same_time(a->modified, b->modified) && same_time(a->changed, b->changed);
}

static bool
later(struct timespec a, struct timespec b)
{
	return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
}

static bool
is_settling(const struct stamp *s)
{
	struct timespec now, until = s->modified;

	clock_gettime(CLOCK_REALTIME, &now);
	until.tv_sec += file_table_settled_s;
	/* A time stamp from the future says nothing. */
	return later(until, now) && !later(s->modified, now);
}

static enum err
load_text(const struct look *l, const struct stamp *before, struct content **out)
{
	const struct file_table *t = l->t;
	struct buf text = BUF(TEXT_MAX);
	struct stamp after;
	struct stat st;
	enum err e;

	/* Reading a pipe would wait for whoever writes. */
	if (stat(t->text, &st) == 0 && !S_ISREG(st.st_mode))
		return fail(E_IO, "%s: not a file", t->text);
	e = proc_read_file(t->text, &text);
	after = stamp_of(t->text);
	if (e == OK && !same_stamp(before, &after))
		e = fail(E_BUSY, "%s: changed while it was read", t->text);
	if (e == OK && t->type->from_text)
		e = t->type->from_text(t->text, buf_str(&text), out);
	else if (e == OK)
		e = index_content(t->text, buf_str(&text), t->aliases, out);
	buf_free(&text);
	return e;
}

/* What can be told about why nothing is used, or not the newest. */
static void
complain(struct look *l)
{
	snprintf(l->complaint, sizeof l->complaint, "%s", err_why());
}

/* The text counts.  Its being malformed is remembered; everything else may be different at the next
 * look. */
static enum err
take_text(struct look *l, const struct stamps *s)
{
	bool made_is_old_news = l->have && same_stamp(&s->made, &l->seen.made);
	enum err e;

	if (l->have && is_settling(&s->text))
		return E_EXISTS;
	e = load_text(l, &s->text, &l->fresh);
	if (e != OK) {
		complain(l);
		if (s->made.there && !made_is_old_news &&
		    l->t->type->from_made(l->t->made, &l->fresh) == OK)
			l->seen.made = s->made;
	}
	if (e == OK || e == E_SYNTAX)
		l->seen = *s;
	return e;
}

static enum err
take_made(struct look *l, const struct stamps *s)
{
	enum err e = l->t->type->from_made(l->t->made, &l->fresh);

	if (e == OK)
		l->seen = *s;
	else
		complain(l);
	return e;
}

static enum err
do_look(void *arg)
{
	struct look *l = arg;
	struct stamps s = { stamp_of(l->t->text), stamp_of(l->t->made) };

	if (same_stamp(&s.text, &l->seen.text) && same_stamp(&s.made, &l->seen.made) &&
	    (s.text.there || s.made.there))
		return E_EXISTS; /* as it was: no news, good or bad */
	if (s.made.there && !(s.text.there && later(s.text.modified, s.made.modified)))
		return take_made(l, &s);
	return take_text(l, &s);
}

static void
note_complaint(struct file_table *t, const char *complaint)
{
	if (complaint[0] == '\0') {
		mem_free(&t->complaint);
	} else if (t->complaint == NULL || strcmp(t->complaint, complaint) != 0) {
		free(t->complaint);
		t->complaint = mem_dup(complaint);
		log_warn("%s: %s%s", t->name, complaint,
		    t->now ? "; the former version stays in use"
			   : "; what depends on it must wait");
	}
}

static WAITS void
look(struct file_table *t)
{
	struct look l = { .t = t, .seen = t->seen, .have = t->now != NULL };
	enum err e;

	t->looking = true;
	e = task_self() ? task_offload(do_look, &l) : do_look(&l);
	t->looking = false;
	t->next_look = time_after_ms(time_now(), file_table_look_ms);
	t->seen = l.seen;
	if (l.fresh) {
		content_drop(&t->now);
		t->now = l.fresh;
		t->version++;
	}
	if (e != E_EXISTS)
		note_complaint(t, l.complaint);
	wait_wake_all(&t->looked);
}

/* A look that began after the call is over, or, when the content will do until then, is under way.
 */
static WAITS enum err
see_to_it(struct file_table *t, bool at_once)
{
	struct time deadline = time_after(time_now(), LOOK_WAIT_S);

	while (t->looking && (at_once || t->now == NULL))
		TRY(wait_park(&t->looked, deadline));
	if (!t->looking && (at_once || !time_before(time_now(), t->next_look)))
		look(t);
	return OK;
}

static WAITS enum err
ask_now(struct file_table *t, struct ask *a)
{
	struct content *c = t->now;
	enum err e;

	if (c == NULL)
		return fail(E_IO, "%s: %s", t->name, t->complaint ? t->complaint : "not read yet");
	c->users++;
	e = content_find(c, a);
	content_drop(&c);
	return e;
}

enum err
file_table_find(struct file_table *t, struct ask *a)
{
	unsigned asked;

	TRY(see_to_it(t, false));
	asked = t->version;
	TRY(ask_now(t, a));
	if (!a->stale)
		return OK;
	a->stale = false;
	TRY(see_to_it(t, true));
	if (t->version != asked)
		TRY(ask_now(t, a));
	if (t->version == asked || a->stale)
		return fail(E_BUSY, "%s: is being changed", t->name);
	return OK;
}

struct file_table *
file_table_new(const struct table_type *type, const char *name, const char *path, bool aliases)
{
	struct file_table *t = mem_new(sizeof *t);
	struct buf made = { 0 };

	t->type = type;
	t->name = mem_dup(name);
	t->text = mem_dup(path);
	if (type->suffix) {
		buf_printf(&made, "%s%s", path, type->suffix);
		t->made = mem_dup(buf_cstr(&made));
		buf_free(&made);
	}
	t->aliases = aliases;
	t->next_look = time_now();
	wait_init(&t->looked);
	return t;
}

void
file_table_free(struct file_table **t)
{
	if (*t == NULL)
		return;
	ENSURE(!(*t)->looking);
	content_drop(&(*t)->now);
	free((*t)->name);
	free((*t)->text);
	free((*t)->made);
	free((*t)->complaint);
	mem_free(t);
}
