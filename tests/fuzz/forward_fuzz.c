/* SPDX-License-Identifier: Apache-2.0 */
/* First byte: 1 a file, with comments; the rest is what an alias table or a .forward file says. */
#include "local/token.h"
#include "mail/addr.h"
#include "util/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { MOST = 100 };

static void
check_token(const struct token *t)
{
	struct str s = t->text;

	ENSURE(s.n > 0 && s.n <= TOKEN_MAX);
	for (size_t i = 0; i < s.n; i++)
		ENSURE((unsigned char)s.p[i] >= ' ' || s.p[i] == '\t');
	switch (t->kind) {
	case TOKEN_FILE:
	case TOKEN_INCLUDE:
		ENSURE(s.p[0] == '/');
		return;
	case TOKEN_MAILBOX:
		ENSURE(str_find(s, '/') == s.n && str_find(s, ' ') == s.n);
		return;
	case TOKEN_ADDRESS:
		ENSURE(s.n <= ADDR_MAX && (address_domain(s).n == 0 || address_valid(s)));
		return;
	case TOKEN_COMMAND:
		return;
	}
	ENSURE(!"a kind of token that there is not");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct tokens t;

	if (n == 0)
		return 0;
	if (tokens_parse((struct str){ (const char *)data + 1, n - 1 }, data[0] & 1, MOST, &t) == OK) {
		ENSURE(t.n <= MOST);
		for (size_t i = 0; i < t.n; i++)
			check_token(&t.v[i]);
	}
	tokens_fini(&t);
	return 0;
}
