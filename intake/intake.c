/* SPDX-License-Identifier: Apache-2.0 */
#include "intake/intake.h"

#include "intake/rewrite.h"
#include "mail/addr.h"
#include "mail/header.h"
#include "util/log.h"

enum { TEXT_MAX = 64 << 20, DUPLICATES_MAX = 1000, ORIGINS = 5, PIECE_MAX = 1 << 20, WORTH_A_WRITE = 16 << 10 };

/* -- the process's part -- */

static enum err
open_tables(struct intake *in, const struct params *p, const char *dir)
{
	TRY(maps_open(str_of(p->canonical_maps), "canonical_maps", dir, &in->canonical));
	TRY(maps_open(
	    str_of(p->sender_canonical_maps), "sender_canonical_maps", dir, &in->sender_canonical));
	TRY(maps_open(str_of(p->recipient_canonical_maps), "recipient_canonical_maps", dir,
	    &in->recipient_canonical));
	TRY(maps_open(str_of(p->virtual_alias_maps), "virtual_alias_maps", dir, &in->virtual));
	TRY(maps_open(str_of(p->sender_bcc_maps), "sender_bcc_maps", dir, &in->sender_bcc));
	TRY(maps_open(
	    str_of(p->recipient_bcc_maps), "recipient_bcc_maps", dir, &in->recipient_bcc));
	TRY(maps_open(
	    str_of(p->local_recipient_maps), "local_recipient_maps", dir, &in->local_recipients));
	TRY(maps_open(
	    str_of(p->relay_recipient_maps), "relay_recipient_maps", dir, &in->relay_recipients));
	TRY(maps_open(
	    str_of(p->virtual_mailbox_maps), "virtual_mailbox_maps", dir, &in->mailboxes));
	return router_open(p, dir, &in->router);
}

static void
close_tables(struct intake *in)
{
	maps_close(&in->canonical);
	maps_close(&in->sender_canonical);
	maps_close(&in->recipient_canonical);
	maps_close(&in->virtual);
	maps_close(&in->sender_bcc);
	maps_close(&in->recipient_bcc);
	maps_close(&in->local_recipients);
	maps_close(&in->relay_recipients);
	maps_close(&in->mailboxes);
	router_close(&in->router);
}

enum err
intake_open(const struct service *s, struct intake **out)
{
	struct intake *in = mem_new(sizeof *in);
	enum err e;

	in->service = s;
	e = open_tables(in, &s->params, s->config_dir);
	*out = in;
	if (e != OK)
		intake_free(out);
	return e;
}

enum err
intake_start(const struct service *s, const char *role, struct spool *spool, struct tasks *g,
    struct intake **out)
{
	TRY(intake_open(s, out));
	(*out)->spool = spool;
	(*out)->notify = notify_start(s, role, g);
	return OK;
}

void
intake_free(struct intake **pin)
{
	if (*pin == NULL)
		return;
	notify_free(&(*pin)->notify);
	close_tables(*pin);
	mem_free(pin);
}

struct notify *
intake_notify(struct intake *in)
{
	return in->notify;
}

struct router *
intake_router(struct intake *in)
{
	return in->router;
}

const struct params *
intake_params(const struct intake *in)
{
	return &in->service->params;
}

/* -- one message -- */

/* Where a text stands in incoming.text. */
struct span {
	size_t at, n;
};

struct place {
	struct span addr, orig, orcpt;
	uint64_t hash;
	uint8_t notify;
};

struct incoming {
	struct intake *in;
	unsigned flags; /* INTAKE_ */
	uint64_t id;
	struct wall arrived;
	struct buf text;
	struct span origin[ORIGINS]; /* name, address, helo, protocol, login */
	struct span sender, envid;
	uint8_t ret;
	bool copied; /* add_copies() is done */
	struct place *v;
	size_t n, cap;
	struct spool_msg msg;         /* lay_out() */
	struct entry *entry;          /* with the first content */
	struct header_filter *filter; /* NULL: content passes as it is */
};

static struct str
text_at(const struct incoming *m, struct span at)
{
	return str_sub(buf_str(&m->text), at.at, at.n);
}

static bool
keep(struct incoming *m, struct str s, struct span *out)
{
	*out = (struct span){ m->text.n, s.n };
	return buf_add(&m->text, s);
}

struct incoming *
incoming_new(struct intake *in, const struct spool_msg *from, unsigned flags)
{
	struct incoming *m = mem_new(sizeof *m);
	const struct str origin[ORIGINS] = { from->client_name, from->client_addr,
		from->client_helo, from->protocol, from->login };

	*m = (struct incoming){ .in = in,
		.flags = flags,
		.id = from->id,
		.arrived = from->arrived,
		.text = BUF(TEXT_MAX) };
	for (size_t i = 0; i < ORIGINS; i++)
		ENSURE(keep(m, origin[i], &m->origin[i]));
	return m;
}

void
incoming_abort(struct incoming **pm)
{
	struct incoming *m = *pm;

	if (m == NULL)
		return;
	entry_abort(&m->entry);
	header_filter_free(&m->filter);
	buf_free(&m->text);
	free(m->v);
	free(m->msg.rcpts);
	mem_free(pm);
}

