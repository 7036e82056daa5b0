/* SPDX-License-Identifier: Apache-2.0 */
/* `postroad explain`: where a message is, what was tried, why it waits now, and what comes next; of
 * an address, its messages; of a domain, its destinations. */
#include "cmd/explain.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/mem.h"

enum { KEPT_MAX = 64 << 20 };

bool
explain_site(
    const struct explain *x, struct str transport, struct str nexthop, struct msg_site *site)
{
	struct str rest = buf_str(&x->sites);

	while (msg_site_take(&rest, site))
		if (str_eq(site->transport, transport) && str_eq(site->nexthop, nexthop))
			return true;
	return false;
}

int64_t
explain_expires(const struct explain *x, const struct msg_item *item)
{
	return item->arrived + (item->sender.n > 0 ? x->params.maximal_queue_lifetime
						   : x->params.bounce_queue_lifetime) *
				   1000000;
}

/* -- asking -- */

static void
on_item(void *arg, const struct msg_item *item)
{
	struct explain *x = arg;

	x->found++;
	if (x->messages < MESSAGES_SHOWN && msg_item_put(&x->items, item))
		x->messages++;
}

static void
on_site(void *arg, const struct msg_site *site)
{
	(void)msg_site_put(&((struct explain *)arg)->sites, site);
}

static void
on_event(void *arg, const struct jrn_record *r)
{
	(void)jrn_record_put(&((struct explain *)arg)->events, r);
}

static int
ask(struct explain *x, enum queue_op op, struct msg_select select, struct buf *missing)
{
	struct queue_request r = { .op = op, .select = select };
	struct queue_answers a = { .item = on_item, .site = on_site, .event = on_event, .arg = x };
	struct queue_result out;
	int status = queue_do(x->c, &r, &a, &out);

	x->down |= out.down;
	x->away |= out.away;
	x->now = wall_now().us;
	if (missing)
		(void)buf_add(missing, buf_str(&out.missing));
	queue_result_fini(&out);
	return status;
}

/* What qmgr knows of the places that these messages are for. */
static int
ask_sites(struct explain *x)
{
	struct str items = buf_str(&x->items);
	struct selector which = { 0 };
	struct msg_item_rcpt r;
	struct msg_item item;
	int status = EX_DONE;

	while (msg_item_take(&items, &item))
		while (msg_item_rcpt_take(&item.rcpts, &r))
			if (r.nexthop.n > 0)
				selector_add(&which.destinations, r.nexthop);
	if (which.destinations.n > 0 && !x->down)
		status = ask(x, QUEUE_SITES, selector_select(&which), NULL);
	selector_fini(&which);
	return status;
}

/* -- telling -- */

static int
tell_message(struct explain *x, const struct msg_item *item)
{
	struct buf id = BUF(8), missing = BUF(0);
	int status;

	(void)wire_put_u64(&id, item->id);
	buf_clear(&x->events);
	status = ask(x, QUEUE_HISTORY, (struct msg_select){ .ids = buf_str(&id) }, &missing);
	buf_free(&id);
	buf_free(&missing);
	if (x->c->json)
		explain_message_json(x, item);
	else
		explain_message_text(x, item);
	return status;
}

static int
tell_messages(struct explain *x)
{
	struct str items = buf_str(&x->items);
	struct msg_item item;
	int status = ask_sites(x);
	uint64_t n = 0;

	while (status == EX_DONE && msg_item_take(&items, &item)) {
		if (n++ > 0 && !x->c->json)
			putchar('\n');
		status = tell_message(x, &item);
	}
	if (x->found > x->messages && !x->c->json)
		printf("\nand %" PRIu64 " more: postroad queue list --recipient %.*s\n",
		    x->found - x->messages, STR_ARG(x->what));
	return status;
}

static int
explain_id(struct explain *x, uint64_t number)
{
	struct buf id = BUF(8), missing = BUF(0);
	char text[QID_TEXT];
	int status;

	(void)wire_put_u64(&id, number);
	status = ask(x, QUEUE_LIST, (struct msg_select){ .ids = buf_str(&id) }, &missing);
	if (status == EX_DONE && missing.n > 0) {
		qid_text(number, text);
		if (x->c->json)
			explain_gone_json(x, text);
		else
			explain_gone_text(x, text);
		status = EX_NOT_DONE;
	} else if (status == EX_DONE) {
		status = tell_messages(x);
	}
	buf_free(&id);
	buf_free(&missing);
	return status;
}

/* Mail to it, then mail from it. */
static int
explain_address(struct explain *x)
{
	struct selector to = { 0 }, from = { 0 };
	int status;

	selector_add(&to.rcpts, x->what);
	selector_add(&from.senders, x->what);
	status = ask(x, QUEUE_LIST, selector_select(&to), NULL);
	if (status == EX_DONE)
		status = ask(x, QUEUE_LIST, selector_select(&from), NULL);
	selector_fini(&to);
	selector_fini(&from);
	if (status != EX_DONE)
		return status;
	if (x->found == 0) {
		if (x->c->json)
			explain_gone_json(x, "");
		else
			explain_gone_text(x, "");
		return EX_NOT_DONE;
	}
	return tell_messages(x);
}

