/* SPDX-License-Identifier: Apache-2.0 */
/* One user: his .forward, and where his mailbox is.  In Postfix's order: .forward,
 * mailbox_transport_maps, mailbox_transport, mailbox_command_maps, mailbox_command, home_mailbox,
 * mail_spool_directory; for users that are not there fallback_transport_maps, fallback_transport,
 * luser_relay. */
#include <errno.h>
#include <sys/stat.h>

#include "agent/drop.h"
#include "local/expand.h"
#include "mail/addr.h"
#include "util/log.h"

enum { FORWARD_MAX = 256 << 10, READ_SECONDS = 60, PATHS_MAX = 4096, FORWARD_PATHS = 16 };

static bool
is_text_leaf(const char *text)
{
	return text && text[0] != '\0';
}

struct looking {
	char *path;
	bool  missing;
};

/* For a helper thread. */
static enum err
look(void *arg)
{
	struct looking *l = arg;
	struct stat st;

	l->missing = lstat(l->path, &st) != 0 && (errno == ENOENT || errno == ENOTDIR);
	return OK;
}

/* Most users have no such file, and need no process that finds this out as them.  Whatever else is there, or cannot be
 * seen by us, is for that process to look at. */
static WAITS bool
is_missing(struct str path)
{
	struct looking l = { .path = str_dup(path) };

	(void)!task_offload(look, &l);
	free(l.path);
	return l.missing;
}

/* One file of forward_path.  *found: it is there, and was expanded if anything is in it. */
static WAITS enum err
try_forward(struct delivery *d, const struct account *user, struct str path, const struct way *w,
    bool *found)
{
	struct account *rights = NULL;
	struct drop read = { .kind = DROP_READ,
		.path = path,
		.size_limit = FORWARD_MAX,
		.seconds = READ_SECONDS,
		.output = BUF(FORWARD_MAX) };
	struct way inside = *w;
	enum err e;

	*found = false;
	if (is_missing(path))
		return OK;
	e = rights_of(d, user, &rights);
	if (e != OK)
		return e;
	/* The file must be his own: it is read as him, root's as nobody. */
	read.user = rights->name;
	read.uid = rights->uid;
	read.gid = rights->gid;
	inside.rights = rights;
	e = drop_run(d->j, &read);
	if (e == E_NOENT) {
		e = OK;
	} else if (e == E_REFUSED || e == E_PERM) {
		/* Not to be followed: anybody could have written it, it is no file, he may not read it. */
		log_warn("user %s: %s", user->name, err_why());
		e = OK;
	} else if (e != OK) {
		e = put_off_for(d, e, ".forward");
	} else {
		*found = true;
		e = expand_text(d, buf_str(&read.output), true, &inside);
	}
	drop_fini(&read);
	account_free(&rights);
	return e;
}

/* *forwarded: a .forward says where the mail goes, and it is in d->leaves. */
static WAITS enum err
forward(struct delivery *d, const struct account *user, const struct name *name,
    const struct way *w, bool *forwarded)
{
	const struct name_words words = { .name = name,
		.home = str_of(user->home),
		.shell = str_of(user->shell),
		.filter = local.p->forward_expansion_filter };
	struct str rest = str_of(local.p->forward_path), path;
	struct buf expanded = BUF(PATHS_MAX), last = BUF(PATHS_MAX);
	size_t before = d->n;
	bool found = false;
	enum err e = OK;

	while (e == OK && !found && str_word(&rest, ", \t\r\n", &path)) {
		buf_clear(&expanded);
		e = name_expand(path, &words, &expanded);
		if (e != OK)
			e = put_off_for(d, e, "forward_path");
		else if (expanded.n > 0 && expanded.p[0] == '/' &&
			 !str_eq(buf_str(&expanded), buf_str(&last)))
			e = try_forward(d, user, buf_str(&expanded), w, &found);
		/* Without an extension the usual two are one. */
		buf_clear(&last);
		(void)buf_add(&last, buf_str(&expanded));
	}
	buf_free(&expanded);
	buf_free(&last);
	*forwarded = d->n > before;
	return e;
}

enum err
expand_user(struct delivery *d, size_t leaf)
{
	char *address = mem_dup(d->leaves[leaf].text);
	struct account *user = NULL;
	struct name name;
	bool forwarded = false;
	enum err e = OK;

	name_set(&name, local.p, str_of(address));
	if (name_possible(buf_str(&name.user)))
		e = account_find(buf_str(&name.user), &user);
	if (e != OK)
		e = put_off_for(d, e, "user lookup");
	if (e == OK && user) {
		const struct way w = { .via = VIA_FORWARD,
			.from = "",
			.who = address,
			.self = buf_cstr(&name.user),
			.extension = list_has(str_of(local.p->propagate_unmatched_extensions),
					 STR("forward"), false)
					 ? buf_cstr(&name.extension)
					 : "" };

		e = forward(d, user, &name, &w, &forwarded);
	}
	if (e == OK) { /* the array may have moved */
		struct leaf *l = &d->leaves[leaf];

		l->kind = forwarded ? LEAF_NONE : LEAF_MAILBOX;
		if (!forwarded) {
			free(l->text);
			l->text = str_dup(buf_str(&name.user));
			l->rights = user;
			user = NULL;
		}
	}
	account_free(&user);
	name_fini(&name);
	free(address);
	return e;
}

/* -- mailboxes -- */

