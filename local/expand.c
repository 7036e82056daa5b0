/* SPDX-License-Identifier: Apache-2.0 */
#include "local/expand.h"

#include "agent/drop.h"
#include "local/token.h"
#include "mail/addr.h"
#include "mail/route.h"
#include "util/log.h"

enum {
	DEEPEST = 100,
	STEPS_MAX = 100000,
	VALUE_MAX = 1 << 20,
	INCLUDE_MAX = (1 << 20) - 1,
	READ_SECONDS = 60
};

/* Something still to be looked at.  Done one after another, not by recursion: users write as many
 * as they like. */
struct step {
	enum token_kind kind;
	char *text;
	size_t way;
};

struct visited {
	struct map_node node;
	char key[];
};

struct expansion {
	struct delivery *d;
	struct way **ways; /* each step's; texts in them are owned here */
	size_t nways, ways_cap;
	struct step *steps;
	size_t nsteps, steps_cap, next;
	struct map seen; /* aliases and files that were expanded, leaves there are */
	size_t nleaves;  /* of those seen */
	bool again;      /* an alias came up once more */
};

/* -- bookkeeping -- */

/* Grow an array by one place. */
static void *
grow(void *v, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return v;
	*cap = *cap ? 2 * *cap : 8;
	return mem_grow(v, *cap * size);
}

static char *
copy(const char *z)
{
	return z ? mem_dup(z) : NULL;
}

/* All texts are copied: a way outlives what it was made from. */
static size_t
way_add(struct expansion *x, const struct way *w)
{
	struct way *own = mem_new(sizeof *own);

	*own = *w;
	own->from = copy(w->from);
	own->who = copy(w->who);
	own->sender = copy(w->sender);
	own->self = copy(w->self);
	own->extension = copy(w->extension);
	own->rights = w->rights ? account_copy(w->rights) : NULL;
	x->ways = grow(x->ways, x->nways, &x->ways_cap, sizeof(struct way *));
	x->ways[x->nways] = own;
	return x->nways++;
}

static void
way_free(struct way *w)
{
	struct account *rights = (struct account *)(uintptr_t)w->rights;

	free((char *)(uintptr_t)w->from);
	free((char *)(uintptr_t)w->who);
	free((char *)(uintptr_t)w->sender);
	free((char *)(uintptr_t)w->self);
	free((char *)(uintptr_t)w->extension);
	account_free(&rights);
	free(w);
}

static void
expansion_fini(struct expansion *x)
{
	struct map_iter it = { 0 };
	struct map_node *node;

	while ((node = map_next(&x->seen, &it)) != NULL) {
		map_del(&x->seen, node);
		free(container_of(node, struct visited, node));
	}
	map_fini(&x->seen);
	for (size_t i = 0; i < x->nways; i++)
		way_free(x->ways[i]);
	for (size_t i = 0; i < x->nsteps; i++)
		free(x->steps[i].text);
	free(x->ways);
	free(x->steps);
}

/* True when it was there already. */
static bool
see(struct expansion *x, const char *what, struct str name)
{
	size_t n = strlen(what) + name.n;
	struct visited *v = mem_new(sizeof *v + n + 1);

	memcpy(v->key, what, strlen(what));
	memcpy(v->key + strlen(what), name.p, name.n);
	/* Names are the same in any case, files and commands are not. */
	for (size_t i = 0; i < n; i++)
		if (what[0] == 'a' && v->key[i] >= 'A' && v->key[i] <= 'Z')
			v->key[i] = (char)(v->key[i] | 0x20);
	if (map_put(&x->seen, (struct str){ v->key, n }, &v->node) == &v->node)
		return false;
	free(v);
	return true;
}

struct leaf *
leaf_add(struct delivery *d, enum leaf_kind kind, struct str text, const struct way *w)
{
	struct leaf *l;

	d->leaves = grow(d->leaves, d->n, &d->cap, sizeof *d->leaves);
	l = &d->leaves[d->n++];
	*l = (struct leaf){ .kind = kind,
		.text = str_dup(text),
		.who = mem_dup(w->who),
		.sender = copy(w->sender),
		.listed = w->listed };
	return l;
}

