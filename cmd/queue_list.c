/* SPDX-License-Identifier: Apache-2.0 */
/* The queue as mailq shows it, and as JSON lines: both as those who parse them know them. */
#include <inttypes.h>
#include <time.h>

#include "cmd/queue.h"

enum { REASON_COLUMNS = 76, RCPT_COLUMN = 47, LINE_MAX_BYTES = 64 << 20, FLUSH_MS = 100 };

const char *
queue_state_name(const struct msg_item *item)
{
	return item->active
		   ? "active"
		   : spool_dir_name(item->dir < SPOOL_DIR_COUNT ? item->dir : SPOOL_CORRUPT);
}

/* Nothing that a terminal would obey. */
static void
add_text(struct buf *b, struct str s)
{
	size_t at = b->n;

	if (!buf_add(b, s))
		return;
	for (; at < b->n; at++)
		if ((unsigned char)b->p[at] < ' ' || b->p[at] == 127)
			b->p[at] = '?';
}

static void
add_member(struct buf *line, const char *name, struct str value)
{
	buf_printf(line, ", \"%s\": ", name);
	buf_add_json(line, value);
}

static void
add_json_rcpt(struct buf *line, const struct msg_item_rcpt *r)
{
	buf_adds(line, "{\"address\": ");
	buf_add_json(line, r->addr);
	if (r->orig.n > 0)
		add_member(line, "orig_address", r->orig);
	if (r->reason.n > 0)
		add_member(
		    line, r->why == WHY_NOTICE ? "bounce_reason" : "delay_reason", r->reason);
	if (r->attempts > 0)
		buf_printf(line, ", \"attempts\": %" PRIu32, r->attempts);
	if (r->next_try > 0)
		buf_printf(line, ", \"next_try\": %" PRId64, r->next_try / 1000000);
	if (r->transport.n > 0) {
		add_member(line, "transport", r->transport);
		add_member(line, "nexthop", r->nexthop);
	}
	add_member(line, "status", str_of(sched_why_text(r->why)));
	buf_addc(line, '}');
}

static void
add_json(struct buf *line, const struct msg_item *item)
{
	struct str rest = item->rcpts;
	struct msg_item_rcpt r;
	char id[QID_TEXT];
	const char *comma = "";

	buf_printf(line,
	    "{\"queue_name\": \"%s\", \"queue_id\": \"%s\", \"arrival_time\": %" PRId64
	    ", \"message_size\": %" PRIu64 ", \"forced_expire\": %s, \"sender\": ",
	    queue_state_name(item), qid_text(item->id, id), item->arrived / 1000000, item->size,
	    item->forced_expire ? "true" : "false");
	buf_add_json(line, item->sender);
	buf_adds(line, ", \"recipients\": [");
	while (msg_item_rcpt_take(&rest, &r)) {
		buf_adds(line, comma);
		add_json_rcpt(line, &r);
		comma = ", ";
	}
	buf_adds(line, "]}\n");
}

/* The reason stands before the recipients that share it. */
static void
add_rcpts(struct buf *line, const struct msg_item *item)
{
	struct str rest = item->rcpts, reason = STR("");
	struct msg_item_rcpt r;

	while (msg_item_rcpt_take(&rest, &r)) {
		if (r.reason.n > 0 && !str_eq(r.reason, reason)) {
			buf_printf(line, "%*s(",
			    r.reason.n < REASON_COLUMNS ? (int)(REASON_COLUMNS - r.reason.n) : 0,
			    "");
			add_text(line, r.reason);
			buf_adds(line, ")\n");
			reason = r.reason;
		}
		buf_printf(line, "%*s", RCPT_COLUMN, "");
		add_text(line, r.addr);
		buf_addc(line, '\n');
	}
}

static void
add_mailq(struct buf *line, const struct msg_item *item)
{
	time_t at = (time_t)(item->arrived / 1000000);
	char id[QID_TEXT], when[32];
	struct tm tm;
	char mark = item->active              ? '*'
		    : item->dir == SPOOL_HOLD ? '!'
		    : item->forced_expire     ? '#'
					      : ' ';

	strftime(when, sizeof when, "%a %b %e %H:%M:%S", localtime_r(&at, &tm));
	buf_printf(
	    line, "%s%c %8" PRIu64 " %19.19s ", qid_text(item->id, id), mark, item->size, when);
	add_text(line, item->sender.n > 0 ? item->sender : STR("MAILER-DAEMON"));
	buf_addc(line, '\n');
	add_rcpts(line, item);
	buf_addc(line, '\n');
}

void
queue_list_item(void *lister, const struct msg_item *item)
{
	struct queue_lister *l = lister;

	l->line.max = LINE_MAX_BYTES;
	buf_clear(&l->line);
	if (!l->json && l->messages == 0)
		buf_adds(&l->line,
		    "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------\n");
	if (l->json)
		add_json(&l->line, item);
	else
		add_mailq(&l->line, item);
	fwrite(l->line.p, 1, l->line.n, stdout);
	/* What comes slowly is seen as it comes. */
	if (!time_before(time_now(), l->flush)) {
		fflush(stdout);
		l->flush = time_after_ms(time_now(), FLUSH_MS);
	}
	l->messages++;
	l->bytes += item->size;
}

void
queue_list_end(struct queue_lister *l)
{
	buf_free(&l->line);
	if (l->json)
		return;
	if (l->messages == 0)
		puts("Mail queue is empty");
	else
		printf("-- %" PRIu64 " Kbytes in %" PRIu64 " Request%s.\n",
		    (l->bytes + 1023) / 1024, l->messages, l->messages == 1 ? "" : "s");
}

int
queue_list(struct cmd *c, const struct queue_request *r, bool json)
{
	static char out[1 << 16];
	struct queue_lister l = { .json = json };
	struct queue_answers a = { .item = queue_list_item, .arg = &l };
	struct queue_result result;
	int status;

	setvbuf(stdout, out, _IOFBF, sizeof out);
	status = queue_do(c, r, &a, &result);
	queue_say_missing(c, &result);
	if (status == EX_DONE && result.missing.n > 0)
		status = EX_NOT_DONE;
	if (status == EX_DONE || l.messages > 0)
		queue_list_end(&l);
	queue_result_fini(&result);
	return fflush(stdout) == 0 ? status : EX_NOT_DONE;
}
