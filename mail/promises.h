/* SPDX-License-Identifier: Apache-2.0 */
/* promises.h - the one line that says what a process may do, and the sandbox it stands for.
 *
 * A line is words of this table, e.g. "spool-read inet-client".  What every process may do besides: read the configuration
 * directory and the system's libraries, talk to others over UNIX sockets, log. */
#ifndef MAIL_PROMISES_H
#define MAIL_PROMISES_H

#include "mail/params.h"
#include "util/sandbox.h"

/*      word              system calls                       what for */
#define PROMISES(P) \
	P(spool_read,     "spool-read",     0,                              "read message files") \
	P(spool_create,   "spool-create",   CALLS_FILES,                    "make message files; take back what was not acknowledged") \
	P(spool_change,   "spool-change",   CALLS_FILES,                    "change, move and remove message files") \
	P(maildrop,       "maildrop",       CALLS_FILES,                    "take files out of maildrop") \
	P(counters,       "counters",       CALLS_FILES,                    "files in data_directory") \
	P(tables,         "tables",         0,                              "read the lookup tables that settings name") \
	P(accounts,       "accounts",       CALLS_ACCOUNTS,                 "ask for users and groups of this host (NSS)") \
	P(inet_client,    "inet-client",    CALLS_STREAMS,                  "connect to other hosts") \
	P(dns,            "dns",            CALLS_STREAMS | CALLS_DATAGRAMS, "ask name servers") \
	P(start_deliver,  "start-deliver",  CALLS_FILES | CALLS_PROGRAMS,   "start deliver, for mailboxes below virtual_mailbox_base") \
	P(start_programs, "start-programs", 0,                              "start programs of users, with their rights: no sandbox could hold those")

/* OK, or E_SYNTAX when line has a word that is none. */
enum err promises_check(const char *line) MUST_USE;
/* Keep this process, which is to be single-threaded, to line from here on.  With sandbox = no only no_new_privs remains. */
enum err promises_keep(const struct params *p, const char *prog, const char *line) MUST_USE;
/* Would the sandbox of p do for next, too?  If not, a process cannot take over the new settings and another must. */
bool     promises_cover(const struct params *p, const struct params *next, const char *line);

#endif
