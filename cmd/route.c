/* SPDX-License-Identifier: Apache-2.0 */
/* route ADDRESS...: what mail to an address would come to, and where it would go, decided by the
 * code that real mail meets: what the tables make of the address, its class, and which setting and
 * key said where its mail goes.  Nothing is sent, and the mail system need not run. */
#include "mail/route.h"

#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "intake/intake.h"
#include "mail/addr.h"
#include "util/log.h"
#include "util/mem.h"

enum { ADDRESS_ROOM = 4096, OUTPUT_MAX = 64 << 20, TEMPORARY = 75 };

/* The run, and the part of it that is about one address. */
struct inquiry {
	const struct cmd *cmd;
	struct service service;
	struct intake *intake;
	const char *sender;     /* as given */
	struct buf sender_form; /* as the envelope will have it */
	char **addresses;
	struct buf out;
	bool first; /* of its list, in JSON */
	int status;
};

/* -- JSON -- */

static void
json(struct inquiry *q, const char *before, struct str text)
{
	ENSURE(buf_adds(&q->out, before) && buf_add_json(&q->out, text));
}

static void
json_comma(struct inquiry *q)
{
	if (!q->first)
		ENSURE(buf_addc(&q->out, ','));
	q->first = false;
}

static void
json_why(struct inquiry *q, const char *name, const struct route_why *why)
{
	ENSURE(buf_printf(&q->out, ",\"%s\":{", name));
	json(q, "\"setting\":", str_of(why->setting));
	if (why->key.n > 0)
		json(q, ",\"key\":", buf_str(&why->key));
	ENSURE(buf_addc(&q->out, '}'));
}

static void
json_route(struct inquiry *q, struct str addr, const struct route *r, const struct rcpt_check *c)
{
	json_comma(q);
	json(q, "{\"address\":", addr);
	json(q, ",\"class\":", str_of(route_class_name(r->class)));
	json(q, ",\"class_by\":", str_of(route_class_list(r->class)));
	json(q, ",\"transport\":", buf_str(&r->transport));
	json(q, ",\"nexthop\":", buf_str(&r->nexthop));
	json_why(q, "transport_by", &r->by);
	json_why(q, "nexthop_by", &r->nexthop_by);
	ENSURE(buf_printf(&q->out, ",\"known\":%s}", c->known ? "true" : "false"));
}

/* -- words -- */

static void
word_why(struct inquiry *q, const char *what, struct str value, const struct route_why *why,
    const char *otherwise)
{
	ENSURE(buf_printf(&q->out, "    %-10s %.*s  (%s", what, STR_ARG(value),
	    why->setting[0] ? why->setting : otherwise));
	if (why->key.n > 0)
		ENSURE(buf_printf(&q->out, ": \"%.*s\"", STR_ARG(buf_str(&why->key))));
	ENSURE(buf_adds(&q->out, ")\n"));
}

static void
word_route(struct inquiry *q, struct str addr, const struct route *r, const struct rcpt_check *c)
{
	const char *list = route_class_list(r->class);

	ENSURE(buf_printf(&q->out, "  %.*s\n    %-10s %s%s%s%s\n", STR_ARG(addr), "class",
	    route_class_name(r->class), list[0] ? "  (" : "", list, list[0] ? ")" : ""));
	if (!c->known && !route_refuses(r))
		ENSURE(buf_printf(&q->out, "    %-10s no such user in the %s table\n", "unknown",
		    route_class_table(r->class)));
	word_why(q, "transport", buf_str(&r->transport), &r->by, "");
	word_why(q, route_refuses(r) || route_defers(r) ? "reason" : "next hop",
	    buf_str(&r->nexthop), &r->nexthop_by, "the address's domain");
}

/* -- the inquiry -- */

static void
on_step(void *arg, const char *what, struct str from, struct str to)
{
	struct inquiry *q = arg;

	if (!q->cmd->json) {
		ENSURE(buf_printf(
		    &q->out, "  %.*s -> %.*s  (%s)\n", STR_ARG(from), STR_ARG(to), what));
		return;
	}
	json_comma(q);
	json(q, "{\"from\":", from);
	json(q, ",\"to\":", to);
	json(q, ",\"by\":", str_of(what));
	ENSURE(buf_addc(&q->out, '}'));
}

/* What it comes to is collected first, so that the steps stand together. */
struct results {
	struct inquiry *q;
	struct buf text;
	size_t *lengths;
	size_t n, cap;
};

static void
on_result_step(void *arg, const char *what, struct str from, struct str to)
{
	const struct results *r = arg;

	on_step(r->q, what, from, to);
}

