/* SPDX-License-Identifier: Apache-2.0 */
/* First byte: bits 0 to 2 what arguments may be (ARGS_), all but bit 0 also the state of the session; then a command line. */
#include "mail/addr.h"
#include "smtpd/arguments.h"
#include "smtpd/command.h"
#include "util/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool
is_inside(struct str part, struct str whole)
{
	return part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n);
}

/* Nothing that could end a line, or a field, anywhere. */
static bool
is_clean(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 127)
			return false;
	return str_is_utf8(s);
}

static void
parse(struct str arg, unsigned how, enum reply_id (*parser)(struct str, unsigned, struct mail_args *, struct str *), bool null_allowed)
{
	struct mail_args a;
	struct str word;
	enum reply_id r;

	arguments_init(&a);
	r = parser(arg, how, &a, &word);
	ENSURE(r < REPLY_COUNT && is_inside(word, arg));
	if (r == SAY_OK)
		ENSURE(address_valid(buf_str(&a.address)) && (null_allowed || a.address.n > 0));
	if (r == SAY_OK)
		ENSURE(is_clean(buf_str(&a.envid)) && a.envid.n <= ENVID_MAX && is_clean(buf_str(&a.orcpt)) && a.notify < 16);
	arguments_fini(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str in = { (const char *)data, n }, verb, arg;
	const struct command *c;

	if (n == 0)
		return 0;
	in = str_sub(in, 1, n);
	line_split(in, &verb, &arg);
	ENSURE(is_inside(verb, in) && is_inside(arg, in));
	c = command_find(verb);
	if (c == NULL)
		return 0;
	ENSURE(command_check(c, data[0] >> 1, arg) < REPLY_COUNT);
	parse(arg, data[0] & 7, mail_args_parse, true);
	parse(arg, data[0] & 7, rcpt_args_parse, false);
	return 0;
}
