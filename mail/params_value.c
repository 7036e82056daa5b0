/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "mail/addr.h"
#include "mail/match.h"
#include "mail/params_table.h"
#include "mail/route.h"

/* clang-format off */
static const struct { enum param_kind kind; char suffix; long long times; } units[] = {
	{ KIND_size,  'k', 1LL << 10 }, { KIND_size,  'm', 1LL << 20 }, { KIND_size, 'g', 1LL << 30 },
	{ KIND_time,  's', 1 }, { KIND_time, 'm', 60 }, { KIND_time, 'h', 3600 }, { KIND_time, 'd', 86400 },
	{ KIND_time,  'w', 604800 },
};
/* clang-format on */

enum { SECONDS_AN_HOUR = 3600, SECONDS_A_DAY = 86400 };

static bool
is_time(enum param_kind kind)
{
	return kind == KIND_time || kind == KIND_hours || kind == KIND_days;
}

static const char *
kind_name(enum param_kind kind)
{
	return kind == KIND_size ? "size" : is_time(kind) ? "time" : "number";
}

static enum err
parse_number(const struct param *d, struct str text, long long *out)
{
	enum param_kind kind = is_time(d->kind) ? KIND_time : d->kind;
	long long times = d->kind == KIND_hours ? SECONDS_AN_HOUR : d->kind == KIND_days ? SECONDS_A_DAY : 1;
	struct str digits = text;
	int64_t v;

	for (size_t i = 0; i < countof(units) && text.n > 1; i++) {
		if (units[i].kind == kind && (text.p[text.n - 1] | 0x20) == units[i].suffix) {
			times = units[i].times;
			digits.n = text.n - 1;
		}
	}
	if (!str_i64(digits, &v))
		return fail(E_SYNTAX, "not a %s: \"%.*s\"", kind_name(d->kind), STR_ARG(text));
	if (__builtin_mul_overflow((long long)v, times, out) || *out < d->min || *out > d->max)
		return fail(E_SYNTAX, "must be between %lld and %lld%s", d->min, d->max,
		    is_time(d->kind) ? " seconds" : d->kind == KIND_size ? " bytes" : "");
	return OK;
}

static enum err
parse_bool(struct str text, bool *out)
{
	*out = str_ieq(text, STR("yes"));
	if (!*out && !str_ieq(text, STR("no")))
		return fail(E_SYNTAX, "must be yes or no, not \"%.*s\"", STR_ARG(text));
	return OK;
}

/* The words are those of the manual, so that the two cannot differ. */
static enum err
parse_choice(const struct param *d, struct str text, char **out)
{
	struct str words = str_sub(str_of(d->doc), 0, str_find(str_of(d->doc), ':')), rest = words, word;

	while (str_word(&rest, "|", &word)) {
		if (str_ieq(word, text)) {
			*out = str_dup(word);
			return OK;
		}
	}
	return fail(E_SYNTAX, "must be %.*s, not \"%.*s\"", STR_ARG(words), STR_ARG(text));
}

static enum err
parse_text(const struct param *d, struct str text, char **out)
{
	if ((long long)text.n > d->max)
		return fail(E_SYNTAX, "longer than %lld bytes", d->max);
	if ((long long)text.n < d->min)
		return fail(E_SYNTAX, "must not be empty");
	for (size_t i = 0; i < text.n; i++)
		if (((unsigned char)text.p[i] < ' ' && text.p[i] != '\t') || text.p[i] == 127)
			return fail(E_SYNTAX, "control character in the value");
	if (d->kind == KIND_dir && text.n > 0 && text.p[0] != '/')
		return fail(E_SYNTAX, "must be an absolute path, not \"%.*s\"", STR_ARG(text));
	*out = str_dup(text);
	return OK;
}

enum err
param_parse(const struct param *d, struct str text, union param_value *v)
{
	switch (d->kind) {
	case KIND_size:
	case KIND_time:
	case KIND_hours:
	case KIND_days:
	case KIND_num:
		return parse_number(d, text, &v->number);
	case KIND_bool:
		return parse_bool(text, &v->yes);
	case KIND_choice:
		return parse_choice(d, text, &v->text);
	case KIND_nets:
		if ((long long)text.n > d->max)
			return fail(E_SYNTAX, "longer than %lld bytes", d->max);
		return nets_parse(text, &v->nets);
	case KIND_text:
	case KIND_raw:
	case KIND_dir:
		break;
	}
	return parse_text(d, text, &v->text);
}

