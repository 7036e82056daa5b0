/* SPDX-License-Identifier: Apache-2.0 */
#include "smtpd/arguments.h"

#include "mail/addr.h"
#include "util/mem.h"

static const char blanks[] = " \t";

void
arguments_init(struct mail_args *a)
{
	*a = (struct mail_args){
		.address = BUF(2 * ADDR_MAX), .envid = BUF(2 * ENVID_MAX), .orcpt = BUF(2 * ORCPT_MAX)
	};
}

void
arguments_fini(struct mail_args *a)
{
	buf_free(&a->address);
	buf_free(&a->envid);
	buf_free(&a->orcpt);
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
take_path(struct str *arg, struct str keyword, unsigned how, struct buf *address, enum reply_id syntax,
    enum reply_id bad)
{
	bool strict = how & ARGS_STRICT;

	if (!str_istarts(*arg, keyword))
		return syntax;
	*arg = str_sub(*arg, keyword.n, arg->n);
	while (!strict && arg->n > 0 && (arg->p[0] == ' ' || arg->p[0] == '\t'))
		*arg = str_sub(*arg, 1, arg->n);
	if (arg->n == 0)
		return syntax;
	if (path_take(arg, strict, true, address) != OK)
		return bad;
	/* RFC 5321 section 4.1.2: options are set off by a blank. */
	return arg->n == 0 || arg->p[0] == ' ' || arg->p[0] == '\t' ? SAY_OK : bad;
}

/* -- options: what stands after "NAME=", or nothing -- */

static enum reply_id
take_size(struct mail_args *a, struct str digits, unsigned how)
{
	(void)how;
	if (str_u64(digits, &a->size))
		return SAY_OK;
	for (size_t i = 0; i < digits.n; i++)
		if (digits.p[i] < '0' || digits.p[i] > '9')
			return SAY_BAD_SIZE;
	if (digits.n == 0)
		return SAY_BAD_SIZE;
	a->size = UINT64_MAX;                          /* more digits than fit: beyond any limit */
	return SAY_OK;
}

static enum reply_id
take_body(struct mail_args *a, struct str text, unsigned how)
{
	(void)how;
	a->body8 = str_ieq(text, STR("8BITMIME"));
	return a->body8 || str_ieq(text, STR("7BIT")) ? SAY_OK : SAY_BAD_OPTION;
}

static enum reply_id
take_utf8(struct mail_args *a, struct str text, unsigned how)
{
	(void)text;
	a->utf8 = how & ARGS_UTF8;
	return a->utf8 ? SAY_OK : SAY_BAD_OPTION;
}

static enum reply_id
take_ret(struct mail_args *a, struct str text, unsigned how)
{
	if (!(how & ARGS_DSN))
		return SAY_DSN_OFF;
	return a->ret == RET_UNSAID && ret_parse(text, &a->ret) ? SAY_OK : SAY_BAD_RET;
}

static enum reply_id
take_envid(struct mail_args *a, struct str text, unsigned how)
{
	if (!(how & ARGS_DSN))
		return SAY_DSN_OFF;
	return a->envid.n == 0 && envid_decode(text, &a->envid) ? SAY_OK : SAY_BAD_ENVID;
}

static enum reply_id
take_notify(struct mail_args *a, struct str text, unsigned how)
{
	if (!(how & ARGS_DSN))
		return SAY_DSN_OFF;
	return a->notify == 0 && notify_parse(text, &a->notify) ? SAY_OK : SAY_BAD_NOTIFY;
}

static enum reply_id
take_orcpt(struct mail_args *a, struct str text, unsigned how)
{
	if (!(how & ARGS_DSN))
		return SAY_DSN_OFF;
	return a->orcpt.n == 0 && orcpt_decode(text, how & ARGS_UTF8, &a->orcpt) ? SAY_OK : SAY_BAD_ORCPT;
}

struct option {
	struct str name;                               /* with its "=", if it takes a value */
	enum reply_id (*take)(struct mail_args *a, struct str value, unsigned how);
};

static const struct option mail_options[] = {
	{ STR("SIZE="), take_size }, { STR("BODY="), take_body }, { STR("SMTPUTF8"), take_utf8 },
	{ STR("RET="), take_ret },   { STR("ENVID="), take_envid },
};
static const struct option rcpt_options[] = { { STR("NOTIFY="), take_notify }, { STR("ORCPT="), take_orcpt } };

static enum reply_id
take_option(const struct option *options, size_t n, struct mail_args *a, struct str word, unsigned how)
{
	for (size_t i = 0; i < n; i++) {
		bool valued = str_ends(options[i].name, STR("="));

		if (valued ? str_istarts(word, options[i].name) : str_ieq(word, options[i].name))
			return options[i].take(a, str_sub(word, options[i].name.n, word.n), how);
	}
	return SAY_BAD_OPTION;
}

enum reply_id
mail_args_parse(struct str arg, unsigned how, struct mail_args *a, struct str *word)
{
	enum reply_id r;

	*word = arg;
	r = take_path(&arg, STR("FROM:"), how, &a->address, SAY_SYNTAX_MAIL, SAY_BAD_SENDER);
	while (r == SAY_OK && str_word(&arg, blanks, word))
		r = take_option(mail_options, countof(mail_options), a, *word, how);
	/* RFC 6531 section 3.5. */
	return r == SAY_OK && !a->utf8 && !str_ascii(buf_str(&a->address)) ? SAY_NEED_UTF8 : r;
}

enum reply_id
rcpt_args_parse(struct str arg, unsigned how, struct mail_args *a, struct str *word)
{
	enum reply_id r;

	*word = arg;
	r = take_path(&arg, STR("TO:"), how, &a->address, SAY_SYNTAX_RCPT, SAY_BAD_RCPT);
	if (r == SAY_OK && a->address.n == 0)
		return SAY_BAD_RCPT;
	while (r == SAY_OK && str_word(&arg, blanks, word))
		r = take_option(rcpt_options, countof(rcpt_options), a, *word, how);
	return r == SAY_OK && !(how & ARGS_UTF8) && !str_ascii(buf_str(&a->address)) ? SAY_NEED_UTF8 : r;
}
