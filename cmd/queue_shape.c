/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/queue_shape.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/mem.h"

enum { NAME_COLUMNS_MIN = 18, WIDTH = 80, TABLE_MAX = 64 << 20 };

struct row {
	struct map_node node;
	uint64_t count[SHAPE_BUCKETS_MAX + 1]; /* 0: all of them */
	uint64_t subdomains;
	char name[];
};

void
shape_init(struct shape *s)
{
	*s = (struct shape){ .min_subdomains = 5,
		.buckets = 10,
		.minutes = 5,
		.width = WIDTH,
		.now = wall_now().us };
}

static struct row *
row_of(struct shape *s, struct str name)
{
	struct map_node *n = map_get(&s->rows, name);
	struct row *r;

	if (n)
		return container_of(n, struct row, node);
	r = mem_new(sizeof *r + name.n + 1);
	memcpy(r->name, name.p, name.n);
	map_put(&s->rows, (struct str){ r->name, name.n }, &r->node);
	return r;
}

static unsigned
bucket_of(const struct shape *s, int64_t arrived)
{
	int64_t width = (int64_t)s->minutes * 60 * 1000000, age = s->now - arrived, bound = width;
	unsigned b = 1;

	if (s->linear)
		return age < 0                        ? 1
		       : age / width + 1 < s->buckets ? (unsigned)(age / width) + 1
						      : s->buckets;
	for (; b < s->buckets && age >= bound; b++)
		bound *= 2;
	return b;
}

/* "B..Example.COM." is "b.example.com", no domain is as it stands, nothing is MAILER-DAEMON. */
static struct str
domain_of(struct shape *s, struct str addr)
{
	struct str d = str_sub(addr, str_rfind(addr, '@') + 1, addr.n);

	if (str_rfind(addr, '@') == addr.n)
		d = addr.n > 0 ? addr : STR("MAILER-DAEMON");
	buf_clear(&s->key);
	for (size_t i = 0; i < d.n; i++) {
		char c =
		    d.p[i] >= 'A' && d.p[i] <= 'Z' && addr.n > 0 ? (char)(d.p[i] + 32) : d.p[i];

		if (c != '.' || (s->key.n > 0 && s->key.p[s->key.n - 1] != '.'))
			buf_addc(&s->key, c);
	}
	if (s->key.n > 1 && s->key.p[s->key.n - 1] == '.')
		buf_cut(&s->key, s->key.n - 1);
	return buf_str(&s->key);
}

/* ".example.com" for "a.example.com"; nothing above that. */
static bool
parent_of(struct str *name)
{
	struct str rest = str_sub(*name, name->n > 0 && name->p[0] == '.', name->n);
	size_t dot = str_find(rest, '.');

	if (dot == rest.n || str_find(str_sub(rest, dot + 1, rest.n), '.') == rest.n - dot - 1)
		return false;
	*name = str_sub(rest, dot, rest.n);
	return true;
}

static void
count(struct shape *s, struct str addr, unsigned bucket)
{
	struct str name = domain_of(s, addr);
	bool is_new = false;

	s->total[0]++;
	s->total[bucket]++;
	do {
		struct row *r = row_of(s, name);

		r->subdomains += is_new;
		is_new = r->count[0] == 0;
		r->count[0]++;
		r->count[bucket]++;
	} while (s->parents && parent_of(&name));
}

void
shape_item(void *shape, const struct msg_item *item)
{
	struct shape *s = shape;
	struct str rest = item->rcpts;
	unsigned bucket = bucket_of(s, item->arrived);
	struct msg_item_rcpt r;

	if (s->senders) {
		count(s, item->sender, bucket);
		return;
	}
	while (msg_item_rcpt_take(&rest, &r))
		count(s, r.addr, bucket);
}

void
shape_fini(struct shape *s)
{
	struct map_iter it = { 0 };

	for (struct map_node *n; (n = map_next(&s->rows, &it)) != NULL;) {
		map_del(&s->rows, n);
		free(container_of(n, struct row, node));
	}
	map_fini(&s->rows);
	buf_free(&s->key);
}

static int
by_weight(const void *a, const void *b)
{
	const struct row *x = *(const struct row *const *)a, *y = *(const struct row *const *)b;

	if (x->count[0] != y->count[0])
		return x->count[0] > y->count[0] ? -1 : 1;
	if (x->node.key.n != y->node.key.n)
		return x->node.key.n < y->node.key.n ? -1 : 1;
	return str_cmp(x->node.key, y->node.key);
}

struct columns {
	char head[SHAPE_BUCKETS_MAX + 1][24];
	int width[SHAPE_BUCKETS_MAX + 1];
	size_t name;
};

static void
lay_out(const struct shape *s, struct columns *c)
{
	uint64_t t = 0;
	size_t used = 0;

	for (unsigned i = 0; i <= s->buckets; i++) {
		char number[24];
		size_t n, head;

		if (i > 0 && i < s->buckets)
			t += t > 0 && !s->linear ? t : s->minutes;
		snprintf(c->head[i], sizeof c->head[i],
		    i == 0           ? "T"
		    : i < s->buckets ? "%" PRIu64
				     : "%" PRIu64 "+",
		    t);
		snprintf(number, sizeof number, "%" PRIu64, s->total[i]);
		n = strlen(number);
		head = strlen(c->head[i]);
		n = head >= n ? head : n;
		c->width[i] = n > 2 ? (int)n + 1 : 3;
		used += (size_t)c->width[i];
	}
	c->name = s->width > used + NAME_COLUMNS_MIN ? s->width - used : NAME_COLUMNS_MIN;
}

