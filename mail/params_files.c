/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/params_table.h"
#include "util/mem.h"

/* Their files are written, or are no tables. */
static const char *const others[] = {
	"maillog_file",
	"mail_spool_directory",
	"virtual_mailbox_base",
	"command_directory",
	"daemon_directory",
	"config_directory",
	"alternate_config_directories",
	"local_command_shell",
	"home_mailbox",
};

static bool
is_other(const struct param *d)
{
	for (size_t i = 0; i < countof(others); i++)
		if (str_eq(d->name, str_of(others[i])))
			return true;
	return false;
}

/* What stands in braces is no file. */
static bool
next_word(struct str *rest, struct str *word)
{
	unsigned depth = 0;
	size_t n = 0;

	while (rest->n > 0 && strchr(", \t", rest->p[0]))
		*rest = str_sub(*rest, 1, rest->n);
	while (n < rest->n && (depth > 0 || !strchr(", \t", rest->p[n]))) {
		depth += rest->p[n] == '{';
		depth -= depth > 0 && rest->p[n] == '}';
		n++;
	}
	*word = str_sub(*rest, 0, n);
	*rest = str_sub(*rest, n, rest->n);
	return n > 0;
}

static bool
names_a_file(struct str word)
{
	return word.p[0] == '/' ||
	       (str_find(word, '{') == word.n && memmem(word.p, word.n, ":/", 2) != NULL);
}

void
params_files(const struct params *p, void (*each)(void *arg, const char *setting, struct str word),
    void *arg)
{
	const struct conf_entry *origin = conf_get(&p->conf, STR("myorigin"));
	struct str rest, word;

	/* Its value is what the file holds. */
	if (origin && origin->value[0] == '/')
		each(arg, "myorigin", str_of(origin->value));
	for (size_t i = 0; i < param_count; i++) {
		const struct param *d = &param_table[i];

		if (d->kind != KIND_text || is_other(d))
			continue;
		rest = str_of(*(const char *const *)((const char *)p + d->at));
		while (next_word(&rest, &word)) {
			if (word.p[0] == '!')
				word = str_sub(word, 1, word.n);
			if (word.n > 0 && names_a_file(word))
				each(arg, d->name.p, word);
		}
	}
}
