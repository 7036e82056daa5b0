/* SPDX-License-Identifier: Apache-2.0 */
/* sendmail(1): options, modes, and who calls.  Exit status: sysexits.h. */
#include "cmd/sendmail.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "mail/addrlist.h"
#include "util/log.h"
#include "util/mem.h"

const char *
sendmail_user(void)
{
	const struct passwd *pw = getpwuid(getuid());

	return pw ? pw->pw_name : "unknown";
}

/* -F, $NAME, or the first part of the user's entry, where & stands for the login name. */
static const char *
full_name_of_user(void)
{
	const struct passwd *pw = getpwuid(getuid());
	const char *env = getenv("NAME");
	struct buf name = BUF(1000);

	if (env && env[0])
		return env;
	if (pw == NULL)
		return "";
	for (const char *p = pw->pw_gecos; *p && *p != ','; p++) {
		size_t at = name.n;

		if (!(*p == '&' ? buf_adds(&name, pw->pw_name) : buf_addc(&name, *p)))
			break;
		if (*p == '&' && name.n > at && name.p[at] >= 'a' && name.p[at] <= 'z')
			name.p[at] = (char)(name.p[at] - 'a' + 'A');
	}
	return buf_cstr(&name); /* as long as the process */
}

bool
sendmail_rcpts(struct sendmail *m, struct str list)
{
	struct addrlist l = { .text = list };
	struct buf addr = BUF(64 << 10);
	size_t from, to;
	bool good = true;

	while (good && addrlist_next(&l, &addr, &from, &to)) {
		good = submit_is_address(buf_str(&addr)) && submit_rcpt(&m->s, buf_str(&addr));
		if (!good)
			cmd_warn(m->c, "fatal: bad recipient address: %.*s",
			    STR_ARG(str_sub(list, from, to > from ? to - from : 1)));
	}
	buf_free(&addr);
	return good;
}

static bool
set_sender(struct sendmail *m, const char *text)
{
	struct addrlist l = { .text = str_of(text) };
	struct buf addr = BUF(64 << 10);
	size_t from, to;

	buf_clear(&m->s.sender);
	m->has_sender = true;
	/* "" and "<>" are the null sender. */
	if (addrlist_next(&l, &addr, &from, &to) && addr.n > 0 &&
	    (!submit_is_address(buf_str(&addr)) || !buf_add(&m->s.sender, buf_str(&addr)))) {
		cmd_warn(m->c, "fatal: bad sender address: %s", text);
		return false;
	}
	buf_free(&addr);
	return true;
}

static bool
set_mode(struct sendmail *m, const char *text)
{
	static const struct {
		char letter;
		enum sendmail_mode mode;
	} modes[] = {
		{'m',  MODE_DELIVER},
		{ 's', MODE_SMTP   },
		{ 'p', MODE_LIST   },
		{ 'i', MODE_ALIASES},
		{ 'd', MODE_DAEMON },
		{ 'l', MODE_DAEMON },
		{ 'v', MODE_VERIFY },
	};

	for (size_t i = 0; i < countof(modes); i++)
		if (text[0] == modes[i].letter && text[1] == '\0') {
			m->mode = modes[i].mode;
			return true;
		}
	return false;
}

/* -q, -qTIME, -qIid, -qRsite, -qSsite */
static bool
set_queue(struct sendmail *m, const char *text)
{
	/* "-q5m" goes with -bd and asks for what we do anyway. */
	if (m->mode == MODE_DELIVER || m->mode == MODE_FLUSH)
		m->mode = MODE_FLUSH;
	if (text[0] == '\0' || (text[0] >= '0' && text[0] <= '9'))
		return true;
	m->flush = text + 1;
	m->flush_by = text[0] == 'I' ? 'i' : 's';
	return text[0] == 'I' || text[0] == 'R' || text[0] == 'S';
}

/* -oX and -O name=value: those few that have a meaning here. */
static bool
set_option(struct sendmail *m, const char *text)
{
	if (strcmp(text, "i") == 0 || strcasecmp(text, "IgnoreDots=true") == 0)
		m->dots = true;
	else if (strcasecmp(text, "smtputf8=yes") == 0)
		m->s.flags |= MF_UTF8;
	return true;
}