/* A name that is too long keeps its end. */
static void
add_name(struct buf *out, const struct columns *c, struct str name)
{
	bool parent = name.n > 0 && name.p[0] == '.';
	size_t keep = c->name - (parent ? 2 : 1);

	if (name.n <= c->name)
		buf_printf(out, "%*s", (int)(c->name - name.n), "");
	else
		buf_adds(out, parent ? ".+" : "+");
	buf_add_clean(out, name.n <= c->name ? name : str_sub(name, name.n - keep, keep));
}

static void
add_row(const struct shape *s, const struct columns *c, struct str name, const uint64_t *counts,
    struct buf *out)
{
	add_name(out, c, name);
	for (unsigned i = 0; i <= s->buckets; i++)
		if (counts)
			buf_printf(out, "%*" PRIu64, c->width[i], counts[i]);
		else
			buf_printf(out, "%*s", c->width[i], c->head[i]);
	buf_addc(out, '\n');
}

void
shape_print(const struct shape *s, struct buf *out)
{
	const struct row **rows = mem_array(s->rows.n + 1, sizeof *rows);
	struct map_iter it = { 0 };
	struct columns c;
	size_t n = 0, shown = 1;

	out->max = TABLE_MAX;
	for (struct map_node *node; (node = map_next(&s->rows, &it)) != NULL;) {
		const struct row *r = container_of(node, struct row, node);

		if (r->name[0] != '.' || r->subdomains >= s->min_subdomains)
			rows[n++] = r;
	}
	qsort(rows, n, sizeof *rows, by_weight);
	lay_out(s, &c);
	add_row(s, &c, STR(""), NULL, out);
	add_row(s, &c, STR("TOTAL"), s->total, out);
	for (size_t i = 0; i < n && (s->top == 0 || ++shown <= s->top); i++)
		add_row(s, &c, rows[i]->node.key, rows[i]->count, out);
	free(rows);
}

static int
usage(const struct cmd *c, FILE *out, int status)
{
	fprintf(out,
	    "usage: %s [-s] [-p] [-m min_subdomains] [-b bucket_count] [-t bucket_time] [-l]\n"
	    "       [-w width] [-n rows] [queue_name ...]\n"
	    "Mail by domain (rows) and age in minutes (columns).\n"
	    "  -s  domains of senders, not of recipients    -p  parent domains, too\n"
	    "  -b  number of columns (10)                   -t  minutes of the first (5)\n"
	    "  -l  all columns of the same width            -n  at most so many rows\n"
	    "queue_name: incoming, active, deferred, hold; incoming and active unless given.\n",
	    c->name);
	return status;
}

static bool
number(const char *text, unsigned low, unsigned high, unsigned *v)
{
	uint64_t n;

	if (!str_u64(str_of(text), &n) || n < low || n > high)
		return false;
	*v = (unsigned)n;
	return true;
}

static bool
option(struct cmd *c, struct shape *s, int o)
{
	unsigned ignored;

	switch (o) {
	case 's':
		return s->senders = true;
	case 'p':
		return s->parents = true;
	case 'l':
		return s->linear = true;
	case 'c':
		c->dir = optarg;
		return true;
	case 'm':
		return number(optarg, 0, 1000000, &s->min_subdomains);
	case 'b':
		return number(optarg, 1, SHAPE_BUCKETS_MAX, &s->buckets);
	case 't':
		return number(optarg, 1, 1000000, &s->minutes);
	case 'w':
		return number(optarg, 0, 10000, &s->width);
	case 'n':
		return number(optarg, 0, UINT32_MAX, &s->top);
	case 'N':
		return number(
		    optarg, 0, UINT32_MAX, &ignored); /* there are no intermediate results */
	default:
		return false;
	}
}

int
queue_shape(struct cmd *c, int argc, char **argv)
{
	struct queue_request r = { .op = QUEUE_LIST };
	struct shape s;
	struct queue_answers a = { .item = shape_item, .arg = &s, .whole = true };
	struct queue_result out;
	struct buf table = { 0 };
	int o, status;

	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return usage(c, stdout, EX_DONE);
	shape_init(&s);
	s.top = isatty(STDOUT_FILENO) ? 20 : 0;
	optind = 0;
	while ((o = getopt(argc, argv, "c:splm:b:t:w:n:N:")) != -1)
		if (!option(c, &s, o))
			return usage(c, stderr, EX_BAD_USAGE);
	s.width = s.width < WIDTH ? WIDTH : s.width;
	for (int i = optind; i < argc; i++) {
		const char *slash = strrchr(argv[i], '/');
		unsigned state = select_state(str_of(slash ? slash + 1 : argv[i]));

		if (state == 0)
			cmd_warn(c, "warning: %s: no queue of that name is listed", argv[i]);
		r.select.states = (uint8_t)(r.select.states | state);
	}
	if (optind == argc)
		r.select.states = STATE_INCOMING | STATE_ACTIVE;
	status = r.select.states ? queue_do(c, &r, &a, &out) : EX_NOT_DONE;
	if (r.select.states)
		queue_result_fini(&out);
	if (status == EX_DONE) {
		shape_print(&s, &table);
		fwrite(table.p, 1, table.n, stdout);
	}
	buf_free(&table);
	shape_fini(&s);
	return fflush(stdout) == 0 ? status : EX_NOT_DONE;
}

int
cmd_qshape(struct cmd *c, int argc, char **argv)
{
	return queue_shape(c, argc, argv);
}