/* A leaf, unless there is the same already; one drop for each of them is enough. */
static void
add_once(struct expansion *x, enum leaf_kind kind, struct str text, const struct way *w,
    struct account *rights)
{
	static const char *const words[] = { "", "address ", "address ", "a mailbox ", "command ",
		"file ", "" };
	struct buf key = BUF(0);
	struct leaf *l;

	if (rights)
		(void)buf_printf(&key, "%u ", (unsigned)rights->uid);
	(void)buf_printf(&key, "%s ", w->sender ? w->sender : "");
	if (buf_add(&key, text) && x->nleaves < (size_t)local.p->duplicate_filter_limit) {
		if (see(x, words[kind], buf_str(&key))) {
			buf_free(&key);
			account_free(&rights);
			return;
		}
		x->nleaves++;
	}
	buf_free(&key);
	l = leaf_add(x->d, kind, text, w);
	l->rights = rights;
}

/* -- steps -- */

static const char *
via_word(const struct way *w)
{
	return w->listed ? "include" : w->via == VIA_FORWARD ? "forward" : "alias";
}

static WAITS enum err
add_text(struct expansion *x, struct str text, bool file, size_t way)
{
	struct tokens t;
	enum err e = tokens_parse(text, file, STEPS_MAX - x->nsteps, &t);

	for (size_t i = 0; e == OK && i < t.n; i++) {
		x->steps = grow(x->steps, x->nsteps, &x->steps_cap, sizeof *x->steps);
		x->steps[x->nsteps++] = (struct step){ t.v[i].kind, str_dup(t.v[i].text), way };
	}
	tokens_fini(&t);
	return e == OK ? OK : put_off_for(x->d, e, "expansion");
}

/* owner-NAME, if there is such an alias: who is told when mail to NAME fails. */
static WAITS enum err
find_owner(struct expansion *x, struct str name, struct buf *sender)
{
	struct buf owner = BUF(ADDR_MAX + 16), value = BUF(VALUE_MAX);
	const struct alias_table *table = NULL;
	struct tokens t = { 0 };
	enum err e = OK;

	if (local.p->owner_request_special && buf_adds(&owner, "owner-") && buf_add(&owner, name))
		e = aliases_find(local.aliases, buf_str(&owner), &value, &table);
	if (e == OK && table) {
		struct str address = buf_str(&owner);

		if (local.p->expand_owner_alias &&
		    tokens_parse(buf_str(&value), false, 1, &t) == OK && t.n == 1 &&
		    t.v[0].kind == TOKEN_ADDRESS)
			address = t.v[0].text;
		if (!name_qualify(local.p, address, sender) || !address_valid(buf_str(sender)))
			e = fail(E_SYNTAX, "owner-%.*s is no address", STR_ARG(name));
	}
	tokens_fini(&t);
	buf_free(&value);
	buf_free(&owner);
	return e == OK ? OK : put_off_for(x->d, e, "alias lookup");
}

static WAITS enum err
enter_alias(struct expansion *x, const struct way *w, struct str name, struct str value,
    const struct alias_table *table, struct str unmatched, const char *who)
{
	struct buf sender = BUF(2 * ADDR_MAX);
	struct way next = *w;
	char *from = str_dup(name), *extension = str_dup(unmatched);
	enum err e = OK;

	next.via = VIA_ALIAS;
	next.depth++;
	next.from = from;
	next.table = table;
	next.who = who;
	next.extension =
	    list_has(str_of(local.p->propagate_unmatched_extensions), STR("alias"), false)
		? extension
		: "";
	if (next.depth > DEEPEST)
		e = refuse(x->d, "5.4.6", "alias database loop for %s", from);
	else if (see(x, "alias ", name))
		x->again = true;
	else if ((e = find_owner(x, name, &sender)) == OK) {
		size_t before = x->nsteps;

		if (sender.n > 0)
			next.sender = buf_cstr(&sender);
		e = add_text(x, value, false, way_add(x, &next));
		if (e == OK && x->nsteps == before)
			e = put_off(x->d, "4.3.5", "alias %s stands for nobody", from);
	}
	free(from);
	free(extension);
	buf_free(&sender);
	return e;
}

