/* SPDX-License-Identifier: Apache-2.0 */
#include "smtpd/arguments.h"

#include "mail/addr.h"

static const char blanks[] = " \t";

void
arguments_init(struct mail_args *a)
{
	*a = (struct mail_args){ .address = BUF(2 * ADDR_MAX) };
}

void
arguments_fini(struct mail_args *a)
{
	buf_free(&a->address);
}

void
line_split(struct str line, struct str *verb, struct str *arg)
{
	*arg = str_trim(line);
	*verb = STR("");
	str_word(arg, blanks, verb);
	*arg = str_trim(*arg);
}

/* "FROM:" or "TO:" off the front of *arg, and the path behind it; options stay in *arg. */
static enum reply_id
take_path(struct str *arg, struct str keyword, bool strict, struct buf *address, enum reply_id syntax,
    enum reply_id bad)
{
	if (!str_istarts(*arg, keyword))
		return syntax;
	*arg = str_sub(*arg, keyword.n, arg->n);
	while (!strict && arg->n > 0 && (arg->p[0] == ' ' || arg->p[0] == '\t'))
		*arg = str_sub(*arg, 1, arg->n);
	if (arg->n == 0)
		return syntax;
	if (path_take(arg, strict, false, address) != OK)
		return bad;
	/* RFC 5321 section 4.1.2: options are set off by a blank. */
	return arg->n == 0 || arg->p[0] == ' ' || arg->p[0] == '\t' ? SAY_OK : bad;
}

static enum reply_id
take_option(struct mail_args *a, struct str option)
{
	if (str_istarts(option, STR("SIZE="))) {
		struct str digits = str_sub(option, 5, option.n);

		if (str_u64(digits, &a->size))
			return SAY_OK;
		for (size_t i = 0; i < digits.n; i++)
			if (digits.p[i] < '0' || digits.p[i] > '9')
				return SAY_BAD_SIZE;
		if (digits.n == 0)
			return SAY_BAD_SIZE;
		a->size = UINT64_MAX;                  /* more digits than fit: beyond any limit */
		return SAY_OK;
	}
	if (str_ieq(option, STR("BODY=8BITMIME")))
		a->body8 = true;
	else if (str_ieq(option, STR("BODY=7BIT")))
		a->body8 = false;
	else
		return SAY_BAD_OPTION;
	return SAY_OK;
}

enum reply_id
mail_args_parse(struct str arg, bool strict, struct mail_args *a, struct str *word)
{
	enum reply_id r;

	*word = arg;
	r = take_path(&arg, STR("FROM:"), strict, &a->address, SAY_SYNTAX_MAIL, SAY_BAD_SENDER);
	while (r == SAY_OK && str_word(&arg, blanks, word))
		r = take_option(a, *word);
	return r;
}

enum reply_id
rcpt_args_parse(struct str arg, bool strict, struct mail_args *a, struct str *word)
{
	enum reply_id r;

	*word = arg;
	r = take_path(&arg, STR("TO:"), strict, &a->address, SAY_SYNTAX_RCPT, SAY_BAD_RCPT);
	if (r == SAY_OK && a->address.n == 0)
		return SAY_BAD_RCPT;
	return r == SAY_OK && str_word(&arg, blanks, word) ? SAY_BAD_OPTION : r;
}
