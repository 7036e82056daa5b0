/* SPDX-License-Identifier: Apache-2.0 */
/* cmd.h - what people type.  `postroad [-c DIR] [--json] [-v] SUBCOMMAND …`, and the names that fingers know (links to postroad).
 * A subcommand returns the process's exit status: 0 done, 1 not done (the reason is on stderr), 64 usage, 69 service not there,
 * 75 try again later. */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include <stdbool.h>

#include "mail/params.h"

struct cmd {
	const char *name;                              /* how it was called: "postroad queue", "mailq" */
	const char *dir;                               /* configuration directory */
	bool        json;
	bool        verbose;
	bool        without_qmgr;                      /* it did not answer, and is not asked again */
	bool        down;                              /* then: nor does the rest of the mail system run */
};

/* argv[0] is the subcommand's (or link's) own name. */
/*        link or subcommand  function        help */
#define COMMANDS(C) \
	C("start",      cmd_start,     "start the mail system; returns when it is ready") \
	C("start-fg",   cmd_start_fg,  "the same in the foreground, until it is stopped") \
	C("stop",       cmd_stop,      "finish what is under way, then stop") \
	C("abort",      cmd_abort,     "stop at once") \
	C("reload",     cmd_reload,    "read main.cf and master.cf again; no session is dropped") \
	C("set-permissions", cmd_set_permissions, "make the spool's directories and set their permissions") \
	C("status",     cmd_status,    "what is running") \
	C("check",      cmd_check,     "check the configuration and the spool") \
	C("dns",        cmd_dns,       "ask the running resolver for a name") \
	C("route",      cmd_route,     "where mail to an address would go, and why") \
	C("conf",       cmd_conf,      "show and change settings") \
	C("queue",      cmd_queue,     "list and change what is queued") \
	C("explain",    cmd_explain,   "why mail waits, and what will be done about it")
/* Names in $command_directory that are links to postroad; -c DIR goes before or among their own flags. */
#define COMMAND_LINKS(C) \
	C("sendmail",   cmd_sendmail,  "hand in a message") \
	C("newaliases", cmd_newaliases, "index the alias tables again") \
	C("postmap",    cmd_postmap,   "make and ask lookup tables") \
	C("postalias",  cmd_postalias, "make and ask alias tables") \
	C("mailq",      cmd_mailq,     "list the queue") \
	C("postqueue",  cmd_postqueue, "list and flush the queue") \
	C("postsuper",  cmd_postsuper, "change what is queued") \
	C("postcat",    cmd_postcat,   "show a queued message") \
	C("qshape",     cmd_qshape,    "mail in the queue by domain and age") \
	C("postconf",   cmd_postconf,  "show and change settings")

#define C(name, fn, help) int fn(struct cmd *c, int argc, char **argv);
COMMANDS(C)
COMMAND_LINKS(C)
#undef C

/* Load settings of c->dir; complains on stderr and returns false. */
bool cmd_params(const struct cmd *c, struct params *p);
/* "postroad queue: warning: …" on stderr. */
void cmd_warn(const struct cmd *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
