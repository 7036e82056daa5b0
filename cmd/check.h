/* SPDX-License-Identifier: Apache-2.0 */
/* check.h - what the parts of `postroad check` share: each looks at one thing and notes what it finds.
 *
 * A finding says what is wrong and how to mend it.  An error is what will not work, or lets others do harm; a warning is what
 * is probably not meant. */
#ifndef CMD_CHECK_H
#define CMD_CHECK_H

#include "cmd/cmd.h"
#include "util/buf.h"

enum severity { SEVERITY_ERROR, SEVERITY_WARNING, SEVERITY_COUNT };

struct finding {
	enum severity severity;
	char         *text;                            /* "FILE:LINE:COLUMN: words", or words */
};

struct check {
	const struct cmd    *c;
	const struct params *p;
	struct finding      *findings;
	size_t               n;
};

void check_note(struct check *k, enum severity s, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
#define check_error(k, ...) check_note(k, SEVERITY_ERROR, __VA_ARGS__)
#define check_warn(k, ...)  check_note(k, SEVERITY_WARNING, __VA_ARGS__)
/* All of it, grouped, with the line and a caret below where there is a place; returns the exit status: 0, or 1 with errors.  JSON: an
 * array of {"severity","file","line","column","text"} on stdout. */
int  check_report(struct check *k);
/* "FILE:LINE:COLUMN" of a setting in main.cf, or its name when it is a default; valid until the next call. */
const char *check_place(const struct check *k, const char *setting);

/* -- the parts -- */
void check_tables(struct check *k);                    /* lookup tables that settings name */
void check_names(struct check *k);                     /* myhostname, domains in two classes, aliases that must be there */
void check_relay(struct check *k);                     /* what strangers reach */
void check_services(struct check *k);                  /* master.cf: transports without service, ports that are taken, limits */
void check_files(struct check *k);                     /* owners, modes, room */
/* `postroad check --spool`: every message, its content too. */
int  check_spool(const struct cmd *c, const struct params *p);

#endif