/* A name of this host: an alias, by its whole name and then without extension, or else a user. */
static WAITS enum err
enter_name(struct expansion *x, const struct way *w, const struct name *n)
{
	const struct {
		struct str key, unmatched;
	} keys[] = {
		{buf_str(&n->local), STR("")               },
		{ buf_str(&n->user), buf_str(&n->extension)},
	};
	const struct alias_table *table = NULL;
	struct buf value = BUF(VALUE_MAX);
	struct way here = *w;
	enum err e = OK;

	for (size_t i = 0; i < (n->extension.n > 0 ? 2 : 1) && e == OK && table == NULL; i++) {
		if (str_ieq(keys[i].key,
			str_of(w->from))) /* an alias that names itself means the user */
			continue;
		e = aliases_find(local.aliases, keys[i].key, &value, &table);
		if (e != OK)
			e = put_off_for(x->d, e, "alias lookup");
		else if (table)
			e = enter_alias(x, w, keys[i].key, buf_str(&value), table,
			    keys[i].unmatched, buf_cstr(&n->address));
	}
	if (e == OK && table == NULL) {
		here.who = w->self ? w->who : buf_cstr(&n->address);
		if (w->self && str_ieq(buf_str(&n->user), str_of(w->self)))
			add_once(x, LEAF_MAILBOX, buf_str(&n->user), &here, NULL);
		else
			add_once(x, LEAF_USER, buf_str(&n->address), &here, NULL);
	}
	buf_free(&value);
	return e;
}

static WAITS enum err
enter_address(struct expansion *x, const struct way *w, struct str address)
{
	struct buf full = BUF(0), extended = BUF(0);
	enum route_class class = ROUTE_LOCAL;
	struct name name;
	enum err e;

	if (w->extension[0] != '\0' && local.p->recipient_delimiter[0] != '\0') {
		(void)name_extend(
		    address, local.p->recipient_delimiter, str_of(w->extension), &extended);
		address = buf_str(&extended);
	}
	(void)name_qualify(local.p, address, &full);
	e = router_class(local.router, address_domain(buf_str(&full)), &class);
	if (e != OK) {
		e = put_off_for(x->d, e, "address class");
	} else if (class == ROUTE_LOCAL) {
		name_set(&name, local.p, buf_str(&full));
		e = enter_name(x, w, &name);
		name_fini(&name);
	} else {
		add_once(x, LEAF_ADDRESS, buf_str(&full), w, NULL);
	}
	buf_free(&extended);
	buf_free(&full);
	return e;
}

static WAITS enum err
enter_include(struct expansion *x, const struct way *w, struct str path)
{
	struct drop read = { .kind = DROP_READ,
		.path = path,
		.size_limit = INCLUDE_MAX,
		.seconds = READ_SECONDS,
		.output = BUF(INCLUDE_MAX) };
	struct account *rights = NULL;
	struct way next = *w;
	enum err e;

	if (w->depth >= DEEPEST)
		return refuse(x->d, "5.4.6", ":include: loop for %.*s", STR_ARG(path));
	if (see(x, "include ", path))
		return OK;
	TRY(rights_of_include(x->d, w, path, &rights));
	read.user = rights->name;
	read.uid = rights->uid;
	read.gid = rights->gid;
	e = drop_run(x->d->j, &read);
	next.depth++;
	next.from = "";
	next.via = VIA_INCLUDE;
	next.listed = true;
	next.table = NULL;
	next.rights = rights;
	if (!list_has(str_of(local.p->propagate_unmatched_extensions), STR("include"), false))
		next.extension = "";
	if (e != OK)
		e = put_off_for(x->d, e, ":include:");
	else
		e = add_text(x, buf_str(&read.output), true, way_add(x, &next));
	drop_fini(&read);
	account_free(&rights);
	return e;
}