void
param_store(struct params *p, const struct param *d, const union param_value *v)
{
	void *field = (char *)p + d->at;

	switch (d->kind) {
	case KIND_bool:
		*(param_bool *)field = v->yes;
		return;
	case KIND_text:
	case KIND_raw:
	case KIND_dir:
	case KIND_choice:
		*(char **)field = v->text;
		return;
	case KIND_nets:
		*(param_nets *)field = v->nets;
		return;
	case KIND_size:
	case KIND_time:
	case KIND_hours:
	case KIND_days:
	case KIND_num:
		break;
	}
	*(param_num *)field = v->number;
}

static bool
is_text(enum param_kind kind)
{
	return kind == KIND_text || kind == KIND_raw || kind == KIND_dir || kind == KIND_choice;
}

void
param_clear(struct params *p, const struct param *d)
{
	void *field = (char *)p + d->at;

	if (d->kind == KIND_nets)
		nets_free((param_nets *)field);
	else if (is_text(d->kind))
		mem_free((char **)field);
}

void
param_clear_own(struct params *p, const struct params *of, const struct param *d)
{
	bool owns = d->kind == KIND_nets || is_text(d->kind);

	if (owns && memcmp((char *)p + d->at, (const char *)of + d->at, sizeof(void *)) != 0)
		param_clear(p, d);
}

/* A match list of domains. */
static enum err
check_domains(struct str text)
{
	struct match *m;
	enum err e = match_open(text, "", "", false, &m);
	struct str bad = match_bad_domain(m);

	if (e == OK && bad.n > 0)
		e = fail(E_SYNTAX, "\"%.*s\" is not a domain", STR_ARG(bad));
	match_close(&m);
	return e;
}

static enum err
check_path(struct str text)
{
	return text.n == 0 || text.p[0] == '/' ? OK :
		fail(E_SYNTAX, "must be an absolute path, not \"%.*s\"", STR_ARG(text));
}

static enum err
check_transport(struct str text)
{
	return str_trim(str_sub(text, 0, str_find(text, ':'))).n > 0 ? OK : fail(E_SYNTAX, "names no transport");
}

static enum err
check_relayhost(struct str text)
{
	struct str word;
	struct hop hop;

	while (str_word(&text, ", \t\r\n", &word))
		TRY(hop_parse(word, 25, &hop));
	return OK;
}

static enum err
check_host(struct str text)
{
	return domain_valid(text) ? OK : fail(E_SYNTAX, "not a host name: \"%.*s\"", STR_ARG(text));
}

static enum err
check_host_style(struct str text)
{
	return str_eq(text, STR("host")) ? OK : fail(E_SYNTAX, "only host is supported; set mynetworks instead");
}

static enum err
check_no(struct str text)
{
	return str_ieq(text, STR("no")) ? OK : fail(E_SYNTAX, "not supported: must be no");
}

enum err
param_check(const struct param *d, struct str text)
{
	static const struct {
		const char *name;
		enum err (*check)(struct str text);
	} checks[] = {
		{ "myhostname",                check_host          },
		{ "mydomain",                  check_host          },
		{ "mydestination",             check_domains       },
		{ "relay_domains",             check_domains       },
		{ "virtual_alias_domains",     check_domains       },
		{ "virtual_mailbox_domains",   check_domains       },
		{ "relayhost",                 check_relayhost     },
		{ "default_transport",         check_transport     },
		{ "relay_transport",           check_transport     },
		{ "local_transport",           check_transport     },
		{ "virtual_transport",         check_transport     },
		{ "mynetworks_style",          check_host_style    },
		{ "daemon_directory",          check_path          },
		{ "command_directory",         check_path          },
		{ "maillog_file",              check_path          },
		{ "smtp_send_xforward_command", check_no           },
		{ "biff",                      check_no            },
	};

	for (size_t i = 0; i < countof(checks); i++)
		if (str_eq(d->name, str_of(checks[i].name)))
			return checks[i].check(text);
	return OK;
}

bool
list_has(struct str list, struct str s, bool subdomains)
{
	struct str word;

	while (str_word(&list, ", \t\r\n", &word)) {
		if (str_ieq(word, s))
			return true;
		if (!subdomains || s.n <= word.n || !str_iends(s, word))
			continue;
		/* ".example.com" means what is below it, "example.com" itself too. */
		if (word.p[0] == '.' || s.p[s.n - word.n - 1] == '.')
			return true;
	}
	return false;
}
