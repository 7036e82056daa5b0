/* SPDX-License-Identifier: Apache-2.0 */
#include "master/table.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

#include "master/endpoint.h"
#include "master/program.h"
#include "master/words.h"
#include "util/conf.h"
#include "util/mem.h"

enum { ENTRIES_MAX = 500, ARGS_MAX = 200, WAKEUP_MAX = 86400 * 7, MAXPROC_MAX = 100000 };

struct parser {
	struct table            *table;
	const struct conf_lines *lines;
	struct str               line;
	size_t                   at;                   /* next byte of line */
	struct buf              *errors, *warnings;
};

/* One per column.  word is the column's; e is under construction. */
typedef enum err column_parser(struct parser *p, struct table_entry *e, struct str word);

void
table_complain(const struct table *t, struct position at, struct buf *out, const char *fmt, ...)
{
	char text[ERR_WHY_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	buf_printf(out, "%s:%u:%u: %s\n", t->file, at.line, at.column, text);
}

static struct position
position(const struct parser *p, size_t byte)
{
	struct position at;

	conf_position(p->lines, byte, &at.line, &at.column);
	return at;
}

static enum err
parse_name(struct parser *p, struct table_entry *e, struct str word)
{
	(void)p;
	e->name = str_dup(word);
	return OK;
}

static enum err
parse_inet_name(struct table_entry *e)
{
	char host[ENDPOINT_HOST];
	struct buf b = BUF(0);

	TRY(endpoint_parse(str_of(e->name), host, &e->port));
	if (strchr(host, ':'))
		buf_printf(&b, "inet:[%s]:%u", host, e->port);
	else
		buf_printf(&b, "inet:%s%s%u", host, host[0] ? ":" : "", e->port);
	e->host = host[0] ? mem_dup(host) : NULL;
	e->identity = b.p;
	return OK;
}

/* It becomes a file name. */
static enum err
parse_unix_name(struct table_entry *e)
{
	struct buf b = BUF(0);

	if (e->name[0] == '.' || strchr(e->name, '/') || strlen(e->name) > 100)
		return fail(E_SYNTAX,
		    "expected a service name without '/' and leading '.', at most 100 bytes long");
	buf_printf(&b, "unix:%s", e->name);
	e->identity = b.p;
	return OK;
}

static enum err
parse_type(struct parser *p, struct table_entry *e, struct str word)
{
	static const struct { const char *name, *why_not; } refused[] = {
		{ "fifo", "a FIFO cannot say who writes to it; use unix" },
		{ "pass", "no service takes over the connections of another; use inet" },
		{ "unix-dgram", "no service takes datagrams; logs go to syslog or maillog_file directly" },
	};

	(void)p;
	for (size_t i = 0; i < countof(refused); i++)
		if (str_eq(word, str_of(refused[i].name)))
			return fail(E_SYNTAX, "type %s is not supported: %s", refused[i].name,
			    refused[i].why_not);
	if (str_eq(word, STR("inet")))
		e->type = TYPE_INET;
	else if (str_eq(word, STR("unix")))
		e->type = TYPE_UNIX;
	else
		return fail(E_SYNTAX, "expected a type, inet or unix, not \"%.*s\"", STR_ARG(word));
	return OK;
}

static enum err
yes_or_no(struct str word, bool if_default, const char *column, bool *out)
{
	if (str_eq(word, STR("-")))
		*out = if_default;
	else if (str_eq(word, STR("y")) || str_eq(word, STR("n")))
		*out = word.p[0] == 'y';
	else
		return fail(E_SYNTAX, "expected y, n or - in column \"%s\", not \"%.*s\"", column,
		    STR_ARG(word));
	return OK;
}

static enum err
parse_private(struct parser *p, struct table_entry *e, struct str word)
{
	(void)p;
	TRY(yes_or_no(word, e->type == TYPE_UNIX, "private", &e->private));
	if (e->private && e->type == TYPE_INET)
		return fail(E_SYNTAX, "expected n: an inet service cannot be private");
	return OK;
}

static enum err
parse_unpriv(struct parser *p, struct table_entry *e, struct str word)
{
	(void)p;
	return yes_or_no(word, true, "unpriv", &e->unpriv);
}

static enum err
parse_chroot(struct parser *p, struct table_entry *e, struct str word)
{
	(void)p;
	return yes_or_no(word, false, "chroot", &e->chroot);
}

static enum err
parse_wakeup(struct parser *p, struct table_entry *e, struct str word)
{
	uint64_t v = 0;

	(void)p;
	if (str_eq(word, STR("-")))
		return OK;
	if (str_ends(word, STR("?"))) {
		e->wakeup_if_used = true;
		word.n--;
	}
	if (!str_u64(word, &v) || v > WAKEUP_MAX)
		return fail(E_SYNTAX, "expected a time in seconds, a '?' behind it at most, or - "
				      "in column \"wakeup\"");
	e->wakeup = (int)v;
	return OK;
}

static enum err
parse_maxproc(struct parser *p, struct table_entry *e, struct str word)
{
	uint64_t v = 0;

	e->maxproc_at = position(p, (size_t)(word.p - p->line.p));
	e->maxproc = -1;
	if (str_eq(word, STR("-")))
		return OK;
	if (!str_u64(word, &v) || v > MAXPROC_MAX)
		return fail(E_SYNTAX,
		    "expected a number of processes, 0 (no limit) or - in column \"maxproc\", not "
		    "\"%.*s\"",
		    STR_ARG(word));
	e->maxproc = (int)v;
	return OK;
}

static enum err
parse_prog(struct parser *p, struct table_entry *e, struct str word)
{
	e->prog_at = position(p, (size_t)(word.p - p->line.p));
	e->prog = str_dup(word);
	if (str_find(word, '/') != word.n || word.p[0] == '.')
		return fail(E_SYNTAX,
		    "expected the name of a program in daemon_directory, without directory");
	return OK;
}

static const struct {
	const char    *title;
	column_parser *parse;
} columns[] = {
	{ "service", parse_name    },
	{ "type",    parse_type    },
	{ "private", parse_private },
	{ "unpriv",  parse_unpriv  },
	{ "chroot",  parse_chroot  },
	{ "wakeup",  parse_wakeup  },
	{ "maxproc", parse_maxproc },
	{ "command", parse_prog    },
};

/* The word after a bare -o, or what follows it in the same word. */
static enum err
parse_override(struct parser *p, struct table_entry *e, struct word w)
{
	struct str name, value;
	struct buf b = BUF(0);

	if (!word_pair(w.text, &name, &value)) {
		p->at = w.at;
		return fail(E_SYNTAX, "expected name=value or { name = value } after -o");
	}
	if (!buf_printf(&b, "%.*s=%.*s", STR_ARG(name), STR_ARG(value)))
		return fail(E_SYNTAX, "value is too long");
	e->overrides = mem_grow(e->overrides, (e->noverrides + 1) * sizeof *e->overrides);
	e->overrides[e->noverrides++] = (struct override){ b.p, position(p, w.at) };
	return OK;
}

static enum err
parse_option(struct parser *p, struct table_entry *e, struct word w)
{
	enum err err;

	if (str_eq(w.text, STR("-v"))) {
		e->verbose = true;
		return OK;
	}
	if (!str_starts(w.text, STR("-o"))) {
		p->at = w.at;
		return fail(E_SYNTAX,
		    "expected -o name=value, -v or an argument, not the option \"%.*s\"",
		    STR_ARG(w.text));
	}
	if (w.text.n > 2) {
		w.text = str_sub(w.text, 2, w.text.n);
		return parse_override(p, e, w);
	}
	err = word_next(p->line, &p->at, &w);
	if (err == E_EOF)
		return fail(E_SYNTAX, "expected name=value or { name = value } after -o");
	if (err != OK) {
		p->at = w.at;
		return err;
	}
	return parse_override(p, e, w);
}

/* p->at is where the trouble is on error. */
static enum err
parse_command_line(struct parser *p, struct table_entry *e)
{
	bool options = true;
	struct word w;
	enum err err;

	e->args = mem_array(ARGS_MAX + 1, sizeof *e->args);
	while ((err = word_next(p->line, &p->at, &w)) == OK) {
		if (options && !w.braced && w.text.n > 1 && w.text.p[0] == '-') {
			if (str_eq(w.text, STR("--")))
				options = false;
			else
				TRY(parse_option(p, e, w));
			continue;
		}
		options = false;
		if (e->nargs == ARGS_MAX) {
			p->at = w.at;
			return fail(E_SYNTAX, "more than %d arguments", ARGS_MAX);
		}
		e->args[e->nargs++] = str_dup(w.text);
	}
	if (err != E_EOF)
		p->at = w.at;
	return err == E_EOF ? OK : err;
}

static enum err
parse_columns(struct parser *p, struct table_entry *e)
{
	struct word w;
	enum err err;

	/* What is kept ends with a NUL byte: whatever stood behind one would be lost. */
	p->at = str_find(p->line, '\0');
	if (p->at < p->line.n)
		return fail(E_SYNTAX, "expected text, not a NUL byte");
	p->at = 0;
	for (size_t i = 0; i < countof(columns); i++) {
		err = word_next(p->line, &p->at, &w);
		if (err == E_EOF) {
			p->at = p->line.n ? p->line.n - 1 : 0;
			return fail(E_SYNTAX, "expected column \"%s\" (%zu of %zu) after this",
			    columns[i].title, i + 1, countof(columns));
		}
		if (err == OK && w.braced)
			err =
			    fail(E_SYNTAX, "expected column \"%s\", not braces", columns[i].title);
		if (err == OK)
			err = columns[i].parse(p, e, w.text);
		/* Only the type says what the name has to look like. */
		if (err == OK && columns[i].parse == parse_type) {
			w.at = 0;
			err = e->type == TYPE_INET ? parse_inet_name(e) : parse_unix_name(e);
		}
		if (err != OK) {
			p->at = w.at;
			return err;
		}
	}
	return parse_command_line(p, e);
}

static void
entry_fini(struct table_entry *e)
{
	free(e->name);
	free(e->identity);
	free(e->host);
	free(e->prog);
	for (size_t i = 0; i < e->noverrides; i++)
		free(e->overrides[i].text);
	free(e->overrides);
	for (size_t i = 0; i < e->nargs; i++)
		free(e->args[i]);
	free(e->args);
	*e = (struct table_entry){ 0 };
}

static void
add_entry(struct parser *p, struct table_entry *e)
{
	struct table *t = p->table;

	for (size_t i = 0; i < t->n; i++) {
		if (strcmp(t->entries[i].identity, e->identity) != 0)
			continue;
		table_complain(t, e->at, p->warnings,
		    "duplicate master.cf entry for service \"%s\" (line %u) -- using the last "
		    "entry",
		    e->name, t->entries[i].at.line);
		entry_fini(&t->entries[i]);
		t->entries[i] = *e;
		return;
	}
	t->entries = mem_grow(t->entries, (t->n + 1) * sizeof *t->entries);
	t->entries[t->n++] = *e;
}

static void
parse_line(struct parser *p)
{
	struct table_entry e = { 0 };

	p->at = 0;
	e.at = position(p, 0);
	if (parse_columns(p, &e) != OK) {
		table_complain(p->table, position(p, p->at), p->errors, "%s", err_why());
		entry_fini(&e);
	} else if (program_find(e.prog)->solitary && e.maxproc != 1) {
		table_complain(p->table, e.maxproc_at, p->errors,
		    "expected 1 in column \"maxproc\": there can be only one %s", e.prog);
		entry_fini(&e);
	} else if (p->table->n == ENTRIES_MAX) {
		table_complain(
		    p->table, e.at, p->errors, "more than %d services", (int)ENTRIES_MAX);
		entry_fini(&e);
	} else {
		add_entry(p, &e);
	}
}

enum err
table_parse(struct table *t, const char *file_name, struct str text, struct buf *errors,
    struct buf *warnings)
{
	struct conf_lines *lines = conf_lines_open(text);
	struct parser p = { .table = t, .lines = lines, .errors = errors, .warnings = warnings };
	size_t before = errors->n;
	unsigned line;

	*t = (struct table){ .file = mem_dup(file_name) };
	while (conf_lines_next(lines, &p.line, &line))
		parse_line(&p);
	conf_lines_close(&lines);
	if (errors->n == before && t->n == 0)
		table_complain(
		    t, (struct position){ 1, 1 }, errors, "expected at least one service");
	return errors->n == before ? OK : fail(E_SYNTAX, "%s has errors", file_name);
}

void
table_fini(struct table *t)
{
	for (size_t i = 0; i < t->n; i++)
		entry_fini(&t->entries[i]);
	free(t->entries);
	free(t->file);
	*t = (struct table){ 0 };
}

const char *
table_type_name(enum service_type type)
{
	return type == TYPE_INET ? "inet" : "unix";
}