static WAITS enum err
enter_drop(struct expansion *x, const struct way *w, enum leaf_kind kind, struct str text)
{
	bool command = kind == LEAF_COMMAND;
	const char *allowed =
	    command ? local.p->allow_mail_to_commands : local.p->allow_mail_to_files;
	struct account *rights = NULL;

	if (!list_has(str_of(allowed), str_of(via_word(w)), false))
		return refuse(
		    x->d, "5.7.1", "mail to %s is restricted", command ? "command" : "file");
	TRY(rights_along(x->d, w, &rights));
	add_once(x, kind, text, w, rights);
	return OK;
}

static WAITS enum err
run_step(struct expansion *x, const struct step *s)
{
	const struct way *w = x->ways[s->way];
	struct str text = str_of(s->text);

	switch (s->kind) {
	case TOKEN_ADDRESS:
		return enter_address(x, w, text);
	case TOKEN_MAILBOX:
		/* Another's mailbox is not for users to fill past his .forward. */
		if (w->self && !str_ieq(text, str_of(w->self)))
			return enter_address(x, w, text);
		add_once(x, LEAF_MAILBOX, text, w, NULL);
		return OK;
	case TOKEN_COMMAND:
		return enter_drop(x, w, LEAF_COMMAND, text);
	case TOKEN_FILE:
		return enter_drop(x, w, LEAF_FILE, text);
	case TOKEN_INCLUDE:
		return enter_include(x, w, text);
	}
	return put_off(x->d, "4.3.0", "unknown kind of destination");
}

static WAITS enum err
run_steps(struct expansion *x)
{
	while (x->next < x->nsteps) {
		struct step s = x->steps[x->next++]; /* the array may move */

		TRY(run_step(x, &s));
	}
	return OK;
}

enum err
expand_text(struct delivery *d, struct str text, bool file, const struct way *w)
{
	struct expansion x = { .d = d };
	enum err e = add_text(&x, text, file, way_add(&x, w));

	if (e == OK)
		e = run_steps(&x);
	expansion_fini(&x);
	return e;
}

/* -- all of it -- */

/* The aliases that a recipient stands for. */
static WAITS enum err
expand_aliases(struct delivery *d)
{
	const struct way start = { .from = "", .who = buf_cstr(&d->name.address), .extension = "" };
	struct expansion x = { .d = d };
	enum err e = enter_name(&x, &start, &d->name);

	if (e == OK)
		e = run_steps(&x);
	if (e == OK && d->n == 0)
		e = x.again
			? refuse(d, "5.4.6", "alias database loop for %s", buf_cstr(&d->name.local))
			: put_off(d, "4.3.5", "%s stands for nobody", buf_cstr(&d->name.local));
	expansion_fini(&x);
	return e;
}

/* Is this user acted for here and now, instead of in a message of his own? */
static bool
is_inline(const struct delivery *d, const struct leaf *l, size_t all)
{
	struct name n;
	bool himself, transports;

	if (l->kind != LEAF_USER)
		return false;
	/* A transport is asked for the recipient, and must find the user there. */
	transports = local.mailbox_transports || local.p->mailbox_transport[0] != '\0';
	if (all == 1 && l->sender == NULL && !l->listed && !transports)
		return true;
	/* The recipient's own name: as a new message it would come back here and be a loop. */
	name_set(&n, local.p, str_of(l->text));
	himself = str_eq(buf_str(&n.user), buf_str(&d->name.user));
	name_fini(&n);
	return himself;
}

enum err
expand(struct delivery *d)
{
	size_t all;

	TRY(expand_aliases(d));
	all = d->n;
	for (size_t i = 0; i < all; i++)
		if (is_inline(d, &d->leaves[i], all))
			TRY(expand_user(d, i));
	for (size_t i = 0; i < d->n;
	     i++) /* d->n grows no more: a mailbox is replaced in its place */
		if (d->leaves[i].kind == LEAF_MAILBOX)
			TRY(expand_mailbox(d, i));
	return OK;
}

void
expand_fini(struct delivery *d)
{
	for (size_t i = 0; i < d->n; i++) {
		struct leaf *l = &d->leaves[i];

		free(l->text);
		free(l->who);
		free(l->sender);
		account_free(&l->rights);
	}
	mem_free(&d->leaves);
	d->n = d->cap = 0;
}
