/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "cmd/check.h"
#include "util/mem.h"
#include "util/proc.h"

enum { SOURCE_MAX = 1 << 20 };

void
check_note(struct check *k, enum severity s, const char *fmt, ...)
{
	char text[4096];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	k->findings = mem_grow(k->findings, (k->n + 1) * sizeof *k->findings);
	k->findings[k->n++] = (struct finding){ s, mem_dup(text) };
}

const char *
check_place(const struct check *k, const char *setting)
{
	static char place[4400];
	const struct conf_entry *e = conf_get(&k->p->conf, str_of(setting));

	if (e && e->line > 0)
		snprintf(place, sizeof place, "%s:%u:%u: %s", k->p->conf.file, e->line, e->column,
		    setting);
	else
		snprintf(place, sizeof place, "%s", setting);
	return place;
}

/* "FILE:LINE:COLUMN: words" taken apart; false: it names no place. */
static bool
split(struct str text, struct str *file, uint64_t *line, uint64_t *column, struct str *words)
{
	struct str rest = text, l, c;

	if (text.n == 0 || text.p[0] != '/' || !str_cut(&rest, ':', file) ||
	    !str_cut(&rest, ':', &l) || !str_cut(&rest, ':', &c))
		return false;
	*words = str_trim(rest);
	return str_u64(l, line) && str_u64(c, column) && *line > 0 && *column > 0;
}

static void
show_source(struct str file, uint64_t line, uint64_t column)
{
	char *path = str_dup(file);
	struct buf text = BUF(SOURCE_MAX);
	struct str rest, source = { "", 0 };

	if (proc_read_file(path, &text) == OK) {
		rest = buf_str(&text);
		for (uint64_t n = 0; n < line && str_cut(&rest, '\n', &source); n++)
			continue;
		if (source.n > 0 && column <= source.n + 1) {
			fprintf(stderr, "%7llu | %.*s\n        | ", (unsigned long long)line,
			    STR_ARG(source));
			for (uint64_t i = 0; i + 1 < column; i++)
				fputc(source.p[i] == '\t' ? '\t' : ' ', stderr);
			fputs("^\n", stderr);
		}
	}
	buf_free(&text);
	free(path);
}

static void
put_json_text(struct str s)
{
	putchar('"');
	for (size_t i = 0; i < s.n; i++) {
		unsigned char ch = (unsigned char)s.p[i];

		if (ch == '"' || ch == '\\')
			printf("\\%c", ch);
		else if (ch < ' ')
			printf("\\u%04x", ch);
		else
			putchar(ch);
	}
	putchar('"');
}

static const char *
severity_word(enum severity s)
{
	return s == SEVERITY_ERROR ? "error" : "warning";
}

static void
show_json(const struct finding *f, bool first)
{
	struct str file = { "", 0 }, words = str_of(f->text);
	uint64_t line = 0, column = 0;

	if (!split(str_of(f->text), &file, &line, &column, &words)) {
		file.n = 0;
		line = column = 0;
		words = str_of(f->text);
	}
	printf("%s{\"severity\":\"%s\",\"file\":", first ? "" : ",\n", severity_word(f->severity));
	put_json_text(file);
	printf(",\"line\":%llu,\"column\":%llu,\"text\":", (unsigned long long)line,
	    (unsigned long long)column);
	put_json_text(words);
	putchar('}');
}

static void
show(const struct check *k, const struct finding *f)
{
	struct str file, words;
	uint64_t line, column;

	cmd_warn(k->c, "%s: %s", severity_word(f->severity), f->text);
	if (split(str_of(f->text), &file, &line, &column, &words))
		show_source(file, line, column);
}

int
check_report(struct check *k)
{
	size_t shown = 0, errors = 0;

	if (k->c->json)
		putchar('[');
	for (enum severity s = 0; s < SEVERITY_COUNT; s++) {
		for (size_t i = 0; i < k->n; i++) {
			if (k->findings[i].severity != s)
				continue;
			if (k->c->json)
				show_json(&k->findings[i], shown == 0);
			else
				show(k, &k->findings[i]);
			shown++;
			errors += s == SEVERITY_ERROR;
		}
	}
	if (k->c->json)
		puts("]");
	for (size_t i = 0; i < k->n; i++)
		free(k->findings[i].text);
	free(k->findings);
	return errors > 0;
}
