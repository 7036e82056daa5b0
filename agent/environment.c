/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/environment.h"

#include <stdlib.h>

/* NAME for ours, NAME=value for a fixed one. */
static bool
add_word(struct str word, struct buf *out)
{
	char *name = str_dup(word);
	const char *value = strchr(name, '=') ? NULL : getenv(name);
	bool added = true;

	if (strchr(name, '='))
		added = buf_add(out, word) && buf_addc(out, '\0');
	else if (value)
		added = buf_printf(out, "%s=%s", name, value) && buf_addc(out, '\0');
	free(name);
	return added;
}

bool
environment_add(const struct params *p, struct buf *out)
{
	struct str rest = str_of(p->export_environment), word;
	bool own_path = false;

	while (str_word(&rest, ", \t\r\n", &word)) {
		own_path |=
		    str_starts(word, STR("PATH=")) || (str_eq(word, STR("PATH")) && getenv("PATH"));
		if (!add_word(word, out))
			return false;
	}
	return own_path || (buf_adds(out, "PATH=/usr/bin:/bin") && buf_addc(out, '\0'));
}
