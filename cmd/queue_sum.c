/* SPDX-License-Identifier: Apache-2.0 */
/* The queue in a table: a line for each destination, domain, sender, reason or age.  Messages are
 * counted as they come; only the lines are kept. */
#include "cmd/queue_sum.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "mail/addr.h"
#include "util/mem.h"

struct line {
	struct map_node node;
	struct sum_line sum;
	uint64_t last; /* message counted last */
	char key[];
};

enum queue_sum
queue_sum_of(const char *word)
{
	static const struct {
		const char *name;
		enum queue_sum by;
	} kinds[] = {
		{"destination", SUM_DESTINATION},
		{ "domain",     SUM_DOMAIN     },
		{ "sender",     SUM_SENDER     },
		{ "reason",     SUM_REASON     },
		{ "age",        SUM_AGE        },
	};

	for (size_t i = 0; i < countof(kinds); i++)
		if (strcmp(word, kinds[i].name) == 0)
			return kinds[i].by;
	return SUM_NONE;
}

/* The bounds of ages, seconds; each line is what is younger than it and no younger than the one
 * before. */
static const struct {
	int64_t under;
	const char *name;
} ages[] = {
	{300,        "under 5m"   },
	{ 1200,      "5m to 20m"  },
	{ 3600,      "20m to 1h"  },
	{ 14400,     "1h to 4h"   },
	{ 86400,     "4h to 1d"   },
	{ 172800,    "1d to 2d"   },
	{ 432000,    "2d to 5d"   },
	{ INT64_MAX, "5d and more"},
};

static size_t
age_place(int64_t seconds)
{
	size_t i = 0;

	while (seconds >= ages[i].under && i + 1 < countof(ages))
		i++;
	return i;
}

static void
count(struct sum *s, struct str key, size_t place, const struct msg_item *item)
{
	struct map_node *n = map_get(&s->lines, key);
	struct line *l = n ? container_of(n, struct line, node) : NULL;

	if (l == NULL) {
		l = mem_new(sizeof *l + key.n + 1);
		if (key.n > 0)
			memcpy(l->key, key.p, key.n);
		l->sum = (struct sum_line){
			.key = {l->key, key.n},
                          .oldest = INT64_MAX, .place = place
		};
		map_put(&s->lines, l->sum.key, &l->node);
	}
	l->sum.rcpts++;
	if (l->sum.messages > 0 && l->last == item->id)
		return;
	l->last = item->id;
	l->sum.messages++;
	l->sum.bytes += item->size;
	if (item->arrived < l->sum.oldest)
		l->sum.oldest = item->arrived;
}

static struct str
key_of(struct sum *s, const struct msg_item *item, const struct msg_item_rcpt *r)
{
	struct str domain = address_domain(r->addr);

	buf_clear(&s->key);
	switch (s->by) {
	case SUM_DESTINATION:
		buf_printf(&s->key, "%.*s:%.*s", STR_ARG(r->transport), STR_ARG(r->nexthop));
		return r->transport.n > 0 ? buf_str(&s->key) : STR("(none: failed)");
	case SUM_DOMAIN:
		for (size_t i = 0; i < domain.n; i++)
			buf_addc(&s->key, domain.p[i] >= 'A' && domain.p[i] <= 'Z'
					      ? (char)(domain.p[i] + 32)
					      : domain.p[i]);
		return domain.n > 0 ? buf_str(&s->key) : STR("(local)");
	case SUM_SENDER:
		return item->sender.n > 0 ? item->sender : STR("MAILER-DAEMON");
	case SUM_REASON:
		return r->reason.n > 0 ? r->reason : STR("(not tried yet)");
	default:
		return STR("");
	}
}

void
sum_item(void *sum, const struct msg_item *item)
{
	struct sum *s = sum;
	struct str rest = item->rcpts;
	struct msg_item_rcpt r;
	size_t place = 0;

	while (msg_item_rcpt_take(&rest, &r)) {
		struct str key = STR("");

		if (s->by == SUM_AGE) {
			place = age_place((s->now - item->arrived) / 1000000);
			key = str_of(ages[place].name);
		} else {
			key = key_of(s, item, &r);
		}
		count(s, key, place, item);
	}
}