static bool
set_envid(struct sendmail *m, const char *text)
{
	for (const char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			return false;
	return strlen(text) <= ENVID_MAX && buf_adds(&m->s.envid, text);
}

/* False: not understood. */
static bool
option(struct sendmail *m, int o, const char *arg)
{
	switch (o) {
	case 'B':
		m->s.flags |= strcasecmp(arg, "8BITMIME") == 0 ? MF_BODY8 : 0;
		return true;
	case 'b':
		return set_mode(m, arg);
	case 'C': /* Sendmail names its file, we our directory. */
		m->c->dir = mem_dup(arg);
		if (strrchr(arg, '/') && strstr(strrchr(arg, '/'), ".cf"))
			*strrchr(m->c->dir, '/') = '\0';
		return true;
	case 'F':
		m->full_name = arg;
		return true;
	case 'f':
	case 'r':
		return set_sender(m, arg);
	case 'i':
		m->dots = true;
		return true;
	case 'N':
		return notify_parse(str_of(arg), &m->s.notify);
	case 'O':
	case 'o':
		return set_option(m, arg);
	case 'q':
		return set_queue(m, arg ? arg : "");
	case 'R':
		return ret_parse(str_of(arg), &m->s.ret);
	case 't':
		m->extract = true;
		return true;
	case 'v':
		m->s.flags |= MF_REPORT;
		return true;
	case 'V': /* -XV and -V of old asked for VERP */
		return set_envid(m, arg);
	default: /* taken, and without effect */
		return o != '?' && o != ':';
	}
}

static int
usage(const struct cmd *c)
{
	cmd_warn(c, "usage: sendmail [-bm|-bs|-bp|-bi|-bd|-bv|-q] [-itv] [-f sender] [-F name] [-N "
		    "when] [-R full|hdrs] [-V envid] "
		    "[recipient ...]");
	return EX_USAGE;
}

static int
run_other(struct sendmail *m, int (*run)(struct cmd *c, int argc, char **argv), const char *flag,
    const char *value)
{
	char *argv[] = { mem_dup(m->c->name), mem_dup(flag), value ? mem_dup(value) : NULL, NULL };

	return run(m->c, value ? 3 : 2, argv);
}

static int
deliver(struct sendmail *m, int argc, char **argv)
{
	int status;

	for (int i = optind; i < argc; i++)
		if (!sendmail_rcpts(m, str_of(argv[i])))
			return EX_USAGE;
	if (m->s.nrcpts == 0 && (!m->extract || m->mode == MODE_VERIFY)) {
		cmd_warn(m->c, "fatal: Recipient addresses must be specified on the command line "
			       "or via the -t option");
		return EX_USAGE;
	}
	if (!m->has_sender)
		ENSURE(buf_adds(&m->s.sender, sendmail_user()));
	if (m->full_name == NULL)
		m->full_name = full_name_of_user();
	if (m->mode == MODE_VERIFY)
		m->s.flags |= MF_VERIFY;
	status = m->mode == MODE_VERIFY ? sendmail_try(m) : sendmail_deliver(m, stdin);
	if (status == EX_OK && (m->s.flags & (MF_VERIFY | MF_REPORT)))
		printf("Mail Delivery Status Report will be mailed to <%s>.\n", buf_cstr(&m->s.sender));
	return status;
}

static int
run(struct sendmail *m, int argc, char **argv)
{
	switch (m->mode) {
	case MODE_DELIVER:
	case MODE_VERIFY:
		return deliver(m, argc, argv);
	case MODE_SMTP:
		return sendmail_smtp(m, stdin, stdout);
	case MODE_LIST:
		return cmd_mailq(m->c, 1, argv);
	case MODE_ALIASES:
		return cmd_newaliases(m->c, 1, argv);
	case MODE_DAEMON:
		return cmd_start(m->c, 1, argv);
	case MODE_FLUSH:
		return m->flush
			   ? run_other(m, cmd_postqueue, m->flush_by == 'i' ? "-i" : "-s", m->flush)
			   : run_other(m, cmd_postqueue, "-f", NULL);
	}
	return EX_SOFTWARE;
}

int
cmd_sendmail(struct cmd *c, int argc, char **argv)
{
	struct sendmail m = { .c = c };
	int o, status;
	bool good = true;

	submit_init(&m.s);
	optind = 1;
	opterr = 0;
	/* '+': options end at the first recipient, as they always did; "::" lets -q stand alone. */
	while (
	    good && (o = getopt(argc, argv, "A:B:b:C:d:F:f:Gh:IiL:mN:nO:o:p:q::R:r:tUV:vX:")) != -1)
		if (!(good = option(&m, o, optarg)))
			cmd_warn(c, "fatal: unsupported: -%c%s%s", o == '?' ? optopt : o,
			    optarg ? " " : "", optarg ? optarg : "");
	if (!good) {
		status = usage(c);
	} else if (!cmd_params(c, &m.params)) {
		status = EX_CONFIG;
	} else {
		status = run(&m, argc, argv);
		params_fini(&m.params);
	}
	submit_fini(&m.s);
	return status;
}