/* -- envelope -- */

static bool
is_known(const struct incoming *m, struct str addr, uint64_t hash)
{
	for (size_t i = 0; i < m->n && i < DUPLICATES_MAX; i++)
		if (m->v[i].hash == hash && address_same(text_at(m, m->v[i].addr), addr))
			return true;
	return false;
}

static enum err
add_rcpt(struct incoming *m, struct str addr, struct str orig, uint8_t notify, struct str orcpt)
{
	uint64_t hash = address_hash(addr);
	struct place *p;

	if (is_known(m, addr, hash))
		return OK;
	if (m->n == m->cap) {
		m->cap = m->cap ? 2 * m->cap : 4;
		m->v = mem_grow(m->v, m->cap * sizeof *m->v);
	}
	p = &m->v[m->n];
	*p = (struct place){ .hash = hash, .notify = notify };
	if (!keep(m, addr, &p->addr) || !keep(m, str_eq(addr, orig) ? STR("") : orig, &p->orig) ||
	    !keep(m, orcpt, &p->orcpt))
		return fail(E_NOSPACE, "the envelope is too large");
	m->n++;
	return OK;
}

enum err
incoming_sender(struct incoming *m, struct str addr, uint8_t ret, struct str envid)
{
	struct buf a = BUF(ADDRESS_ROOM);
	enum err e = buf_add(&a, addr) ? OK : fail(E_TOOBIG, "the sender's address is too long");

	if (e == OK && !(m->flags & INTAKE_INTERNAL))
		e = rewrite_address(m->in, ENVELOPE_SENDER, &a);
	else if (e == OK)
		rewrite_standard(&m->in->service->params, &a);
	m->ret = ret;
	if (e == OK && (!keep(m, buf_str(&a), &m->sender) || !keep(m, envid, &m->envid)))
		e = fail(E_NOSPACE, "the envelope is too large");
	buf_free(&a);
	return e;
}

/* What the expansion of one recipient adds to. */
struct adding {
	struct incoming *m;
	const struct spool_rcpt *given;
	size_t results;
};

static enum err
add_expanded(void *arg, struct str addr)
{
	struct adding *x = arg;
	struct str orig = x->given->orig.n > 0 ? x->given->orig : x->given->addr;

	x->results++;
	return add_rcpt(x->m, addr, orig, x->given->notify, x->given->orcpt);
}

/* One that became several, and whose sender wants to hear of success, hears that: it stays in the
 * list, as a recipient that nothing is delivered to (RFC 3461 section 5.2.7.1). */
static enum err
note_expansion(struct incoming *m, const struct spool_rcpt *given, struct str addr, size_t first)
{
	struct place *p;

	for (size_t i = first; i < m->n; i++)
		m->v[i].notify = notify_less_success(m->v[i].notify);
	if (m->n == m->cap) {
		m->cap *= 2;
		m->v = mem_grow(m->v, m->cap * sizeof *m->v);
	}
	p = &m->v[m->n];
	*p = (struct place){ .notify = NOTIFY_SUCCESS | SPOOL_EXPANDED };
	if (!keep(m, addr, &p->addr) ||
	    !keep(m, str_eq(given->orig, addr) ? STR("") : given->orig, &p->orig) ||
	    !keep(m, given->orcpt, &p->orcpt))
		return fail(E_NOSPACE, "the envelope is too large");
	m->n++;
	return OK;
}

static WAITS enum err
add_all(struct incoming *m, const struct spool_rcpt *given, struct str addr)
{
	struct adding x = { .m = m, .given = given };
	size_t first = m->n;

	TRY(rewrite_virtual(m->in, addr, add_expanded, &x));
	return x.results > 1 && m->n > 0 && (given->notify & NOTIFY_SUCCESS)
		   ? note_expansion(m, given, addr, first)
		   : OK;
}

/* A copy that nobody asked for: its fate is no business of the sender's. */
static WAITS enum err
add_copy(struct incoming *m, struct str addr)
{
	struct buf a = BUF(ADDRESS_ROOM);
	struct spool_rcpt r = { .notify = NOTIFY_NEVER };
	enum err e = buf_add(&a, addr) ? OK : fail(E_TOOBIG, "the address is too long");

	if (e == OK) {
		rewrite_standard(&m->in->service->params, &a);
		r.addr = buf_str(&a);
		e = add_all(m, &r, r.addr);
	}
	buf_free(&a);
	return e;
}

static WAITS enum err
add_copy_from(struct incoming *m, struct maps *table, struct str key)
{
	struct buf value = BUF(ADDRESS_ROOM), ext = BUF(ADDRESS_ROOM);
	bool found = false;
	enum err e = OK;

	if (key.n > 0)
		e = rewrite_find(m->in, table, key, &value, &ext, &found);
	if (e == OK && found)
		e = add_copy(m, str_trim(buf_str(&value)));
	buf_free(&value);
	buf_free(&ext);
	return e;
}