/* Ages in their order, all others the fullest first. */
static int
by_weight(const void *a, const void *b)
{
	const struct sum_line *x = *(const struct sum_line *const *)a,
			      *y = *(const struct sum_line *const *)b;

	if (x->place != y->place)
		return x->place < y->place ? -1 : 1;
	if (x->messages != y->messages)
		return x->messages > y->messages ? -1 : 1;
	return str_cmp(x->key, y->key);
}

const struct sum_line **
sum_sorted(const struct sum *s)
{
	const struct sum_line **v = mem_array(s->lines.n + 1, sizeof *v);
	struct map_iter it = { 0 };
	size_t n = 0;

	for (struct map_node *node; (node = map_next(&s->lines, &it)) != NULL;)
		v[n++] = &container_of(node, struct line, node)->sum;
	qsort(v, n, sizeof *v, by_weight);
	return v;
}

void
sum_fini(struct sum *s)
{
	struct map_iter it = { 0 };

	for (struct map_node *node; (node = map_next(&s->lines, &it)) != NULL;) {
		map_del(&s->lines, node);
		free(container_of(node, struct line, node));
	}
	map_fini(&s->lines);
	buf_free(&s->key);
}

const char *
text_of_size(uint64_t bytes, char out[SHORT_TEXT])
{
	static const char units[] = "KMGTPE";
	double v = (double)bytes / 1024;
	size_t u = 0;

	if (bytes < 1024) {
		snprintf(out, SHORT_TEXT, "%" PRIu64, bytes);
		return out;
	}
	for (; v >= 1000 && units[u + 1]; u++)
		v /= 1024;
	snprintf(out, SHORT_TEXT, v < 10 ? "%.1f%c" : "%.0f%c", v, units[u]);
	return out;
}

const char *
text_of_age(int64_t seconds, char out[SHORT_TEXT])
{
	int64_t s = seconds < 0 ? 0 : seconds;

	if (s < 60)
		snprintf(out, SHORT_TEXT, "%" PRId64 "s", s);
	else if (s < 3600)
		snprintf(out, SHORT_TEXT, "%" PRId64 "m%02" PRId64 "s", s / 60, s % 60);
	else if (s < 86400)
		snprintf(out, SHORT_TEXT, "%" PRId64 "h%02" PRId64 "m", s / 3600, s / 60 % 60);
	else
		snprintf(out, SHORT_TEXT, "%" PRId64 "d%02" PRId64 "h", s / 86400, s / 3600 % 24);
	return out;
}

static void
print(const struct sum *s, bool json)
{
	static const char *const titles[] = { "", "destination", "sender", "reason", "age",
		"domain" };
	const struct sum_line **v = sum_sorted(s);
	char size[SHORT_TEXT], age[SHORT_TEXT];
	struct buf line = BUF(0);

	if (!json)
		printf("%9s %10s %7s %8s  %s\n", "messages", "recipients", "size", "oldest",
		    titles[s->by]);
	for (size_t i = 0; v[i]; i++) {
		buf_clear(&line);
		if (json) {
			buf_printf(&line, "{\"%s\": ", titles[s->by]);
			buf_add_json(&line, v[i]->key);
			buf_printf(&line,
			    ", \"messages\": %" PRIu64 ", \"recipients\": %" PRIu64
			    ", \"bytes\": %" PRIu64 ", \"oldest\": %" PRId64 "}",
			    v[i]->messages, v[i]->rcpts, v[i]->bytes, v[i]->oldest / 1000000);
		} else {
			buf_printf(&line, "%9" PRIu64 " %10" PRIu64 " %7s %8s  ", v[i]->messages,
			    v[i]->rcpts, text_of_size(v[i]->bytes, size),
			    text_of_age((s->now - v[i]->oldest) / 1000000, age));
			buf_add_clean(&line, v[i]->key);
		}
		puts(buf_cstr(&line));
	}
	buf_free(&line);
	free(v);
}

int
queue_sum(struct cmd *c, const struct queue_request *r, enum queue_sum by)
{
	struct sum s = { .by = by, .now = wall_now().us };
	struct queue_answers a = { .item = sum_item, .arg = &s, .whole = true };
	struct queue_result out;
	int status = queue_do(c, r, &a, &out);

	if (status == EX_DONE)
		print(&s, c->json);
	queue_result_fini(&out);
	sum_fini(&s);
	return fflush(stdout) == 0 ? status : EX_NOT_DONE;
}
