/* SPDX-License-Identifier: Apache-2.0 */
/* postmap.h - making and changing the files that hash:, btree: and cdb: tables are looked up in.
 *
 * A file is made under another name, synced, and renamed: whoever looks things up meanwhile finds the former one, whole, and an error
 * leaves that in place.  One at a time: who comes second waits for the first. */
#ifndef CMD_POSTMAP_H
#define CMD_POSTMAP_H

#include "mail/maptext.h"

enum postmap_nul { NUL_BY_TYPE, NUL_ALWAYS, NUL_NEVER };       /* by type: in .db as Postfix does, not in .cdb */

struct postmap {
	enum maptext_form form;
	bool              fold;                        /* keys in lower case */
	enum postmap_nul  nul;                         /* -N, -n: keys and values end in a NUL byte */
	bool              replace;                     /* -r: of several entries with one key the last one counts, without a word */
	bool              quiet;                       /* -w: the first one counts, without a word */
	bool              keep_root;                   /* -o: never act as the owner of FILE */
	bool              own_mode;                    /* -p: mode 0644, not FILE's */
	void            (*warn)(void *arg, const char *text);
	void             *arg;
};

/* Make FILE.db or FILE.cdb anew from FILE; name: "hash:/etc/aliases".  A malformed line is an error, after all have been
 * warned about.  The new file has FILE's owner and mode. */
enum err postmap_make(const struct postmap *how, struct str name) MUST_USE;
/* Add these entries (text in how->form) to what is in the file, which is made when there is none. */
enum err postmap_add(const struct postmap *how, struct str name, struct str entries) MUST_USE;
/* Take a key out; *was: it was there. */
enum err postmap_delete(const struct postmap *how, struct str name, struct str key, bool *was) MUST_USE;
/* "type:path" or "path" taken apart. */
void     postmap_name(struct str name, struct str default_type, struct str *type, struct str *path);

#endif
