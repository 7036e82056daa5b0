/* SPDX-License-Identifier: Apache-2.0 */
/* table.h - the service table: master.cf, in Postfix's eight columns.
 *
 *	service  type  private unpriv chroot wakeup maxproc  command [-v] [-o name=value] ... [arguments]
 *
 * '-' takes a column's default: private y, unpriv y, chroot n, wakeup 0, maxproc default_process_limit.  A line that
 * starts with a blank continues the one before.  { ... } keeps blanks in one argument.  Types: inet, unix.  wakeup is checked
 * and has no effect: services keep their own timers.  Of two lines with the same service and type the last counts. */
#ifndef MASTER_TABLE_H
#define MASTER_TABLE_H

#include <stdbool.h>

#include "util/buf.h"
#include "util/err.h"

enum service_type { TYPE_INET, TYPE_UNIX };

struct position { unsigned line, column; };

struct override {
	char           *text;                          /* "name=value" */
	struct position at;
};

struct table_entry {
	char             *name;                        /* as written: "smtp", "127.0.0.1:2525" */
	char             *identity;                    /* "inet:25", "inet:[::1]:2525", "unix:relay" */
	enum service_type type;
	char             *host;                        /* inet: numeric address or "localhost"; NULL: inet_interfaces */
	uint16_t          port;
	bool              private, unpriv, chroot;
	int               wakeup;                      /* seconds; 0 never */
	bool              wakeup_if_used;              /* written with '?' */
	int               maxproc;                     /* 0: no limit; -1: default_process_limit */
	char             *prog;
	bool              verbose;
	struct override  *overrides;
	size_t            noverrides;
	char            **args;                        /* NULL-terminated */
	size_t            nargs;
	struct position   at, prog_at, maxproc_at;
};

struct table {
	char               *file;
	struct table_entry *entries;
	size_t              n;
};

/* Warnings and errors are lines "FILE:LINE:COLUMN: what was expected", all that there are up to the bufs' ceilings.
 * E_SYNTAX when there was an error; t is to be freed in any case. */
enum err table_parse(struct table *t, const char *file_name, struct str text, struct buf *errors, struct buf *warnings) MUST_USE;
void     table_fini(struct table *t);
/* One more line "FILE:LINE:COLUMN: …" for out. */
void     table_complain(const struct table *t, struct position at, struct buf *out, const char *fmt, ...)
		__attribute__((format(printf, 4, 5)));
const char *table_type_name(enum service_type type);

#endif