/* The copies that do not depend on the recipient: once. */
static WAITS enum err
add_copies(struct incoming *m)
{
	const char *always = m->in->service->params.always_bcc;

	m->copied = true;
	if (always[0])
		TRY(add_copy(m, str_of(always)));
	return add_copy_from(m, m->in->sender_bcc, text_at(m, m->sender));
}

enum err
incoming_rcpt(struct incoming *m, const struct spool_rcpt *r)
{
	const struct params *p = &m->in->service->params;
	struct buf a = BUF(ADDRESS_ROOM);
	bool internal = m->flags & INTAKE_INTERNAL;
	enum err e =
	    buf_add(&a, r->addr) ? OK : fail(E_TOOBIG, "the recipient's address is too long");

	if (e == OK && !internal && !m->copied)
		e = add_copies(m);
	if (e == OK && !internal)
		e = rewrite_address(m->in, ENVELOPE_RECIPIENT, &a);
	else if (e == OK)
		rewrite_standard(p, &a);
	if (e == OK)
		e = add_all(m, r, buf_str(&a));
	if (e == OK && !internal)
		e = add_copy_from(m, m->in->recipient_bcc, buf_str(&a));
	buf_free(&a);
	return e;
}

/* The envelope as the spool wants it.  It is complete now: nothing is added to m->text any more. */
static void
lay_out(struct incoming *m)
{
	struct spool_rcpt *rcpts = mem_array(m->n + 1, sizeof *rcpts);

	m->msg = (struct spool_msg){
		.id = m->id,
		.arrived = m->arrived,
		.sender = text_at(m, m->sender),
		.ret = m->ret,
		.envid = text_at(m, m->envid),
		.rcpts = rcpts,
		.nrcpts = m->n,
		.client_name = text_at(m, m->origin[0]),
		.client_addr = text_at(m, m->origin[1]),
		.client_helo = text_at(m, m->origin[2]),
		.protocol = text_at(m, m->origin[3]),
		.login = text_at(m, m->origin[4]),
	};
	for (size_t i = 0; i < m->n; i++)
		rcpts[i] = (struct spool_rcpt){ text_at(m, m->v[i].addr), text_at(m, m->v[i].orig),
			m->v[i].notify, text_at(m, m->v[i].orcpt) };
}

/* -- content -- */

static void
start(struct incoming *m)
{
	const struct params *p = &m->in->service->params;

	lay_out(m);
	m->entry = entry_new(m->in->spool, &m->msg);
	if (m->flags & INTAKE_LOCAL || p->always_add_missing_headers)
		m->filter = header_filter_new(m->in, &m->msg, m->flags & INTAKE_LOCAL);
}

enum err
incoming_add(struct incoming *m, struct str content)
{
	struct buf out = BUF(PIECE_MAX + 2 * content.n);
	enum err e;

	if (m->n == 0)
		return fail(E_TOOBIG, "no recipients");
	if (m->entry == NULL)
		start(m);
	if (m->filter == NULL || header_filter_done(m->filter))
		return entry_add(m->entry, content);
	e = header_filter_add(m->filter, content, &out);
	if (e == OK)
		e = entry_add(m->entry, buf_str(&out));
	buf_free(&out);
	return e;
}

size_t
incoming_memory(const struct incoming *m)
{
	return sizeof *m + m->text.cap + m->cap * sizeof *m->v + m->msg.nrcpts * sizeof *m->msg.rcpts +
	       (m->entry ? entry_memory(m->entry) : 0) + (m->filter ? header_filter_memory(m->filter) : 0);
}

enum err
incoming_write_out(struct incoming *m)
{
	return m->entry && entry_memory(m->entry) > WORTH_A_WRITE ? entry_write_out(m->entry) : OK;
}

void
incoming_log_id(const struct incoming *m, const struct header_scan *found)
{
	struct header_scan made = { .message_id = BUF(HEADER_VALUE_MAX) };
	char id[QID_TEXT];

	qid_text(m->id, id);
	if (found->message_id.n == 0 && m->filter && header_filter_completes(m->filter) &&
	    message_id_put(m->arrived, m->id, m->in->service->params.myhostname, &made.message_id))
		found = &made;
	header_scan_log(found, id);
	buf_free(&made.message_id);
}

static WAITS enum err
commit(struct incoming *m, uint32_t flags)
{
	struct buf rest = BUF(PIECE_MAX);
	enum err e = m->n > 0 ? OK : fail(E_TOOBIG, "no recipients");

	if (e == OK && m->entry == NULL)
		start(m);
	if (e == OK && m->filter) {
		e = header_filter_end(m->filter, &rest);
		if (e == OK)
			e = entry_add(m->entry, buf_str(&rest));
	}
	buf_free(&rest);
	return e == OK ? entry_commit(&m->entry, flags, &m->msg) : e;
}

enum err
incoming_commit(struct incoming **pm, uint32_t flags)
{
	struct incoming *m = *pm;
	enum err e = commit(m, flags);

	if (e == OK)
		notify_entered(m->in->notify, &m->msg);
	incoming_abort(pm);
	return e;
}
