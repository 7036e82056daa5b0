/* SPDX-License-Identifier: Apache-2.0 */
/* master.cf. */
#include <stdlib.h>

#include "master/table.h"
#include "util/buf.h"
#include "util/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
check_entry(const struct table_entry *e)
{
	size_t i = 0;

	ENSURE(e->name[0] != '\0' && e->identity[0] != '\0' && e->prog[0] != '\0');
	ENSURE(e->wakeup >= 0 && e->maxproc >= -1 && e->at.line > 0 && e->prog_at.column > 0);
	ENSURE(strchr(e->prog, '/') == NULL);
	while (e->args[i])
		i++;
	for (i = 0; i < e->noverrides; i++)
		ENSURE(strchr(e->overrides[i].text, '=') != NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf errors = BUF(1 << 16), warnings = BUF(1 << 16);
	struct table t;
	enum err e = table_parse(&t, "master.cf", (struct str){ (const char *)data, n }, &errors, &warnings);

	ENSURE((e == OK) == (errors.n == 0));
	if (e == OK)
		for (size_t i = 0; i < t.n; i++)
			check_entry(&t.entries[i]);
	table_fini(&t);
	buf_free(&errors);
	buf_free(&warnings);
	return 0;
}
