/* SPDX-License-Identifier: Apache-2.0 */
/* The input is a bounce_template_file.  What is taken can be printed and read again, to the same. */
#include "mail/template.h"
#include "util/log.h"
#include "util/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct templates t, again;
	struct buf one = BUF(64 << 20), two = BUF(64 << 20);

	templates_init(&t);
	templates_init(&again);
	if (templates_parse(&t, "F", (struct str){ (const char *)data, n }) != OK)
		ENSURE(str_starts(str_of(err_why()), STR("F:")));
	ENSURE(templates_print(&t, &one));
	/* A line of the text may be the word that ends a template when it is printed. */
	if (memmem(data, n, "EOF", 3) == NULL) {
		ENSURE(templates_parse(&again, "G", buf_str(&one)) == OK && templates_print(&again, &two));
		ENSURE(str_eq(buf_str(&one), buf_str(&two)));
	}
	templates_fini(&t);
	templates_fini(&again);
	buf_free(&one);
	buf_free(&two);
	return 0;
}