static void
become(struct leaf *l, enum leaf_kind kind, struct str text)
{
	l->kind = kind;
	free(l->text);
	l->text = str_dup(text);
	l->mailbox = true;
}

/* The transport is asked for the recipient.  When that is not this user, he gets a message of his
 * own first. */
static void
become_transport(
    struct delivery *d, struct leaf *l, const struct name *name, struct str transport)
{
	if (str_eq(buf_str(&name->address), buf_str(&d->name.address)))
		become(l, LEAF_TRANSPORT, transport);
	else
		become(l, LEAF_USER, buf_str(&name->address));
}

/* A setting that has a table of values by user, and one for all. */
static WAITS enum err
by_user(struct delivery *d, struct maps *maps, const char *all, const char *user, struct buf *value)
{
	bool found = false;
	enum err e = maps ? maps_find(maps, str_of(user), MAPS_NOSUB, value, &found) : OK;

	if (e != OK)
		return put_off_for(d, e, "user lookup");
	if (!found) {
		buf_clear(value);
		(void)buf_adds(value, all);
	}
	return OK;
}

/* No such user. */
static WAITS enum err
unknown(struct delivery *d, struct leaf *l, const struct name *name, struct buf *value)
{
	const struct name_words words = { .name = name, .home = STR(""), .shell = STR("") };
	struct str user = buf_str(&name->user);
	struct buf full = BUF(0);
	enum err e;

	TRY(by_user(d, local.fallback_transports, local.p->fallback_transport,
	    buf_cstr(&name->user), value));
	if (value->n > 0) {
		become_transport(d, l, name, buf_str(value));
		return OK;
	}
	if (is_text_leaf(local.p->luser_relay)) {
		e = name_expand(str_of(local.p->luser_relay), &words, value);
		if (e != OK || !name_qualify(local.p, buf_str(value), &full))
			e = put_off(
			    d, "4.3.5", "luser_relay: %s", e != OK ? err_why() : "too long");
		else if (address_valid(buf_str(&full)))
			become(l, LEAF_ADDRESS, buf_str(&full));
		else                           /* with a name in it that needs quotes */
			e = refuse(d, "5.1.1", "unknown user, and no address to send it to instead");
		buf_free(&full);
		return e;
	}
	if (str_eq(user, STR("postmaster")) || str_eq(user, STR("mailer-daemon"))) {
		log_warn("required alias not found: %.*s", STR_ARG(user));
		return put_off(d, "4.3.5", "required alias not found: %.*s", STR_ARG(user));
	}
	(void)buf_add_clean(&full, buf_str(&name->local));
	e = refuse(d, "5.1.1", "unknown user: \"%s\"", buf_cstr(&full));
	buf_free(&full);
	return e;
}

static void
add_path(struct buf *out, struct str dir, struct str below)
{
	(void)buf_add(out, dir);
	if (dir.n > 0 && dir.p[dir.n - 1] != '/')
		(void)buf_addc(out, '/');
	(void)buf_add(out, below);
}

/* The command or file that takes a user's mail. */
static WAITS enum err
own_mailbox(struct delivery *d, struct leaf *l, const struct account *user, struct buf *value)
{
	struct str spool = str_of(local.p->mail_spool_directory);

	TRY(by_user(d, local.mailbox_commands, local.p->mailbox_command, user->name, value));
	if (value->n > 0) {
		become(l, LEAF_COMMAND, buf_str(value));
		return OK;
	}
	if (is_text_leaf(local.p->home_mailbox)) {
		if (user->home[0] != '/')
			return put_off(d, "4.3.5", "user %s has no home directory", user->name);
		add_path(value, str_of(user->home), str_of(local.p->home_mailbox));
	} else {
		add_path(value, spool, str_of(user->name));
		if (str_ends(spool, STR("/")))
			(void)buf_addc(value, '/');
	}
	become(l, LEAF_FILE, buf_str(value));
	return OK;
}

enum err
expand_mailbox(struct delivery *d, size_t leaf)
{
	struct leaf *l = &d->leaves[leaf];
	struct account *user = NULL;
	struct buf value = BUF(PATHS_MAX), address = BUF(0);
	struct str domain = str_sub(str_of(l->who), str_rfind(str_of(l->who), '@'), strlen(l->who));
	struct name name;
	enum err e = OK;

	name_set(&name, local.p, str_of(l->who));
	if (!str_ieq(buf_str(&name.user), str_of(l->text))) { /* "\\alice" in another's alias */
		(void)buf_adds(&address, l->text);
		(void)buf_add(&address, domain);
		name_fini(&name);
		name_set(&name, local.p, buf_str(&address));
	}
	if (l->rights == NULL && name_possible(buf_str(&name.user)))
		e = account_find(buf_str(&name.user), &l->rights);
	if (e != OK)
		e = put_off_for(d, e, "user lookup");
	else
		e = by_user(d, local.mailbox_transports, local.p->mailbox_transport,
		    buf_cstr(&name.user), &value);
	if (e == OK && value.n > 0)
		become_transport(d, l, &name, buf_str(&value));
	else if (e == OK && l->rights == NULL)
		e = unknown(d, l, &name, &value);
	else if (e == OK && (e = own_mailbox(d, l, l->rights, &value)) == OK) {
		/* As root nothing is done. */
		user = l->rights;
		l->rights = NULL;
		e = rights_of(d, user, &l->rights);
	}
	account_free(&user);
	name_fini(&name);
	buf_free(&address);
	buf_free(&value);
	return e;
}
