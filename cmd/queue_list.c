/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <time.h>

#include "cmd/queue.h"

enum { REASON_COLUMNS = 76 };

static const char *
queue_name(const struct msg_item *item)
{
	return item->active
		   ? "active"
		   : spool_dir_name(item->dir < SPOOL_DIR_COUNT ? item->dir : SPOOL_CORRUPT);
}

static void
print_json(const struct msg_item *item)
{
	struct buf line = BUF(64 << 20);
	struct str rest = item->rcpts;
	struct msg_item_rcpt r;
	char id[QID_TEXT];
	const char *comma = "";

	buf_printf(&line,
	    "{\"queue_name\": \"%s\", \"queue_id\": \"%s\", \"arrival_time\": %" PRId64
	    ", \"message_size\": %" PRIu64 ", \"forced_expire\": %s, \"sender\": ",
	    queue_name(item), qid_text(item->id, id), item->arrived / 1000000, item->size,
	    item->forced_expire ? "true" : "false");
	buf_add_json(&line, item->sender);
	buf_adds(&line, ", \"recipients\": [");
	while (msg_item_rcpt_take(&rest, &r)) {
		buf_printf(&line, "%s{\"address\": ", comma);
		buf_add_json(&line, r.addr);
		if (r.orig.n > 0) {
			buf_adds(&line, ", \"orig_address\": ");
			buf_add_json(&line, r.orig);
		}
		if (r.reason.n > 0) {
			buf_adds(&line, ", \"delay_reason\": ");
			buf_add_json(&line, r.reason);
		}
		if (r.attempts > 0)
			buf_printf(&line, ", \"attempts\": %" PRIu32 ", \"next_try\": %" PRId64,
			    r.attempts, r.next_try / 1000000);
		buf_addc(&line, '}');
		comma = ", ";
	}
	buf_adds(&line, "]}\n");
	fwrite(line.p, 1, line.n, stdout);
	buf_free(&line);
}

/* The reason stands before the recipients that share it. */
static void
print_rcpts(const struct msg_item *item)
{
	struct str rest = item->rcpts, reason = STR("");
	struct msg_item_rcpt r;

	while (msg_item_rcpt_take(&rest, &r)) {
		if (r.reason.n > 0 && !str_eq(r.reason, reason)) {
			struct buf clean = BUF(0);

			buf_add_clean(&clean, r.reason);
			printf("%*s(%s)\n",
			    clean.n < REASON_COLUMNS ? (int)(REASON_COLUMNS - clean.n) : 0, "",
			    buf_cstr(&clean));
			buf_free(&clean);
			reason = r.reason;
		}
		printf("%47s%.*s\n", "", STR_ARG(r.addr));
	}
}

static void
print_text(struct queue_lister *l, const struct msg_item *item)
{
	char id[QID_TEXT + 1], when[32];
	time_t at = (time_t)(item->arrived / 1000000);
	struct tm tm;

	if (l->messages == 0)
		puts("----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------");
	qid_text(item->id, id);
	strcat(id, item->active              ? "*"
		   : item->dir == SPOOL_HOLD ? "!"
		   : item->forced_expire     ? "#"
					     : "");
	strftime(when, sizeof when, "%a %b %e %H:%M:%S", localtime_r(&at, &tm));
	printf("%-17s %8" PRIu64 " %19.19s %.*s\n", id, item->size, when,
	    STR_ARG(item->sender.n > 0 ? item->sender : STR("MAILER-DAEMON")));
	print_rcpts(item);
	putchar('\n');
}

void
queue_list_item(void *lister, const struct msg_item *item)
{
	struct queue_lister *l = lister;

	if (l->json)
		print_json(item);
	else
		print_text(l, item);
	l->messages++;
	l->bytes += item->size;
}

void
queue_list_end(const struct queue_lister *l)
{
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
	uint32_t counted;
	int status;

	setvbuf(stdout, out, _IOFBF, sizeof out);
	status = queue_do(c, r, 1, queue_list_item, &l, &counted);
	if (status == 0)
		queue_list_end(&l);
	return fflush(stdout) == 0 ? status : 1;
}