struct both {
	struct explain *x;
	struct sum sum;
};

static void
on_both(void *arg, const struct msg_item *item)
{
	struct both *b = arg;

	on_item(b->x, item);
	sum_item(&b->sum, item);
}

static void
tell_reasons(const struct both *b)
{
	const struct sum_line **v = sum_sorted(&b->sum);
	char age[SHORT_TEXT];
	struct buf line = BUF(0);

	printf("\n%" PRIu64 " message%s in the queue for it; what the last attempts said:\n",
	    b->x->found, b->x->found == 1 ? "" : "s");
	for (size_t i = 0; v[i] && i < 10; i++) {
		buf_clear(&line);
		buf_add_clean(&line, v[i]->key);
		explain_wrap(buf_str(&line), 26,
		    printf("  %6" PRIu64 "  oldest %-8s ", v[i]->messages,
			text_of_age((b->x->now - v[i]->oldest) / 1000000, age)));
	}
	buf_free(&line);
	free(v);
}

/* The places that its mail goes to, its own name and others, and what waits for them. */
static int
explain_domain(struct explain *x)
{
	struct both b = {
		.x = x, .sum = {.by = SUM_REASON, .now = x->now}
	};
	struct queue_answers a = { .item = on_both, .arg = &b, .whole = true };
	struct selector which = { 0 };
	struct queue_request r = { .op = QUEUE_LIST };
	struct queue_result out;
	struct msg_site site;
	struct str sites;
	int status;

	selector_add(&which.destinations, x->what);
	r.select = selector_select(&which);
	status = queue_do(x->c, &r, &a, &out);
	x->down |= out.down;
	x->away |= out.away;
	queue_result_fini(&out);
	if (status == EX_DONE)
		status = ask_sites(x);
	if (status == EX_DONE && x->messages == 0 && !x->down)
		status = ask(x, QUEUE_SITES, r.select, NULL);
	sites = buf_str(&x->sites);
	while (status == EX_DONE && msg_site_take(&sites, &site))
		if (x->c->json)
			explain_site_json(x, &site);
		else
			explain_site_text(x, &site);
	if (status == EX_DONE && x->sites.n == 0 && !x->c->json)
		printf("%.*s: %s\n", STR_ARG(x->what),
		    x->away   ? "qmgr does not answer: nothing is known of where its mail goes"
		    : x->down ? "the mail system is down: nothing is delivered anywhere"
			    : "no mail is waiting for it, and nothing is remembered of it");
	if (status == EX_DONE && x->found > 0 && !x->c->json)
		tell_reasons(&b);
	if (status == EX_DONE && x->found == 0 && x->sites.n == 0)
		status = EX_NOT_DONE;
	sum_fini(&b.sum);
	selector_fini(&which);
	return status;
}

static int
explain(struct explain *x)
{
	uint64_t id;

	if (qid_parse(x->what, &id))
		return explain_id(x, id);
	if (str_find(x->what, '@') < x->what.n)
		return explain_address(x);
	return explain_domain(x);
}

static int
usage(const struct cmd *c, FILE *out, int status)
{
	fprintf(out,
	    "usage: %s [--json] ID | ADDRESS | DOMAIN ...\n"
	    "  ID       where the message is, what was tried and what was said, why it waits, what "
	    "comes next\n"
	    "  ADDRESS  the same of mail to it and from it (%d messages at most)\n"
	    "  DOMAIN   or next hop: whether mail goes there now, and what waits for it\n"
	    "Exit status: 0 found; 1 not in the queue; 64 usage; 69 and above: could not be "
	    "asked.\n",
	    c->name, MESSAGES_SHOWN);
	return status;
}

int
cmd_explain(struct cmd *c, int argc, char **argv)
{
	int status = EX_DONE;

	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
		return usage(c, stdout, EX_DONE);
	if (argc < 2 || argv[1][0] == '-')
		return usage(c, stderr, EX_BAD_USAGE);
	for (int i = 1; i < argc; i++) {
		struct explain x = { .c = c,
			.what = str_of(argv[i]),
			.items = BUF(KEPT_MAX),
			.sites = BUF(KEPT_MAX),
			.events = BUF(KEPT_MAX),
			.now = wall_now().us };
		int one;

		if (!cmd_params(c, &x.params))
			return EX_NOT_DONE;
		if (i > 1 && !c->json)
			putchar('\n');
		one = explain(&x);
		status = one == EX_DONE ? status : one;
		buf_free(&x.items);
		buf_free(&x.sites);
		buf_free(&x.events);
		params_fini(&x.params);
	}
	return fflush(stdout) == 0 ? status : EX_NOT_DONE;
}