static enum err
on_result(void *arg, struct str addr)
{
	struct results *r = arg;

	if (r->n == r->cap) {
		r->cap = r->cap ? 2 * r->cap : 16;
		r->lengths = mem_grow(r->lengths, r->cap * sizeof *r->lengths);
	}
	r->lengths[r->n++] = addr.n;
	return buf_add(&r->text, addr) ? OK : fail(E_NOSPACE, "too many addresses");
}

static WAITS enum err
tell_route(struct inquiry *q, struct str addr)
{
	struct rcpt_check c = { 0 };
	struct route r;
	enum err e;

	route_init(&r);
	e = router_find(intake_router(q->intake), buf_str(&q->sender_form), addr, &r);
	if (e == OK)
		e = intake_check_rcpt(q->intake, buf_str(&q->sender_form), addr, &c);
	if (e == OK && q->cmd->json)
		json_route(q, addr, &r, &c);
	else if (e == OK)
		word_route(q, addr, &r, &c);
	buf_free(&c.reason);
	route_fini(&r);
	return e;
}

static WAITS enum err
tell_address(struct inquiry *q, struct str addr)
{
	struct results r = { .q = q, .text = BUF(OUTPUT_MAX) };
	const struct intake_watch watch = { on_result_step, on_result, &r };
	size_t at = 0;
	enum err e;

	if (q->cmd->json)
		json(q, "{\"address\":", addr);
	else
		ENSURE(buf_printf(&q->out, "%.*s\n", STR_ARG(addr)));
	ENSURE(!q->cmd->json || buf_adds(&q->out, ",\"steps\":["));
	q->first = true;
	e = intake_dry_run(q->intake, addr, &watch);
	ENSURE(!q->cmd->json || buf_adds(&q->out, "],\"routes\":["));
	q->first = true;
	for (size_t i = 0; i < r.n && e == OK; at += r.lengths[i++])
		e = tell_route(q, str_sub(buf_str(&r.text), at, r.lengths[i]));
	ENSURE(!q->cmd->json || buf_adds(&q->out, "]}"));
	buf_free(&r.text);
	free(r.lengths);
	return e;
}

static void
no_step(void *arg, const char *what, struct str from, struct str to)
{
	(void)arg, (void)what, (void)from, (void)to;
}

static WAITS enum err
inquire(struct inquiry *q)
{
	const struct intake_watch silent = { .step = no_step };

	TRY(intake_open(&q->service, &q->intake));
	TRY(intake_dry_sender(q->intake, str_of(q->sender), &silent, &q->sender_form));
	for (char **a = q->addresses; *a; a++) {
		TRY(tell_address(q, str_of(*a)));
		ENSURE(buf_addc(&q->out, '\n'));
	}
	return OK;
}

static void
run(void *arg)
{
	struct inquiry *q = arg;
	enum err e = inquire(q);

	if (e == OK) {
		fwrite(q->out.p, 1, q->out.n, stdout);
	} else {
		cmd_warn(q->cmd, "%s", err_why());
		q->status = e == E_SYNTAX ? 1 : TEMPORARY;
	}
	intake_free(&q->intake);
	task_exit();
}

/* Take --sender S out of the arguments; false: there is no S. */
static bool
take_sender(char **argv, const char **sender)
{
	size_t kept = 1;

	for (size_t i = 1; argv[i]; i++) {
		if (strcmp(argv[i], "--sender") != 0 && strcmp(argv[i], "-s") != 0) {
			argv[kept++] = argv[i];
			continue;
		}
		if (argv[i + 1] == NULL)
			return false;
		*sender = argv[++i];
	}
	argv[kept] = NULL;
	return true;
}

int
cmd_route(struct cmd *c, int argc, char **argv)
{
	struct inquiry q = {
		.cmd = c, .sender = "", .sender_form = BUF(ADDRESS_ROOM), .out = BUF(OUTPUT_MAX)
	};

	if (!take_sender(argv, &q.sender) || argc < 2 || argv[1] == NULL || argv[1][0] == '-') {
		cmd_warn(c,
		    "usage: postroad route [--json] [--sender SENDER] ADDRESS...\n"
		    "  What mail to ADDRESS comes to by canonical_maps, virtual_alias_maps and the "
		    "like;\n"
		    "  the class of each result, its transport and next hop, and what decided "
		    "them.\n"
		    "  SENDER matters where routes depend on it; the null sender unless given.");
		return argc == 2 && argv[1] && strcmp(argv[1], "--help") == 0 ? 0 : 64;
	}
	if (strcmp(q.sender, "<>") == 0)
		q.sender = "";
	if (!cmd_params(c, &q.service.params))
		return 1;
	q.addresses = argv + 1;
	q.service.config_dir = q.service.params.config_directory;
	task_run(run, &q, 1);
	buf_free(&q.out);
	buf_free(&q.sender_form);
	params_fini(&q.service.params);
	return q.status;
}
