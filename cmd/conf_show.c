/* SPDX-License-Identifier: Apache-2.0 */
/* Settings as `conf` shows them.  What main.cf says is shown also when the mail system would not
 * take it. */
#include <stdio.h>
#include <stdlib.h>

#include "cmd/conf.h"
#include "util/mem.h"

enum { FOLD_COLUMNS = 80, FOLD_INDENT = 4, OUTPUT_MAX = 64 << 20 };

void
conf_show_folded(const struct conf_flags *f, struct str text, size_t column)
{
	struct str word;
	bool first = true;

	while (str_word(&text, " \t", &word)) {
		if (!first && f->fold && column + word.n >= FOLD_COLUMNS) {
			printf("\n%*s", FOLD_INDENT, "");
			column = FOLD_INDENT;
		} else if (!first) {
			putchar(' ');
			column++;
		}
		printf("%.*s", STR_ARG(word));
		column += word.n;
		first = false;
	}
}

void
conf_show_line(const struct conf_flags *f, struct str name, struct str value)
{
	struct buf line = BUF(OUTPUT_MAX);

	if (f->json) {
		buf_adds(&line, "{\"name\": ");
		buf_add_json(&line, name);
		buf_adds(&line, ", \"value\": ");
		buf_add_json(&line, value);
		printf("%s}\n", buf_cstr(&line));
		buf_free(&line);
		return;
	}
	if (!f->value_only)
		printf("%.*s", STR_ARG(name));
	if (!f->value_only && !f->name_only)
		printf(" =%s", value.n > 0 ? " " : "");
	if (!f->name_only)
		conf_show_folded(f, value, f->value_only ? 0 : name.n + 3);
	putchar('\n');
}

/* Lines "name = value" as params_print() gives them; no value holds a line end. */
static void
show_lines(const struct conf_flags *f, const struct params *p, struct str text)
{
	struct str line;

	while (str_cut(&text, '\n', &line)) {
		size_t at = str_find(line, '=');

		if (f->classes && !(f->classes & params_class(p, str_trim(str_sub(line, 0, at)))))
			continue;
		conf_show_line(
		    f, str_trim(str_sub(line, 0, at)), str_trim(str_sub(line, at + 1, line.n)));
	}
}

/* What has no effect, in the words that those who look for it know. */
static void
warn_of_unused(const struct cmd *c, const struct params *p)
{
	struct map_iter it = { 0 };
	struct map_node *n;

	while ((n = map_next(&p->conf.entries, &it)) != NULL) {
		const struct conf_entry *e = container_of(n, struct conf_entry, node);

		if (params_class(p, n->key) == PARAMS_UNUSED)
			cmd_warn(c, "warning: %s: unused parameter: %s=%s", p->conf.file, e->name,
			    e->value);
	}
	conf_warn_master(c, p);
}

/* What keeps the mail system from taking it; false: nothing does. */
static bool
warn_of_mistakes(const struct cmd *c, const struct conf_flags *f)
{
	struct str why, line;
	struct params p;

	if (params_load(&p, c->dir, f->overrides, f->noverrides) == OK) {
		params_fini(&p);
		return false;
	}
	for (why = str_of(err_why()); str_cut(&why, '\n', &line);)
		if (!f->postfix || memmem(line.p, line.n, "unknown setting", 15) == NULL)
			cmd_warn(c, "warning: %.*s", STR_ARG(line));
	return true;
}

int
conf_show(struct cmd *c, const struct conf_flags *f, char **names, int n)
{
	enum params_show which = f->defaults ? PARAMS_DEFAULTS : f->set ? PARAMS_SET : PARAMS_ALL;
	struct buf out = BUF(OUTPUT_MAX);
	bool unknown = false, mistaken = false;
	struct params p;

	if (params_read(&p, c->dir, f->overrides, f->noverrides) != OK) {
		cmd_warn(c, "%s%s", f->postfix ? "fatal: " : "", err_why());
		return EX_NOT_DONE;
	}
	if (n == 0)
		params_print(&p, which, STR(""), f->expand, false, &out);
	for (int i = 0; i < n; i++)
		if (names[i][0] == '\0' ||
		    !params_print(&p, which, str_of(names[i]), f->expand, false, &out)) {
			fflush(stdout);
			cmd_warn(c, "warning: %s: unknown parameter", names[i]);
			unknown = true;
		}
	show_lines(f, &p, buf_str(&out));
	if (!f->defaults)
		mistaken = warn_of_mistakes(c, f);
	if (!f->defaults && f->postfix)
		warn_of_unused(c, &p);
	buf_free(&out);
	params_fini(&p);
	if (fflush(stdout) != 0)
		return EX_NOT_DONE;
	return !f->postfix && (unknown || mistaken) ? EX_NOT_DONE : EX_DONE;
}
